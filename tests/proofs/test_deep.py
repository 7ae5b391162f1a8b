"""Deep models: wrong variants are refuted, and closed forms agree with dense linear algebra and published values."""

import numpy as np
import pytest
import sympy as sp

from proofs import THEOREMS, Domain, Verdict, above, integers
from proofs.deep import (
    bias_transition,
    branching,
    decayed_bias,
    free_bias,
    geometry,
    graph,
    lower_bound,
    pair_death,
    pairs,
    schatten,
    squared_error,
    threshold,
    two_layers,
)
from proofs.deep.symbols import M, P, n_k
from proofs.symbols import K_SUM, N
from proofs.verifiers.refutation import Refutation, refuted

WRONG = {
    "factors with sigma^(1/L) squared singular values": lambda: schatten.theorem(
        factor2=schatten.FACTOR2 * schatten.sigma ** (-1 / schatten.L)
    ),
    "decays cost L, not L/2": lambda: schatten.theorem(cost=2 * schatten.COST),
    "b without N inside the root": lambda: squared_error.theorem(b=M * N * P ** (1 / M)),
    "threshold is where the last root vanishes": lambda: threshold.theorem(threshold=threshold.LAST),
    "jump to (M-1)/(M+1)": lambda: threshold.theorem(jump=(M - 1) / (M + 1)),
    "last root at the threshold": lambda: threshold.theorem(last=threshold.THRESHOLD),
    "h norm without n_k": lambda: geometry.theorem(h_norm2=geometry.H_NORM2 * n_k),
    "w norm to the power 2/L": lambda: geometry.theorem(
        w_norm2=geometry.W_NORM2 * geometry.sigma ** (2 / geometry.L - 1)
    ),
    "between groups n_A n_B / N": lambda: free_bias.theorem(between=free_bias.BETWEEN / K_SUM),
    "bias 1/K at any counts": lambda: free_bias.theorem(bias=1 / sp.Integer(3)),
    "bias weight lambda_b": lambda: bias_transition.theorem(weight=bias_transition.lambda_b),
    "transition without K": lambda: bias_transition.theorem(transition=bias_transition.TRANSITION / bias_transition.K),
    "deep transition without the root": lambda: bias_transition.theorem(
        deep_transition=bias_transition.ratio / bias_transition.alive
    ),
    "decayed bias n_k for sqrt(n_k)": lambda: decayed_bias.theorem(bias=decayed_bias.BIAS * sp.sqrt(n_k)),
    "domain with sqrt(n_k) summed": lambda: decayed_bias.theorem(least_share=decayed_bias.LEAST_SHARE / sp.sqrt(n_k)),
    "value without the bias's part": lambda: decayed_bias.theorem(
        value_share=decayed_bias.VALUE_SHARE.subs(decayed_bias.lambda_b, sp.oo)
    ),
    "two layers up to 1/2": lambda: two_layers.theorem(largest=sp.Rational(1, 2)),
    "incidence matrix of nuclear norm 2 sqrt(r-1) + ...": lambda: graph.theorem(
        tau=graph.TAU + sp.sqrt(2 * (graph.r - 1))
    ),
    "graph ratio without the 4": lambda: graph.theorem(ratio=4 * graph.RATIO),
    "pairs beat the ETF iff 2^(1/(M+1)) is small": lambda: pairs.theorem(
        criterion=2 - 1 / pairs.m - 2 ** (1 / (M + 1))
    ),
    "pairs beat the ETF already at K = 3": lambda: pairs.theorem(criterion=2 - 1 / (2 * pairs.m) - 2**pairs.POWER),
    "a pair counted once": lambda: pair_death.theorem(dies=pair_death.DIES - pair_death.pi_g * pair_death.kappa),
    "dead from 2 kappa/(3 lambda)": lambda: pair_death.theorem(imbalance=pair_death.IMBALANCE + 1),
    "kappa(4,2) off by a unit": lambda: pair_death.kappa_theorem(two=".4798881"),
    "kappa(4,3) off by a unit": lambda: pair_death.kappa_theorem(three=".5698341"),
    "largest singular value U/c": lambda: lower_bound.theorem(largest=lower_bound.U / lower_bound.c),
    "bound with decay c": lambda: lower_bound.theorem(decay=lower_bound.c),
    "Q = (A A^T)^(1/L)": lambda: branching.theorem(best_q=branching.BEST_Q ** (1 / M)),
    "kappa = L lambda/2": lambda: branching.theorem(kappa=branching.KAPPA * (M + 1) / M),
    "best logits with the sign flipped": lambda: branching.theorem(
        best_z=branching.pi_k * branching.Q * branching.e / (branching.lam * branching.omega_k**2)
    ),
    "quadratic form without the half": lambda: branching.theorem(
        weight=branching.pi_k**2 / (branching.lam * branching.omega_k**2)
    ),
    "trace bound U/lambda": lambda: branching.theorem(bound=branching.U / branching.lam),
}


@pytest.mark.parametrize("variant", WRONG)
def test_wrong_variant_is_refuted(variant):
    report = WRONG[variant]().check()
    assert not report.ok
    assert report.verdict is Verdict.REFUTED, str(report)


def test_published_claims_are_refuted_by_name():
    theorems = ("deep_mse.threshold", "deep_ce.pairs")
    claims = {claim for identifier in theorems for claim, _ in refuted(THEOREMS[identifier].check())}
    assert "the largest stationary point is a global minimiser whenever there is one (deep squared error)" in claims
    assert "the simplex ETF is a global minimiser of deep cross-entropy at K = 4, M = 3" in claims


_X, _K = sp.symbols("x K", positive=True)
_PLANE = Domain({_X: above(0), _K: integers(2)})


@pytest.mark.parametrize(
    "expr, witness, verdict",
    [
        (_X - _K, {_X: sp.sqrt(2), _K: 2}, Verdict.PROVED),
        (_X - _K, {_X: sp.log(8), _K: 2}, Verdict.REFUTED),  # true there
        (_X**2 - _K, {_X: sp.sqrt(2), _K: 2}, Verdict.UNDECIDED),  # zero there
        (_X - _K, {_X: sp.Integer(0), _K: 2}, Verdict.UNDECIDED),  # outside: 0 is not attained
        (_X - _K, {_X: sp.Integer(1), _K: sp.Rational(5, 2)}, Verdict.UNDECIDED),  # outside: K is an integer
    ],
)
def test_refutation_needs_a_strict_counterexample_inside_the_domain(expr, witness, verdict):
    assert Refutation("", "", expr, ">=", witness, _PLANE).verify().verdict is verdict


def form(identifier: str, name: str):
    """A closed form in NumPy."""
    lambda_ = THEOREMS[identifier].closed_forms[name]
    return sp.lambdify(lambda_.variables, lambda_.expr, "numpy")


def scalar_minimum(depth: int, N: float, product: float, n: float) -> tuple[float, float]:
    """(value, sigma) of the scalar problem: the best point of a grid that is refined around it."""
    cost = form("deep_mse.separable", "cost")
    best, width = np.sqrt(n) / 2, np.sqrt(n) / 2
    for _ in range(4):
        grid = np.linspace(max(best - width, 0), best + width, 2001)
        values = cost(depth, N, product, n, grid)
        best, width = grid[np.argmin(values)], width / 500
    return float(values.min()), float(best)


COUNTS = (8.0, 4.0, 2.0)


def test_separable_cost_and_geometry_at_the_published_point():
    product, weights = 5e-3 * 1e-2 * 2e-3, 5e-3 * 1e-2
    found = [scalar_minimum(2, 14.0, product, n) for n in COUNTS]
    sigma = np.array([s for _, s in found])
    assert sum(value for value, _ in found) == pytest.approx(0.03345587, abs=1e-8)
    np.testing.assert_allclose(sigma, [2.7822, 1.9480, 1.3555], atol=1e-4)
    h_norm2, w_norm2 = form("deep_mse.geometry", "h_norm2"), form("deep_mse.geometry", "w_norm2")
    np.testing.assert_allclose(h_norm2(2, product, 2e-3, np.array(COUNTS), sigma), [0.5739, 0.9050, 1.4213], atol=1e-4)
    np.testing.assert_allclose(w_norm2(2, product, weights, sigma), [1.6861, 1.0483, 0.6464], atol=1e-4)


def test_published_thresholds():
    alive, last = (form("deep_mse.threshold", name) for name in ("threshold", "last"))
    assert (alive(2), last(2), alive(3)) == pytest.approx((0.5, 0.6495, 0.5291), abs=5e-5)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_class_dies_at_the_threshold_and_jumps(depth):
    alive, jump = (float(form("deep_mse.threshold", name)(depth)) for name in ("threshold", "jump"))
    b = form("deep_mse.separable", "b")
    N = n = 4.0
    for side, living in ((1 - 1e-3, True), (1 + 1e-3, False)):
        product = (side * alive * n / (depth * N)) ** depth / N
        assert b(depth, N, product) / n == pytest.approx(side * alive)
        _, sigma = scalar_minimum(depth, N, product, n)
        assert (sigma > jump * np.sqrt(n)) if living else sigma == 0


def test_free_bias_singular_values_of_the_centred_target():
    n = np.array([7.0] * 3 + [2.0] * 4)
    target = np.diag(np.sqrt(n)) - np.outer(n, np.sqrt(n)) / n.sum()
    between = float(form("deep_mse.free_bias", "between")(3, 4, 7.0, 2.0))
    expected = np.sort(np.sqrt([7.0] * 2 + [2.0] * 3 + [between, 0]))
    np.testing.assert_allclose(np.sort(np.linalg.svd(target, compute_uv=False)), expected, atol=1e-7)


@pytest.mark.parametrize("depth, transition", [(1, 0.03), (2, 0.06), (3, 0.0779423)])
def test_bias_transition_at_the_published_point(depth, transition):
    K, n, decay = 3, 4.0, 5e-3
    if depth == 1:
        found = form("deep_mse.bias_transition", "transition")(K, n, decay, decay)
    else:
        ratio = form("deep_mse.separable", "b")(depth, K * n, decay ** (depth + 1)) / n
        alive = form("deep_mse.threshold", "threshold")(depth)
        found = form("deep_mse.bias_transition", "deep_transition")(depth, ratio, alive)
    assert found == pytest.approx(transition, abs=1e-7)


def decayed_bias_objective(A, bias, n, lam, lambda_b):
    residual = A + np.outer(bias, np.sqrt(n)) - np.diag(np.sqrt(n))
    nuclear = np.linalg.svd(A, compute_uv=False).sum()
    return (residual**2).sum() / (2 * n.sum()) + lam * nuclear + lambda_b / 2 * (bias**2).sum()


def test_decayed_bias_closed_form_is_a_minimum():
    n, lam, lambda_b = np.array(COUNTS), 1e-2, 0.1
    names = ("bias", "least_share", "value_share")
    bias, least, value = (form("deep_mse.decayed_bias", name) for name in names)
    b = bias(n, lam, lambda_b)
    A = np.diag(np.sqrt(n) - n.sum() * lam) - np.outer(b, np.sqrt(n))
    assert np.sum(least(n.sum(), n, lam)) < lambda_b
    best = np.sum(value(n.sum(), n, lam, lambda_b))
    assert best == pytest.approx(0.0533264069, abs=1e-10)
    assert decayed_bias_objective(A, b, n, lam, lambda_b) == pytest.approx(best, abs=1e-14)
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1e-1, 1.0):
        moved = A + scale * rng.normal(size=A.shape), b + scale * rng.normal(size=3)
        assert decayed_bias_objective(*moved, n, lam, lambda_b) > best


@pytest.mark.parametrize("r, M_", [(4, 3), (4, 4), (5, 4), (6, 5)])
def test_graph_network_outputs_the_identity_at_its_claimed_norms(r, M_):
    edges = [(i, j) for i in range(r) for j in range(i)]
    K = len(edges)
    X = np.array([[float(v in edge) for edge in edges] for v in range(r)])
    u, s, vt = np.linalg.svd(X, full_matrices=False)
    H, first = np.sqrt(s)[:, None] * vt, u * np.sqrt(s)
    layers = [first, *[np.eye(r)] * (M_ - 3), X.T - 0.5, np.eye(K)]
    assert len(layers) == M_
    signal = H
    for number, W in enumerate(layers, 1):
        signal = W @ signal if number == M_ else np.maximum(W @ signal, 0)
    np.testing.assert_allclose(signal, np.eye(K), atol=1e-12)
    ratio = np.prod([(f**2).sum() for f in (H, *layers)]) / float(K) ** (M_ + 1)
    assert form("deep_relu.graph", "ratio")(float(r), M_) == pytest.approx(ratio)
    published = {(4, 3): 1.0561, (4, 4): 0.9633, (5, 4): 0.9014, (6, 5): 0.7547}
    assert form("deep_relu.graph", "cost_ratio")(float(r), M_) == pytest.approx(published[r, M_], abs=5e-5)


def deep_cross_entropy(Z, c, depth):
    loss = np.log(np.exp(Z).sum(0)) - np.diag(Z)
    return loss.mean() + c * (np.linalg.svd(Z, compute_uv=False) ** (2 / (depth + 1))).sum()


@pytest.mark.parametrize("K, depth", [(4, 3), (5, 3), (6, 2), (7, 2), (9, 4)])
def test_pairs_beat_the_etf_in_dense_logits(K, depth):
    m, S = K // 2, np.eye(K) - 1 / K
    criterion = form("deep_ce.pairs", "criterion")(depth, m)
    assert criterion > 0
    for alpha in (0.5, 2.0, 8.0):
        c = float(form("deep_ce.pairs", "etf_decay")(K, depth, alpha))
        inside = np.zeros((K, K))
        inside[: 2 * m, : 2 * m] = np.eye(2 * m) - 1 / (2 * m)
        block = np.zeros((K, K))
        block[: 2 * m, : 2 * m] = np.kron(np.eye(m), [[1.0, -1.0], [-1.0, 1.0]])
        etf = deep_cross_entropy(alpha * S, c, depth)
        assert etf == pytest.approx(float(form("deep_ce.pairs", "etf")(K, depth, c, alpha)))
        other = deep_cross_entropy(alpha * (S - inside + block), c, depth)
        assert other < etf
        if K % 2 == 0:
            assert other == pytest.approx(float(form("deep_ce.pairs", "pairs")(K, depth, c, 2 * alpha)))


def test_imbalance_at_which_the_minority_pair_dies():
    kappa = float(max(form("deep_ce.pair_death", "rate")(4, 2, np.linspace(1, 4, 30001))))
    assert kappa == pytest.approx(0.4798880, abs=1e-7)
    assert form("deep_ce.pair_death", "imbalance")(2, 2, 2, kappa, 0.003) == pytest.approx(
        0.319925 / 0.003 - 1, abs=1e-3
    )


def test_lower_bound_is_below_random_points():
    rng = np.random.default_rng(1)
    largest, decay = (form("deep_ce.lower_bound", name) for name in ("largest", "decay"))
    for _ in range(200):
        depth, c = int(rng.integers(1, 5)), float(10 ** rng.uniform(-3, 0))
        sigma = rng.exponential(size=4) * 10 ** rng.uniform(-2, 2)
        U = c * (sigma ** (2 / (depth + 1))).sum() * (1 + rng.exponential())
        assert np.all(sigma <= largest(depth, U, c))
        assert c * (sigma ** (2 / (depth + 1))).sum() >= decay(depth, U, c) * sigma.sum() * (1 - 1e-12)


def test_branching_splits_the_decay_of_a_matrix():
    rng = np.random.default_rng(2)
    depth, lam = 3, 0.02
    A = rng.normal(size=(4, 4))
    u, s, _ = np.linalg.svd(A)
    kappa = float(form("deep_ce.branching", "kappa")(depth, lam))

    def split(Q):
        values = np.linalg.eigvalsh(Q)
        return lam / 2 * np.trace(A.T @ np.linalg.solve(Q, A)) + kappa * (values ** (1 / depth)).sum()

    exact = (depth + 1) * lam / 2 * (s ** (2 / (depth + 1))).sum()
    best = (u * form("deep_ce.branching", "best_q")(depth, s)) @ u.T
    assert split(best) == pytest.approx(exact)
    for _ in range(50):
        noise = rng.normal(size=(4, 4))
        assert split(best + 0.3 * noise @ noise.T) > exact
        rotation = np.linalg.qr(noise)[0]
        assert split(rotation @ best @ rotation.T) > exact
