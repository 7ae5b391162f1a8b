"""Descents: when they stop, when they begin anew, and what they say of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpmjax.solvers.descent import LBFGS, FirstOrder, TruncatedNewton, Until, descend


def well(x, parameters):
    """Two wells, of which the right one is deeper."""
    return jnp.sum((x * x - 1) ** 2 - parameters * x)


def distance(x, parameters):
    return jnp.max(jnp.abs(x - 1))


def run(residual=distance, start=-1.0, max_steps=2000, **options):
    until = Until(1e-9, jnp.asarray(1e-6), max_steps)
    return descend(well, residual, jnp.array([start, 1.2]), jnp.asarray(1e-9), until, LBFGS(**options))


def test_a_descent_at_rest_begins_anew_and_counts_it():
    found = run(refresh=lambda x, *_: jnp.abs(x) + 0.1)
    assert bool(found.converged) and bool(found.finished) and int(found.restarts) == 1
    np.testing.assert_allclose(found.x, 1, atol=1e-6)


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_descent_that_stays_at_rest_ends_unconverged(restarts):
    found = run(restarts=restarts)
    assert not found.converged and bool(found.finished) and int(found.restarts) == restarts
    assert int(found.steps) < 2000 and float(found.x[0]) == pytest.approx(-1, abs=1e-6)


def test_the_step_limit_is_no_end_of_its_own():
    found = run(max_steps=10)
    assert not found.converged and not found.finished and int(found.steps) == 10


def test_an_infinite_residual_is_not_the_end():
    found = run(lambda x, p: jnp.where(distance(x, p) < 1e-3, distance(x, p), jnp.inf), start=1.4)
    assert bool(found.converged)


def test_nan_is_the_end():
    found = run(lambda x, p: jnp.nan * distance(x, p), start=1.4)
    assert int(found.steps) == 10 and not found.converged


def test_looks_become_rare_while_the_goal_is_far():
    looks = []

    def residual(x, parameters):
        jax.debug.callback(lambda r: looks.append(float(r)), distance(x, parameters))
        return distance(x, parameters)

    def slow(x, parameters):
        return jnp.sum(jnp.array([1.0, 0.05]) * (x - 1) ** 2)

    steps = FirstOrder(optax.sgd(0.5))
    for longest in (None, 200):
        looks.clear()
        until = Until(1e-9, jnp.asarray(1e-6), 5000, 10, longest)
        found = descend(slow, residual, jnp.array([-1.0, 1.2]), 0.0, until, steps)
        jax.effects_barrier()
        assert bool(found.converged) and found.residual <= 1e-9 and looks[-1] == found.residual
        if longest is None:
            every_ten = len(looks)
            assert int(found.steps) == 10 * every_ten
    assert len(looks) < every_ten / 3 and int(found.steps) <= 10 * every_ten + longest


def newton(objective, start, max_steps=12, residual=distance):
    until = Until(1e-9, jnp.asarray(1e-6), max_steps, 1)
    return descend(objective, residual, jnp.asarray(start), jnp.asarray(1e-9), until, TruncatedNewton())


def test_newton_takes_off_two_digits_a_step():
    scales = jnp.geomspace(1e-3, 1e3, 8)

    def bowl(x, parameters):
        return jnp.sum(scales * (jnp.cosh(x - 1) - 1)) + parameters

    found = newton(bowl, np.linspace(0.5, 1.5, 8))
    assert bool(found.converged) and int(found.steps) <= 10
    np.testing.assert_allclose(found.x, 1, atol=1e-9)


def test_newton_leaves_where_the_objective_is_not_convex():
    found = newton(well, [0.1, 1.2], 20)
    assert bool(found.converged) and int(found.steps) < 20
    np.testing.assert_allclose(found.x, 1, atol=1e-6)


@pytest.mark.parametrize("slope", [-1.0, np.nan])
def test_newton_stays_where_no_step_descends(slope):
    @jax.custom_jvp
    def rising(x):
        return jnp.sum(x * x)

    @rising.defjvp
    def _rule(primals, tangents):
        (x,), (dx,) = primals, tangents
        return rising(x), slope * jnp.sum(x * dx)

    found = newton(lambda x, parameters: rising(x), [0.5, 2.0])
    assert not found.converged and int(found.steps) == 3
    np.testing.assert_array_equal(found.x, [0.5, 2.0])
