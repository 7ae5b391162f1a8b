"""Newton's method for a penalised program, along a path of smoothed spectral costs.

Where decays are tiny and classes many, the factored objective can curve 10^15 times as much in one direction as in
another, and first-order descent comes to rest at a gap of 1e-6. In the logits themselves the program is convex, and so
it is with every singular value s in the cost replaced by ``sqrt(s^2 + eps^2)``, which has two derivatives: the path of
its minimisers is followed, from near where the descent rests or from zero logits and a large ``eps``, down to one that
no longer counts. On it the gradient of the loss is within the penalty as it is. A step costs the decomposition of a
Hessian of order G^2 + 2 G, one or two milliseconds for nine groups, and 20 to 150 are taken.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from .. import spectral, symmetry
from ..duality import Program, duality_gap, evaluate, gradient
from ..losses.loss import row_sums

#: trials of a step, and how many of them may fail to take a tenth off the gap or a digit off the smoothing
_TRIALS, _PATIENCE = 600, 100
#: singular values below so many times the smoothing are zero at the optimum
_ZERO = 10.0


class Logits(NamedTuple):
    """Coordinates of the logits, the block times omega."""

    within: Float[Array, " G"]
    weighted: Float[Array, "G G"]
    bias: Any  #: (G,) or None


class _Model(NamedTuple):
    """Slope of the smoothed objective and its Hessian ``unit axes diag(curvature) axes^T unit``."""

    slope: Float[Array, " n"]
    unit: Float[Array, " n"]
    axes: Float[Array, "n n"]
    curvature: Float[Array, " n"]


class _Progress(NamedTuple):
    x: Float[Array, " n"]
    model: _Model  #: there
    eps: Float[Array, ""]  #: the smoothing
    damping: Float[Array, ""]  #: added to all curvatures (Levenberg 1944)
    caution: Float[Array, ""]  #: how much steps are held within reach: less while they succeed
    kept: Logits  #: the point of least gap
    gap: Float[Array, ""]  #: there, over the value
    idle: Int[Array, ""]
    again: Bool[Array, ""]  #: from zero, that is
    trials: Int[Array, ""]


def follow(program: Program, start: Logits, gap, goal, needed: Bool[Array, ""]) -> tuple[Logits, Array, Array]:
    """Logits, their duality gap over the value, and trials; where not ``needed``, none and an infinite gap.

    The path is joined near ``start``, of relative gap ``gap``; where its end is not found from there, it is begun at
    zero logits. It ends at a gap of ``goal`` or where that no longer falls. Not differentiable.
    """
    given = jax.lax.stop_gradient((program, start, gap, jnp.asarray(goal), needed))
    return jax.lax.platform_dependent(*given, cpu=sequential_vmap(_follow), default=_follow)


@jax.jit  # traced once for both
def _follow(program: Program, start: Logits, gap, goal, needed):
    space, first = _flat(program, start)
    G, kept = program.classes.size, (start, jnp.full_like(program.charge.amount, jnp.inf), jnp.int32(0))
    eps = 0.1 / (program.charge.amount * G)
    size = jnp.mean(spectral.singular_values(start.weighted))
    near = jnp.where(size > 0, 10 * jnp.clip(gap, 1e-8, 1e-2) * size, eps)

    def running(at: _Progress):
        spent = at.again & (at.idle >= _PATIENCE)
        return needed & (at.gap > goal) & ~spent & (at.trials < _TRIALS)

    def advance(at: _Progress) -> _Progress:
        lost = at.idle >= _PATIENCE
        from_zero = _joined(0.0 * first, eps, (at.kept, at.gap, at.trials))
        at = jax.tree.map(partial(jnp.where, lost), from_zero, at)
        return _step(space, at)._replace(again=at.again | lost)

    end = jax.lax.while_loop(running, advance, _joined(first, near, kept))
    return end.kept, end.gap, end.trials


class _Space(NamedTuple):
    """A program whose logits are one vector."""

    program: Program
    unravel: Callable[[Array], Logits]
    reach: Float[Array, " n"]  #: how far a step may go where the loss curves less than its slope says
    null: Any  #: (n,) direction that no loss feels, or None


def _flat(program: Program, start: Logits) -> tuple[_Space, Float[Array, " n"]]:
    """The space, and ``start`` in it."""
    omega, zero, K = program.omega, jnp.zeros_like(program.classes), symmetry.present(program.classes)
    first, unravel = ravel_pytree(start)
    # Some units of every logit.
    reach = Logits(zero + 10.0, 10.0 * omega[None, :] * jnp.sqrt(K[:, None] * K[None, :]), start.bias)
    reach = ravel_pytree(reach if start.bias is None else reach._replace(bias=zero + 10.0))[0]
    null = None
    if program.bias.free and not program.full:  # no loss feels the mean of the bias
        null = ravel_pytree(jax.tree.map(jnp.zeros_like, start)._replace(bias=K))[0]
    return _Space(program, unravel, reach, null), first


def _joined(x, eps, known) -> _Progress:
    """On the path at ``x``; ``known`` are what is kept, its gap and the trials so far."""
    one, precision = jnp.ones_like(x[0]), jnp.finfo(x.dtype).eps
    # Of no slope: the first step has no length and finds the model.
    model = _Model(0.0 * x, 0.0 * x + 1.0, jnp.zeros((x.size, x.size), x.dtype), 0.0 * x + 1.0)
    kept, gap, trials = known
    return _Progress(x, model, eps, 4 * precision * one, one, kept, gap, jnp.int32(0), jnp.bool_(False), trials)


def _step(space: _Space, at: _Progress) -> _Progress:
    """Try one, take it if the slope along it falls, and narrow the smoothing where the path is near."""
    program, unravel, precision = space.program, space.unravel, jnp.finfo(at.x.dtype).eps
    slope, unit, axes, curvature = at.model
    step = -(axes @ ((axes.T @ (slope / unit)) / (jnp.maximum(curvature, 0.0) + at.damping))) / unit
    x, descent = at.x + step, -jnp.vdot(slope, step)
    loss, product = jax.linearize(lambda x: ravel_pytree(_loss_slope(unravel(x), program))[0], x)
    turned = spectral.singular_vectors(unravel(x).weighted)

    def slope_at(eps):
        cost = _smoothed(turned, program, eps)
        return loss + ravel_pytree(_cost_slope(unravel(x), cost, program, eps))[0], cost

    def model_at(eps, caution):
        slope, cost = slope_at(eps)

        def curved(v):
            return product(v) + ravel_pytree(_curved(unravel(x), unravel(v), cost, program, eps))[0]

        return _model(space, slope, curved, caution)

    # The slope alone tells: values differ by less than their rounding, and the function is convex.
    good = jnp.vdot(slope_at(at.eps)[0], step) <= 0.5 * descent
    # Nearer to the path than the path is to its end.
    close = good & (at.damping < 1e-6) & (descent < program.charge.amount * program.classes.size * at.eps)
    less = jnp.where(close, jnp.maximum(0.1 * at.eps, precision * turned[1][0]), at.eps)
    caution = jnp.where(good, 0.7 * at.caution, 1.0)
    model = jax.lax.cond(good, lambda: model_at(less, caution), lambda: at.model)
    candidate = _cut(unravel(x), turned, at.eps, program)
    gap = jnp.where(good, _gap(candidate, program), jnp.inf)
    better = gap < at.gap
    return _Progress(
        jnp.where(good, x, at.x),
        model,
        less,
        jnp.where(good, jnp.maximum(0.01 * at.damping, 4 * precision), jnp.maximum(30 * at.damping, 1e-8)),
        caution,
        jax.tree.map(partial(jnp.where, better), candidate, at.kept),
        jnp.where(better, gap, at.gap),
        jnp.where((gap < 0.9 * at.gap) | (less < at.eps), 0, at.idle + 1),
        at.again,
        at.trials + 1,
    )


def _model(space: _Space, slope, curved, caution) -> _Model:
    """Of a slope and a product with the Hessian; ``caution`` holds steps within reach."""
    n = slope.size
    hessian = jax.vmap(curved)(jnp.eye(n, dtype=slope.dtype)) + jnp.diag(caution * jnp.abs(slope) / space.reach)
    unit = jnp.sqrt(jnp.diagonal(hessian))
    unit = jnp.where(unit > 0, unit, 1.0)
    scaled = hessian / unit[:, None] / unit[None, :]
    if space.null is not None:
        stiff = space.null * unit / jnp.linalg.norm(space.null * unit)
        scaled = scaled + stiff[:, None] * stiff[None, :]
    curvature, axes = jnp.linalg.eigh(0.5 * (scaled + scaled.T))
    return _Model(slope, unit, axes, curvature)


class _Cost(NamedTuple):
    """Penalty times the smoothed nuclear norm of a block: what its first two derivatives are made of."""

    left: Float[Array, "G G"]
    right: Float[Array, "G G"]
    slope: Float[Array, "G G"]
    even: Float[Array, "G G"]  #: curvature in symmetric and in skew directions, in the bases of singular vectors
    odd: Float[Array, "G G"]


def _smoothed(turned, program: Program, eps) -> _Cost:
    """At singular vectors and values ``turned``. Nothing is divided by a difference of singular values: of two that
    coincide the formula is the limit."""
    left, values, right = turned
    ratio = values / eps
    size = jnp.sqrt(1 + ratio * ratio)
    r, t, a, b = ratio[:, None], ratio[None, :], size[:, None], size[None, :]
    tiny = jnp.finfo(values.dtype).eps
    price = program.charge.amount / eps
    even = price * (r + t + tiny) / (a * b * (r * b + t * a + tiny))
    odd = price * (r / a + t / b + tiny) / (r + t + tiny)
    return _Cost(left, right, program.charge.amount * (left * (ratio / size)[None, :]) @ right, even, odd)


def _loss_slope(x: Logits, program: Program) -> Logits:
    """Gradient of the loss, and of what a bias pays."""
    classes, omega, weights = program.classes, program.omega, program.weights
    loss, rival_counts, _ = evaluate(program, x.within, x.weighted / omega[None, :], x.bias)
    pull, block = gradient(loss.wrong, rival_counts, classes, weights, loss.total)
    bias = None if x.bias is None else classes * row_sums(loss.wrong, rival_counts, weights, loss.total)
    if bias is not None:
        bias = bias + program.bias.decay * classes * x.bias
    return Logits(-symmetry.repeats(classes) * pull, block / omega[None, :], bias)


def _ratio(x: Logits, program: Program, eps):
    """In-group singular values over a smoothing that all of a group share, and its derivative by ``within``."""
    rate = symmetry.repeats(program.classes) * program.omega / eps
    return rate * x.within, rate


def _cost_slope(x: Logits, cost: _Cost, program: Program, eps) -> Logits:
    ratio, rate = _ratio(x, program, eps)
    bias = None if x.bias is None else jnp.zeros_like(x.bias)
    return Logits(program.charge.amount * eps * rate * ratio / jnp.sqrt(1 + ratio * ratio), cost.slope, bias)


def _curved(x: Logits, tangent: Logits, cost: _Cost, program: Program, eps) -> Logits:
    """Hessian of the cost times ``tangent``."""
    ratio, rate = _ratio(x, program, eps)
    within = program.charge.amount * eps * rate * rate * (1 + ratio * ratio) ** -1.5 * tangent.within
    turned = cost.left.T @ tangent.weighted @ cost.right.T
    turned = 0.5 * (cost.even * (turned + turned.T) + cost.odd * (turned - turned.T))
    bias = None if x.bias is None else jnp.zeros_like(x.bias)
    return Logits(within, cost.left @ turned @ cost.right, bias)


def _cut(x: Logits, turned, eps, program: Program) -> Logits:
    """The same with what is zero without smoothing set to zero."""
    left, values, right = turned
    small = (left * jnp.where(values > _ZERO * eps, 0.0, values)[None, :]) @ right
    return x._replace(within=jnp.where(_ratio(x, program, eps)[0] > _ZERO, x.within, 0.0), weighted=x.weighted - small)


def _gap(x: Logits, program: Program):
    proof = duality_gap(program, x.within, x.weighted / program.omega[None, :], x.bias)
    return proof.gap / proof.value
