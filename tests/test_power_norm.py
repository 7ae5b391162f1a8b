"""Features whose budget is another power: known optimum, bounds, derivatives."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax import Status

ONES = lpm.ClassGroups.per_class(np.ones(3))


@pytest.mark.slow
def test_no_etf_for_an_exponent_of_three_halves():
    problem = lpm.PowerNormPeeled(ONES, 1.0, 1.0, 1.5)
    s = lpm.solve(problem)
    assert s.status == Status.converged and s.phase == lpm.Phase.undetermined
    assert float(s.value) == pytest.approx(0.39676521, abs=1e-8)
    assert np.sort(np.round(s.alignment, 4)).tolist() == [0.9938, 0.9938, 1.0]
    assert float(s.lower_bound) < float(s.value)
    W, H = np.asarray(s.W), np.asarray(s.H)
    assert np.sum(W * W) == pytest.approx(3, rel=1e-12) and np.sum(np.abs(H) ** 1.5) == pytest.approx(3, rel=1e-12)
    etf = lpm.LayerPeeled(ONES, 1.0, 1.0)
    frame = np.asarray(lpm.solve(etf).factors()[1])
    frame = frame * (3 / np.sum(np.abs(frame) ** 1.5)) ** (1 / 1.5)
    other = lpm.certify(problem, dataclasses.replace(s, H=np.vstack([frame, np.zeros((1, 3))])))
    assert other.status == Status.stalled and float(other.value) > float(s.value)
    assert lpm.certify(problem, s).status == Status.converged


@pytest.mark.slow
def test_exponent_two_is_the_layer_peeled_model():
    groups = lpm.ClassGroups.per_class([5.0, 2.0, 1.0])
    s = lpm.solve(lpm.PowerNormPeeled(groups, 1.0, 2.0, 2.0))
    assert s.status == Status.certified  # then the lower bound is the optimum
    assert float(s.value) == pytest.approx(float(lpm.solve(lpm.LayerPeeled(groups, 1.0, 2.0)).value), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("q", "dim"), [(1.3, 2), (3.0, 2), (3.0, 3)])
def test_no_start_is_better_and_none_crosses_the_bound(q, dim, rng):
    s = lpm.solve(lpm.PowerNormPeeled(ONES, 1.0, 1.0, q, dim))

    def value(x):
        W, H = x[: 3 * dim].reshape(3, dim), x[3 * dim :].reshape(dim, 3)
        Z = W * np.sqrt(3 / np.sum(W * W)) @ (H * (3 / np.sum(np.abs(H) ** q)) ** (1 / q))
        return np.mean(np.log(np.exp(Z).sum(0)) - np.diag(Z))

    starts = [minimize(value, rng.normal(size=6 * dim), tol=1e-10).fun for _ in range(6)]
    assert min(starts) == pytest.approx(float(s.value), rel=1e-6)
    assert all(value(rng.normal(size=6 * dim) * 2) >= float(s.lower_bound) for _ in range(200))
    assert 0 < float(s.lower_bound) <= min(starts)


@pytest.mark.slow
def test_derivatives_and_float32():
    def value(E_H, q):
        return lpm.solve(lpm.PowerNormPeeled(ONES, 1.0, E_H, q)).value

    slopes = jax.grad(value, (0, 1))(1.0, 1.5)
    assert float(slopes[0]) == pytest.approx(float(value(1 + 1e-5, 1.5) - value(1 - 1e-5, 1.5)) / 2e-5, rel=1e-6)
    assert float(slopes[1]) == pytest.approx(float(value(1.0, 1.5 + 1e-5) - value(1.0, 1.5 - 1e-5)) / 2e-5, rel=1e-6)
    with jax.enable_x64(False):
        problem = lpm.PowerNormPeeled(lpm.ClassGroups.per_class(np.ones(3)), 1.0, 1.0, 3.0)
        single = lpm.solve(problem)
    assert single.value.dtype == np.float32 and single.status == Status.converged
    assert float(single.value) == pytest.approx(float(value(1.0, 3.0)), rel=1e-5)
    assert float(lpm.certify(problem, single).lower_bound) == pytest.approx(0.0, abs=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match=r"q = 1 is out of range: q must be finite and > 1"):
        lpm.PowerNormPeeled(ONES, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"use ClassGroups\.per_class"):
        lpm.PowerNormPeeled(lpm.ClassGroups.balanced(3), 1.0, 1.0, 1.5)
    with pytest.raises(ValueError, match="restarts = 0"):
        lpm.solve(lpm.PowerNormPeeled(ONES, 1.0, 1.0, 1.5), restarts=0)
