"""Any number of groups of equal classes, any convex loss, L = 2: descent in factored group coordinates.

The in-group margins are squares and the G x G block is a product U V, so that the spectral cost is smooth:
``cost = |q|^2 + (|U|^2 + |V|^2) / 2`` (Schatten variational form, isometric to W and H themselves). On a budget the
logits are scaled onto it, which leaves no constraint; what is minimised is the *logarithm* of the objective, whose
relative accuracy is what a certificate asks for, from a loss of log K down to one of 1e-40. No local minimum is
spurious once U is wider than the rank: there the duality gap closes, and it alone stops the descent.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..certificate import Program, duality_gap, evaluate, gradient, row_sums, slacks
from .coordinates import Coordinates
from .descent import descend
from .implicit import attach

#: relative gap that the descent aims at, and as a share of what is asked for: coordinates, which are of first order in
#: it, shall be accurate too
_GOAL, _SHARE = 1e-11, 1e-3


class Point(NamedTuple):
    """Factored coordinates: within_g = q_g^2 / ((K_g - 1) omega_g), weighted block = left @ right."""

    q: Float[Array, " G"]
    left: Float[Array, "G r"]
    right: Float[Array, "r G"]
    bias: Any  #: (G,) or None; times sqrt(classes)


def solve_grouped(
    problem, max_steps: int, tol, start: Coordinates | None = None, width: int | None = None
) -> Coordinates:
    """Optimum for any groups. ``start``: coordinates of a nearby optimum. ``width`` of the factorisation, static."""
    program = Program.of(problem)
    fixed = jax.lax.stop_gradient(program)
    G = program.classes.shape[-1]
    full_rank = G if program.full else max(G - 1, 1)
    width = full_rank if width is None else min(width, full_rank)
    point = _first_point(fixed, start, width)
    found = descend(
        lambda x, fixed: _objective(x, fixed, _loss_of_fixed(fixed)),
        _relative_gap,
        point,
        fixed,
        goal=jnp.maximum(max(_GOAL, 50 * float(jnp.finfo(program.weights.dtype).eps)), _SHARE * tol),
        accept=tol,
        max_steps=max_steps,
        every=10 if G <= 64 else 25,
    )
    point = attach(_objective, _reduced(found.x, fixed), program)
    within, between, bias = _coordinates(point, program)
    multiplier = multiplier_at(within, between, bias, program)
    slack = slacks(program, multiplier, jnp)
    within = jnp.where(program.classes == 1, _limit_margin(within, between, bias, program, multiplier), within)
    return Coordinates(within, between, slack, found.steps, found.converged, bias)


def _cost(x: Point):
    return jnp.sum(x.q * x.q) + 0.5 * (jnp.sum(x.left * x.left) + jnp.sum(x.right * x.right))


def _coordinates(x: Point, program: Program):
    """``within``, ``between`` and bias; on a budget scaled to spend all of it."""
    repeats = symmetry.repeats(program.classes, jnp)
    scale = 1.0 if program.budget is None else program.budget / _cost(x)
    dividing = jnp.where(repeats > 0, repeats * program.omega, 1.0)
    within = jnp.where(repeats > 0, scale * x.q * x.q / dividing, 0.0)
    between = scale * (x.left @ x.right) / program.omega
    here = program.classes > 0
    between = jnp.where(here[:, None] & here[None, :], between, 0.0)
    bias = None if x.bias is None else jnp.where(here, x.bias, 0.0) / jnp.sqrt(symmetry.present(program.classes, jnp))
    return within, between, bias


def _loss(program: Program, within, between, bias):
    loss, _, _ = evaluate(program, within, between, bias, jnp)
    return jnp.sum(program.classes * program.weights * loss.value)


def _loss_of_fixed(program: Program):
    """``_loss`` of a program that is not differentiated, its slopes written out: less to do than in tracing it back."""

    @jax.custom_jvp
    def loss(within, between, bias):
        return _loss(program, within, between, bias)

    @loss.defjvp
    def _rule(primals, tangents):
        within, between, bias = primals
        classes, weights = program.classes, program.weights
        at, others, _ = evaluate(program, within, between, bias, jnp)
        pull, block = gradient(at.wrong, others, classes, weights, jnp, at.total)
        moved = jnp.sum(block * tangents[1]) - jnp.sum(symmetry.repeats(classes, jnp) * pull * tangents[0])
        if bias is not None:
            moved = moved + jnp.sum(classes * row_sums(at.wrong, others, weights, jnp, at.total) * tangents[2])
        return jnp.sum(classes * weights * at.value), moved

    return loss


def _objective(x: Point, program: Program, loss: Any = None):
    """Logarithm of the loss, or of loss and costs."""
    coordinates = _coordinates(x, program)
    value = _loss(program, *coordinates) if loss is None else loss(*coordinates)
    if program.penalty is not None:
        value = value + program.penalty * _cost(x)
    if program.bias_decay is not None:
        value = value + 0.5 * program.bias_decay * jnp.sum(x.bias * x.bias)
    return jnp.log(jnp.maximum(value, jnp.finfo(value.dtype).tiny))


def _relative_gap(x: Point, program: Program):
    """Duality gap over the value, to first order in the distance also where the penalised gap is of second order."""
    within, between, bias = _coordinates(x, program)
    # The factors pay at least the nuclear norm, and no more where they are balanced, as they end.
    cost = _cost(x)
    scale = 1.0 if program.budget is None else program.budget / cost
    proof = duality_gap(program, within, between, jnp, bias, scale * (cost - jnp.sum(x.q * x.q)))
    if program.penalty is None:
        return proof.gap / proof.value
    loss, others, _ = evaluate(program, within, between, bias, jnp)
    pull, block = gradient(loss.wrong, others, program.classes, program.weights, jnp, loss.total)
    repeats = symmetry.repeats(program.classes, jnp)
    inner = jnp.sum(block * between) - jnp.sum(repeats * pull * within)
    stationary = jnp.abs(inner + program.penalty * cost) + jnp.maximum(proof.norm - program.penalty, 0.0) * cost
    return jnp.maximum(proof.gap, stationary) / proof.value


def multiplier_at(within, between, bias, program: Program):
    """Multiplier of the spectral cost: the penalty, or what one more unit of budget is worth."""
    if program.penalty is not None:
        return program.penalty
    loss, others, _ = evaluate(program, within, between, bias, jnp)
    pull, block = gradient(loss.wrong, others, program.classes, program.weights, jnp, loss.total)
    repeats = symmetry.repeats(program.classes, jnp)
    return (jnp.sum(repeats * pull * within) - jnp.sum(block * between)) / program.budget


def _reduced(x: Point, program: Program) -> Point:
    """Balanced factors of the same logits, with what is zero at the optimum set to zero exactly."""
    within, between, bias = _coordinates(x, program)
    multiplier = multiplier_at(within, between, bias, program)
    inactive = slacks(program, multiplier, jnp) <= 0
    proof = duality_gap(program, jnp.where(inactive, 0.0, within), between, jnp, bias)
    scale = 1.0 if program.budget is None else program.budget / _cost(x)
    left, values, right = spectral.singular_vectors(x.left @ x.right, jnp)
    rank = x.left.shape[-1]
    dual = spectral.singular_values(proof.block, jnp)
    share = multiplier * scale * values / (proof.value + multiplier * scale * _cost(x))
    values = jnp.where(share > 1 - dual / multiplier, values, 0.0)[:rank]  # as in :mod:`lpmjax.structure`
    root = jnp.sqrt(values)
    q = jnp.where(inactive | (program.classes <= 1), 0.0, x.q)
    return Point(q, left[:, :rank] * root, root[:, None] * right[:rank], x.bias)


def _limit_margin(within, between, bias, program: Program, multiplier):
    """In-group margin that a group of one class would have with a second one: no logit feels it, but derivatives by
    the number of classes do."""
    loss, others, _ = evaluate(program, within, between, bias, jnp)
    eye = jnp.eye(within.shape[-1], dtype=bool)
    leaving = jnp.sum(jnp.where(eye, 0.0, others * loss.wrong), axis=-2) - loss.total
    need = multiplier * program.omega / program.weights - leaving
    own = symmetry.own_logits(within, between, program.classes, bias, jnp) if program.full else None
    return program.loss.margin_of(need, loss, own, others, jnp)


def _first_point(program: Program, start: Coordinates | None, width: int) -> Point:
    """The steepest descent from zero, every direction of it present; or ``start`` with a little of its own descent."""
    classes, omega = program.classes, program.omega
    G = classes.shape[-1]
    zero = jnp.zeros_like(classes)
    biased = program.free_bias or program.bias_decay is not None
    if start is None:
        within, between, bias = zero, jnp.zeros((G, G), classes.dtype), zero if biased else None
        mix = jnp.ones(())
    else:
        within, between, bias = start.within, start.between, start.bias
        mix = jnp.clip(_start_gap(start, program), 1e-14, 0.1)
    loss, others, _ = evaluate(program, within, between, bias, jnp)
    pull, block = gradient(loss.wrong, others, classes, program.weights, jnp, loss.total)
    repeats = symmetry.repeats(classes, jnp)
    descent_in, descent = jnp.maximum(pull, 0.0) / omega, -block / omega
    norm = jnp.maximum(jnp.max(descent_in), spectral.spectral_norm(descent, jnp, program.full))
    norm = jnp.where(norm > 0, norm, 1.0)
    cost = symmetry.spectral_cost(within, between, classes, omega, jnp, program.full)
    cost = jnp.where(cost > 0, cost, 1.0) if start is not None else jnp.ones(())
    share = mix * cost / (norm * (jnp.sum(repeats) + G))
    left, values, right = spectral.singular_vectors(between * omega + share * descent, jnp)
    # A direction that the steepest descent lacks is still needed: at zero U V has no gradient.
    values = (values + 0.01 * share * norm)[:width] if start is None else values[:width]
    root = jnp.sqrt(values)
    unit = jnp.sqrt(classes / jnp.sum(classes))
    left = left[:, :width] if program.full else left[:, :width] - unit[:, None] * (unit @ left[:, :width])
    here = classes > 0
    q = jnp.sqrt(repeats * (omega * within + share * (descent_in + 0.01 * norm)))
    scaled_bias = None if bias is None else jnp.sqrt(classes) * bias
    point = Point(
        q, jnp.where(here[:, None], left * root, 0.0), jnp.where(here, root[:, None] * right[:width], 0.0), scaled_bias
    )
    if start is not None:
        return point
    if program.budget is not None:  # scale-free: any scale will do, that of the budget is well conditioned
        return _scaled(point, jnp.sqrt(program.budget / _cost(point)))
    sizes = jnp.exp2(jnp.arange(-24.0, 8.0)).astype(classes.dtype) * jnp.sqrt(jnp.sum(classes * omega * omega))
    sized = jax.vmap(lambda c: _scaled(point, jnp.sqrt(c / _cost(point))))(sizes)
    best = jnp.argmin(jax.vmap(lambda x: _objective(x, program))(sized))
    return jax.tree.map(lambda leaf: leaf[best], sized)


def _scaled(x: Point, factor) -> Point:
    return x._replace(q=factor * x.q, left=factor * x.left, right=factor * x.right)


def _start_gap(start: Any, program: Program):
    proof = duality_gap(program, start.within, start.between, jnp, start.bias)
    return proof.gap / proof.value
