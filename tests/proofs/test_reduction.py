"""Groups and rank against dense linear algebra: another route than the one the proofs take."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from proofs import THEOREMS, rank

SIZES = (3, 1, 4, 2)
OMEGA = np.array([0.7, 1.3, 0.4, 2.0])
WEIGHTS = np.array([0.2, 0.05, 0.02, 0.11])


def form(name):
    lambda_ = THEOREMS["lpm.grouped"].closed_forms[name]
    return sp.lambdify(lambda_.variables, lambda_.expr, "numpy")


@pytest.fixture
def point():
    """In-group scalars, a block with the left null vector, the membership matrix and the dense logits."""
    rng = np.random.default_rng(3)
    K = np.array(SIZES)
    a, B = rng.random(4) + 0.2, rng.normal(size=(4, 4))
    unit = np.sqrt(K / K.sum())
    B -= np.outer(unit, unit @ B)
    E = np.repeat(np.eye(4), K, axis=0) / np.sqrt(np.repeat(K, K))[:, None]
    own = np.repeat(a, K)
    Z = np.diag(own) - E @ np.diag(a) @ E.T + E @ B @ E.T
    return K, a, B, E, Z


def test_costs_margins_and_rows_are_those_of_the_dense_logits(point):
    K, a, B, _, Z = point
    weights = np.repeat(OMEGA, K)
    block = np.linalg.svd(B * OMEGA, compute_uv=False).sum()
    within = sum(form("cost_share")(*args) for args in zip(K, OMEGA, a, strict=True))
    assert within + block == pytest.approx(np.linalg.svd(Z * weights, compute_uv=False).sum(), rel=1e-13)
    np.testing.assert_allclose(Z.sum(0), 0, atol=1e-13)
    start = np.cumsum(K) - K
    u, s, _ = np.linalg.svd(Z * weights)
    gram = (u * s) @ u.T
    u, s, _ = np.linalg.svd(B * OMEGA)
    F = (u * s) @ u.T
    for g in range(4):
        own = start[g]
        assert form("own_logit")(K[g], a[g], B[g, g]) == pytest.approx(Z[own, own])
        assert form("w_norm2")(K[g], OMEGA[g], a[g], F[g, g]) == pytest.approx(gram[own, own])
        if K[g] > 1:
            cosine = gram[own, own + 1] / gram[own, own]
            assert form("cos")(K[g], OMEGA[g], a[g], F[g, g]) == pytest.approx(cosine)
        for j in set(range(4)) - {g}:
            margin = form("margin")(K[j], K[g], a[g], B[g, g], B[j, g])
            assert margin == pytest.approx(Z[own, own] - Z[start[j], own])
            assert form("w_inner")(K[j], K[g], F[j, g]) == pytest.approx(gram[start[j], own])


def test_gradient_and_gap_are_those_of_the_dense_logits(point):
    K, a, B, E, Z = point
    weights, omega = np.repeat(WEIGHTS, K), np.repeat(OMEGA, K)
    P = np.exp(Z) / np.exp(Z).sum(0)
    pull = (np.eye(len(Z)) - P) * weights
    start = np.cumsum(K) - K
    p_own = [P[i, i] for i in start]
    p_same = [P[i + 1, i] if k > 1 else 0.0 for i, k in zip(start, K, strict=True)]
    gamma = np.array([form("pull_within")(*args) for args in zip(WEIGHTS, p_own, p_same, strict=True)])
    block = np.diag([form("pull_own")(*args) for args in zip(K, WEIGHTS, p_own, p_same, strict=True)])
    for g in range(4):
        for j in set(range(4)) - {g}:
            block[j, g] = form("pull_other")(K[j], K[g], WEIGHTS[g], P[start[j], start[g]])
    np.testing.assert_allclose(block, E.T @ pull @ E, atol=1e-14)
    np.testing.assert_allclose(np.sqrt(K) @ block, 0, atol=1e-14)
    norm = np.linalg.norm(pull / omega, 2)
    in_groups = max(c / w for c, w, k in zip(gamma, OMEGA, K, strict=True) if k > 1)
    assert max(in_groups, np.linalg.norm(block / OMEGA, 2)) == pytest.approx(norm)
    shares = sum(form("gap_share")(*args, norm) for args in zip(K, OMEGA, a, gamma, strict=True))
    block_term = norm * np.linalg.svd(B * OMEGA, compute_uv=False).sum() - (block * B).sum()
    gap = norm * np.linalg.svd(Z * omega, compute_uv=False).sum() - (pull * Z).sum()
    assert shares + block_term == pytest.approx(gap)


def test_rank_counterexample_by_newton_on_the_factors_at_fifty_digits():
    with mp.workdps(60):
        lam = mp.mpf(rank.MULTIPLIER.p) / rank.MULTIPLIER.q
        omega = mp.diag(rank.OMEGA)
        pull = [mp.mpf(w) / o for w, o in zip(rank.WEIGHTS, rank.OMEGA, strict=True)]

        def minus_gradient(Z):
            P = Z.apply(mp.exp)
            totals = [sum(P[:, k]) for k in range(3)]
            return mp.matrix([[pull[k] * ((j == k) - P[j, k] / totals[k]) for k in range(3)] for j in range(3)])

        def factors(v):
            return mp.matrix([v[0:2], v[2:4], v[4:6]]), mp.matrix([v[6:9], v[9:12]])

        def stationary(*v):
            W, H = factors(v)
            M = minus_gradient(W * H * omega**-1)
            return [*(lam * W - M * H.T), *(lam * H - W.T * M), v[1]]  # v[1]: the rotation of the factors

        top = np.array(rank.NEARBY, dtype=float).reshape(2, 3)
        u, s, vt = np.linalg.svd(np.vstack([top, -top.sum(0)]) * rank.OMEGA)
        W, H = u[:, :2] * np.sqrt(s[:2]), np.sqrt(s[:2])[:, None] * vt[:2]
        c, d = W[0] / np.linalg.norm(W[0])
        turn = np.array([[c, -d], [d, c]])
        v = mp.findroot(stationary, [*(W @ turn).ravel(), *(turn.T @ H).ravel()], tol=1e-100, maxsteps=30)
        W, H = factors(list(v))
        M = minus_gradient(W * H * omega**-1)
        dual, primal = mp.svd_r(M, compute_uv=False), mp.svd_r(W * H, compute_uv=False)
        noise = mp.mpf(10) ** -45
        # Dual feasible, no gap, hence the optimum: both nonzero singular values of M are lambda, and Z has rank 2.
        assert abs(dual[0] - lam) < noise and abs(dual[1] - lam) < noise and abs(dual[2]) < noise
        product = M.T * W * H
        assert abs(sum(product[k, k] for k in range(3)) - lam * sum(primal)) < noise
        assert primal[1] > mp.mpf("0.05") and abs(primal[2]) < noise
        assert [p > lam for p in pull] == [True, False, False]
