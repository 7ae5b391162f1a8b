"""Two groups against Clarabel: the full 2K x 2K semidefinite program, and the nuclear norm; no symmetry used."""

import numpy as np
import pytest
from reference import convex_optimum, semidefinite_optimum

import lpmjax as lpm


@pytest.mark.parametrize("seed", range(30))
def test_layer_peeled_matches_clarabel(seed):
    rng = np.random.default_rng(seed)
    K_A, K_B = (int(k) for k in rng.integers(1, 7, 2))
    R, s, split = 10 ** rng.uniform(0, 4), rng.uniform(0.2, 5), 10 ** rng.uniform(-0.5, 0.5)
    E_W, E_H = s * split, s / split
    value, gram = semidefinite_optimum(np.array([R] * K_A + [1.0] * K_B), E_W, E_H)
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
    n, each = (np.repeat(x, [K_A, K_B]) for x in (samples, weights))
    value, Z, _ = convex_optimum("cross-entropy", n, each, decays=(lambda_W, lambda_H))
    groups = lpm.ClassGroups([K_A, K_B], samples, raw)
    solution = lpm.solve(lpm.UnconstrainedFeatures(groups, lambda_W, lambda_H))
    assert solution.status == lpm.Status.certified
    assert float(solution.value) == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(solution.logits(), Z, atol=2e-4)
