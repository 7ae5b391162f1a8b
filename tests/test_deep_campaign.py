"""Every best value and crossing of deep cross-entropy that theory prints, from random starts where it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.solvers.named import branches

pytestmark = pytest.mark.slow


def deep(groups, M, decay):
    return lpm.DeepLinear(groups, (decay,) * M, decay)


@pytest.mark.parametrize(
    ("K", "M", "decay", "width", "value", "structure", "etf"),
    [
        (5, 3, 0.003, 2, 0.060848, "polygon", 0.067026),
        (6, 4, 0.01, 2, 0.208071, "polygon", 0.267308),
        (7, 2, 0.003, 4, 0.096606090, "pairs and a singleton", None),
        (8, 2, 0.003, 4, 0.108409487, "pairs", None),
        (7, 3, 0.003, 3, 0.083317573, "bipyramid", None),
        (10, 3, 0.003, 3, 0.113090182, "bicapped antiprism", 0.150779),
        (10, 4, 0.003, 3, 0.100011888, "bicapped antiprism", None),
    ],
)
def test_best_values(K, M, decay, width, value, structure, etf):
    found = lpm.referee(deep(lpm.ClassGroups.balanced(K), M, decay), restarts=6 if K < 8 else 16, widths=(width,))
    digits = 1e-9 if len(str(value)) > 9 else 1e-6
    assert found.solution.value == pytest.approx(value, abs=digits)
    assert found.structure == structure
    assert found.converged.all() and found.hits.any()
    assert abs(found.ahead) <= 1e-10 * value
    if etf is not None:
        assert found.named["ETF"] == pytest.approx(etf, abs=1e-6)
    if K == 10 and M == 3:
        assert found.named["Petersen graph, rank 4"] == pytest.approx(0.114928, abs=1e-6)
        assert found.solution.rank == 3


def test_published_setting():
    # Ten classes of five samples, two weight matrices, all decays 2^-10.
    objective = deep(lpm.ClassGroups.balanced(10, 5), 2, 2.0**-10).objective()
    found = jax.jit(branches)(objective)
    named = dict(zip([s.name for s in lpm.solvers.named.structures(objective)], found.value, strict=True))
    assert named["ETF"] == pytest.approx(0.0906621833, abs=1e-10)
    assert named["pairs"] == pytest.approx(0.0800126593, abs=1e-10)


@pytest.mark.parametrize(
    ("K", "M", "first", "second", "low", "high", "decay"),
    [
        (3, 2, "ETF", "[2] and 1 dropped", 0.1, 0.19, 0.17348388),
        (3, 2, "[2] and 1 dropped", "zero", 0.18, 0.25, 0.19418637),
        (3, 3, "ETF", "[2] and 1 dropped", 0.1, 0.16, 0.13197714),
        (3, 3, "[2] and 1 dropped", "zero", 0.14, 0.25, 0.16557157),
        (3, 4, "[2] and 1 dropped", "zero", 0.12, 0.25, 0.14762326),
        (3, 5, "[2] and 1 dropped", "zero", 0.10, 0.25, 0.13385472),
        (4, 2, "ETF", "pairs", 1e-3, 0.1, 0.0117604981),
        (4, 2, "pairs", "line", 0.1, 0.16, 0.15962235),
        (4, 2, "line", "zero", 0.1, 0.2, 0.16029400),
        (4, 3, "pairs", "line", 0.1, 0.1434, 0.141405),
        (4, 3, "line", "zero", 0.1, 0.2, 0.143460),
        (5, 2, "ETF", "pairs and a singleton", 1e-5, 0.01, 0.00012357),
        (5, 2, "ETF", "[3, 2]", 1e-4, 0.01, 0.001592),
        (5, 2, "pairs and a singleton", "[3, 2]", 0.01, 0.1, 0.0568074),
        (5, 2, "[3, 2]", "polygon", 0.05, 0.12, 0.0880242),
        (5, 2, "polygon", "zero", 0.1, 0.2, 0.1389434),
    ],
)
def test_crossings(K, M, first, second, low, high, decay):
    found = lpm.boundary.deep_crossing(K, M, first, second, low, high)
    assert found == pytest.approx(decay, abs=6 * 10.0 ** -len(str(decay).split(".")[1]) if decay > 1e-3 else 6e-9)


def test_phases_of_three_to_five_classes():
    ds = lpm.phases(K=[3, 4, 5], M=2, lambda_=[1e-4, 5e-3, 0.05, 0.07, 0.1, 0.16, 0.18, 0.2])
    rows = {int(K): ds["best"].sel(K=K).values.tolist() for K in ds["K"]}
    assert rows[3] == ["ETF"] * 6 + ["[2] and 1 dropped", "zero"]
    assert rows[4] == ["ETF"] * 2 + ["pairs"] * 3 + ["line", "zero", "zero"]
    singleton = "pairs and a singleton"
    assert rows[5] == ["ETF", singleton, singleton, "[3, 2]", "polygon", "zero", "zero", "zero"]


_TABLE = {
    0.003: (0.051506717, 0.057567594, 0.076459185, 0.123520645),
    0.01: (0.151445692, 0.168154120, 0.217892826, 0.326477966),
    0.03: (0.388677100, 0.428075853, 0.532842827, 0.780024750),
}


@pytest.mark.parametrize("method", ["named", "factored"])
def test_two_large_and_two_small_classes(method):
    for decay, row in _TABLE.items():
        for R, value in zip((1, 2, 10, 100), row, strict=True):
            solution = lpm.solve(deep(lpm.ClassGroups.two_group(2, 2, R), 2, decay), method=method)
            assert solution.value == pytest.approx(value, abs=1e-9)
            assert solution.lower_bound < value


def test_where_the_minority_decouples_and_dies():
    for decay, decouples in ((0.003, 3.3373), (0.01, 1.4593)):
        dies = float(lpm.boundary.deep_annihilated(2, 2, 2, decay))
        assert dies == pytest.approx(0.319925 / decay - 1, rel=2e-6)
        R = [decouples - 1e-3, decouples + 1e-3, dies * (1 - 1e-3), dies * (1 + 1e-3)]
        best = lpm.phases(K=4, M=2, lambda_=decay, R=R)["best"].values.ravel().tolist()
        assert best == ["pair + pair, contrast", "pair + pair", "pair + pair", "pair + zero"]
        for ratio, rank in zip(R[2:], (2, 1), strict=True):  # and from random starts
            solution = lpm.solve(deep(lpm.ClassGroups.two_group(2, 2, ratio), 2, decay), method="factored")
            assert solution.rank == rank


def test_lower_bound_is_never_above_the_best_value(rng):
    draws = 250
    for counts in ([3], [4], [5], [2, 2], [3, 2]):
        G, M, classes = len(counts), 2 + sum(counts) % 3, jnp.asarray(counts, float)

        def solved(samples, decay, classes=classes, M=M):
            problem = lpm.DeepLinear(lpm.ClassGroups(classes, samples), [decay] * M, decay)
            solution = lpm.solve(problem, method="named")
            return solution.value, solution.lower_bound

        samples = jnp.asarray(10 ** rng.uniform(-0.5, 2, (draws, G)))
        decays = jnp.asarray(10 ** rng.uniform(-4, 0, draws)) / samples.max(axis=1) ** (1 / (M + 1))
        value, lower = jax.jit(jax.vmap(solved))(samples, decays)
        assert np.isfinite(value).all() and (lower <= value).all() and (lower > 0).all()
        tight = np.asarray(lower / value)
        assert tight.max() > 0.99  # nothing is gained: zero is optimal, and proved to be


@pytest.mark.parametrize(("K", "M", "ratio"), [(4, 2, 0.59), (6, 2, 0.52), (10, 2, 0.44), (4, 3, 0.41), (10, 3, 0.23)])
def test_how_loose_the_bound_is(K, M, ratio):
    solution = lpm.solve(deep(lpm.ClassGroups.balanced(K), M, 0.003))
    assert solution.lower_bound / solution.value == pytest.approx(ratio, abs=5e-3)
