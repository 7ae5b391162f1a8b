"""A problem, an objective, a solver and a kind of result from outside the package work with no edit of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from regression import RegressionFeatures

import lpmjax as lpm

TARGETS = np.random.default_rng(0).normal(size=(3, 40)) * [[2.0], [1.0], [0.3]] + 5


def build(lambda_W, lambda_H):
    problem = RegressionFeatures(jnp.asarray(TARGETS), jnp.asarray(lambda_W), jnp.asarray(lambda_H))
    problem.check()
    return problem


def test_solve_print_and_certify():
    problem = build(0.5, 0.5)
    found = lpm.solve(problem).check()
    Y = TARGETS - TARGETS.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(Y @ Y.T / 40)
    exact = vectors @ np.diag(np.maximum(1 - 0.5 / np.sqrt(values), 0)) @ vectors.T @ Y
    np.testing.assert_allclose(found.Z, exact, atol=1e-13)
    assert "RegressionFeatures: separated, rank 2, certified by soft_threshold" in str(found)
    again = lpm.certify(problem, found)
    assert (int(again.status), int(again.rank)) == (lpm.Status.certified, 2)
    worse = lpm.certify(problem, eqx.tree_at(lambda s: s.Z, found, found.Z * 1.01))
    assert worse.status == lpm.Status.stalled
    assert float(worse.value - worse.gap) <= float(found.value) < float(worse.value)


def test_derivative_and_range():
    slope = jax.grad(lambda x: lpm.solve(build(x, 0.5)).value)(0.5)
    values = [float(lpm.solve(build(0.5 + h, 0.5)).value) for h in (-1e-5, 1e-5)]
    assert float(slope) == pytest.approx((values[1] - values[0]) / 2e-5, rel=1e-8)
    with pytest.raises(ValueError, match=r"lambda_W = -1 is out of range: lambda_W must be finite and > 0. It is a"):
        build(-1.0, 0.5)
    assert jax.jit(lambda x: lpm.solve(build(x, 0.5)).status)(-1.0) == lpm.Status.invalid


def test_sweep_plot_and_file(tmp_path):
    ds = lpm.sweep(build, lambda_W=[0.1, 0.5, 2.0, 10.0], lambda_H=0.5)
    assert ds["rank"].values.tolist() == [3, 2, 2, 0]
    assert (ds.status == lpm.Status.certified).all()
    assert ds["Z"].dims == ("lambda_W", "output", "sample")
    lines = ds["value"].plot(marker="o")
    assert lines[0].axes.get_xlabel().startswith("weight decay of the regressor")
    assert lines[0].axes.get_ylabel() == "optimal value of the objective\n[nat]"
    found = lpm.solve(build(0.5, 0.5))
    found.save(tmp_path / "fit.npz")
    assert np.array_equal(lpm.load(tmp_path / "fit.npz").Z, found.Z)
