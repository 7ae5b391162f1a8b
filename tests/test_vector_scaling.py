"""Vector scaling against an independent convex solver, and against the losses that are cases of it."""

import cvxpy as cp
import jax
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import Status

CLASSES, SAMPLES = [2, 1, 3], [40.0, 12.0, 3.0]
GROUPS = lpm.ClassGroups(CLASSES, SAMPLES)
DELTA, IOTA = [1.0, 0.6, 0.3], [0.5, 0.0, -0.8]
LOSS = lpm.VectorScaling(DELTA, IOTA)


def optimum(budget=None, price=None, bias=None):
    """By Clarabel, every class by itself."""
    n, delta, iota = (np.repeat(x, CLASSES) for x in (SAMPLES, DELTA, IOTA))
    K = len(n)
    Z, b = cp.Variable((K, K)), cp.Variable(K)
    total = 0
    for k in range(K):
        u = cp.multiply(delta, Z[:, k] + (0 if bias is None else b)) + iota
        total += n[k] / n.sum() * (cp.log_sum_exp(u) - u[k])
    total += 0 if price is None else price * cp.normNuc(Z @ np.diag(np.sqrt(n)))
    total += bias / 2 * cp.sum_squares(b) if bias else 0
    limits = [] if budget is None else [cp.normNuc(Z) <= budget]
    program = cp.Problem(cp.Minimize(total), limits)
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(program.value)


def test_on_a_budget():
    s = lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 2.0, LOSS)).check()
    assert s.status == Status.certified and s.method == "grouped"
    assert float(s.value) == pytest.approx(optimum(budget=6 * 2**0.5), rel=1e-8)
    Z, v = np.asarray(s.logits()), 1 / np.repeat(DELTA, CLASSES)
    np.testing.assert_allclose(v @ Z, 0, atol=1e-7)  # the loss does not feel multiples of v
    assert (np.asarray(s.slack) > 0).tolist() == [True, True, False]
    assert float(s.cosine[2]) == 1.0  # collapsed where the slack, of weight times delta, is negative
    price = float(s.multiplier)
    np.testing.assert_allclose(s.slack, np.log(np.asarray(GROUPS.weights) * DELTA / price), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, 0.05])
def test_at_a_price(bias):
    s = lpm.solve(lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, LOSS, bias_decay=bias)).check()
    assert s.status == Status.certified
    assert float(s.value) == pytest.approx(optimum(price=1e-2, bias=bias), rel=1e-8)
    assert lpm.certify(s.problem, s).status == Status.certified


@pytest.mark.slow
def test_factored_finds_the_same():
    problem = lpm.LayerPeeled(GROUPS, 1.0, 2.0, LOSS)
    found, other = lpm.solve(problem), lpm.solve(problem, method="factored")
    assert other.status == Status.certified and float(other.value) == pytest.approx(float(found.value), rel=1e-10)
    with pytest.raises(ValueError, match="per_sample needs a loss that is the same for every class"):
        lpm.factored(problem, per_sample=True)


@pytest.mark.slow
def test_cases_of_it():
    plain = lpm.LayerPeeled(GROUPS, 1.0, 2.0)
    ones = lpm.LayerPeeled(GROUPS, 1.0, 2.0, lpm.VectorScaling(np.ones(3)))
    assert float(lpm.solve(ones).value) == pytest.approx(float(lpm.solve(plain).value), rel=1e-10)
    adjusted = lpm.LayerPeeled(GROUPS, 1.0, 2.0, lpm.LogitAdjusted(0.7))
    added = lpm.LayerPeeled(GROUPS, 1.0, 2.0, lpm.VectorScaling(np.ones(3), 0.7 * np.log(SAMPLES)))
    assert float(lpm.solve(added).value) == pytest.approx(float(lpm.solve(adjusted).value), rel=1e-10)
    # One factor for all classes is as good as a larger budget.
    halves = lpm.LayerPeeled(GROUPS, 1.0, 8.0, lpm.VectorScaling(np.full(3, 0.5)))
    assert float(lpm.solve(halves).value) == pytest.approx(float(lpm.solve(plain).value), rel=1e-10)


@pytest.mark.slow
def test_derivatives_by_its_parameters():
    along = np.array([0.3, -0.1, 0.2])

    def value(x):
        loss = lpm.VectorScaling(np.array(DELTA) + x * along, np.array(IOTA) + x * along[::-1])
        return lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 2.0, loss)).value

    assert float(jax.grad(value)(0.0)) == pytest.approx(float(value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-7)


@pytest.mark.slow
def test_float32_is_certified_on_the_host():
    with jax.enable_x64(False):
        problem = lpm.LayerPeeled(lpm.ClassGroups(CLASSES, SAMPLES), 1.0, 2.0, lpm.VectorScaling(DELTA, IOTA))
        single = lpm.solve(problem)
    assert single.status == Status.converged
    proof = lpm.certify(problem, single, tol=1e-4)
    exact = float(lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 2.0, LOSS)).value)
    assert proof.status == Status.certified
    assert float(proof.lower_bound) <= exact <= float(proof.value) + float(proof.gap)
    assert 1e-8 < float(proof.gap)  # its factors are rounded


def test_bad_parameters(tmp_path):
    with pytest.raises(ValueError, match=r"delta\[1\] = -1 is out of range: delta must be finite and > 0"):
        lpm.VectorScaling([1.0, -1.0])
    with pytest.raises(ValueError, match=r"iota\[0\] = inf is out of range: iota must be finite"):
        lpm.VectorScaling([1.0, 1.0], [np.inf, 0.0])
    for delta, iota in ((1.0, None), ([1.0, 1.0], [0.0])):
        with pytest.raises(ValueError, match="both must be one-dimensional, one entry per group"):
            lpm.VectorScaling(delta, iota)
    with pytest.raises(ValueError, match=r"delta has shape \(2,\) for 3 groups: give one entry per group"):
        lpm.LayerPeeled(GROUPS, 1.0, 2.0, lpm.VectorScaling([1.0, 1.0]))
    solved = jax.jit(lambda x: lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 2.0, lpm.VectorScaling(x * np.ones(3)))).status)
    assert solved(-1.0) == Status.invalid
    s = lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 2.0, LOSS))
    s.save(tmp_path / "scaled.npz")
    assert np.array_equal(lpm.load(tmp_path / "scaled.npz").problem.loss.iota, LOSS.iota)
