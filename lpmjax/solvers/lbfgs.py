"""L-BFGS in its compact form, with a line search for the weak Wolfe conditions.

The inverse Hessian times a gradient takes two products with one matrix, which holds all remembered pairs, and a few
with matrices of the order of the memory (Byrd, Nocedal and Schnabel 1994, theorem 2.2): some large operations where the
usual two loops are hundreds of small ones, to run and to compile.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

#: sufficient decrease and curvature of the weak Wolfe conditions; trials of one line search
_DECREASE, _CURVATURE, _TRIALS = 1e-4, 0.9, 30
#: first step, over the norm of the point
_FIRST = 0.1

#: flat point -> (value, gradient)
ValueAndGradient = Callable[[Array], tuple[Array, Array]]


class Memory(NamedTuple):
    """A ring of ``m`` pairs: a step s and the change y of gradient along it, both over the length of s.

    The rows and columns of empty slots are zero in every matrix.
    """

    pairs: Float[Array, "2m n"]  #: step and change of the first slot, then of the next
    inverse: Float[Array, "m m"]  #: of the matrix of s_i . y_j where i is no younger than j, else 0
    sy: Float[Array, " m"]  #: s_i . y_i
    yy: Float[Array, "m m"]  #: y_i . y_j
    seen: Float[Array, "m 2"]  #: products of the pairs with the gradient of the state
    slot: Int[Array, ""]  #: where the next pair goes


class State(NamedTuple):
    """Where a descent stands."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    direction: Float[Array, " n"]
    memory: Memory


def begin(x: Float[Array, " n"], m: int) -> State:
    """Room for ``m`` pairs, and nothing known yet: the first step has no length and finds value and gradient."""
    zero = jnp.zeros((m, m), x.dtype)
    memory = Memory(jnp.zeros((2 * m, x.size), x.dtype), zero, zero[0], zero, zero[:, :2], jnp.int32(0))
    return State(x, jnp.asarray(jnp.inf, x.dtype), jnp.zeros_like(x), jnp.zeros_like(x), memory)


def advance(value_and_gradient: ValueAndGradient, state: State) -> State:
    """One step along ``state.direction``, and the next direction. A step that cannot descend forgets the pairs."""
    t, value, gradient, accepted = _search(value_and_gradient, state)
    x = state.x + t * state.direction
    length = t * jnp.linalg.norm(state.direction)
    over = 1 / jnp.where(length > 0, length, 1.0)
    step, change = over * t * state.direction, over * (gradient - state.gradient)
    memory, direction = _remember(state.memory, step, change, gradient, over)
    lost = ~accepted | ~jnp.any(memory.sy > 0) | ~(jnp.vdot(gradient, direction) < 0)
    direction = jnp.where(lost, _steepest(x, gradient), direction)
    inverse, sy, yy = (jnp.where(lost, 0.0, matrix) for matrix in (memory.inverse, memory.sy, memory.yy))
    return State(x, value, gradient, direction, memory._replace(inverse=inverse, sy=sy, yy=yy))


def _steepest(x, gradient):
    length, size = jnp.linalg.norm(gradient), jnp.linalg.norm(x)
    step = _FIRST * jnp.where(size > 0, size, 1.0)
    return -gradient * (step / jnp.where(length > 0, length, 1.0))


def _remember(memory: Memory, step, change, gradient, over):
    """The memory with one more pair, and minus the inverse Hessian that it stands for times ``gradient``."""
    pairs, inverse, sy, yy, seen, slot = memory
    m = sy.size
    pairs = jax.lax.dynamic_update_slice(pairs, jnp.stack([step, change]), (2 * slot, jnp.zeros_like(slot)))
    now = (pairs @ gradient).reshape(m, 2)
    # The pairs are read once: what a change of gradient has in common with them is a change of what the gradient has.
    column = over * (now - seen)
    curvature, square = jnp.vdot(step, change), jnp.vdot(change, change)
    good = curvature > jnp.finfo(step.dtype).eps * square

    # The oldest pair leaves: what is left of an inverse triangle is the inverse of what is left. The youngest comes as
    # a last column. No triangular system is solved (jaxlib's batched ones can wait for each other for ever on CPU).
    own = jnp.arange(m, dtype=slot.dtype) == slot
    sy = jnp.where(own, jnp.where(good, curvature, 0.0), sy)
    kept = (sy > 0) & ~own
    inverse = jnp.where(own[:, None], 0.0, inverse)
    last = jnp.where(own, 1.0, -(inverse @ jnp.where(kept, column[:, 0], 0.0))) / jnp.where(good, curvature, jnp.inf)
    inverse = jnp.where(own, last[:, None], inverse)
    squares = jnp.where(good, jnp.where(own, square, jnp.where(kept, column[:, 1], 0.0)), 0.0)
    yy = jnp.where(own, squares[:, None], jnp.where(own[:, None], squares, yy))

    p, q = jnp.where(sy > 0, now.T, 0.0)
    scale = jnp.where(good, curvature / square, 1.0)
    u = inverse @ p
    v = (sy * u + scale * (yy @ u - q)) @ inverse
    direction = -(scale * gradient + jnp.stack([v, -scale * u], axis=1).ravel() @ pairs)
    return Memory(pairs, inverse, sy, yy, now, jnp.where(good, (slot + 1) % m, slot)), direction


class _Trial(NamedTuple):
    t: Float[Array, ""]  # tried next, or accepted
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    low: Float[Array, ""]  # a step that decreases enough but is too short, and the slope there
    low_slope: Float[Array, ""]
    high: Float[Array, ""]  # a step that is too long
    accepted: Bool[Array, ""]
    trials: Int[Array, ""]


def _search(value_and_gradient: ValueAndGradient, state: State):
    """A step that meets the weak Wolfe conditions: bracketing, with secant steps of the slope inside the bracket.

    Close to a minimum values differ by less than their rounding; there the slope decides alone (Hager and Zhang 2005).
    """
    eps = jnp.finfo(state.x.dtype).eps
    first = jnp.vdot(state.gradient, state.direction)
    noise = eps ** (2 / 3) * (1 + jnp.abs(state.value))

    def trial(carry: _Trial) -> _Trial:
        t, low, low_slope, high = carry.t, carry.low, carry.low_slope, carry.high
        value, gradient = value_and_gradient(state.x + t * state.direction)
        slope = jnp.vdot(gradient, state.direction)
        enough = value <= state.value + _DECREASE * t * first
        flat = (value <= state.value + noise) & (slope <= (2 * _DECREASE - 1) * first)
        decreased = (enough | flat) & jnp.isfinite(slope)
        accepted = decreased & (slope >= _CURVATURE * first)
        # Where the line through the two slopes is zero.
        rise = slope - low_slope
        secant = low - low_slope * (t - low) / jnp.where(rise > 0, rise, jnp.nan)
        longer = jnp.clip(jnp.where(rise > 0, secant, 4 * t), 2 * t, 10 * t)
        low, low_slope = jnp.where(decreased, t, low), jnp.where(decreased, slope, low_slope)
        high = jnp.where(decreased, high, t)
        margin = 0.1 * (high - low)
        guess = jnp.where(slope > 0, secant, jnp.where(jnp.isfinite(value), 0.5 * (low + high), low + margin))
        inside = jnp.clip(guess, low + margin, high - margin)
        t = jnp.where(accepted, t, jnp.where(jnp.isfinite(high), inside, longer))
        return _Trial(t, value, gradient, low, low_slope, high, accepted, carry.trials + 1)

    def running(carry: _Trial):
        return ~carry.accepted & (carry.trials < _TRIALS)

    one, zero = jnp.ones_like(first), jnp.zeros_like(first)
    endless = jnp.full_like(first, jnp.inf)
    start = _Trial(one, state.value, state.gradient, zero, first, endless, first > 0, jnp.int32(0))
    last = jax.lax.while_loop(running, trial, start)
    accepted = last.accepted & (first <= 0)
    t, value = jnp.where(accepted, last.t, 0.0), jnp.where(accepted, last.value, state.value)
    return t, value, jnp.where(accepted, last.gradient, state.gradient), accepted
