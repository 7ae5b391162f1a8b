"""Descent stopped by a certificate: L-BFGS, truncated Newton, or any optax transformation."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from . import lbfgs, truncated_newton

if TYPE_CHECKING:
    import optax

#: pairs of vectors that L-BFGS remembers: small problems may be badly conditioned (10^6 classes in 20 groups, ratios of
#: 10^19) and afford many; of large ones each pair is memory to stream through at every step
_MEMORY, _MEMORY_OF_LARGE, _LARGE = 60, 8, 5000
#: looks at a residual that does not fall by a tenth before L-BFGS begins anew; others may be slow by design
_PATIENCE = 20
#: and before Newton's method ends, of which a step takes as long as some fifty others
_PATIENCE_OF_NEWTON = 2


class Until(NamedTuple):
    """When a descent ends: ``residual <= goal``, or ``<= accept`` and no longer falling."""

    goal: Array | float
    accept: Array
    max_steps: int
    every: int = 10  #: steps between two looks at the residual
    longest: int | None = None  #: to which that grows while the goal is far; None: it does not


class LBFGS(NamedTuple):
    """L-BFGS (:mod:`.lbfgs`): where its residual has stopped falling above what is acceptable, it begins anew without
    memory, at ``refresh(x, residual, parameters)`` (None: x), at most ``restarts`` times and no more than six in
    vain."""

    refresh: Callable[[Any, Array, Any], Any] | None = None
    restarts: int = 10


class FirstOrder(NamedTuple):
    """Any optax transformation; ``project(x, parameters)`` is applied after every step."""

    optimizer: "optax.GradientTransformation"
    project: Callable[[Any, Any], Any] | None = None


class TruncatedNewton(NamedTuple):
    """Newton's method by conjugate gradients (:mod:`.truncated_newton`): steps that are worth a look each, from a point
    close to the minimum. It ends where two in a row leave nine tenths of the residual."""


class _Method(NamedTuple):
    start: Any
    advance: Callable[[Any], Any]
    point: Callable[[Any], Any]
    begin_anew: Callable[[Any, Array], Any] | None = None  #: None: a method that goes on as long as it may
    restarts: int = 0
    patience: int | None = None  #: looks at a residual that does not fall by a tenth before it ends


class Descent(NamedTuple):
    """Where a descent ended."""

    x: Any
    residual: Float[Array, ""]  #: the stopping criterion there
    steps: Int[Array, ""]
    restarts: Int[Array, ""]
    converged: Bool[Array, ""]  #: the residual is acceptable
    finished: Bool[Array, ""]  #: ended by its own criterion, not by the step limit


def descend(
    objective: Callable[[Any, Any], Array],
    residual: Callable[[Any, Any], Array],
    start: Any,
    parameters: Any,
    until: Until,
    method: LBFGS | FirstOrder | TruncatedNewton,
) -> Descent:
    """Minimise ``objective(x, parameters)`` until ``residual(x, parameters)`` is small enough.

    The residual (a duality gap) has a rounding of its own, which decides how low it can get, so the goal may be below
    reach. The result is the point of least residual; NaN stops at once, and a residual may be infinite. Not
    differentiable: see :mod:`.implicit`.

    On CPU a batch of descents runs one after another, so that each stops when it is done; in lockstep it took up to
    five times as long there, where batches of products of small matrices are slow.
    """

    # `run` outlives this trace in JAX's caches: it may hold no traced value
    lengths = until.max_steps, until.every, until.longest

    def run(start, parameters, goal, accept):
        def fixed(function):
            return None if function is None else lambda *at: function(*at, parameters)

        if isinstance(method, LBFGS):
            steps = _quasi_newton(fixed(objective), start, fixed(method.refresh), method.restarts)
        elif isinstance(method, TruncatedNewton):
            rough = jax.tree.map(_single, parameters)
            steps = _newton(fixed(objective), lambda x: objective(x, rough), start)
        else:
            steps = _first_order(fixed(objective), start, method.optimizer, fixed(method.project))
        return _iterate(steps, fixed(residual), Until(goal, accept, *lengths))

    accept = jnp.asarray(until.accept)
    given = jax.lax.stop_gradient((start, parameters, jnp.asarray(until.goal, accept.dtype), accept))
    once = jax.jit(run)  # traced once for both
    return jax.lax.platform_dependent(*given, cpu=sequential_vmap(once), default=once)


def norm(tree: Any) -> Float[Array, ""]:
    """Euclidean, of all leaves together."""
    return jnp.sqrt(sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(tree)))


def relative_slope(objective: Callable[[Any, Any], Array], x: Any, parameters: Any) -> Float[Array, ""]:
    """Norm of the gradient times that of the point, over the value: how far a point is from stationary."""
    value, slope = jax.value_and_grad(objective)(x, parameters)
    return norm(slope) * norm(x) / value


class _Progress(NamedTuple):
    state: Any
    last: Float[Array, ""]  #: residual at the last look
    best: Float[Array, ""]  #: least one since the descent began (anew)
    idle: Int[Array, ""]  #: looks since it fell by a tenth
    steps: Int[Array, ""]
    until_look: Int[Array, ""]
    restarts: Int[Array, ""]
    kept: Any  #: the point of least residual of all
    least: Float[Array, ""]
    fruitful: Bool[Array, ""]  #: whether that has come down since the last restart


def _iterate(method: _Method, residual, until: Until) -> Descent:
    goal, accept, max_steps, every, longest = until
    most = method.restarts

    def body(at: _Progress) -> _Progress:
        state, best, idle, restarts, fruitful = at.state, at.best, at.idle, at.restarts, at.fruitful
        if method.begin_anew is not None and most > 0:
            resting = idle >= _PATIENCE
            state = jax.lax.cond(resting, method.begin_anew, lambda state, _: state, state, at.last)
            best, idle = jnp.where(resting, jnp.inf, best), jnp.where(resting, 0, idle)
            restarts, fruitful = restarts + resting.astype(restarts.dtype), fruitful & ~resting
        more = jnp.minimum(at.until_look, max_steps - at.steps)
        state = jax.lax.fori_loop(0, more, lambda _, state: method.advance(state), state)
        point = method.point(state)
        now = residual(point)
        until_look = at.until_look if longest is None else _half_way(at.last, now, goal, more, every, longest)
        idle = jnp.where(now < 0.9 * best, 0, idle + 1)
        better = ~(now >= at.least)  # NaN, too: it must be seen
        kept = jax.tree.map(partial(jnp.where, better), point, at.kept)
        least = jnp.where(better, now, at.least)
        return _Progress(
            state,
            now,
            jnp.minimum(now, best),
            idle,
            at.steps + more,
            until_look,
            restarts,
            kept,
            least,
            fruitful | better,
        )

    def running(at: _Progress):
        settled = (at.last <= goal) | ((at.last <= accept) & (at.idle >= 3))
        if method.begin_anew is not None:
            spent = (at.restarts >= most) | ((at.restarts >= 6) & ~at.fruitful)
            settled = settled | ((at.idle >= _PATIENCE) & spent)
        if method.patience is not None:
            settled = settled | (at.idle >= method.patience)
        return (at.steps == 0) | (~settled & ~jnp.isnan(at.last) & (at.steps < max_steps))

    unknown, none = jnp.full_like(accept, jnp.inf), jnp.int32(0)
    start = method.start
    first = _Progress(
        start, unknown, unknown, none, none, none + every, none, method.point(start), unknown, jnp.bool_(True)
    )
    end = jax.lax.while_loop(running, body, first)
    converged = end.least <= accept
    return Descent(end.kept, end.least, end.steps, end.restarts, converged, converged | (end.steps < max_steps))


def _half_way(last, now, goal, steps, every: int, longest: int):
    """Steps to half of the way to ``goal``, at the rate of those since the ``last`` look."""
    ahead = 0.5 * steps * jnp.log(now / goal) / jnp.log(last / now)
    slow = (now < last) & (last < jnp.inf)
    return jnp.where(slow, jnp.clip(ahead, every, longest), every).astype(steps.dtype)


def _quasi_newton(objective, start, refresh, restarts: int) -> _Method:
    x, unravel = ravel_pytree(start)
    value_and_gradient = jax.value_and_grad(lambda x: objective(unravel(x)))
    memory = _MEMORY if x.size < _LARGE else _MEMORY_OF_LARGE

    def begin_anew(state, residual):
        point = state.x if refresh is None else ravel_pytree(refresh(unravel(state.x), residual))[0]
        return lbfgs.begin(point, memory)

    advance = partial(lbfgs.advance, value_and_gradient)
    return _Method(lbfgs.begin(x, memory), advance, lambda state: unravel(state.x), begin_anew, restarts)


def _newton(objective, rough, start) -> _Method:
    x, unravel = ravel_pytree(start)
    _, unravel_single = ravel_pytree(jax.tree.map(_single, start))
    value_and_gradient = jax.value_and_grad(lambda x: objective(unravel(x)))
    rough_gradient = jax.grad(lambda x: rough(unravel_single(x)))
    advance = partial(truncated_newton.advance, value_and_gradient, rough_gradient)
    first = truncated_newton.begin(value_and_gradient, x)
    return _Method(first, advance, lambda state: unravel(state.x), patience=_PATIENCE_OF_NEWTON)


def _single(leaf):
    return leaf.astype(jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _first_order(objective, start, optimizer, project) -> _Method:
    import optax  # dear to import, and who gives an optimizer has it

    def advance(carry):
        x, state = carry
        value, gradient = jax.value_and_grad(objective)(x)
        updates, state = transform.update(gradient, state, x, value=value, grad=gradient, value_fn=objective)
        x = optax.apply_updates(x, updates)
        return (x if project is None else project(x)), state

    transform = optax.with_extra_args_support(optimizer)
    return _Method((start, transform.init(start)), advance, lambda carry: carry[0])
