"""Newton's method with truncated conjugate gradients, for many unknowns close to a minimum.

A step solves ``hessian d = -gradient`` until the residual is a hundredth of the gradient, so that each takes off two
digits (Dembo, Eisenstat and Steihaug 1982). The products with the Hessian are in single precision, which changes how
good the steps are and not where they lead: value and gradient are in full.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

#: residual of the conjugate gradients over the gradient, and steps of theirs
_FORCING, _MAX_INNER = 1e-2, 150
#: sufficient decrease, and halvings of the step before there is none
_DECREASE, _HALVINGS = 1e-4, 12


class State(NamedTuple):
    """Where a descent stands."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    descends: Bool[Array, ""]  #: whether the last step did; none is tried any more where it did not


def begin(value_and_gradient: Callable[[Array], tuple[Array, Array]], x: Float[Array, " n"]) -> State:
    """No step taken yet."""
    return State(x, *value_and_gradient(x), jnp.bool_(True))


def advance(
    value_and_gradient: Callable[[Array], tuple[Array, Array]], rough_gradient: Callable[[Array], Array], state: State
) -> State:
    """One step. ``rough_gradient``: the gradient in single precision, as a function of the point in it."""
    size = jnp.linalg.norm(state.gradient)
    unit = state.gradient / jnp.where(size > 0, size, 1.0)
    direction = size * _truncated(rough_gradient, state, unit).astype(state.x.dtype)
    slope = jnp.vdot(direction, state.gradient)
    # Close to a minimum values differ by less than their rounding.
    noise = 8 * jnp.finfo(state.x.dtype).eps * (1 + jnp.abs(state.value))

    def at(t):
        return t, *value_and_gradient(state.x + t * direction)

    def enough(trial):
        t, value, gradient = trial
        return (value <= state.value + _DECREASE * t * slope + noise) & jnp.all(jnp.isfinite(gradient))

    def trying(trial):
        return state.descends & (slope < 0) & ~enough(trial) & (trial[0] > 0.5**_HALVINGS)

    one = jnp.ones_like(size)
    trial = jax.lax.while_loop(trying, lambda trial: at(0.5 * trial[0]), at(one))
    descends = state.descends & (slope < 0) & enough(trial)
    moved = State(state.x + trial[0] * direction, trial[1], trial[2], descends)
    stays = state._replace(descends=descends)
    return jax.tree.map(lambda new, old: jnp.where(descends, new, old), moved, stays)


class _Inner(NamedTuple):
    direction: Any
    residual: Any
    along: Any
    square: Float[Array, ""]  #: of the residual
    steps: Any
    convex: Bool[Array, ""]


def _truncated(rough_gradient, state: State, unit):
    """Minus the inverse Hessian times the gradient of unit length, by conjugate gradients that end where it is not
    convex; then as far as they came, at first along minus the gradient."""
    x, b = jax.lax.optimization_barrier((state.x.astype(jnp.float32), -unit.astype(jnp.float32)))
    _, product = jax.linearize(rough_gradient, x)

    def running(at: _Inner):
        return at.convex & (at.square > _FORCING**2) & (at.steps < _MAX_INNER) & state.descends

    def step(at: _Inner) -> _Inner:
        image = product(at.along)
        curvature = jnp.vdot(at.along, image)
        convex = curvature > 0
        length = jnp.where(convex, at.square / jnp.where(convex, curvature, 1.0), jnp.where(at.steps == 0, 1.0, 0.0))
        residual = at.residual - length * image
        square = jnp.vdot(residual, residual)
        along = residual + square / at.square * at.along
        return _Inner(at.direction + length * at.along, residual, along, square, at.steps + 1, convex)

    first = _Inner(jnp.zeros_like(b), b, b, jnp.vdot(b, b), jnp.int32(0), jnp.bool_(True))
    return jax.lax.while_loop(running, step, first).direction
