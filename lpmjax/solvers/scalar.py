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

    The inverse function's cubic through the last two points and slopes, inside a bracket that every evaluation
    tightens (order 2.7 from first derivatives); a step that leaves the bracket becomes a bisection (a doubling while
    ``upper`` is infinite). A lane stops when its residual is at the rounding of its own terms, when a later step is
    below eps^(2/3) (the next would be below rounding), or at once on NaN.
    ``known`` lanes return ``start`` untouched. The result is differentiable in ``params``, to any order.
    """
    params_ = jax.lax.stop_gradient(params)
    start, upper = jax.lax.stop_gradient((start, upper))
    eps = jnp.finfo(start.dtype).eps

    def body(state):
        x, low, high, before, steps, _, _ = state
        one = jnp.ones_like(x)
        value, slope, magnitude = jax.jvp(lambda x: residual(x, params_), (x,), (one,), has_aux=True)
        low = jnp.where(value < 0, x, low)
        high = jnp.where(value > 0, x, high)
        here = _Seen(x, value, 1 / slope)
        proposal = _crossing(here, before, slope, steps > 0)
        bounded = jnp.isfinite(high)
        # Across a kink the iteration can bounce; a lane this late bisects at every other step, which cannot.
        trusted = ~bounded | (steps < 12) | (steps % 2 == 0)
        inside = (proposal >= low) & (proposal <= high) & trusted
        fallback = jnp.where(bounded, 0.5 * (low + high), 2 * x + 1)
        at_rounding = jnp.abs(value) <= 4 * eps * magnitude
        new = jnp.where(at_rounding, x, jnp.where(inside, proposal, fallback))
        # Never by a first step: from a start at a kink it may have used the slope of the wrong side. Nor far from zero:
        # beside a pole steps are short as well.
        settled = inside & (jnp.abs(new - x) <= eps ** (2 / 3) * x) & (steps > 0)
        settled = settled & (jnp.abs(value) <= jnp.sqrt(eps) * magnitude)
        converged = at_rounding | settled
        stop = converged | jnp.isnan(value)
        return new, low, high, here, steps + 1, stop, converged

    def running(state):
        *_, steps, done, _ = state
        return ~done & (steps < max_steps)

    known = jnp.broadcast_to(jnp.asarray(known), start.shape)
    nothing = _Seen(start, jnp.zeros_like(start), jnp.zeros_like(start))
    first = (start, jnp.zeros_like(start), upper, nothing, jnp.int32(0), known, known)
    x, *_, steps, _, converged = jax.lax.while_loop(running, body, first)
    return Root(_with_derivative(residual, params, x), steps, converged)


class _Seen(NamedTuple):
    """A point at which the function was evaluated."""

    x: Array
    value: Array
    inverse: Array  # of the slope


def _crossing(here: _Seen, before: _Seen, slope, two):
    """Where the inverse function's Hermite cubic through two points crosses zero; Newton's step without ``two``."""
    inverse_gap = 1 / (before.value - here.value)
    chord = (before.x - here.x) * inverse_gap
    second = (chord - here.inverse) * inverse_gap
    third = ((before.inverse - chord) * inverse_gap - second) * inverse_gap
    share = 1 - here.value * slope * (second - before.value * third)
    # The clip keeps a poor interpolation from doing worse than half or twice a Newton step.
    share = jnp.where(two & jnp.isfinite(share), jnp.clip(share, 0.5, 2.0), 1.0)
    return here.x - here.value * here.inverse * share


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
