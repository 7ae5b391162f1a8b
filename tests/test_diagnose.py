"""diagnose against the boundary curves, a linear programme, dense linear algebra, and solves just short of a remedy."""

import dataclasses
import json
import re
import sys
import warnings
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, linprog

import lpmjax as lpm
from lpmjax import symmetry
from lpmjax.remedies import of_budgets, regrouped, thresholds

diagnose = sys.modules["lpmjax.diagnose"]  # the name is the function's
COUNTS = np.array([6, 40, 2, 40, 2, 20, 6, 2])  # four distinct counts: all solves here share a compilation
N, K = COUNTS.sum(), COUNTS.size
DECAY = np.sqrt(10) / N  # classes of at most 10 samples collapse


@pytest.fixture(scope="module")
def budgets():
    """Some classes collapse under these budgets."""
    return lpm.diagnose(COUNTS, E_W=1.0, E_H=0.5)


@pytest.fixture(scope="module")
def decays():
    return lpm.diagnose(COUNTS, lambda_W=4 * DECAY, lambda_H=DECAY / 4)


def again(found, weights=None, **changed):
    """The same counts at other weights or parameters."""
    return lpm.diagnose(COUNTS, weights=weights, remedies=False, **(found.parameters | changed))


@pytest.mark.parametrize("classes", [2, 5])
def test_two_groups_meet_the_boundary_curve(classes):
    R = 100
    found = lpm.diagnose([R] * classes + [1] * classes, E_W=1.0, E_H=5.0)
    assert found.certified
    assert found.collapsed.tolist() == [False] * classes + [True] * classes
    weights, budget = found.remedies
    R0 = float(lpm.boundary.merged(classes, classes, 5**0.5))
    assert weights.scale == pytest.approx(R / R0, rel=3e-8)
    assert weights.factors == pytest.approx([1] * classes + [R / R0] * classes, rel=3e-8)
    s = brentq(lambda s: float(lpm.boundary.merged(classes, classes, s)) - R, 2, 6, xtol=1e-13)
    assert budget.scale == pytest.approx(s**2 / 5, rel=3e-8)
    assert budget.parameters == pytest.approx({"E_W": 1.0, "E_H": s**2}, rel=3e-8)
    for remedy in found.remedies:
        assert remedy.status == lpm.Status.certified
        assert 0 <= remedy.slack < 1e-7
        assert remedy.accuracy <= 2e-8


def test_weight_decay_threshold(decays):
    np.testing.assert_array_equal(decays.collapsed, COUNTS < N**2 * DECAY**2)
    np.testing.assert_allclose(decays.slack, 0.5 * np.log(COUNTS / (N * DECAY) ** 2), atol=1e-12)
    remedy = decays.remedies[1]
    assert remedy.scale == pytest.approx(np.sqrt(COUNTS.min()) / (N * DECAY), rel=1e-14)
    assert remedy.parameters["lambda_W"] == pytest.approx(4 * DECAY * remedy.scale, rel=1e-14)
    assert 0 < remedy.slack < 1e-14 and remedy.accuracy < 1e-14
    assert decays.certified


def test_remedies_at_weight_decay_need_no_solve_and_can_be_copied():
    asked = []
    found = lpm.diagnose(COUNTS, lambda_W=4 * DECAY, lambda_H=DECAY / 4, progress=lambda *at: asked.append(at))
    assert asked == [(0, "the model")]
    printed = re.search(
        r"both weight decays times (\S+): lambda_W = (\S+), lambda_H = (\S+)\. Exact", found.remedies[1].message
    )
    assert printed is not None
    scale, decay_W, decay_H = map(float, printed.groups())
    assert scale == pytest.approx(np.sqrt(2 / 10), rel=1e-9)
    for decays in (
        {"lambda_W": decay_W, "lambda_H": decay_H},
        {"lambda_W": 4 * DECAY * scale, "lambda_H": DECAY / 4 * scale},
    ):
        assert not lpm.diagnose(COUNTS, remedies=False, **decays).collapsed.any()
    factors = found.remedies[0].factors
    assert not again(found, COUNTS * factors).collapsed.any()
    for n in set(COUNTS[factors > 1]):
        np.testing.assert_array_equal(
            again(found, COUNTS * factors * np.where(COUNTS == n, 1 - 1e-12, 1)).collapsed, COUNTS == n
        )


def test_reweighting_at_weight_decay_solves_the_linear_programme(decays):
    """Least q >= pi with q_k >= lambda omega_k sum q: one point minimises every objective that increases with q."""
    pi, price = COUNTS / N, DECAY * np.sqrt(COUNTS)
    for objective in (np.ones(K), np.arange(1.0, K + 1)):
        matrix = np.outer(price, np.ones(K)) - np.eye(K)
        least = linprog(objective, matrix, np.zeros(K), bounds=[(p, None) for p in pi], method="highs").x
        np.testing.assert_allclose(decays.remedies[0].factors, least / pi, rtol=2 * decays.remedies[0].accuracy + 1e-8)
    assert (decays.remedies[0].factors > 1).sum() == 5


def test_no_weights_prevent_collapse_at_large_decay():
    found = lpm.diagnose(COUNTS, lambda_W=0.04, lambda_H=0.04)
    assert 0.04 * np.sqrt(COUNTS).sum() > 1
    weights, decay = found.remedies
    assert weights.scale is None and "there is none" in weights.message and "must be below 1" in weights.message
    assert decay.scale == pytest.approx(np.sqrt(2) / (N * 0.04), rel=1e-14)
    assert found.certified


@pytest.mark.parametrize("case", ["budgets", "decays"])
def test_a_little_less_than_a_remedy_leaves_a_collapsed_class(case, request):
    found = request.getfixturevalue(case)
    assert found.collapsed.sum() == 5
    weights, other = found.remedies
    milder = 1 if case == "budgets" else -1
    for relative, collapses in ((1e-3, False), (-1e-5, True)):
        scaled = {name: value * (1 + milder * relative) for name, value in other.parameters.items()}
        assert again(found, **scaled).collapsed.any() == collapses
    raised = weights.factors > 1
    enough = COUNTS * np.where(raised, weights.factors * (1 + 2e-3), 1.0)
    assert not again(found, enough).collapsed.any()
    for n in set(COUNTS[raised]):
        short = again(found, enough * np.where(COUNTS == n, 1 - 1e-2, 1.0))
        np.testing.assert_array_equal(short.collapsed, COUNTS == n)


@pytest.mark.parametrize("case", ["budgets", "decays"])
def test_dual_margin_is_that_of_the_dense_gradient(case, request):
    found = request.getfixturevalue(case)
    Z, omega = np.asarray(found.solution.logits()), np.ones(K) if case == "budgets" else np.sqrt(COUNTS)
    softmax = np.exp(Z) / np.exp(Z).sum(0)
    sigma = np.linalg.svd((softmax - np.eye(K)) * (COUNTS / N) / omega, compute_uv=False)
    rank = np.linalg.matrix_rank(Z, tol=1e-6)
    assert rank == int(found.solution.rank) < K - 1
    assert sigma[rank - 1] == pytest.approx(sigma[0], rel=1e-5)
    assert found.dual_margin == pytest.approx(1 - sigma[rank] / sigma[0], abs=1e-5)
    assert found.dual_margin > 1e-3


@pytest.mark.parametrize("case", ["budgets", "decays"])
def test_nearest_classes_and_norms_are_those_of_dense_factors(case, request):
    found = request.getfixturevalue(case)
    W, H = (np.asarray(x) for x in found.solution.factors())
    np.testing.assert_allclose(found.w_norm2, np.sum(W**2, 1), atol=1e-8)
    np.testing.assert_allclose(found.h_norm2, np.sum(H**2, 0), atol=1e-8)
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    gram = unit @ unit.T - 4 * np.eye(K)
    np.testing.assert_allclose(found.cosine, gram.max(1), atol=1e-5)
    np.testing.assert_allclose(gram[np.arange(K), found.nearest], gram.max(1), atol=1e-5)


def test_full_rank_has_no_dual_margin(budgets):
    found = again(budgets, E_H=100.0)
    assert int(found.solution.rank) == K - 1
    assert np.isnan(found.dual_margin)
    assert "dual margin" not in str(found)


def test_budgets_are_weight_decays_of_class_averages():
    found = lpm.diagnose([30, 30, 2, 2], E_W=0.5, E_H=3.0, remedies=False)
    s = found.solution
    averaged = lpm.ClassGroups(s.problem.groups.classes, [1.0, 1.0], s.problem.groups.weights)
    other = lpm.solve(lpm.UnconstrainedFeatures(averaged, **found.equivalent))
    for field in ("within", "between", "w_norm2", "h_norm2", "cosine"):
        np.testing.assert_allclose(getattr(other, field), getattr(s, field), atol=1e-9)


def test_weight_decays_are_budgets():
    found = lpm.diagnose([7, 7, 7, 7, 7], weights=[30, 30, 2, 2, 2], lambda_W=2e-2, lambda_H=5e-3, remedies=False)
    E = found.equivalent
    assert E["E_H_samples"] == pytest.approx(7 * E["E_H"])
    other = lpm.diagnose([7] * 5, weights=[30, 30, 2, 2, 2], E_W=E["E_W"], E_H=E["E_H"], remedies=False)
    np.testing.assert_allclose(other.solution.logits(), found.solution.logits(), atol=1e-8)
    np.testing.assert_allclose(other.w_norm2, found.w_norm2, atol=1e-8)


def test_no_remedy_is_claimed_without_certificates():
    found = lpm.diagnose([100, 100, 1, 1], tol=1e-18)
    assert not found.certified
    assert [(r.scale, r.status) for r in found.remedies] == [(None, lpm.Status.stalled)] * 2
    assert not found.known
    with pytest.raises(RuntimeError, match=r"Not certified \(stalled\): the relative gap .* is above tol = 1.0e-18"):
        found.collapsed  # noqa: B018
    assert "which classes collapse is not known" in str(found).replace("\n", " ") and "*" not in str(found)
    record = found.record()
    assert (record["collapsed"], record["num_collapsed"], record["status"]) == (None, None, "stalled")
    assert found.to_dataframe()["collapsed"].isna().all()


def test_with_weight_decay_slack_and_remedies_are_known_without_a_certificate():
    found = lpm.diagnose(COUNTS, lambda_W=DECAY, lambda_H=DECAY, tol=1e-18)
    assert not found.certified and found.known
    np.testing.assert_array_equal(found.collapsed, COUNTS < 10)
    assert [remedy.status for remedy in found.remedies] == [lpm.Status.certified] * 2
    assert "Not certified: slack is known" in str(found) and "undetermined" in str(found)


def test_weights_are_of_classes_and_sample_weights_of_samples():
    counts = np.array([100, 100, 1, 1])
    inverse = 1 / counts
    balanced = lpm.diagnose(counts, sample_weights=inverse, remedies=False)
    np.testing.assert_allclose(balanced.weight, 1 / 4, rtol=1e-15)
    assert not balanced.collapsed.any()
    assert lpm.diagnose(counts, weights=inverse, remedies=False).collapsed.tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match=r"give weights \(of a whole class\) or sample_weights"):
        lpm.diagnose(counts, weights=inverse, sample_weights=inverse)
    with pytest.raises(ValueError, match=r"sample_weights\[3\] = 0"):
        lpm.diagnose(counts, sample_weights=[1, 1, 1, 0])


def test_order_and_names_are_the_callers(budgets):
    names = [f"class {k}" for k in range(K)]
    found = lpm.diagnose(dict(zip(names, COUNTS.tolist(), strict=True)), E_W=1.0, E_H=0.5, remedies=False)
    assert found.names == tuple(names)
    np.testing.assert_array_equal(found.counts, COUNTS)
    np.testing.assert_array_equal(found.slack, budgets.slack)
    np.testing.assert_allclose(found.weight, COUNTS / N)
    assert found.remedies == ()


def test_balanced_counts_need_nothing_and_zero_logits_have_no_geometry():
    found = lpm.diagnose([9, 9, 9])
    assert not found.collapsed.any()
    assert [(r.kind, r.scale, r.message) for r in found.remedies] == [
        ("weights", 1.0, "none needed."),
        ("budget", 1.0, "none needed."),
    ]
    np.testing.assert_allclose(found.cosine, -1 / 2)
    dead = lpm.diagnose([9, 9, 9], lambda_W=1.0, lambda_H=1.0)
    assert dead.collapsed.all()
    assert dead.nearest.tolist() == [-1, -1, -1]
    assert np.isnan(dead.cosine).all()
    assert dead.remedies[0].scale is None
    assert dead.remedies[1].scale == pytest.approx(1 / 9, rel=1e-14)
    assert dead.record()["nearest"] == [None, None, None]


def test_table_and_record(budgets):
    names = ["猫", "a very long name that does not fit", "tab\tand \x1b[31mred", *"defgh"]
    found = lpm.diagnose(COUNTS, names=names, E_W=1.0, E_H=0.5, remedies=False)
    text = str(found)
    assert max(map(len, str(budgets).splitlines() + text.splitlines())) <= 80
    assert "\x1b" not in text and "a very long na…" in text
    assert budgets.record()["reading"] is None
    assert text.count(" * ") == 5
    record = budgets.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["K"], record["N"], record["num_collapsed"], record["status"]) == (8, 118, 5, "certified")
    assert record["collapsed"] == (COUNTS < 10).tolist()
    assert record["remedies"][0]["factors"] == budgets.remedies[0].factors.tolist()


def test_names_that_begin_alike_are_told_apart_in_the_table():
    names = [f"a species with a very long name, number {k}" for k in range(K)]
    text = str(lpm.diagnose(COUNTS, names=names, E_W=1.0, E_H=0.5, remedies=False))
    rows = [line for line in text.splitlines() if line.startswith("a speci")]
    assert len({row[:15] for row in rows}) == K
    assert {row[:15].strip() for row in rows} >= {row[57:72].strip() for row in rows}
    assert max(map(len, text.splitlines())) <= 80


def test_files_and_named_counts_are_read_as_by_the_command(tmp_path, budgets):
    path = tmp_path / "counts.txt"
    path.write_text("\n".join(map(str, COUNTS)))
    with pytest.raises(ValueError, match=r"count \(8 classes, 118 samples\) or a label \(4 classes, 8 samples\)"):
        lpm.diagnose(path)
    options = {"E_W": 1.0, "E_H": 0.5, "remedies": False}
    found = lpm.diagnose(str(path), reading="counts", names=list("abcdefgh"), **options)
    assert found.names == tuple("abcdefgh")
    np.testing.assert_array_equal(found.slack, budgets.slack)
    assert found.reading == found.record()["reading"] == "one count per line"
    assert str(found).splitlines()[1] == "read as one count per line"
    series = pd.Series(np.repeat(np.arange(K), COUNTS)).value_counts(sort=False)[::-1]
    found = lpm.diagnose(series, weights=pd.Series(COUNTS * 1.0), **options)
    assert found.names == tuple("76543210")
    np.testing.assert_allclose(found.slack, budgets.slack[::-1])


def test_long_tables_show_both_ends_and_where_collapse_begins():
    counts = np.repeat(COUNTS, 10)
    text = str(lpm.diagnose(counts, E_W=1.0, E_H=0.5, remedies=False)).splitlines()
    assert text.count("...") == 2
    assert len(text) < 32
    rows = [line for line in text if line.split() and line.split()[0].isdigit() and len(line) > 60]
    stars = ["*" in row[33:36] for row in rows]
    assert 5 < stars.index(True) < len(stars) - 5


@pytest.mark.slow
def test_many_distinct_counts_are_searched_in_bands_and_verified(monkeypatch):
    counts = np.array([90, 60, 58, 40, 38, 20, 6, 6, 5, 2, 2, 2])
    few = lpm.diagnose(counts, E_W=1.0, E_H=0.5)
    asked = []
    monkeypatch.setattr(of_budgets, "MANY", 0)
    many = lpm.diagnose(counts, E_W=1.0, E_H=0.5, progress=lambda _, what: asked.append(what))
    for remedy, exact in zip(many.remedies, few.remedies, strict=True):
        assert remedy.status == lpm.Status.certified and remedy.slack >= 0
        assert exact.scale - exact.accuracy <= remedy.scale <= exact.scale * (1 + 2 * remedy.accuracy)
        assert remedy.accuracy < 2e-3
        np.testing.assert_allclose(remedy.factors, exact.factors, rtol=2 * remedy.accuracy)
    ends = [what for what in asked if "bands" not in what]
    assert ends.count("verifying E_H") == ends.count("verifying the weights") == 1
    assert ends.count("E_H needed") <= 3 and ends.count("the weights needed") <= 3


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.5])
def test_secants_find_both_sides_of_a_threshold(slope):
    asked = []

    def trial(x, exact, status=lpm.Status.certified, gap=1e-9):
        asked.append((x, exact))
        slack = np.array([2.0, 1 - np.exp(0.3 - x)])
        return SimpleNamespace(slack=slack, status=int(status), gap=np.array(gap), value=np.array(1.0), problem=None)

    found = thresholds.approached(trial, 0.28, slope, 1e-4)
    assert 0.3 <= found.x < 0.3005 and found.x - found.accuracy < 0.3
    assert found.slack >= 0 and found.accuracy < 1e-3
    assert [exact for _, exact in asked].count(True) <= 2 and len(asked) <= 7
    stalled = partial(trial, status=lpm.Status.stalled)
    vague = partial(trial, gap=2e-6)
    assert thresholds.approached(stalled, 0.28, slope, 1e-4) is thresholds.approached(vague, 0.28, slope, 1e-4) is None
    never = thresholds.approached(lambda x, exact: trial(x - 9.0 * exact, exact), 0.28, slope, 1e-4)
    assert never is None


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.5])
def test_intervals_of_slack_enclose_a_threshold(slope):
    """Above, all of the interval is non-negative, and below negative, though slack is nearly flat above."""
    asked = []

    def trial(x, width=0.01):
        asked.append(x)
        slack = (x - 0.3) * (1.0 if x < 0.3 else 0.4)
        return thresholds.Shown((slack - width, slack + width), lpm.Status.certified, None)

    for start in (0.28, 0.3, 0.33):
        found = thresholds.enclosed(trial, start, slope)
        assert trial(found.x).slack[0] >= 0 > trial(found.x - found.accuracy).slack[1]
        assert found.slack == trial(found.x).slack[0] and found.accuracy < 0.1
    assert len(asked) <= 3 * (7 + 3)

    def exact(x, vague=False):
        slack, code = sum(trial(x).slack) / 2, lpm.Status.certified
        gap = np.array(1e-3 if vague else 1e-9)
        return SimpleNamespace(slack=np.array([slack]), status=int(code), gap=gap, value=np.array(1.0), problem=None)

    for start in (0.28, 0.3, 0.302):
        found = thresholds.approached_from_above(exact, trial, start, slope, 1e-3)
        assert 0 <= found.slack < 5e-3 and found.x >= 0.3 and found.x - found.accuracy < 0.29 and found.accuracy < 0.03
    assert thresholds.approached_from_above(partial(exact, vague=True), trial, 0.3, slope, 1e-3) is None
    assert thresholds.enclosed(lambda x: trial(x, np.inf), 0.3, slope) is None
    assert thresholds.enclosed(lambda x: trial(min(x, 0.31), 0.02), 0.3, slope) is None  # never all above zero


@pytest.fixture(scope="module")
def in_bands():
    """61 distinct counts, diagnosed all, and in bands that leave a gap of at most 5e-3."""
    counts = np.round(np.geomspace(400, 20, 80)).astype(int).tolist()
    exact = lpm.diagnose(counts, E_W=1.0, E_H=0.5, remedies=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnose, "MANY", 0)
        return exact, lpm.diagnose(counts, E_W=1.0, E_H=0.5, tol=5e-3)


@pytest.mark.slow
def test_bands_say_what_they_know_of_every_class(in_bands):
    exact, found = in_bands
    groups = found.solution.problem.groups
    assert groups.num_groups < np.unique(found.counts).size / 2 and found.certified
    assert (found.collapsed <= exact.collapsed).all() and (exact.collapsed <= found.collapsed | found.undecided).all()
    assert 0 < found.undecided.sum() < 15 < found.collapsed.sum() and not exact.undecided.any()
    np.testing.assert_allclose(found.slack, exact.slack, atol=0.03)
    np.testing.assert_allclose(found.weight, exact.weight, rtol=1e-14)
    proof = found.in_bands.proof
    assert proof.lower_bound <= exact.solution.value <= proof.value and proof.relative_gap <= 5e-3
    assert proof.multiplier[0] <= exact.solution.multiplier <= proof.multiplier[1]


@pytest.mark.slow
def test_what_is_undecided_says_so_everywhere(in_bands):
    _, found = in_bands
    record, frame, text = found.record(), found.to_dataframe(), str(found)
    open_ = found.undecided.tolist()
    assert [told is None for told in record["collapsed"]] == frame["collapsed"].isna().tolist() == open_
    assert record["num_undecided"] == sum(open_) and record["num_collapsed"] == found.collapsed.sum()
    assert (record["num_bands"], record["phase"], record["rank"]) == (
        found.solution.problem.groups.num_groups,
        "undetermined",
        None,
    )
    low, high = record["multiplier_range"]
    assert low < record["multiplier"] < high and record["gap"] < record["tol"] * record["value"]
    marks = [line[34] for line in text.splitlines() if re.match(r"\d+ +\d+ ", line)]
    assert marks == sorted(marks, key=" ?*".index) and set(marks) == set(" ?*")
    assert f"in {record['num_bands']} bands; certified" in text and max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_remedies_of_bands_are_those_of_all_classes(in_bands):
    exact, found = in_bands
    for remedy, better in zip(found.remedies, exact.with_remedies().remedies, strict=True):
        assert remedy.status == lpm.Status.certified and remedy.slack >= 0
        low, high = np.log(remedy.scale) - remedy.accuracy, np.log(remedy.scale)
        assert low - 2e-3 <= np.log(better.scale) <= high + 2e-3
        assert remedy.accuracy < 0.2 and remedy.factors.shape == found.counts.shape
    budget = found.remedies[1]
    again = lpm.diagnose(found.counts.tolist(), remedies=False, **budget.parameters)
    assert not again.collapsed.any()


def test_without_bands_slack_is_that_of_the_solution(budgets):
    solution = budgets.solution
    np.testing.assert_array_equal(budgets.slack, np.asarray(solution.slack)[solution.problem.groups.class_index])


def test_bands_of_decays_leave_nothing_open(monkeypatch):
    monkeypatch.setattr(diagnose, "MANY", 0)
    counts = np.repeat([40, 39, 20, 19, 6, 5, 3, 2], 2).tolist()
    found = lpm.diagnose(counts, lambda_W=4 * DECAY, lambda_H=DECAY / 4, tol=0.05)
    exact = lpm.diagnose(counts, lambda_W=4 * DECAY, lambda_H=DECAY / 4, remedies=False)
    assert found.in_bands is not None and not found.undecided.any()
    np.testing.assert_allclose(found.slack, exact.slack, rtol=1e-13)
    assert (found.collapsed == exact.collapsed).all() and [r.kind for r in found.remedies] == ["weights", "decay"]
    assert "multiplier_range" in found.record() and found.remedies[0].factors.shape == (16,)


def test_groups_are_put_into_bands_and_taken_apart():
    groups = lpm.ClassGroups([1, 2, 3, 0, 2, 4], [50, 48, 30, 20, 3.2, 3.0])
    bands, band = regrouped.in_bands(groups, 5)
    assert bands.classes.tolist() == [3, 3, 2, 4, 0] and band.tolist() == [0, 0, 1, 0, 2, 3]
    np.testing.assert_allclose(bands.weights[0], np.array(groups.weights[:2]) @ [1, 2] / 3)
    rng = np.random.default_rng(0)
    within, between, classes = rng.random(5), rng.standard_normal((5, 5)), np.asarray(bands.classes)
    finer = np.asarray(groups.classes)
    parts = symmetry.split(within, between, classes, band, finer)
    margins = [symmetry.margins(*at) for at in ((within, between, classes), (*parts, finer))]
    here = symmetry.count_rivals(finer) > 0
    np.testing.assert_allclose(margins[1][here], margins[0][band][:, band][here], atol=1e-12)
    raised = regrouped.raised(groups, float(groups.weights[2]))
    assert raised.classes.tolist() == [1, 2, 3, 0, 0, 6]
    assert regrouped.compact(raised, 4).classes.tolist() == [1, 2, 3, 6]
    with pytest.raises(ValueError, match="size = 3 is out of range: 4 groups"):
        regrouped.compact(raised, 3)


def test_remedies_come_one_by_one(budgets):
    known = list(dataclasses.replace(budgets, remedies=()).one_by_one())
    assert [[remedy.kind for remedy in found.remedies] for found in known] == [["budget"], ["weights", "budget"]]
    assert known[1].record() == budgets.record()
    assert list(budgets.one_by_one()) == []


def test_progress_counts_solves_and_says_what_they_are_for():
    seen, later = [], []
    at_once = lpm.diagnose([100, 100, 1, 1], progress=lambda *at: seen.append(at))
    assert [done for done, _ in seen] == list(range(len(seen)))
    assert list(dict.fromkeys(purpose for _, purpose in seen)) == [
        "the model",
        "the budget needed",
        "verifying E_H",
        "the weights needed",
        "verifying the weights",
    ]
    found = lpm.diagnose([100, 100, 1, 1], remedies=False)
    with_them = found.with_remedies(progress=lambda *at: later.append(at))
    assert found.remedies == ()
    assert later == [(done - 1, purpose) for done, purpose in seen[1:]]
    assert with_them.record() == at_once.record()
    assert with_them.with_remedies() is with_them


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"E_W": 1.0}, "give both of E_W, E_H"),
        ({"E_W": 1.0, "lambda_H": 1.0}, "got E_W, lambda_H"),
        ({"E_W": 1.0, "E_H": 0.0}, "E_H = 0"),
        ({"lambda_W": float("nan"), "lambda_H": 1.0}, "lambda_W = nan"),
        ({"weights": [1.0, 2.0, 3.0]}, "weights has shape"),
        ({"weights": [1.0, -2.0]}, "weights"),
        ({"tol": 0.0}, "tol = 0"),
        ({"counts": 5}, "counts must be .* got 5"),
        ({"counts": None}, "counts must be .* path of a file; got None"),
        ({"counts": np.ma.array([3, 4, 5], mask=[0, 0, 1])}, "counts has masked entries"),
        ({"names": 5}, "names must be .* got 5"),
        ({"reading": "counts"}, "reading = 'counts' is for files"),
    ],
)
def test_bad_arguments(arguments, named):
    with pytest.raises(ValueError, match=named):
        lpm.diagnose(**({"counts": [3, 4]} | arguments))


def test_a_missing_file_is_named():
    with pytest.raises(OSError, match=r"cannot read nowhere\.csv: No such file"):
        lpm.diagnose("nowhere.csv")


def test_a_diagnosis_is_a_data_frame():
    found = lpm.diagnose({"cat": 100, "dog": 100, "emu": 1, "fox": 1}, remedies=False)
    frame = found.to_dataframe()
    assert frame.index.name == "class" and frame.index.tolist() == ["cat", "dog", "emu", "fox"]
    assert frame["count"].tolist() == [100, 100, 1, 1]
    for name in ("weight", "slack", "collapsed", "w_norm2", "h_norm2", "cosine"):
        np.testing.assert_array_equal(frame[name], getattr(found, name))
    assert frame["nearest"].tolist() == [found.names[k] for k in found.nearest]
    assert frame[frame.collapsed].index.tolist() == ["emu", "fox"]


def test_where_float32_is_the_default_nothing_is_rounded_to_it():
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.simplefilter("error")  # jax warns where it cuts float64
        found = lpm.diagnose({"a": 100, "b": 90, "c": 5, "d": 4}, E_W=1.0, E_H=5.0)
        assert str(found) and found.record()["num_collapsed"] == found.collapsed.sum()
    assert found.solution.value.dtype == np.float64
