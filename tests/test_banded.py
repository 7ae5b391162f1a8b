"""Bands of near-equal classes: what their solution proves of the original problem, against dense algebra and solves."""

import dataclasses
import pickle
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import unbanded as module
from lpmjax.certificate import Program, duality_gap, unbanded

COUNTS = [400, 6, 90, 100, 380, 7, 95, 6, 24, 25, 6, 92]
GIVEN = np.array(COUNTS, float)


def budgets(groups, loss=None):
    """Half of the classes collapse."""
    return lpm.LayerPeeled(groups, 1.0, 1.0, loss)


def decays(groups, loss=None):
    return lpm.UnconstrainedFeatures(groups, 4e-3, 3e-3, loss)


MODELS = {"budgets": budgets, "decays": decays}


@pytest.fixture(scope="module", params=["budgets", pytest.param("decays", marks=pytest.mark.slow)])
def solved(request):
    """A model, its optimum, and that of its bands."""
    build = MODELS[request.param]
    full = lpm.solve(build(lpm.ClassGroups.from_counts(COUNTS))).check()
    return build, full, lpm.solve(build(lpm.ClassGroups.banded(COUNTS, 0.25))).check()


def dense(solution, build):
    """Objective at the expanded K x K logits, and the bound of their scaled gradients, with NumPy alone."""
    groups, band = solution.problem.groups, solution.problem.groups.class_index
    Z, pi = np.asarray(solution.logits()), GIVEN / GIVEN.sum()
    omega = np.ones(pi.size) if build is budgets else np.sqrt(GIVEN)
    coarse_pi, coarse_omega = (np.asarray(x)[band] for x in (groups.weights, solution.problem.omega))

    def softmax(Z):
        return np.exp(Z) / np.exp(Z).sum(0)

    scale = coarse_omega / omega
    value = -np.sum(pi * np.log(np.diag(softmax(Z * scale))))
    gradient, eye = softmax(Z) - np.eye(pi.size), np.eye(pi.size)
    norm = np.linalg.norm(gradient * coarse_pi / coarse_omega, 2)
    price = np.inf if build is budgets else float(solution.problem.penalty)
    wanted = coarse_pi / (pi * scale) * min(1, price / norm)
    used = np.minimum(wanted, 1 / -np.diag(gradient))
    P = np.maximum(eye + used * gradient, 0)
    entropy = -np.sum(pi * np.sum(P * np.log(np.where(P > 0, P, 1)), 0))
    spectral = np.linalg.norm((P - eye) * pi / omega, 2)
    if build is budgets:
        return value, entropy - float(solution.problem.budget) * spectral
    assert spectral <= price * (1 + 1e-12)
    return value + price * np.linalg.norm(Z * scale * omega, "nuc"), entropy


def test_bands_hold_near_equal_classes():
    groups = lpm.ClassGroups.banded(COUNTS, 0.25)
    assert groups.classes.tolist() == [2, 4, 2, 4]
    assert groups.class_index.tolist() == [0, 3, 1, 1, 0, 3, 1, 3, 2, 2, 3, 1]
    for g in range(4):
        mine = GIVEN[groups.class_index == g]
        assert mine.max() <= 1.25 * mine.min()
        assert groups.samples[g] == pytest.approx(np.sqrt(mine).mean() ** 2, rel=1e-15)
        assert groups.weights[g] == pytest.approx(mine.mean() / GIVEN.sum(), rel=1e-15)
    none = lpm.ClassGroups.banded(COUNTS, 0.0)
    exact = lpm.ClassGroups.from_counts(COUNTS)
    for name in ("classes", "samples", "weights", "class_index"):
        np.testing.assert_allclose(getattr(none, name), getattr(exact, name), rtol=1e-15)
    assert (none.samples == exact.samples).all()
    original = groups.original
    assert original.order == exact.order and original.default_weights and exact.original is exact
    other = lpm.ClassGroups.banded([9, 9, 8, 8], 0.2, weights=[1, 3, 1, 3])
    assert other.classes.tolist() == [2, 2] and other.original.num_groups == 4
    with pytest.raises(ValueError, match=r"rtol = -0\.1 is out of range"):
        lpm.ClassGroups.banded(COUNTS, -0.1)


def test_bands_are_kept_and_cost_no_compilation(tmp_path):
    problems = [budgets(lpm.ClassGroups.banded([9, x, 2, 2], 0.3)) for x in (8, 8, 7)]
    assert problems[0].groups.order == problems[1].groups.order != problems[2].groups.order
    assert problems[0].groups.order != lpm.ClassGroups.from_counts([9, 9, 2, 2]).order
    assert hash(problems[0].groups.order) == hash(pickle.loads(pickle.dumps(problems[0].groups.order)))
    solutions = [lpm.solve(problem) for problem in problems]
    solutions[2].save(tmp_path / "bands.npz")
    again = lpm.load(tmp_path / "bands.npz")
    assert again.problem.groups.order == problems[2].groups.order
    assert unbanded(again).lower_bound == unbanded(solutions[2]).lower_bound


def test_the_interval_is_that_of_dense_algebra(solved, monkeypatch):
    build, full, solution = solved
    bound = unbanded(solution)
    value, lower = dense(solution, build)
    assert bound.value == pytest.approx(value, rel=1e-12)
    assert lower - 1e-9 <= bound.lower_bound <= full.value - full.gap
    assert bound.value >= full.value
    assert 1e-6 < bound.relative_gap < 2e-2
    monkeypatch.setattr(module, "_SHARES", [1.0])  # what the dense bound takes
    monkeypatch.setattr(module, "_REACHES", [0.0])
    assert unbanded(solution).lower_bound == pytest.approx(lower, rel=1e-7)


def test_expanded_coordinates_are_those_of_the_original_problem(solved):
    _, full, solution = solved
    bound = unbanded(solution)
    within, between, bias, _ = bound.coordinates()
    assert within.shape == full.within.shape and bias is None
    program = Program.of(jax.tree.map(np.asarray, bound.problem))
    proof = duality_gap(program, within, between)
    assert proof.value == pytest.approx(bound.value, rel=1e-12)
    assert proof.gap > bound.gap  # its gradient as it is, of first order in the width of the bands
    assert f"from {solution.problem.groups.num_groups} bands" in str(bound)


def test_the_interval_holds_at_any_coordinates(solved):
    _, full, solution = solved
    rng = np.random.default_rng(0)
    within, between = np.asarray(solution.within), np.asarray(solution.between)
    for size in (1e-3, 1e-1, 1.0, 10.0):
        for _ in range(10):
            moved = dataclasses.replace(
                solution,
                within=within * np.exp(size * rng.standard_normal(within.shape)),
                between=between + size * rng.standard_normal(between.shape),
            )
            bound = unbanded(moved)
            assert bound.lower_bound <= full.value and bound.value >= full.value - full.gap


def test_the_interval_of_the_multiplier_holds_that_of_all_classes(solved):
    build, full, solution = solved
    least, most = unbanded(solution).multiplier
    if build is budgets:
        assert 0.85 * most < least <= full.multiplier <= most
    else:
        assert least == most == full.problem.penalty


@pytest.mark.parametrize("loss", [None, lpm.LabelSmoothing(0.1)])
@pytest.mark.parametrize(
    "E_H", [pytest.param(0.01, marks=pytest.mark.slow), 5.0, pytest.param(1e3, marks=pytest.mark.slow)]
)
def test_chords_hold_the_multiplier_wherever_the_budget_is(loss, E_H):
    """Also where one of a smoothed loss does not bind: it is 0 there, and so is what holds it."""
    full, bands, exact = (
        lpm.solve(lpm.LayerPeeled(groups, 1.0, E_H, loss))
        for groups in (lpm.ClassGroups.from_counts(COUNTS), *(lpm.ClassGroups.banded(COUNTS, r) for r in (0.25, 0.0)))
    )
    free = loss is not None and E_H == 1000
    assert (float(full.multiplier) == 0) == free
    for solution, within in ((bands, 0.3), (exact, 1e-4)):
        bound = unbanded(solution)
        least, most = bound.multiplier
        assert least <= full.multiplier <= most
        assert most < 1e-6 * bound.value if free else most - least < within * most


def test_what_is_not_known_of_the_value_is_not_of_the_multiplier():
    loose = module._between_chords(lambda share: 1 / share, 0.0, 1.0, 1.0, 0.0)
    assert loose[0] == 0 and loose[1] > 3


def test_bands_of_equal_classes_prove_what_the_solution_does(solved):
    build, full, _ = solved
    same = lpm.solve(build(lpm.ClassGroups.banded(COUNTS, 0.0)))
    bound = unbanded(same)
    assert bound.value == pytest.approx(float(full.value), rel=1e-13)
    assert bound.relative_gap < 1e-9
    np.testing.assert_allclose(bound.coordinates().between, same.between, atol=1e-10)


def test_the_norm_bounds_that_of_classes_as_they_weigh():
    rng, above, excess = np.random.default_rng(3), [], []
    for _ in range(300):
        band = np.sort(np.r_[[0, 0, 1, 1, 2], rng.integers(0, 3, 7)])
        K = np.bincount(band)
        each = np.exp(rng.uniform(-1, 1) * rng.normal(size=band.size))  # weights of the classes
        weights, apart = np.bincount(band, each) / K, rng.uniform(0, 2, 3)
        constant = rng.normal(size=(3, 3)) / np.sqrt(K[:, None] * K)
        between = (np.sqrt(K[:, None] * K) * constant - np.diag(apart)) * weights
        norm = max(np.linalg.norm(between, 2), np.max(apart * weights, where=K > 1, initial=0.0))
        coarse, fine = (SimpleNamespace(classes=c, weights=w, omega=1.0) for c, w in ((K, weights), (each**0, each)))
        proof = SimpleNamespace(block=-between, norm=norm)
        free, bound, factor = module._as_they_weigh(coarse, fine, band, proof, apart * weights, 0.98)
        columns = np.where(free[band], factor * each, weights[band])
        dense = np.linalg.norm((constant[band][:, band] - np.diag(apart[band])) * columns, 2)
        assert norm <= bound and dense <= bound * (1 + 1e-13) and (factor <= 1).all()
        above.append(dense / norm)
        excess.append((bound / norm - 1) / (dense / norm - 1) if dense > 1.0001 * norm else np.inf)
    assert max(above) > 1.1 and min(excess) < 1.05  # what is added is needed, and hardly more than is needed


@pytest.mark.parametrize("loss", [lpm.CrossEntropy(), lpm.LabelSmoothing(0.1)])
def test_scaled_gradients_stay_gradients_of_the_loss(loss):
    rng = np.random.default_rng(1)
    rivals = np.where(np.eye(4, dtype=bool), [2, 0, 4, 1], np.array([3, 1, 5, 2])[:, None]).astype(float)
    loss = jax.tree.map(np.asarray, loss)
    at = loss.on_groups(rng.normal(0, 3, (4, 4)), rivals)
    floor = 0.1 / (1 + rivals.sum(0)) if isinstance(loss, lpm.LabelSmoothing) else 0.0
    most = loss.largest_scale(at, rivals)
    assert (most >= 1).all()
    for factor, possible in ((1.0, True), (1 + 1e-9, False)):
        entries = factor * most * at.wrong + floor
        least = np.minimum(np.where(rivals > 0, entries, 1).min(0), 1 - np.sum(rivals * entries, 0))
        assert ((least >= 0) == possible).all()


def test_what_bands_prove_nothing_of():
    bands = lpm.ClassGroups.banded([9, 8, 2, 2], 0.3)
    with pytest.raises(ValueError, match="solution has no bands"):
        unbanded(lpm.solve(lpm.LayerPeeled.two_group(2, 2, 3.0, 1.0, 1.0)))
    solution = lpm.solve(budgets(bands))
    for problem, words in (
        (lpm.LayerPeeled(bands, 1.0, 1.0, lpm.LogitAdjusted()), "loss LogitAdjusted"),
        (lpm.LayerPeeled(bands, 1.0, 1.0, lpm.VectorScaling([1.0, 1.0])), "loss VectorScaling"),
        (lpm.LayerPeeled(bands, 1.0, 1.0, lpm.SquaredError()), "loss SquaredError"),
        (lpm.LayerPeeled(bands, 1.0, 1.0, dim=3), "or a dim"),
        (lpm.UnconstrainedFeatures(bands, 1e-2, 1e-2, bias_decay=1e-2), "has a bias"),
        (lpm.UnconstrainedFeatures(bands, 1e-2, 1e-2, nonnegative=True), "ReLU features"),
    ):
        with pytest.raises(ValueError, match=words):
            unbanded(dataclasses.replace(solution, problem=problem))
    with pytest.raises(ValueError, match="in float64"):
        unbanded(jax.tree.map(lambda leaf: leaf[None], solution))
    with pytest.raises(ValueError, match="works on the host"):
        jax.jit(unbanded)(solution)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", [None, lpm.LabelSmoothing(0.1)])
def test_intervals_of_random_tails_hold_the_optimum(model, loss):
    rng = np.random.default_rng(2)
    for K in (50, 90):
        counts = np.rint(np.exp(rng.uniform(np.log(3), np.log(2000), K))).astype(int) + 1
        weights = None if K == 50 else np.exp(rng.normal(0, 0.05, K)) * counts
        build = MODELS[model]
        full = lpm.solve(build(lpm.ClassGroups.from_counts(counts, weights), loss)).check()
        for rtol in (0.05, 0.2, 1.0):
            bound = unbanded(lpm.solve(build(lpm.ClassGroups.banded(counts, rtol, weights), loss)))
            assert bound.lower_bound <= full.value and bound.value >= full.lower_bound
            assert bound.relative_gap < 0.5 * rtol**2 + 0.01


@pytest.mark.slow
def test_rare_classes_do_not_make_the_interval_one_of_first_order(monkeypatch):
    counts = np.rint(np.geomspace(2000, 20, 150))
    full = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.from_counts(counts), 1.0, 1.0), tol=1e-7).check()
    assert int(np.sum(full.slack < 0)) > 70  # next to never predicted, so that they cannot pull more than they weigh
    widths = {}
    for reaches in (module._REACHES, [0.0]):
        monkeypatch.setattr(module, "_REACHES", reaches)
        for rtol in (0.4, 0.2):
            bound = unbanded(lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.banded(counts, rtol), 1.0, 1.0)))
            assert bound.lower_bound <= full.value - full.gap <= full.value <= bound.value
            widths[len(reaches) > 1, rtol] = bound.relative_gap
    assert widths[True, 0.2] < widths[True, 0.4] / 3 and widths[False, 0.2] > widths[False, 0.4] / 3
    assert widths[True, 0.2] < widths[False, 0.2] / 3


def test_what_weighs_is_paid_for(monkeypatch):
    counts = np.array([400, 380, 100, 90, 24, 22, 20, 17, 15, 14, 13, 13], float)
    solution = lpm.solve(budgets(lpm.ClassGroups.banded(counts, 1.0))).check()
    band = solution.problem.groups.class_index
    coarse_pi, pi, eye = np.asarray(solution.problem.groups.weights), counts / counts.sum(), np.eye(counts.size)
    monkeypatch.setattr(module, "_REACHES", [0.9])
    monkeypatch.setattr(module, "_SHARES", [1.0])
    gradient = (P := np.exp(np.asarray(solution.logits()))) / P.sum(0) - eye
    tail = band == band[-1]
    assert tail.sum() == 8 and (solution.slack[band[-1]] < np.log(0.9)) and (solution.slack[: band[-1]] > 0).all()
    used = np.minimum(coarse_pi[band] / pi, 1 / -np.diag(gradient))
    used[tail] = coarse_pi[band[-1]] / np.sqrt(np.mean(pi[tail] ** 2))
    P = eye + used * gradient
    entropy = -np.sum(pi * np.sum(P * np.log(P), 0))
    lower = entropy - float(solution.problem.budget) * np.linalg.norm((P - eye) * pi, 2)
    assert lower - 1e-4 < unbanded(solution).lower_bound <= lower + 1e-13


@pytest.mark.slow
def test_a_long_tail_of_two_hundred_classes():
    counts = np.rint(1280 * (5 / 1280) ** (np.arange(200) / 199))
    full = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.from_counts(counts), 1.0, 5.0)).check()
    widths = []
    for rtol in (0.4, 0.1, 0.05):
        bound = unbanded(lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.banded(counts, rtol), 1.0, 5.0)))
        assert bound.lower_bound <= full.value - full.gap <= full.value <= bound.value
        widths.append(bound.relative_gap)
    assert widths[0] < 2e-2 and widths[1] < 3e-3 and widths[2] < widths[1] / 3  # of second order in rtol
