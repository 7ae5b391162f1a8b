"""Budgets are inequalities: one that reaches where a loss is least does not bind, and the optimum is that minimiser."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm

SMOOTHED = 0.1


def entropy(K, epsilon=SMOOTHED):
    """Least value of the smoothed loss: the entropy of its target."""
    wrong = epsilon / K
    right = 1 - (K - 1) * wrong
    return -(right * np.log(right) + (K - 1) * wrong * np.log(wrong))


def ideal_margin(K, epsilon=SMOOTHED):
    return np.log((1 - epsilon + epsilon / K) / (epsilon / K))


def squared(E_H, groups=None):
    groups = lpm.ClassGroups.balanced(10) if groups is None else groups
    return lpm.LayerPeeled(groups, 1.0, E_H, loss=lpm.SquaredError())


def smoothed(E_H, groups=None):
    groups = lpm.ClassGroups.balanced(10) if groups is None else groups
    return lpm.LayerPeeled(groups, 1.0, E_H, loss=lpm.LabelSmoothing(SMOOTHED))


IMBALANCED = lpm.ClassGroups.two_group(5, 5, 10.0)
THREE = lpm.ClassGroups([2, 1, 4], [50.0, 7.0, 1.0])


@pytest.mark.parametrize("E_H", [0.99, 1.0, 1.01, 5.0, 100.0, 1e20])
def test_squared_error_keeps_its_free_optimum_on_either_side_of_the_threshold(E_H):
    s = lpm.solve(squared(E_H)).check()
    assert s.status == lpm.Status.certified
    # Singular values of Z are equal, of sum K sqrt(E_H): each is short of 1 by 1 - sqrt(E_H).
    short = max(0.0, 1 - np.sqrt(E_H))
    assert float(s.value) == pytest.approx(short**2 / 2, rel=1e-9, abs=1e-30)
    assert float(s.multiplier) == pytest.approx(short / 10, rel=1e-9, abs=0)
    assert int(s.rank) == 10 and s.phase == lpm.Phase.separated
    assert np.all(np.isposinf(s.slack)) == (short == 0)
    np.testing.assert_allclose(s.logits(), np.eye(10) * (1 - short), atol=1e-9)


@pytest.mark.parametrize("groups", [lpm.ClassGroups.balanced(10), IMBALANCED, THREE], ids=["one", "two", "three"])
def test_smoothing_keeps_its_free_optimum(groups):
    K = int(groups.num_classes)
    enough = ((K - 1) * ideal_margin(K) / K) ** 2
    for E_H in (1.0001 * enough, 50 * enough, 1e8 * enough):
        s = lpm.solve(smoothed(E_H, groups)).check()
        assert float(s.value) == pytest.approx(entropy(K), rel=1e-12)
        assert float(s.multiplier) == 0 and np.all(np.isposinf(s.slack))
        assert int(s.rank) == K - 1 and s.phase == lpm.Phase.separated
        np.testing.assert_allclose(s.logits(), ideal_margin(K) * (np.eye(K) - 1 / K), atol=1e-12)
    below = lpm.solve(smoothed(0.9 * enough, groups)).check()
    assert float(below.value) > entropy(K) * (1 + 1e-4) and float(below.multiplier) > 0
    assert np.isfinite(below.slack).all()


@pytest.mark.parametrize("groups", [IMBALANCED, THREE], ids=["two", "three"])
def test_squared_error_of_unequal_classes(groups):
    s = lpm.solve(squared(5.0, groups)).check()
    assert float(s.value) == pytest.approx(0, abs=1e-30) and float(s.multiplier) == 0
    assert int(s.rank) == int(groups.num_classes) and s.phase == lpm.Phase.separated
    assert lpm.certify(s.problem, s).status == lpm.Status.certified


@pytest.mark.slow
def test_derivatives_where_the_budget_does_not_bind():
    def outputs(E_H, epsilon):
        loss = lpm.LabelSmoothing(epsilon)
        s = lpm.solve(lpm.LayerPeeled(THREE, 1.0, E_H, loss=loss))
        return s.value, s.multiplier, s.slack, s.within, s.between

    by_budget, by_loss = zip(*jax.jacrev(outputs, argnums=(0, 1))(1e3, SMOOTHED), strict=True)
    for leaf in jax.tree.leaves(by_budget):
        np.testing.assert_array_equal(leaf, 0.0)
    h = 1e-6
    slope = (entropy(7, SMOOTHED + h) - entropy(7, SMOOTHED - h)) / (2 * h)
    assert float(by_loss[0]) == pytest.approx(slope, rel=1e-8)
    slope = (ideal_margin(7, SMOOTHED + h) - ideal_margin(7, SMOOTHED - h)) / (2 * h)
    np.testing.assert_allclose(by_loss[3], slope, rtol=1e-8)


def test_a_batch_across_the_threshold_is_the_single_solves():
    E_H = jnp.array([0.5, 0.99, 1.0, 1.5, 1e3])
    many = jax.vmap(lambda e: lpm.solve(squared(e, IMBALANCED)))(E_H)
    assert (many.status == lpm.Status.certified).all()
    single = [lpm.solve(squared(float(e), IMBALANCED)) for e in E_H]
    np.testing.assert_allclose(many.value, [float(s.value) for s in single], rtol=1e-9, atol=1e-30)
    np.testing.assert_array_equal(many.multiplier > 0, [True, True, False, False, False])


def test_a_budget_short_of_the_free_optimum_is_not_taken_for_one_that_does_not_bind():
    """The certificate refuses the free optimum's value for less budget, and zero for a gap that is open."""
    s = lpm.solve(squared(0.99)).check()
    assert float(s.lower_bound) > 0
    free = lpm.solve(squared(1.0))
    wrong = dataclasses.replace(s, within=0.99 * free.within, between=0.99 * free.between)
    refused = lpm.certify(squared(4.0), wrong)
    assert refused.status == lpm.Status.stalled  # half of 0.01 squared is no zero
    assert float(refused.lower_bound) <= 0


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, pytest.param(9, marks=pytest.mark.slow), None])
def test_factored_leaves_budget_that_it_does_not_want(dim):
    problem = lpm.LayerPeeled(lpm.ClassGroups.balanced(10), 1.0, 100.0, loss=lpm.SquaredError(), dim=dim)
    s = lpm.best(lpm.factored(problem, jax.random.key(0), 4)).check()
    # The best approximation of the identity of rank d misses K - d of its K unit singular values.
    assert float(s.value) == pytest.approx((10 - (dim or 10)) / 20, rel=1e-7, abs=1e-16)
    W, H = s.factors()
    assert float((W**2).sum() / 10) <= 1 and float((H**2).sum() / 10) <= 100
