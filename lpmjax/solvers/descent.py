"""First-order descent stopped by a certificate: L-BFGS, or any other optax transformation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

#: pairs of vectors that L-BFGS remembers: small problems may be badly conditioned (10^6 classes in 20 groups, ratios of
#: 10^19) and afford many; of large ones each pair is memory to stream through at every step
_MEMORY, _MEMORY_OF_LARGE, _LARGE = 60, 20, 10**5
#: looks at a residual that does not halve before L-BFGS gives up; other transformations may be slow by design
_PATIENCE = 20


class Descent(NamedTuple):
    """Where a descent ended."""

    x: Any
    residual: Float[Array, ""]  #: last value of the stopping criterion
    steps: Int[Array, ""]
    converged: Bool[Array, ""]  #: ended by its own criterion, not by the step limit


def descend(
    objective: Callable[[Any], Array],
    residual: Callable[[Any], Array],
    start: Any,
    *,
    goal: float,
    accept: Array,
    max_steps: int,
    every: int = 10,
    optimizer: optax.GradientTransformation | None = None,
    project: Callable[[Any], Any] | None = None,
) -> Descent:
    """Minimise ``objective`` until ``residual(x) <= goal``, or ``<= accept`` and no longer falling.

    The residual (a duality gap) is looked at every ``every`` steps; its own rounding decides how low it can get, so
    ``goal`` may be below reach. A descent whose residual has stopped falling above ``accept`` ends too. ``optimizer``
    None is L-BFGS with a zoom line search; ``project`` is applied after every step. Stops at once on a residual that is
    not finite.
    """
    quasi_newton = optimizer is None
    size = sum(leaf.size for leaf in jax.tree.leaves(start))
    lbfgs = optax.lbfgs(memory_size=_MEMORY if size < _LARGE else _MEMORY_OF_LARGE)
    transform = optax.with_extra_args_support(lbfgs if quasi_newton else optimizer)

    def step(_, carry):
        x, state = carry
        if quasi_newton:  # the line search has already evaluated its last point
            value, gradient = optax.value_and_grad_from_state(objective)(x, state=state)
        else:
            value, gradient = jax.value_and_grad(objective)(x)
        updates, state = transform.update(gradient, state, x, value=value, grad=gradient, value_fn=objective)
        x = optax.apply_updates(x, updates)
        return (x if project is None else project(x)), state

    def body(carry):
        x, state, _, best, idle, steps = carry
        more = jnp.minimum(every, max_steps - steps)
        x, state = jax.lax.fori_loop(0, more, step, (x, state))
        now = residual(x)
        idle = jnp.where(now < 0.5 * best, 0, idle + 1)
        return x, state, now, jnp.minimum(now, best), idle, steps + more

    def running(carry):
        _, _, now, _, idle, steps = carry
        settled = (now <= goal) | ((now <= accept) & (idle >= 3)) | (quasi_newton & (idle >= _PATIENCE))
        return ~settled & jnp.isfinite(now) & (steps < max_steps)

    first = residual(start)
    x, _, last, _, _, steps = jax.lax.while_loop(
        running, body, (start, transform.init(start), first, first, jnp.int32(0), jnp.int32(0))
    )
    return Descent(x, last, steps, (last <= accept) | (steps < max_steps))
