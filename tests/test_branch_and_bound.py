"""Global bounds of deep cross-entropy: every inequality on random points, then the optimum of theory's examples."""

import itertools

import jax
import numpy as np
import pytest
from mpmath import mp
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax.branch_and_bound import bound, cover
from lpmjax.branch_and_bound.barrier import Point, lower_bounds
from lpmjax.branch_and_bound.bound import Multipliers, Relaxation
from lpmjax.branch_and_bound.descent import descend, random_logits
from lpmjax.branch_and_bound.program import Program, centred_basis
from lpmjax.branch_and_bound.search import global_bounds


def balanced(K, price, M):
    return Program(np.full(K, 1 / K), np.ones(K), price, M + 1)


def drawn(rng):
    K = int(rng.integers(2, 6))
    counts = np.exp(rng.uniform(0, 4, K))
    return Program(counts / counts.sum(), np.sqrt(counts), float(np.exp(rng.uniform(-7, -1))), int(rng.integers(3, 8)))


def simplex_etf(K, price, M):
    """Value of the best simplex ETF, a scalar problem."""

    def value(a):
        return np.log1p((K - 1) * np.exp(-a)) + (M + 1) / 2 * price * (K - 1) * a ** (2 / (M + 1))

    grid = np.linspace(1e-3, 60, 4000)
    start = grid[np.argmin(value(grid))]
    return float(minimize(lambda a: value(a[0]), [start], bounds=[(1e-4, 80)], tol=1e-14).fun)


def relaxed(program, Q):
    """Phi(Q) + kappa tr Q^s, by SciPy."""
    K, values = len(program.weights), np.maximum(np.linalg.eigvalsh(Q), 0)
    root = np.linalg.cholesky(Q + 1e-15 * np.eye(K - 1) * np.trace(Q))
    total = (program.L - 1) / 2 * program.price * (values**program.power).sum()
    for k in range(K):
        reach = centred_basis(K) @ root

        def loss(y, k=k, reach=reach):
            z = reach @ y
            p = np.exp(z - z.max())
            value = np.log(p.sum()) + z.max() - z[k]
            p = p / p.sum()
            p[k] -= 1
            stiff = program.price * program.omega[k] ** 2
            return program.weights[k] * value + stiff / 2 * y @ y, program.weights[k] * reach.T @ p + stiff * y

        total += minimize(loss, np.zeros(K - 1), jac=True, method="BFGS", options={"gtol": 1e-9}).fun
    return total


def random_bound(rng):
    """A simplex around the Q of random logits, any multipliers; its bound, and the value of the logits."""
    program = drawn(rng)
    K, d = len(program.weights), len(program.weights) - 1
    Z = rng.normal(size=(K, K)) * np.exp(rng.uniform(-2, 1)) + np.eye(K) * rng.uniform(0, 5)
    if rng.random() < 0.5:  # a rank below the full one
        left, sigma, right = np.linalg.svd(Z * program.omega)
        sigma[int(rng.integers(1, K)) :] = 0
        Z = left * sigma @ right / program.omega
    Z = Z - Z.mean(0)
    value = float(program.value(Z))
    radius = program.radius(value * np.exp(rng.uniform(0, 1)))
    relaxation, X = Relaxation.of(program, radius), program.gram(Z) / radius
    m = d * (d + 1) // 2 + 1
    offsets = rng.normal(size=(m, d, d)) * np.exp(rng.uniform(-7, -2))
    offsets = offsets + offsets.swapaxes(-1, -2)
    w = rng.dirichlet(np.ones(m))
    V = (X + offsets - np.einsum("m,mxy->xy", w, offsets))[None]
    u = rng.dirichlet(np.ones(K), K) if rng.random() < 0.5 else np.exp(Z - Z.max(0)).T
    rows = rng.normal(size=(d, d)) * np.exp(rng.uniform(-9, 0))
    any_ = Multipliers(3 * u[None], rng.random((1, bound._CHORDS)) * 5, rows[None])
    found = [bound.safe_bound(relaxation, V, bound.concave_part(relaxation, V), any_)[0]]
    if rng.random() < 0.1:
        start = Point(np.full((1, m), 1 / m), np.zeros((1, K, d)))
        found.append(lower_bounds(relaxation, V, start, 2 * value, 1e-7 * value)[0][0])
    return max(found), value, relaxed(program, program.gram(Z)) if rng.random() < 0.05 else value


def test_bound_holds_for_any_multipliers(rng):
    close = 0
    for _ in range(500):
        lower, value, least = random_bound(rng)
        assert lower <= value and lower <= least + 1e-9 * value and least <= value * (1 + 1e-9)
        close += lower > 0.5 * value
    assert close > 10  # a test of bounds that say something


def test_bound_of_a_point_is_its_relaxation(rng):
    """Simplices that shrink to a point: cuts at the best P are exact, and so is the concave part."""
    program = Program(np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.8, 0.6]), 0.05, 4)
    Q = np.diag([3.0, 1.5])
    radius = program.radius(1.1)
    V = (Q / radius + 1e-7 * np.random.default_rng(0).normal(size=(4, 1, 1)) * np.eye(2))[None]
    relaxation = Relaxation.of(program, radius)
    exact = relaxed(program, Q)
    start = Point(np.full((1, 4), 0.25), np.zeros((1, 3, 2)))
    found, _ = lower_bounds(relaxation, V, start, exact + 1e-6, 1e-9)  # a cutoff that it tries to reach
    assert exact - 1e-5 <= found[0] <= exact + 1e-6


def test_radius_holds_whatever_is_as_good(rng):
    largest = 0.0
    for _ in range(300):
        program = drawn(rng)
        K = len(program.weights)
        Z = np.outer(rng.normal(size=K), rng.normal(size=K)) if rng.random() < 0.5 else rng.normal(size=(K, K))
        Z = np.exp(rng.uniform(0, 12)) * (Z - Z.mean(0))
        share = np.trace(program.gram(Z)) / program.radius(float(program.value(Z)))
        assert share <= 1
        largest = max(largest, share)
    assert largest > 0.9


def at_fifty_digits(relaxation, V, eta, at):
    """min_i b_i of one simplex, from the same floats."""
    P = [[mp.mpf(p) / mp.fsum(row) for p in row] for row in at.probabilities[0]]
    shares = [mp.mpf(x) / mp.fsum(at.shares[0]) for x in at.shares[0]]
    s, K = mp.mpf(relaxation.power), len(relaxation.weights)
    entropy = -mp.fsum(w * p * mp.log(p) for w, row in zip(relaxation.weights, P, strict=True) for p in row)
    found = []
    for vertex in mp.matrix(V[0].reshape(len(V[0]), -1)).tolist():
        vertex = mp.matrix([vertex[i * (K - 1) : (i + 1) * (K - 1)] for i in range(K - 1)])
        values = mp.eigsy(vertex, eigvals_only=True)
        total = entropy
        for share, e in zip(shares, eta, strict=True):
            chords = (x**s if x >= e else mp.mpf(e) ** (s - 1) * x for x in values)
            total += share * mp.mpf(relaxation.cost) * mp.fsum(chords)
        for k, row in enumerate(P):
            u = mp.matrix(relaxation.basis.T) * mp.matrix([p - (j == k) for j, p in enumerate(row)])
            pull = mp.mpf(relaxation.weights[k]) ** 2 / (2 * mp.mpf(relaxation.stiffness[k]))
            total -= pull * (u.T * vertex * u)[0]
        total -= mp.fsum((mp.matrix(a).T * vertex * mp.matrix(a))[0] for a in at.rows[0])
        found.append(total)
    return min(found)


def test_rounding_is_allowed_for(rng):
    """Below the same bound at fifty digits, by next to nothing."""
    with mp.workdps(50):
        for _ in range(12):
            program = drawn(rng)
            K = len(program.weights)
            relaxation = Relaxation.of(program, program.radius(1.0))
            simplex = cover.roots(program.weights, program.omega)[0]
            V = np.einsum("me,exy->mxy", simplex, cover.gram_basis(K))[None]
            eta = rng.random((1, bound._CHORDS))
            P, rows = rng.dirichlet(np.ones(K), (1, K)), rng.normal(size=(1, K - 1, K - 1))
            at = Multipliers(P, rng.random((1, bound._CHORDS)), rows)
            lower = bound.safe_bound(relaxation, V, bound.chords(relaxation, V, eta), at)[0]
            exact = at_fifty_digits(relaxation, V, eta[0], at)
            scale = float(relaxation.cost / eta.min() + (relaxation.weights**2 / relaxation.stiffness).sum() + 100)
            assert 0 < exact - lower < 1e-9 * scale


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1), (3, 1, 1, 1), (4, 3, 2, 1), (1, 1, 1, 1, 1)])
def test_cover_holds_one_of_each_orbit(counts, rng):
    counts = np.array(counts, float)
    K = len(counts)
    simplices = cover.roots(counts / counts.sum(), np.sqrt(counts))
    edges = cover.pairs(K)
    alike = [o for o in itertools.permutations(range(K)) if (counts[list(o)] == counts).all()]
    for _ in range(10 if K == 5 else 40):
        A = rng.normal(size=(K, int(rng.integers(1, K))))
        Q = A @ A.T
        Q = Q - Q.mean(0) - Q.mean(1)[:, None] + Q.mean()
        Q = Q / np.trace(Q) * rng.uniform(0.01, 1)
        inside = 0
        for order in alike:
            moved = Q[np.ix_(order, order)]
            x = np.array([moved[i, i] + moved[j, j] - 2 * moved[i, j] for i, j in edges])
            equations = np.concatenate([simplices.swapaxes(-1, -2), np.ones((len(simplices), 1, len(edges) + 1))], 1)
            w = np.linalg.solve(equations, np.append(x, 1.0)[:, None])
            inside += (w.min((-1, -2)) > -1e-12).sum()
            back = np.einsum("e,exy->xy", x, cover.gram_basis(K))
            assert np.allclose(centred_basis(K) @ back @ centred_basis(K).T, moved, atol=1e-12)
        assert inside >= 1
    volume = sum(abs(np.linalg.det(s[1:] - s[0])) for s in simplices) / float(K) ** len(edges)
    assert volume == pytest.approx(1 / len({tuple(p) for p in cover.symmetries(counts, counts)}))


def test_halves_cover_exactly(rng):
    vertices = np.eye(4, dtype=np.int64)[None] << cover.GRID
    for _ in range(200):
        first, second = rng.choice(4, 2, replace=False)[:, None]
        halves, exact = cover.bisected(vertices, first, second)
        if not exact[0]:
            break
        half = halves[int(rng.integers(2))]
        assert (halves.sum(-1) == 1 << cover.GRID).all()
        middle = halves[0, 0, first[0]]
        assert (2 * middle == vertices[0, first[0]] + vertices[0, second[0]]).all()
        assert (halves[1, 0, second[0]] == middle).all()
        vertices = half
    else:
        raise AssertionError("an edge of odd length was never met")


def test_no_gram_matrix_in_a_simplex_is_proved():
    V = np.stack([np.diag([1.0, -0.1]), np.diag([2.0, -0.2]), np.diag([0.5, -0.3])])[None]
    assert bound.holds_none(V)[0]
    V[0, 0, 1, 1] = 0.01
    assert not bound.holds_none(V)[0]


def test_three_classes_drop_one():
    """K = 3, M = 2, lambda = .185: a pair and a class of zero, below the ETF and zero."""
    found = global_bounds(balanced(3, 0.185, 2), tol=1e-4)
    assert found.lower <= 1.078151530 + 1e-9 and found.upper == pytest.approx(1.078151530, abs=2e-9)
    assert found.upper - found.lower <= 1e-4 * found.upper
    assert simplex_etf(3, 0.185, 2) == pytest.approx(1.095479739, abs=1e-8)


def test_simplex_etf_of_three_classes_below_the_window():
    found = global_bounds(balanced(3, 0.1, 2), tol=1e-4)
    assert found.upper == pytest.approx(simplex_etf(3, 0.1, 2), rel=1e-9)
    assert found.upper * (1 - 1e-4) <= found.lower <= found.upper


def test_zero_is_optimal_at_a_large_decay():
    found = global_bounds(balanced(3, 0.3, 2), tol=1e-6)
    assert found.upper == pytest.approx(np.log(3)) and np.abs(found.Z).max() == 0
    assert found.lower >= np.log(3) * (1 - 1e-6)


def inflated(program, optimum, inflation, share):
    """The lower bound that a search for ``share`` of the optimum reaches, told a value that is too high."""
    told = inflation * optimum
    found = global_bounds(program, (told, None), 1 - share * optimum / told, max_nodes=60_000, improve=False)
    return found.lower / optimum


@pytest.mark.parametrize("inflation", [1.05, 1.3])
def test_bound_rises_to_the_optimum_and_never_crosses_it(inflation):
    assert 0.998 <= inflated(balanced(3, 0.185, 2), 1.078151530, inflation, 0.998) <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("inflation", [1.05, 1.15, 1.3])
def test_bound_of_four_classes_never_crosses_the_optimum(inflation):
    assert 0.99 <= inflated(balanced(4, 0.1, 2), 1.009271052, inflation, 0.99) <= 1 + 1e-9


def test_node_limit_leaves_a_bound():
    few, more = (global_bounds(balanced(4, 0.03, 2), tol=1e-3, max_nodes=n) for n in (100, 400))
    assert few.nodes < 400 <= more.nodes
    assert 0.15 < few.lower <= more.lower < 0.388677101
    assert more.upper == pytest.approx(0.388677100, abs=2e-9)


@pytest.mark.parametrize(
    "program, options, named",
    [
        (balanced(6, 0.1, 2), {}, "weights"),
        (balanced(3, 0.1, 1), {}, "L"),
        (balanced(3, -0.1, 2), {}, "price"),
        (balanced(3, 0.1, 2), {"tol": 0.0}, "tol"),
        (balanced(3, 0.1, 2), {"max_nodes": 0}, "max_nodes"),
    ],
)
def test_bad_input(program, options, named):
    with pytest.raises(ValueError, match=named):
        global_bounds(program, **options)


def deep(groups, price, M, **options):
    return lpm.DeepLinear(groups, lambda_W=(price,) * M, lambda_H=price, **options)


@pytest.mark.slow
def test_solver_certifies_and_certify_repeats_it():
    problem = deep(lpm.ClassGroups.balanced(3, 1), 0.185, 2)
    solution = lpm.solve(problem, method=lpm.BranchAndBound(), tol=1e-3)
    assert solution.certified and solution.method == "branch_and_bound" and solution.rank == 1
    assert solution.lower_bound <= 1.078151530 + 1e-9 <= solution.value + 2e-9
    again = lpm.certify(problem, solution)
    assert again.certified and again.value == pytest.approx(float(solution.value), rel=1e-12)
    worse = jax.tree.map(lambda leaf: leaf, solution)
    worse = type(solution)(**{**vars(worse), "W": 1.2 * solution.W})
    assert not lpm.certify(problem, worse).certified


def test_solver_is_for_the_host_and_few_classes():
    problem = deep(lpm.ClassGroups.balanced(3, 1), 0.185, 2)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda p: lpm.solve(p, method="branch_and_bound").value)(problem)
    for other in (
        deep(lpm.ClassGroups.balanced(6, 1), 0.1, 2),
        deep(lpm.ClassGroups.balanced(3, 1), 0.1, 1),
        deep(lpm.ClassGroups.balanced(3, 1), 0.1, 2, dim=1),
        deep(lpm.ClassGroups.balanced(3, 1), 0.1, 2, bias_decay=0.0),
    ):
        with pytest.raises(ValueError, match="branch_and_bound"):
            lpm.solve(other, method="branch_and_bound")


@pytest.mark.slow
@pytest.mark.parametrize("price", [0.003, 0.03, 0.1, 0.15, 0.172, 0.175, 0.185, 0.193, 0.2])
def test_three_classes_across_the_phases(price):
    found = global_bounds(balanced(3, price, 2), tol=1e-6)
    assert found.upper * (1 - 1e-6) <= found.lower <= found.upper
    if price < 0.17348388:
        assert found.upper == pytest.approx(simplex_etf(3, price, 2), rel=1e-8)
    elif price > 0.19418637:
        assert found.upper == pytest.approx(np.log(3))
    else:
        assert found.upper < simplex_etf(3, price, 2) * (1 - 1e-4) and found.upper < np.log(3)


@pytest.mark.slow
def test_four_classes_pair_up_and_the_etf_is_refuted():
    """ "The ETF is global at K = 4, M = 2, lambda = .03" is wrong by a certificate."""
    found = global_bounds(balanced(4, 0.03, 2), tol=1e-3)
    assert found.upper == pytest.approx(0.388677100, abs=2e-9)
    assert found.upper * (1 - 1e-3) <= found.lower <= found.upper < simplex_etf(4, 0.03, 2) * (1 - 1e-3)


@pytest.mark.slow
def test_imbalanced_classes():
    counts = np.array([10.0, 2.0, 1.0])
    program = Program(counts / counts.sum(), np.sqrt(counts), 0.01, 3)
    found = global_bounds(program, tol=1e-5)
    assert found.upper * (1 - 1e-5) <= found.lower <= found.upper
    assert descend(program, random_logits(program, 200))[0] == pytest.approx(found.upper, rel=1e-8)


@pytest.mark.slow
def test_four_classes_with_four_factors():
    found = global_bounds(balanced(4, 0.03, 3), tol=5e-3)
    assert found.upper * (1 - 5e-3) <= found.lower <= found.upper < simplex_etf(4, 0.03, 3)
