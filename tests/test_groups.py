import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import ClassGroups


def test_weights_follow_samples_and_are_normalised():
    g = ClassGroups.two_group(5, 3, 10.0)
    np.testing.assert_allclose(g.weights, np.array([10, 1]) / 53, rtol=1e-15)
    resampled = ClassGroups([5, 3], [10, 1], [10, 2])
    assert float(jnp.sum(resampled.classes * resampled.weights)) == pytest.approx(1, rel=1e-15)
    assert float(resampled.weights[0] / resampled.weights[1]) == pytest.approx(5, rel=1e-15)
    huge = ClassGroups([5, 3], [1e300, 1.0])
    assert np.isfinite(huge.weights).all()
    assert float(huge.weights[0]) == pytest.approx(0.2, rel=1e-15)


def test_sample_weights_are_those_of_one_sample():
    counts, each = np.array([50, 3, 50, 7]), np.array([1.0, 5.0, 1.0, 2.0])
    for build in (ClassGroups.from_counts, ClassGroups.per_class, partial(ClassGroups, np.ones(4))):
        g, expected = build(counts, sample_weights=each), build(counts, counts * each)
        assert jax.tree.all(jax.tree.map(np.array_equal, g, expected))
        balanced = build(counts, sample_weights=1 / counts)
        np.testing.assert_allclose(balanced.weights, 1 / 4, rtol=1e-15)
        with pytest.raises(ValueError, match="both weights and sample_weights"):
            build(counts, counts, sample_weights=each)
    R = jax.grad(lambda x: ClassGroups([5, 5], [10, 1], sample_weights=jnp.stack([1.0, x])).weights[1])(2.0)
    assert float(R) == pytest.approx(10 / (5 * 12**2), rel=1e-14)  # of x / (5 (10 + x))


def test_constructors():
    assert ClassGroups.balanced(10, 3).num_groups == 1
    tail = ClassGroups.long_tail(5, 16.0)
    np.testing.assert_allclose(tail.samples, [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16], rtol=1e-14)
    assert ClassGroups.per_class([3, 2, 2]).num_groups == 3
    counted = ClassGroups.from_counts([3, 50, 3, 50, 7])
    np.testing.assert_array_equal(counted.classes, [2, 1, 2])
    np.testing.assert_array_equal(counted.samples, [50, 7, 3])
    np.testing.assert_array_equal(counted.class_index, [2, 0, 2, 0, 1])
    split = ClassGroups.from_counts([5, 5, 5], weights=[1, 1, 2])
    np.testing.assert_array_equal(split.class_index, [1, 1, 0])
    assert float(split.weights[0] / split.weights[1]) == 2.0


def test_logits_keep_the_callers_class_order():
    counts = [1, 10, 1, 10, 10]
    s = lpm.solve(lpm.LayerPeeled(ClassGroups.from_counts(counts), 1.0, 5.0)).check()
    Z = np.asarray(s.logits())
    by_group = np.asarray(lpm.solve(lpm.LayerPeeled.two_group(3, 2, 10.0, 1.0, 5.0)).logits())
    order = np.argsort([-c for c in counts], kind="stable")
    np.testing.assert_allclose(Z[np.ix_(order, order)], by_group, atol=1e-13)


def test_dtype_is_common_and_counts_are_values():
    g = ClassGroups(np.array([2, 3]), np.array([1.0, 2.0], np.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(g)} == {jnp.dtype("float32")}
    p = lpm.LayerPeeled(g, 1.0, np.float64(5.0))
    assert {leaf.dtype for leaf in jax.tree.leaves(p)} == {jnp.dtype("float64")}
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(p))


def test_order_is_static_and_compared_by_content():
    a, b = (ClassGroups.from_counts([1, 2, 2]) for _ in range(2))
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert jax.tree.structure(a) != jax.tree.structure(ClassGroups.from_counts([2, 1, 2]))


BAD = {
    "K_A": lambda: ClassGroups.two_group(0.5, 5, 2.0),
    "K_B": lambda: ClassGroups.two_group(5, 0, 2.0),
    "R": lambda: ClassGroups.two_group(5, 5, 0.0),
    "classes": lambda: ClassGroups([5, -1], [1, 1]),
    "samples": lambda: ClassGroups([5, 5], [1, np.nan]),
    "weights": lambda: ClassGroups([5, 5], [1, 1], [1, -1]),
    "sample_weights[1] = -1": lambda: ClassGroups([5, 5], [1, 1], sample_weights=[1, -1]),
    "sample_weights has shape": lambda: ClassGroups.from_counts([5, 5], sample_weights=[1, 1, 1]),
    "weights has shape": lambda: ClassGroups([5, 5], [1, 1], [1, 1, 1]),
    "sum(classes)": lambda: ClassGroups([1], [1]),
    "n_k": lambda: ClassGroups.from_counts([5, 0]),
    "ratio": lambda: ClassGroups.long_tail(5, -1.0),
    "K = 1": lambda: ClassGroups.long_tail(1, 10.0),
    "number": lambda: ClassGroups.two_group("5", 5, 2.0),
    "rectangular": lambda: ClassGroups([[1], [1, 2]], [1, 1]),
    "E_H": lambda: lpm.LayerPeeled.two_group(5, 5, 2.0, 1.0, -5.0),
    "E_W": lambda: lpm.LayerPeeled.two_group(5, 5, 2.0, np.inf, 5.0),
    "shape (2,)": lambda: lpm.LayerPeeled.two_group(5, 5, 2.0, 1.0, [1.0, 2.0]),
    "lambda_W": lambda: lpm.UnconstrainedFeatures(ClassGroups.balanced(4), 0.0, 1e-3),
    "dim": lambda: lpm.LayerPeeled.two_group(5, 5, 2.0, 1.0, 5.0, dim=0),
    "loss": lambda: lpm.LayerPeeled.two_group(5, 5, 2.0, 1.0, 5.0, loss="ce"),
    "groups must be": lambda: lpm.LayerPeeled([5, 5], 1.0, 5.0),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_the_argument(name):
    with pytest.raises(ValueError, match=re.escape(name)):
        BAD[name]()
