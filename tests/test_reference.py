"""Against an independent convex solver: the full 2K x 2K semidefinite program, no symmetry used."""

import warnings

import cvxpy as cp
import numpy as np
import pytest

import lpmjax as lpm

_TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


def _solve(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": 1e-12 is asked for, 1e-8 is needed
        program.solve(solver=cp.CLARABEL, **_TIGHT)


def semidefinite_optimum(K_A, K_B, R, E_W, E_H):
    """Fang et al.'s relaxation of the Layer-Peeled Model; value and Gram matrix of W."""
    K = K_A + K_B
    weights = np.array([R] * K_A + [1.0] * K_B) / (R * K_A + K_B)
    X = cp.Variable((2 * K, 2 * K), PSD=True)
    Z = X[:K, K:]
    loss = sum(weights[k] * (cp.log_sum_exp(Z[:, k]) - Z[k, k]) for k in range(K))
    program = cp.Problem(cp.Minimize(loss), [cp.trace(X[:K, :K]) <= K * E_W, cp.trace(X[K:, K:]) <= K * E_H])
    _solve(program)
    assert program.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
    return program.value, X.value[:K, :K]


def weight_decay_optimum(n, weights, lambda_W, lambda_H):
    """Nuclear-norm form of unconstrained features with weight decay."""
    K = len(n)
    Z = cp.Variable((K, K))
    loss = sum(weights[k] * (cp.log_sum_exp(Z[:, k]) - Z[k, k]) for k in range(K))
    cost = np.sqrt(lambda_W * lambda_H) * cp.normNuc(Z @ np.diag(np.sqrt(n)))
    program = cp.Problem(cp.Minimize(loss + cost))
    _solve(program)
    return program.value, Z.value


@pytest.mark.parametrize("seed", range(30))
def test_layer_peeled_matches_clarabel(seed):
    rng = np.random.default_rng(seed)
    K_A, K_B = (int(k) for k in rng.integers(1, 7, 2))
    R, s, split = 10 ** rng.uniform(0, 4), rng.uniform(0.2, 5), 10 ** rng.uniform(-0.5, 0.5)
    E_W, E_H = s * split, s / split
    value, gram = semidefinite_optimum(K_A, K_B, R, E_W, E_H)
    solution = lpm.solve(lpm.LayerPeeled.two_group(K_A, K_B, R, E_W, E_H))
    assert solution.status == lpm.Status.certified
    assert float(solution.value) == pytest.approx(value, abs=1e-8)
    assert float(solution.lower_bound) <= value + 1e-8
    W, H = solution.factors()
    np.testing.assert_allclose(W @ W.T, gram, atol=1e-5)
    np.testing.assert_allclose(W @ H, solution.logits(), atol=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_weight_decay_matches_clarabel(seed):
    rng = np.random.default_rng(100 + seed)
    K_A, K_B = (int(k) for k in rng.integers(1, 6, 2))
    samples = np.round(10 ** rng.uniform(0, 2.5, 2))
    raw = samples * 10 ** rng.uniform(-1, 1, 2) if seed % 2 else samples
    weights = raw / (K_A * raw[0] + K_B * raw[1])
    # From nearly no decay to one that kills everything.
    top = np.max(weights / np.sqrt(samples))
    lambda_W, lambda_H = 10 ** rng.uniform(-2.5, 0.1, 2) * top
    value, Z = weight_decay_optimum(np.repeat(samples, [K_A, K_B]), np.repeat(weights, [K_A, K_B]), lambda_W, lambda_H)
    groups = lpm.ClassGroups([K_A, K_B], samples, raw)
    solution = lpm.solve(lpm.UnconstrainedFeatures(groups, lambda_W, lambda_H))
    assert solution.status == lpm.Status.certified
    assert float(solution.value) == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(solution.logits(), Z, atol=2e-4)
