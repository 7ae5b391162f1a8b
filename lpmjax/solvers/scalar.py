"""One bracketed scalar root per lane, and its implicit derivative."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

#: residual(x, params) -> (increasing function of x, magnitude of the terms it was summed from)
Residual = Callable[[Array, Any], tuple[Array, Array]]


class Root(NamedTuple):
    """A root, the steps it took and whether the iteration ended by its own criterion."""

    x: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


def increasing_root(
    residual: Residual,
    params: Any,
    start: Float[Array, ""],
    upper: Float[Array, ""],
    max_steps: int,
    known: Bool[Array, ""] | bool = False,
) -> Root:
    """Find the root in ``[0, upper]`` of a function that increases in its first argument.

    Halley's iteration inside a bracket that every evaluation tightens; a step that leaves the bracket becomes
    a bisection (a doubling while ``upper`` is infinite). A lane stops when its residual is at the rounding of
    its own terms, when a later step is below sqrt(eps) (the next would be below rounding), or at once on NaN.
    ``known`` lanes return ``start`` untouched. The result is differentiable in ``params``, to any order.
    """
    params_ = jax.lax.stop_gradient(params)
    start, upper = jax.lax.stop_gradient((start, upper))
    eps = jnp.finfo(start.dtype).eps

    def derivatives(x):
        one = jnp.ones_like(x)

        def slope(x):
            value, tangent, magnitude = jax.jvp(lambda x: residual(x, params_), (x,), (one,), has_aux=True)
            return (value, tangent), magnitude

        (value, d1), (_, d2), magnitude = jax.jvp(slope, (x,), (one,), has_aux=True)
        return value, d1, d2, magnitude

    def body(state):
        x, low, high, steps, _, _ = state
        value, d1, d2, magnitude = derivatives(x)
        low = jnp.where(value < 0, x, low)
        high = jnp.where(value > 0, x, high)
        newton = value / d1
        # The clip keeps a poor second derivative from doing worse than half or twice a Newton step.
        proposal = x - newton / jnp.clip(1 - 0.5 * newton * d2 / d1, 0.5, 2.0)
        bounded = jnp.isfinite(high)
        # Across a kink the iteration can bounce; a lane this late bisects at every other step, which cannot.
        trusted = ~bounded | (steps < 12) | (steps % 2 == 0)
        inside = (proposal >= low) & (proposal <= high) & trusted
        fallback = jnp.where(bounded, 0.5 * (low + high), 2 * x + 1)
        at_rounding = jnp.abs(value) <= 4 * eps * magnitude
        new = jnp.where(at_rounding, x, jnp.where(inside, proposal, fallback))
        # Never by a first step: from a start at a kink it may have used the slope of the wrong side.
        settled = inside & (jnp.abs(new - x) <= jnp.sqrt(eps) * x) & (steps > 0)
        converged = at_rounding | settled
        stop = converged | jnp.isnan(value)
        return new, low, high, steps + 1, stop, converged

    def running(state):
        *_, steps, done, _ = state
        return ~done & (steps < max_steps)

    known = jnp.broadcast_to(jnp.asarray(known), start.shape)
    first = (start, jnp.zeros_like(start), upper, jnp.int32(0), known, known)
    x, *_, steps, _, converged = jax.lax.while_loop(running, body, first)
    return Root(_with_derivative(residual, params, x), steps, converged)


def _with_derivative(residual: Residual, params: Any, root: Array) -> Array:
    """The same root, carrying d(root) = -(d residual / d params) / (d residual / d root)."""

    @jax.custom_jvp
    def attached(params, root):
        return root

    @attached.defjvp
    def _rule(primals, tangents):
        params, root = primals
        root = attached(params, root)  # differentiable again: higher orders follow by recursion
        _, explicit = jax.jvp(lambda p: residual(root, p)[0], (params,), (tangents[0],))
        _, slope = jax.jvp(lambda x: residual(x, params)[0], (root,), (jnp.ones_like(root),))
        return root, -explicit / slope

    return attached(params, root)
