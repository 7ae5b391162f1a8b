"""The compact form against the two loops of the textbook, and the line search against SciPy's answers."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, rosen

from lpmjax.solvers import lbfgs

M = 4  #: pairs remembered


def two_loops(pairs, gradient):
    """Minus the inverse Hessian times ``gradient`` (Nocedal and Wright, algorithm 7.4); pairs oldest first."""
    q, shares = gradient.copy(), []
    for s, y in reversed(pairs):
        shares.append(s @ q / (s @ y))
        q -= shares[-1] * y
    s, y = pairs[-1]
    r = q * (s @ y) / (y @ y)
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        r += s * (share - y @ r / (s @ y))
    return -r


def quartic(rng, n):
    A = rng.normal(size=(n, n))
    A = jnp.asarray(A @ A.T + np.eye(n))
    return jax.value_and_grad(lambda x: 0.5 * x @ A @ x + jnp.sum(x**4) + jnp.sum(x))


def test_directions_are_those_of_the_two_loops(rng):
    """From the first pair until the ring has gone round three times."""
    n = 7
    objective = quartic(rng, n)
    step = jax.jit(lambda state: lbfgs.advance(objective, state))
    state, pairs = lbfgs.begin(jnp.asarray(rng.normal(size=n)), M), []
    for _ in range(3 * M + 2):
        before, state = state, step(state)
        s, y = np.asarray(state.x - before.x), np.asarray(state.gradient - before.gradient)
        if not s.any():
            continue  # the first step only looks
        pairs.append((s, y))
        expected = two_loops(pairs[-M:], np.array(state.gradient))
        np.testing.assert_allclose(state.direction, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    assert len(pairs) > 2 * M
    # Remembering one pair less is another direction: the comparison can fail.
    assert np.abs(two_loops(pairs[-M + 1 :], np.array(state.gradient)) - expected).max() > 1e-3 * np.abs(expected).max()


def descend(objective, x, steps, m=10):
    return jax.jit(
        lambda x: jax.lax.fori_loop(0, steps, lambda _, state: lbfgs.advance(objective, state), lbfgs.begin(x, m))
    )(jnp.asarray(x))


def test_rosenbrock():
    def f(x):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x = np.linspace(-1.2, 1.3, 8)
    ended = descend(jax.value_and_grad(f), x, 90)
    np.testing.assert_allclose(ended.x, 1, atol=1e-10)
    assert rosen(np.asarray(ended.x)) < 1e-20 < minimize(rosen, x, method="L-BFGS-B").fun


def test_values_never_rise(rng):
    objective = quartic(rng, 5)
    step = jax.jit(lambda state: lbfgs.advance(objective, state))
    state, values = lbfgs.begin(jnp.asarray(5 * rng.normal(size=5)), M), []
    for _ in range(12):
        state = step(state)
        values.append(float(state.value))
    assert all(after <= before + 1e-9 for before, after in pairwise(values))


@pytest.mark.parametrize("worse", [jnp.nan, jnp.inf, 1e300])
def test_a_step_into_the_undefined_is_shortened(worse):
    """Beyond x = 1 there is nothing; the first step, a tenth of the point's length, and its doublings fall there."""

    def f(x):
        inside = jnp.all(x < 1)
        return jnp.where(inside, -jnp.sum(jnp.log(jnp.where(x < 1, 1 - x, 1.0))) - jnp.sum(x) * 1.5, worse)

    ended = descend(jax.value_and_grad(f), [-30.0, 0.99], 40)
    np.testing.assert_allclose(ended.x, 1 / 3, atol=1e-7)


def test_a_pair_without_curvature_is_not_kept(rng):
    """Along a concave stretch s . y < 0: as a pair it would turn the direction uphill."""
    state = lbfgs.begin(jnp.zeros(3), M)
    step, gradient = jnp.asarray([1.0, 0, 0]), jnp.asarray(rng.normal(size=3))
    memory, direction = lbfgs._remember(state.memory, step, -0.5 * step, gradient, 1.0)
    assert int(memory.slot) == 0
    assert not np.any(memory.sy) and not np.any(memory.inverse) and not np.any(memory.yy)
    np.testing.assert_array_equal(direction, -gradient)
    memory, direction = lbfgs._remember(state.memory, step, 0.5 * step, gradient, 1.0)
    assert int(memory.slot) == 1
    assert float(jnp.vdot(direction, gradient)) < 0


def test_at_a_stationary_point_nothing_moves():
    ended = descend(jax.value_and_grad(lambda x: jnp.sum(x * x)), np.zeros(3), 5)
    np.testing.assert_array_equal(ended.x, 0)
    assert float(ended.value) == 0
