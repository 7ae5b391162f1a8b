"""Supervised contrastive features: the loss as it is written, its convexity, certificates, derivatives."""

import cvxpy as cp
import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax import Status


def written(H, label, t, weights=None):
    """Mean over anchors, positives and negatives with the anchor itself among them."""
    inner = H.T @ H / t
    terms = np.log(np.exp(inner).sum(1))[:, None] - inner
    same = label[:, None] == label[None, :]
    each = (same * terms).sum(1) / same.sum(1)
    return each.mean() if weights is None else weights @ each


def convex(n, E_H, t, weights=None):
    """Optimum in the inner products of the class features, by Clarabel."""
    K, n = len(n), np.asarray(n, float)
    weights = n / n.sum() if weights is None else weights
    M = cp.Variable((K, K), PSD=True)
    total = sum(weights[k] * (cp.log_sum_exp(M[:, k] / t + np.log(n)) - M[k, k] / t) for k in range(K))
    program = cp.Problem(cp.Minimize(total), [cp.trace(M) <= K * E_H])
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return float(program.value), M.value


def test_balanced():
    problem = lpm.SupervisedContrastive(lpm.ClassGroups.balanced(4, 3.0), 1.3, 0.7)
    for method in ("closed_form", "grouped"):
        s = lpm.solve(problem, method=method).check()
        assert s.status == Status.certified and (int(s.rank), s.phase) == (3, lpm.Phase.separated)
        assert float(s.value) == pytest.approx(1.3235051631, abs=1e-10)
        x = np.exp(-4 * 1.3 / (3 * 0.7))
        assert float(s.multiplier) == pytest.approx(x / (1 + 3 * x) / 0.7, rel=1e-9)  # what more budget is worth
        np.testing.assert_allclose(s.gram(), 1.3 * 4 / 3 * (np.eye(4) - 0.25), atol=1e-9)
    H = np.repeat(np.asarray(s.features()), 3, axis=1)
    assert written(H, np.repeat(np.arange(4), 3), 0.7) == pytest.approx(1.3235051631, abs=1e-9)
    text = str(s)
    assert "SupervisedContrastive, K = 4: separated, rank 3, certified by grouped" in text and "-0.33333" in text


@pytest.mark.slow
def test_features_of_a_class_coincide(rng):
    """A descent over one feature per sample, with no symmetry assumed, ends at the certified optimum."""
    n, t, E_H = np.array([4, 2, 1]), 0.5, 1.0
    label = np.repeat(np.arange(3), n)
    share = 1 / n[label]

    def objective(x):
        H = x.reshape(3, -1)
        return written(H * np.sqrt(3 * E_H / np.sum(share * np.sum(H * H, 0))), label, t)

    found = min((minimize(objective, rng.normal(size=21), tol=1e-12) for _ in range(4)), key=lambda f: f.fun)
    s = lpm.solve(lpm.SupervisedContrastive(lpm.ClassGroups.from_counts(n), E_H, t))
    assert s.status == Status.certified
    assert found.fun == pytest.approx(float(s.value), abs=1e-8)
    assert found.fun >= float(s.lower_bound)


@pytest.mark.parametrize(
    ("n", "E_H"), [([100, 100, 10, 10, 1], 2.0), ([9, 9, 1, 1, 1], 0.02), ([30, 30, 1, 1, 1], 0.2)]
)
def test_unequal_counts_are_certified(n, E_H):
    s = lpm.solve(lpm.SupervisedContrastive(lpm.ClassGroups.from_counts(n), E_H, 0.7)).check()
    value, M = convex(n, E_H, 0.7)
    assert s.status == Status.certified
    assert float(s.value) == pytest.approx(value, rel=1e-8)
    np.testing.assert_allclose(s.gram(), M, atol=2e-3 * E_H)
    eigenvalues = np.linalg.eigvalsh(np.asarray(s.gram()))
    assert int(s.rank) == np.sum(eigenvalues > 1e-6 * eigenvalues[-1])
    assert np.trace(s.gram()) == pytest.approx(5 * E_H, rel=1e-9)
    again = lpm.certify(s.problem, s)
    assert again.status == Status.certified and float(again.value) == pytest.approx(float(s.value), rel=1e-13)


def test_phases_of_a_minority():
    groups = lpm.ClassGroups([2.0, 5.0], [1000.0, 1.0])
    zero, merged, apart = (lpm.solve(lpm.SupervisedContrastive(groups, E_H, 0.7)) for E_H in (0.01, 1.0, 20.0))
    assert [int(s.rank) for s in (zero, merged, apart)] == [1, 2, 6]
    assert [s.phase for s in (zero, merged, apart)] == [lpm.Phase.annihilated, lpm.Phase.merged, lpm.Phase.separated]
    assert float(zero.h_norm2[1]) == 0 and np.isnan(zero.cosine[1])
    assert float(merged.cosine[1]) == 1.0


@pytest.mark.slow
def test_gap_bounds_every_point(rng):
    """Whatever inner products a solution holds, what they prove is below the optimum; without it they are stalled."""
    n = [20.0, 5.0, 1.0]
    problem = lpm.SupervisedContrastive(lpm.ClassGroups(np.ones(3), n), 1.5, 0.8)
    best = lpm.solve(problem)
    for size in (1e-3, 0.1, 1.0, 10.0):
        noise = rng.normal(size=(3, 3)) * size
        moved = eqx.tree_at(lambda s: s.between, best, best.between + noise)
        proof = lpm.certify(problem, moved)
        assert float(proof.lower_bound) <= float(best.value) * (1 + 1e-13)
        assert float(proof.value) >= float(best.value) * (1 - 1e-13)
        assert proof.status == Status.stalled
        values = np.linalg.eigvalsh(proof.gram())
        assert values[0] > -1e-12 and values.sum() <= 4.5 * (1 + 1e-12)
        assert float(proof.gap) >= float(proof.value - best.value) - 1e-13


@pytest.mark.slow
def test_derivatives():
    groups = lpm.ClassGroups([2.0, 2.0, 1.0], [40.0, 8.0, 2.0])

    def solved(E_H, t):
        return lpm.solve(lpm.SupervisedContrastive(groups, E_H, t))

    slopes = jax.jit(jax.grad(lambda E, t: solved(E, t).value, (0, 1)))(1.2, 0.7)
    moves = jax.jit(jax.jacfwd(lambda E: solved(E, 0.7).h_norm2))(1.2)
    h = 1e-5
    for i, (up, down) in enumerate((((1.2 + h, 0.7), (1.2 - h, 0.7)), ((1.2, 0.7 + h), (1.2, 0.7 - h)))):
        one, other = solved(*up), solved(*down)
        assert float(slopes[i]) == pytest.approx(float(one.value - other.value) / (2 * h), rel=1e-7)
        if i == 0:
            np.testing.assert_allclose(moves, (one.h_norm2 - other.h_norm2) / (2 * h), rtol=1e-5)


@pytest.mark.slow
def test_float32_sweep_and_file(tmp_path):
    ds = lpm.sweep(
        lambda R, E_H: lpm.SupervisedContrastive(lpm.ClassGroups.two_group(2, 3, R), E_H, 0.7),
        R=[1.0, 30.0],
        E_H=[0.2, 2.0],
    )
    assert (ds.status == Status.certified).all() and ds["between"].dims == ("R", "E_H", "other_group", "group")
    with jax.enable_x64(False):
        groups = lpm.ClassGroups.two_group(2, 3, 30.0)
        single = lpm.solve(lpm.SupervisedContrastive(groups, 2.0, 0.7))
    assert single.value.dtype == np.float32 and single.status == Status.converged
    assert float(single.value) == pytest.approx(float(ds["value"].sel(R=30, E_H=2)), rel=1e-5)
    double = lpm.SupervisedContrastive(lpm.ClassGroups.two_group(2, 3, 30.0), 2.0, 0.7)
    assert lpm.certify(double, single, tol=1e-5).status == Status.certified
    assert (
        lpm.certify(single.problem, single).status == Status.stalled
    )  # what rounding of its numbers does is not known
    found = lpm.solve(double)
    found.save(tmp_path / "features.npz")
    assert np.array_equal(lpm.load(tmp_path / "features.npz").between, found.between)


def test_bad_input():
    groups = lpm.ClassGroups.balanced(4, 3.0)
    with pytest.raises(ValueError, match=r"E_H = -1 is out of range: E_H must be finite and > 0. It is a mean squared"):
        lpm.SupervisedContrastive(groups, -1.0)
    with pytest.raises(ValueError, match=r"temperature = 0 is out of range"):
        lpm.SupervisedContrastive(groups, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"samples\[0\] = 0.5 is out of range: samples must be >= 1. They count"):
        lpm.SupervisedContrastive(lpm.ClassGroups.balanced(4, 0.5), 1.0)
    with pytest.raises(ValueError, match="is below the rank of the optimum"):
        lpm.solve(lpm.SupervisedContrastive(groups, 1.0, dim=2))
    with pytest.raises(ValueError, match="dim = 2 is below the rank of the optimum: pass dim >= 3"):
        lpm.solve(lpm.SupervisedContrastive(groups, 1.0)).features(2)
    status = jax.jit(lambda t: lpm.solve(lpm.SupervisedContrastive(groups, 1.0, t)).status)
    assert status(-1.0) == Status.invalid
