"""What a user does before and after a solve is not worth compiling; under a transformation it is traced as ever."""

import compilations
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.traced import concrete, holds_tracers, is_traced

GROUPS = lpm.ClassGroups([2, 3], [9.0, 1.0])
PROBLEMS = {
    "budget": lambda: lpm.LayerPeeled(GROUPS, 1.0, 2.0),
    "decay, biased": lambda: lpm.UnconstrainedFeatures(GROUPS, 1e-3, 1e-3, bias_decay=0.0),
    "nonnegative": lambda: lpm.UnconstrainedFeatures(GROUPS, 1e-3, 1e-3, nonnegative=True),
    "deep, squared error": lambda: lpm.DeepLinear(GROUPS, (1e-3, 1e-3), 1e-3, loss=lpm.SquaredError()),
    "deep, cut": lambda: lpm.DeepLinear(GROUPS, (1e-3, 1e-3), 1e-3, loss=lpm.SquaredError(), dim=3),
    "deep, cross-entropy": lambda: lpm.DeepLinear(lpm.ClassGroups.balanced(4), (1e-3, 1e-3), 1e-3),
    "separation": lambda: lpm.Separation(GROUPS),
    "features alone": lambda: lpm.SupervisedContrastive(lpm.ClassGroups.balanced(4), 1.0),
}
_TRANSFERS = {"jit(stage)", "jit(convert_element_type)"}  #: how jax puts numbers onto a device


def compiled(function):
    """Names of what a call compiles where nothing is compiled yet."""
    jax.clear_caches()
    compilations.names.clear()
    function()
    return set(compilations.names) - _TRANSFERS


@pytest.mark.parametrize(
    "build",
    [
        lambda: lpm.ClassGroups.long_tail(5, 100.0),
        lambda: lpm.ClassGroups.long_tail(5, 100.0, size=8),
        lambda: lpm.ClassGroups.balanced(5),
        lambda: lpm.ClassGroups.two_group(2, 3, 10.0),
        lambda: lpm.ClassGroups.per_class([5.0, 3.0, 1.0]),
        lambda: lpm.ClassGroups.from_counts([5, 5, 3, 1]),
        lambda: lpm.ClassGroups.banded([5, 5, 3, 1], 0.5),
        lambda: lpm.LayerPeeled(GROUPS, 1.0, 2.0),
    ],
)
def test_what_is_built_of_numbers_compiles_nothing(build):
    assert compiled(build) == set()


@pytest.mark.parametrize("name", PROBLEMS)
def test_views_of_a_solution_compile_nothing(name):
    solution = lpm.solve(PROBLEMS[name]())
    views = ("gram", "features") if name == "features alone" else ("logits", "factors")
    assert set.union(*(compiled(getattr(solution, view)) for view in views)) <= {"jit(matmul)"}  # one product, W H


@pytest.mark.parametrize("name", ["budget", "decay, biased", "separation"])
def test_logits_under_transformations_are_those_outside(name):
    problem = PROBLEMS[name]()
    outside = lpm.solve(problem).logits()
    inside = jax.jit(lambda p: lpm.solve(p).logits(num_classes=5))(problem)
    np.testing.assert_allclose(inside, outside, rtol=1e-12, atol=1e-12)
    solved = lpm.solve(problem)
    closed_over = jax.jit(lambda x: x * solved.logits())(1.0)
    np.testing.assert_array_equal(closed_over, outside)


def test_what_holds_tracers_stays_as_it_is():
    seen = []

    def look(x):
        seen.append((holds_tracers({"x": x}), holds_tracers(1.0), is_traced(1.0), concrete((x, 1.0))[0] is x))
        return x

    jax.jit(look)(1.0)
    assert seen == [(True, False, True, True)]
    assert not is_traced(jnp.ones(2)) and type(concrete({"a": jnp.ones(2)})["a"]) is np.ndarray


def test_gram_is_differentiable_in_the_solution():
    solution = lpm.solve(PROBLEMS["features alone"]())

    def of(scale):
        at = scale * solution.within, scale * solution.between
        scaled = eqx.tree_at(lambda s: (s.within, s.between), solution, at)
        return jnp.sum(scaled.gram() ** 2)

    value, slope = jax.value_and_grad(of)(1.0)
    np.testing.assert_allclose(slope, 2 * value, rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_views_of_a_bad_lane_are_nan_without_a_warning():
    bad = jax.jit(lambda R: lpm.solve(lpm.LayerPeeled.two_group(2, 3, R, 1.0, 2.0)))(-1.0)
    assert bad.status == lpm.Status.invalid
    groups = lpm.solve(PROBLEMS["budget"]()).problem.groups  # of whole classes
    bad = eqx.tree_at(lambda s: s.problem.groups, bad, groups)
    assert np.isnan(bad.logits()).all() and all(np.isnan(factor).any() for factor in bad.factors(4))
