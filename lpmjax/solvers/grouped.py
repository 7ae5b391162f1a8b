"""Any number of groups of equal classes, any convex loss, L = 2: descent in factored group coordinates.

The in-group margins are squares and the G x G block is a product U V, so that the spectral cost is smooth:
``cost = |q|^2 + (|U|^2 + |V|^2) / 2`` (Schatten variational form, isometric to W and H themselves). On a budget the
logits are scaled onto it, which leaves no constraint (a budget that does not bind is known beforehand, and so is its
optimum: the loss's own minimiser). What is minimised is the *logarithm* of the objective, whose relative accuracy is
what a certificate asks for, from a loss of log K down to one of 1e-40. No local minimum is spurious once U is wider
than the rank: there the duality gap closes, and it alone stops the descent. Where it comes to rest before, Newton's
method takes over if few groups pay a penalty (:mod:`.smoothed`); else the descent begins anew.
"""

import dataclasses
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..arguments import require_integer
from ..charge import Price
from ..dual_points import positive, split_off_bias
from ..duality import Program, block_noise, duality_gap, evaluate, gradient, largest_term, slacks
from ..losses.loss import row_sums
from ..objectives.of_groups import GroupCoordinates
from .descent import LBFGS, Descent, TruncatedNewton, Until, descend
from .implicit import with_derivative
from .slopes import Slopes, log_multiplier_at, slopes_at
from .smoothed import Logits, follow
from .solver import Candidate, TracedSolver
from .stages import Run, coordinates_of, newton_if_it_rests, widening

#: relative gap that the descent aims at, and as a share of what is asked for: coordinates, which are of first order in
#: it, shall be accurate too
_GOAL, _SHARE = 1e-11, 1e-3
#: groups from which every digit is worth seconds, and the share there: slacks are as accurate as the gap, cosines
#: to some 300 times it
_MANY, _SHARE_OF_MANY = 256, 0.1
#: relative gap from which on a point tells which directions the optimum lacks
_TELLING = 1e-3
#: steps of Newton's method, by conjugate gradients, that end the descent of as many groups
_END_GAME = 8
#: groups up to which a Hessian is worth its time where the descent has come to rest, and from which it is worth finding
#: out how wide the factorisation has to be
_FEW, _WIDE = 16, 64
#: ulps of the objective that zeros may cost: where decays are tiny, a singular value that a thousand ulps hang on can
#: hold the gap
_NO_MORE = 100


class Point(NamedTuple):
    """Factored coordinates: within_g = q_g^2 / ((K_g - 1) omega_g), weighted block = left @ right."""

    q: Float[Array, " G"]
    left: Float[Array, "G r"]
    right: Float[Array, "r G"]
    bias: Any  #: (G,) over :func:`_unit_of_bias`; None without a bias, and where the best one has a closed form


@dataclasses.dataclass(frozen=True)
class Grouped(TracedSolver):
    """Optimum for any groups. ``width`` of the factorisation: by default as wide as any optimum. ``newton``: whether
    Newton's method takes over where the descent of a penalised problem of few groups comes to rest. ``pruned``: whether
    a narrow one begins without the directions that the optimum seems to lack."""

    max_steps: int = 4000
    width: int | None = None
    newton: bool = True
    pruned: bool = False
    name: ClassVar[str] = "grouped"
    tol: ClassVar[float] = 1e-8
    exact: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        if self.width is not None:
            require_integer("width", self.width, 1)

    def begins_at(self, start: Any, problem: Any) -> GroupCoordinates:
        """The coordinates of a solution of the same groups."""
        return coordinates_of(start, problem)

    def eagerly(self, run: Run, problem: Any, tol: Any, start: Any) -> Any:
        """In stages, where there are many groups, or few that pay a penalty."""
        if self.width is None and problem.size > _WIDE:
            return widening(run, problem, tol, start, self)
        if self.newton and problem.size <= _FEW and not getattr(problem, "on_budget", False):
            return newton_if_it_rests(run, problem, tol, start, self)
        return run(problem, tol, start, self)

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Descent from ``start``, or from the best of the points that a steepest descent reaches."""
        program = objective.program
        fixed = jax.lax.stop_gradient(program)
        G = program.classes.shape[-1]
        full_rank = G if program.full else max(G - 1, 1)
        width = full_rank if self.width is None else min(self.width, full_rank)
        curved = isinstance(program.charge, Price) and width == full_rank and G <= _FEW
        if start is None:
            point = _first_point(fixed, width)
        else:
            point, gap = _point_near(start.within, start.between, start.bias, fixed, width)
            if self.pruned and width < full_rank:
                point = jax.tree.map(partial(jnp.where, gap <= _TELLING), _needed(point, fixed), point)
        share = _SHARE if G < _MANY else _SHARE_OF_MANY
        goal = jnp.maximum(max(_GOAL, 50 * float(jnp.finfo(program.weights.dtype).eps)), share * tol)
        unbound = getattr(fixed.charge, "unbound", None)
        if unbound is not None:  # nothing to look for
            goal = jnp.where(unbound, jnp.inf, goal)
        until = Until(goal, jnp.asarray(tol, goal.dtype), self.max_steps, *((10, None) if G <= 64 else (25, 100)))
        method = LBFGS(
            lambda x, gap, fixed: _renewed(x, gap, fixed, width),
            # Where a narrow factorisation comes to rest, it is more width that it needs.
            restarts=0 if width < full_rank else 3 if curved else 10,
        )
        near = start is not None and width < full_rank and G >= _MANY and self.max_steps > _END_GAME
        found = (_with_end_game if near else _descent)(point, fixed, until, method)
        point, steps, settled = found.x, found.steps, jnp.bool_(False)
        if curved and self.newton:
            point, more, settled = _followed(found, fixed, goal, found.steps < self.max_steps)
            steps = steps + more
        point = with_derivative(_objective, _reduced(point, fixed, settled), program)
        within, between, bias = _coordinates(point, program)
        at = slopes_at(within, between, bias, program)
        log_multiplier = log_multiplier_at(within, between, at, program)
        limit = _limit_margin(within, between, bias, at, program, log_multiplier)
        within = jnp.where(program.classes == 1, limit, within)
        if unbound is not None:
            ideal = program.ideal()
            within, between = (jnp.where(unbound, x, y) for x, y in zip(ideal, (within, between), strict=True))
        coordinates = GroupCoordinates(within, between, bias, slacks(program, log_multiplier))
        return Candidate(coordinates, log_multiplier, steps, found.finished, found.restarts)


def _descent(point: Point, program: Program, until: Until, method: Any) -> Descent:
    def objective(x, fixed):
        return _objective(x, fixed, _loss_of_fixed(fixed))

    return descend(objective, _relative_gap, point, program, until, method)


def _with_end_game(point: Point, program: Program, until: Until, method: Any) -> Descent:
    """Newton's method from a point close to the optimum; where that does not reach the goal, ``method`` from there."""
    near = _descent(point, program, until._replace(max_steps=_END_GAME, every=1, longest=None), TruncatedNewton())

    def further(near: Descent) -> Descent:
        left = until._replace(max_steps=until.max_steps - _END_GAME)
        point = _renewed(near.x, near.residual, program, near.x.left.shape[-1])  # a direction may be lacking
        end = _descent(point, program, left, method)
        return end._replace(steps=end.steps + near.steps)

    return jax.lax.cond(near.residual <= until.goal, lambda near: near, further, near)


def _followed(found: Descent, program: Program, goal, may: Array) -> tuple[Point, Array, Array]:
    """Where the descent came to rest, or the end of Newton's path from there; its steps; whether that end is better."""
    within, between, bias = _coordinates(found.x, program)
    logits = Logits(within, between * program.omega[None, :], bias)
    logits, gap, steps = follow(program, logits, found.residual, goal, ~found.converged & may)
    settled = gap < found.residual
    other = _factors(logits, program, found.x.left.shape[-1])
    return jax.tree.map(partial(jnp.where, settled), other, found.x), steps, settled


def _cost(x: Point, program: Program):
    """Spectral cost, or more where the factors are not balanced."""
    in_groups = jnp.sum(symmetry.repeats(program.classes) / _copies(program) * x.q * x.q)
    return in_groups + 0.5 * (jnp.sum(x.left * x.left) + jnp.sum(x.right * x.right))


def _copies(program: Program):
    """K_g - 1, which makes ``q`` isometric to the factors themselves. A constant, and 1 for a group of one class: its
    ``q`` costs nothing, but the derivative of the cost by the number of classes does not vanish."""
    repeats = jax.lax.stop_gradient(symmetry.repeats(program.classes))
    return jnp.where(repeats > 0, repeats, 1.0)


def _coordinates(x: Point, program: Program):
    """``within``, ``between`` and bias; on a budget scaled to spend all of it."""
    scale = program.charge.onto(_cost(x, program))
    within = jnp.where(program.classes > 0, scale * x.q * x.q / (_copies(program) * program.omega), 0.0)
    between = scale * (x.left @ x.right) / program.omega[None, :]
    here = program.classes > 0
    between = jnp.where(here[:, None] & here[None, :], between, 0.0)
    return within, between, _bias(x, within, between, program)


def _bias(x: Point, within, between, program: Program) -> Any:
    """Bias of one class of each group; the best one where that has a closed form. None without a bias."""
    here, classes = program.classes > 0, program.classes
    if x.bias is None and program.bias.present:
        loss, rival_counts, _ = evaluate(program, within, between, None)
        sums = row_sums(loss.wrong, rival_counts, program.weights, loss.total)
        return jnp.where(here, program.loss.best_bias(sums, program.bias.decay), 0.0)
    if x.bias is None:
        return None
    bias = jnp.where(here, x.bias * _unit_of_bias(program), 0.0)
    if program.bias.free and not program.full:  # no loss feels the mean over classes: it is zero
        bias = bias - jnp.sum(classes * bias) / jnp.sum(classes)
    return bias


def _closed(program: Program) -> bool:
    """Whether no bias has to be looked for: there is none, or it has a closed form."""
    return not program.bias.present or program.loss.best_bias(0.0, 0.0) is not None


def _unit_of_bias(program: Program):
    """(G,) step of a bias that the objective feels as much as one of the factors, by which it curves like the penalty.

    A decay can be 10^15 times that. The curvature of a softmax is what is left of the loss at the optimum.
    """
    price = program.charge.amount
    felt = price * program.omega + program.bias.decay
    unit = jnp.sqrt(price / (symmetry.present(program.classes) * felt))
    return jax.lax.stop_gradient(unit)


def _loss(program: Program, within, between, bias):
    """The loss times ``exp(log_scale)``, and ``log_scale``."""
    at = evaluate(program, within, between, bias)
    return jnp.sum(program.classes * program.weights * at.loss.value), at.log_scale


def _loss_of_fixed(program: Program):
    """``_loss`` of a program that is not differentiated, its slopes written out: less to do than in tracing it back."""

    @jax.custom_jvp
    def loss(within, between, bias):
        return _loss(program, within, between, bias)

    @loss.defjvp
    def _rule(primals, tangents):
        within, between, bias = primals
        classes, weights = program.classes, program.weights
        at, rival_counts, log_scale = evaluate(program, within, between, bias)
        pull, block = gradient(at.wrong, rival_counts, classes, weights, at.total)
        moved = jnp.sum(block * tangents[1]) - jnp.sum(symmetry.repeats(classes) * pull * tangents[0])
        if bias is not None:
            moved = moved + jnp.sum(classes * row_sums(at.wrong, rival_counts, weights, at.total) * tangents[2])
        value = jnp.sum(classes * weights * at.value)
        return (value, log_scale), (moved, jnp.zeros_like(log_scale))

    return loss


def _objective(x: Point, program: Program, loss: Any = None):
    """Logarithm of the loss, or of loss and costs."""
    within, between, bias = _coordinates(x, program)
    value, log_scale = (partial(_loss, program) if loss is None else loss)(within, between, bias)
    value = value + program.charge.paid(_cost(x, program)) + program.bias.paid(bias, program.classes)
    return jnp.log(jnp.maximum(value, jnp.finfo(value.dtype).tiny)) - log_scale


def _relative_gap(x: Point, program: Program):
    """Duality gap over the value, to first order in the distance also where the penalised gap is of second order."""
    within, between, bias = _coordinates(x, program)
    # The factors pay at least the nuclear norm, and no more where they are balanced, as they end.
    cost, across = _cost(x, program), 0.5 * (jnp.sum(x.left * x.left) + jnp.sum(x.right * x.right))
    proof = duality_gap(program, within, between, bias, program.charge.onto(cost) * across)
    if not isinstance(program.charge, Price):
        return proof.gap / proof.value
    at = slopes_at(within, between, bias, program)
    repeats = symmetry.repeats(program.classes)
    inner = jnp.sum(at.block * between) - jnp.sum(repeats * at.pull * within)
    price = program.charge.amount
    stationary = jnp.abs(inner + price * cost) + jnp.maximum(proof.norm - price, 0.0) * cost
    if program.loss.coercive:  # where decays are tiny the gradient is little more than the rounding of the logits
        size = 1 + largest_term(program, within, between, bias)
        ulps = 4 * max(2, program.classes.size) * jnp.finfo(size.dtype).eps
        heaviest = jnp.max(jnp.where(program.classes > 0, program.weights / program.omega, 0.0))
        noise = ulps * size * (size + heaviest * cost)
        stationary = jnp.maximum(stationary - noise, 0.0)
    return jnp.maximum(proof.gap, stationary) / proof.value


def _reduced(x: Point, program: Program, settled) -> Point:
    """Balanced factors of the same logits, with what is zero at the optimum set to zero exactly.

    In-group margins, and the block's singular values, stay as they are where zeros would raise the objective: the
    gradient, by which zeros are known, is off by what the descent has left, and where decays are tiny all rounding.
    Singular values also stay where what is zero is ``settled``.
    """
    within, between, bias = _coordinates(x, program)
    at, cost = slopes_at(within, between, bias, program), _cost(x, program)
    log_multiplier = log_multiplier_at(within, between, at, program)
    inactive = slacks(program, log_multiplier) <= 0
    G, rank = x.left.shape
    if 2 * rank < G:
        left, values, right = spectral.singular_vectors_of_product(x.left, x.right)
        values = jnp.pad(values, (0, G - rank))
    else:
        left, values, right = spectral.singular_vectors(x.left @ x.right)
    scale = program.charge.onto(cost)
    dual, charged = spectral.singular_values(at.block / program.omega[None, :]), (log_multiplier, scale * cost)
    kept = _nonzero(scale * values, dual, at, (within, between, bias), program, charged)
    kept = jnp.where(settled, values > values.size * jnp.finfo(values.dtype).eps * values[0], kept)
    lone = jnp.sqrt(_limit_margin(within, between, bias, at, program, log_multiplier) * program.omega / scale)

    def balanced(fewer_margins, fewer_values):
        q = jnp.where(program.classes == 1, lone, jnp.where(fewer_margins & inactive, 0.0, x.q))
        root = jnp.sqrt(jnp.where(fewer_values & ~kept, 0.0, values))[:rank]
        return Point(q, left[:, :rank] * root[None, :], root[:, None] * right[:rank], x.bias)

    trials = jax.vmap(balanced)(jnp.array([False, True, False]), jnp.array([False, False, True]))
    logs = jax.vmap(lambda x: _objective(x, program))(trials)
    return balanced(*(logs[1:] - logs[0] <= _NO_MORE * jnp.finfo(values.dtype).eps))


def _nonzero(values, dual, at: Slopes, coordinates, program: Program, charged):
    """Which singular values of the logits are not zero at the optimum; ``dual``: their partners of the gradient,
    ``charged``: log of the multiplier, and cost."""
    log_multiplier, cost = charged
    price = jnp.exp(log_multiplier + at.log_scale)
    price = jnp.where(price > 0, price, 1.0)
    classes, (*_, bias) = program.classes, coordinates
    value = jnp.sum(classes * program.weights * at.loss.value) + program.bias.paid(bias, classes)
    paid = price * cost + program.charge.paid(cost)
    noise = block_noise(program, at.loss, at.rival_counts, 1 + largest_term(program, *coordinates))
    return positive(values, dual, price, value + paid, noise)


def _limit_margin(within, between, bias, at: Slopes, program: Program, log_multiplier):
    """In-group margin that a group of one class would have with a second one: no logit feels it, but derivatives by
    the number of classes do."""
    loss, rival_counts = at.loss, at.rival_counts
    eye = jnp.eye(within.shape[-1], dtype=bool)
    leaving = jnp.sum(jnp.where(eye, 0.0, rival_counts * loss.wrong), axis=-2) - loss.total
    need = jnp.exp(log_multiplier + at.log_scale) * program.omega / program.weights - leaving
    need = need / symmetry.present(program.classes)
    own = symmetry.own_logits(within, between, program.classes, bias) if program.full else None
    margin = program.loss.margin_of(need, loss, own, rival_counts)
    return jnp.where(margin > 0, margin + at.log_scale, 0.0)


def _first_point(program: Program, width: int) -> Point:
    """What pulls equal classes apart at zero logits, every direction of it present, and of the best size."""
    classes, omega = program.classes, program.omega
    zero = jnp.zeros_like(classes)
    bias = zero if program.bias.present else None
    starts = [(zero, jnp.zeros((zero.size, zero.size), zero.dtype), bias, jnp.ones_like(zero[0]))]
    if program.loss.coercive and isinstance(program.charge, Price):
        # Next to nothing is paid for logits where decays are tiny: begin where the loss is least.
        within, between = program.ideal()
        step = 1e-14 * symmetry.spectral_cost(within, between, classes, omega, program.full)
        starts.append((within, between, bias, step))
        if bias is not None:  # and where the bias stands in for all of the logits that it can
            rest, carrier = split_off_bias(between * omega[None, :], classes, omega)
            starts.append((within, rest / omega[None, :], carrier, step))
    apart = jnp.where(classes > 0, program.weights * program.loss.contrast, 0.0)
    descent = symmetry.diagonal_matrix(apart) if program.full else symmetry.centred_diagonal(apart, classes)
    toward = partial(_toward, slopes=(apart, -descent), program=program, width=width)
    points = jax.vmap(toward)(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts))
    point, others = jax.tree.map(lambda leaf: leaf[0], points), jax.tree.map(lambda leaf: leaf[1:], points)
    if not isinstance(program.charge, Price):  # scale-free: any scale will do, that of the budget is well conditioned
        return _scaled(point, jnp.sqrt(program.charge.onto(_cost(point, program))))
    sizes = jnp.exp2(jnp.arange(-24.0, 8.0)).astype(classes.dtype) * jnp.sqrt(jnp.sum(classes * omega * omega))
    sized = jax.vmap(lambda c: _scaled(point, jnp.sqrt(c / _cost(point, program))))(sizes)
    sized = jax.tree.map(lambda one, many: jnp.concatenate([one, many]), others, sized)
    best = jnp.argmin(jax.vmap(lambda x: _objective(x, program))(sized))
    return jax.tree.map(lambda leaf: leaf[best], sized)


def _point_near(within, between, bias, program: Program, width: int) -> tuple[Point, Array]:
    """Balanced factors of these coordinates with a little of their own descent, for a direction may be lacking; and
    their relative gap."""
    nuclear = spectral.nuclear_norm(between * program.omega[None, :], program.full)
    proof = duality_gap(program, within, between, bias, nuclear)  # centred, a block has no larger one
    cost = jnp.sum(symmetry.repeats(program.classes) * program.omega * jnp.abs(within)) + nuclear
    gap = proof.gap / proof.value
    return _refreshed(within, between, bias, program, width, (gap, cost)), gap


def _renewed(x: Point, gap, program: Program, width: int) -> Point:
    """Those of a point of this relative gap, whose factors pay little more than the nuclear norm."""
    cost = _cost(x, program)
    return _refreshed(*_coordinates(x, program), program, width, (gap, program.charge.onto(cost) * cost))


def _refreshed(within, between, bias, program: Program, width: int, known) -> Point:
    """``known``: relative gap and spectral cost of the coordinates."""
    gap, cost = known
    mix = jnp.clip(gap, 1e-14, 0.1) * jnp.where(cost > 0, cost, 1.0)
    at = slopes_at(within, between, bias, program)
    return _toward(within, between, bias, mix, (at.pull, at.block), program, width)


def _needed(x: Point, program: Program) -> Point:
    """Balanced factors without the directions that the optimum lacks: they fade as slowly as their share of the
    gradient is near the price, and the descent would wait for them. One that is missed shows in the gap."""
    coordinates, cost = _coordinates(x, program), _cost(x, program)
    at, scale = slopes_at(*coordinates, program), program.charge.onto(cost)
    values = jnp.sum(x.left * x.left, axis=0)
    along = -jnp.sum(x.left * (at.block / program.omega[None, :] @ x.right.T), axis=0)
    dual = along / jnp.where(values > 0, values, 1.0)
    charged = (log_multiplier_at(*coordinates[:2], at, program), scale * cost)
    kept = _nonzero(scale * values, dual, at, coordinates, program, charged)
    return x._replace(left=jnp.where(kept, x.left, 0.0), right=jnp.where(kept[:, None], x.right, 0.0))


def _toward(within, between, bias, step, slopes, program: Program, width: int) -> Point:
    """Factors of the coordinates after a step of spectral cost ``step`` down the ``slopes`` (pull, block), with some of
    every direction: at zero U V has no gradient."""
    classes, omega = program.classes, program.omega
    pull, block = slopes
    repeats = symmetry.repeats(classes)
    descent_in, descent = jnp.where(repeats > 0, jnp.maximum(pull, 0.0) / omega, 0.0), -block / omega[None, :]
    norm = jnp.maximum(jnp.max(descent_in), spectral.spectral_norm(descent, program.full))
    norm = jnp.where(norm > 0, norm, 1.0)
    share = step / (norm * (jnp.sum(repeats) + classes.size))
    left, values, right = spectral.singular_vectors(between * omega[None, :] + share * descent)
    root = jnp.sqrt(values + 0.01 * share * norm)[:width]
    left = left[:, :width]
    if not program.full:
        unit = jnp.sqrt(classes / jnp.sum(classes))
        left = left - unit[:, None] * (unit @ left)[None, :]
    here = classes > 0
    return Point(
        q=jnp.sqrt(repeats * (omega * jnp.abs(within) + share * (descent_in + 0.01 * norm))),
        left=jnp.where(here[:, None], left * root[None, :], 0.0),
        right=jnp.where(here[None, :], root[:, None] * right[:width], 0.0),
        bias=None if _closed(program) else bias / _unit_of_bias(program),
    )


def _factors(logits: Logits, program: Program, width: int) -> Point:
    """Balanced factors of these logits."""
    left, values, right = spectral.singular_vectors(logits.weighted)
    root = jnp.sqrt(values[:width])
    q = jnp.sqrt(symmetry.repeats(program.classes) * program.omega * jnp.maximum(logits.within, 0.0))
    bias = None if _closed(program) else logits.bias / _unit_of_bias(program)
    return Point(q, left[:, :width] * root[None, :], root[:, None] * right[:width], bias)


def _scaled(x: Point, factor) -> Point:
    return x._replace(q=factor * x.q, left=factor * x.left, right=factor * x.right)
