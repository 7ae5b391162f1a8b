"""Any number of groups: against Clarabel, the exact solvers, known values and the boundaries, with derivatives."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import convex_optimum

import lpmjax as lpm
from lpmjax import spectral
from lpmjax.solvers import grouped, truncated_newton

LOSSES = {
    "cross-entropy": lpm.CrossEntropy(),
    "smoothed": lpm.LabelSmoothing(0.1),
    "squared": lpm.SquaredError(),
    "adjusted": lpm.LogitAdjusted(0.7),
}
PARAMETERS = {"adjusted": 0.7, "smoothed": 0.1}


def counts(seed, K=5):
    rng = np.random.default_rng(seed)
    n = np.sort(np.round(10 ** rng.uniform(0, 2, K)))[::-1]
    weights = n * 10 ** rng.uniform(-0.5, 0.5, K) if seed % 2 else n
    return n, weights / weights.sum(), 10 ** rng.uniform(-3, -1)


def slow_unless(fast, cases):
    """Parameters of a test; every case compiles a solver of its own, and most of that goes to the slow run."""
    return [case if case in fast else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    ("loss", "bias"),
    slow_unless(
        [("cross-entropy", None)],
        [(loss, bias) for loss in LOSSES for bias in (None, 0.0, 0.03)],
    ),
)
def test_weight_decay_matches_clarabel(loss, bias):
    for seed in range(2):
        n, weights, price = counts(seed)
        groups = lpm.ClassGroups.per_class(n, weights)
        decays = (2 * price, price / 2)
        problem = lpm.UnconstrainedFeatures(groups, *decays, loss=LOSSES[loss], bias_decay=bias)
        s = lpm.solve(problem, method="grouped").check()
        assert s.status == lpm.Status.certified
        reference = convex_optimum(loss, n, weights, decays=decays, bias=bias, parameter=PARAMETERS.get(loss))
        assert float(s.value) == pytest.approx(reference.value, abs=1e-8)
        assert lpm.certify(problem, s).status == lpm.Status.certified
        for field, shift in (("between", 1e-2), ("bias", 1e-2)):
            if getattr(s, field) is not None and float(jnp.max(jnp.abs(s.between))) > 0:
                moved = np.array(getattr(s, field))
                moved.flat[0] += shift
                assert lpm.certify(problem, dataclasses.replace(s, **{field: moved})).status == lpm.Status.stalled


@pytest.mark.parametrize("loss", ["cross-entropy", "adjusted", pytest.param("smoothed", marks=pytest.mark.slow)])
def test_budgets_match_clarabel(loss):
    for seed in range(3):
        n, weights, _ = counts(seed)
        s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.per_class(n, weights), 0.7, 0.9, loss=LOSSES[loss])).check()
        reference = convex_optimum(loss, n, weights, budgets=(0.7, 0.9), parameter=PARAMETERS.get(loss))
        assert float(s.value) == pytest.approx(reference.value, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_random_counts_match_clarabel(seed):
    K = 3 + seed % 13
    n, weights, price = counts(seed, K)
    groups = lpm.ClassGroups.per_class(n, weights)
    if seed % 2:
        bias = (None, 0.0, 0.05)[seed % 3]
        s = lpm.solve(lpm.UnconstrainedFeatures(groups, price, price, bias_decay=bias), method="grouped").check()
        reference = convex_optimum("cross-entropy", n, weights, decays=(price, price), bias=bias)
    else:
        s = lpm.solve(lpm.LayerPeeled(groups, 1.0, 10 * price)).check()
        reference = convex_optimum("cross-entropy", n, weights, budgets=(1.0, 10 * price))
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(reference.value, abs=1e-8)


def test_hundred_distinct_counts():
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(100, 100.0), 1.0, 1.0))
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(2.0428284577788602, abs=1e-12)
    assert float(s.gap / s.value) <= 1e-10
    assert int(jnp.sum(s.slack > 0)) == 25
    assert int(s.rank) == 24
    assert float(jnp.min(s.w_norm2)) > 1e-5  # no class is zero
    assert s.phase == lpm.Phase.merged


def test_a_million_classes_in_twenty_groups():
    spread = np.linspace(0, 1, 20)
    for ratio, E_H in ((1e2, 10.0), (1e19, 100.0)):
        problem = lpm.LayerPeeled(lpm.ClassGroups(np.full(20, 5e4), ratio**-spread), 1.0, E_H)
        assert lpm.solve(problem).check().status == lpm.Status.certified


@pytest.mark.slow
def test_thousand_distinct_counts():
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(1000, 100.0), 1.0, 1.0))
    assert s.status == lpm.Status.certified
    assert float(s.gap / s.value) <= 1e-8
    assert float(s.value) == pytest.approx(3.8060857395498333, rel=1e-12)


def test_a_narrow_product_is_decomposed_as_its_block():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 12, 3)), rng.standard_normal((2, 3, 12))
    left[0, :, 1] = 0.0  # a direction that is not there
    u, values, vt = jax.vmap(spectral.singular_vectors_of_product)(jnp.asarray(left), jnp.asarray(right))
    np.testing.assert_allclose(values, np.linalg.svd(left @ right, compute_uv=False)[:, :3], atol=1e-14)
    np.testing.assert_allclose(u * values[:, None, :] @ vt, left @ right, atol=1e-13)
    np.testing.assert_allclose(np.swapaxes(u, 1, 2) @ u, np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-14)
    left[0, 0, 0] = np.nan
    values = spectral.singular_vectors_of_product(jnp.asarray(left[0]), jnp.asarray(right[0]))[1]
    assert np.isnan(values).all()


@pytest.mark.slow
def test_directions_that_seem_lacking_come_back(monkeypatch):
    """Far from the optimum, and where its rank is high, a start does not tell what the optimum lacks."""
    counts = np.round(np.geomspace(1280, 5, 90))
    problem = lpm.LayerPeeled(lpm.ClassGroups.from_counts(counts), 1.0, 5.0)
    found = lpm.solve(problem).check()
    assert float(found.value) == pytest.approx(0.64810081055655, rel=1e-11)
    scout = lpm.solve(problem, lpm.Grouped(width=20, max_steps=100))
    again = lpm.solve(problem, lpm.Grouped(width=70, max_steps=3000, pruned=True), start=scout).check()
    assert float(again.value) == pytest.approx(float(found.value), rel=1e-11)
    monkeypatch.setattr(grouped, "_TELLING", np.inf)
    misled = lpm.solve(problem, lpm.Grouped(width=70, max_steps=2999, pruned=True), start=scout)
    assert misled.status == lpm.Status.stalled


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "limit"), [("stays", 3999), ("one step", 3998)])  # compiled each
def test_where_newton_does_not_reach_the_goal_the_descent_goes_on(monkeypatch, broken, limit):
    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(grouped._MANY, 100.0), 1.0, 1.0)
    exact = lpm.solve(problem)
    if broken == "stays":
        monkeypatch.setattr(truncated_newton, "advance", lambda value_and_gradient, rough_gradient, state: state)
    else:
        monkeypatch.setattr(grouped, "_END_GAME", 1)
    found = lpm.solve(problem, max_steps=limit).check()
    assert float(found.gap / found.value) <= 1.1e-9 and int(found.steps) > int(exact.steps)
    assert float(found.value) == pytest.approx(float(exact.value), rel=1e-12) and found.rank == exact.rank


@pytest.mark.slow
def test_many_groups_are_as_accurate_as_they_are_asked_to_be():
    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(grouped._MANY, 100.0), 1.0, 1.0)
    exact = lpm.solve(problem, tol=1e-10)
    assert float(exact.gap / exact.value) <= 1.1e-11
    for tol in (1e-8, 1e-6):
        found = lpm.solve(problem, tol=tol).check()
        gap = found.gap / found.value
        assert gap <= tol * (grouped._SHARE_OF_MANY + 1e-3) and found.rank == exact.rank
        np.testing.assert_allclose(found.slack, exact.slack, atol=tol)
        np.testing.assert_allclose(found.pairwise, exact.pairwise, atol=100 * tol)
        np.testing.assert_allclose(found.w_norm2, exact.w_norm2, atol=10 * tol)


@pytest.mark.slow
def test_a_narrow_descent_begins_with_the_directions_that_the_optimum_has():
    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(12, 100.0), 1.0, 1.0)
    solution = lpm.solve(problem).check()
    program, width, rank = problem.objective().program, 8, int(solution.rank)
    assert 1 < rank < width

    def directions(between):
        point, _ = grouped._point_near(jnp.zeros(12), between, None, program, width)
        return np.count_nonzero(np.abs(grouped._needed(point, program).left).max(axis=0))

    left, values, right = np.linalg.svd(np.asarray(solution.between))
    lacking = (left[:, : rank - 1] * values[: rank - 1]) @ right[: rank - 1]
    assert directions(solution.between) == rank
    assert directions(jnp.asarray(lacking)) >= rank  # what a start lacks comes back

    warm = dataclasses.replace(solution, between=jnp.asarray(lacking))
    again = lpm.solve(problem, method=lpm.Grouped(width=width, pruned=True), start=warm).check()
    assert float(again.value) == pytest.approx(float(solution.value), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("E_H", "begins_there"), [(0.3, True), (10.0, False)])
def test_a_scout_narrower_than_the_optimum_is_nothing_to_begin_at(E_H, begins_there):
    from lpmjax.solve import _solve

    starts = []

    def run(problem, tol, start, solver):
        if not isinstance(tol, jax.core.Tracer):  # the scout is traced
            starts.append(start)
        return _solve(problem, tol, start, solver)

    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(70, 100.0), 1.0, E_H)
    solution = lpm.Grouped().eagerly(run, problem.unordered, jnp.asarray(1e-8), None)
    assert solution.status == lpm.Status.certified
    assert ([start is not None for start in starts], int(solution.rank) < 70 // 4) == ([begins_there], begins_there)


#: classes and samples of a profile on which a descent with less patience stalled at a relative gap of 4e-8
PROFILE = np.array(
    """19 9 12 17 24 31 40 53 66 85 102 132 151 179 204 237 268 289 331 373 347 423 337 393 461 401 298 500 183 389 207
    435 226 227 221 205 267 975 790 677 581 496 423 363 311 267 228 196 167 143 122 105 90 77 66 57 48 41 35 30 26 22 19
    16 14 12 10 9 7 6 5 4 3 2""".split(),
    float,
).reshape(2, 37)


@pytest.mark.slow
def test_a_profile_of_8142_classes_is_certified():
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups(*PROFILE), 1.0, 5.0)).check()
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(2.953411896, rel=1e-9)


ILL_SCALED = lpm.ClassGroups(
    [1, 1, 2, 1, 1, 12, 1, 1, 1],
    [590, 5, 99, 344, 5, 149, 75, 328, 12],
    [3.968, 0.07083, 2.1427, 7.2318, 10.737, 0.094227, 17.819, 0.27354, 0.15079],
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decays", "bias_decay", "optimum"),  # by Clarabel
    [
        ((7.905e-4, 1.8296e-5), 0.29445, 0.022443604),
        ((7.905e-4, 1.8296e-5), 0.0, 0.021108051),
        ((1e-4, 1e-4), 0.0, 0.018459472),
        ((1e-4, 1e-4), 0.1, 0.019517200),
    ],
)
def test_squared_error_of_ill_scaled_weights(decays, bias_decay, optimum):
    problem = lpm.UnconstrainedFeatures(ILL_SCALED, *decays, loss=lpm.SquaredError(), bias_decay=bias_decay)
    s = lpm.solve(problem).check()
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(optimum, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "decays", "epsilon", "bias_decay"),
    [
        (([9, 1, 14], [14, 3, 457], [0.13, 0.64, 1.84]), (1.7e-4, 2.3e-6), 0.158, 0.74),
        pytest.param(([232, 2112, 1], [31, 4, 2]), (1.91e-4, 1.91e-4), 0.1, 0.0, marks=pytest.mark.slow),
    ],
)
def test_smoothing_with_a_bias_stays_finite(groups, decays, epsilon, bias_decay):
    """The first dual points have probabilities that underflow: their gap is infinite, and no reason to stop."""
    loss = lpm.LabelSmoothing(epsilon)
    s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups(*groups), *decays, loss=loss, bias_decay=bias_decay))
    assert s.status == lpm.Status.certified


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "decays", "loss", "bias_decay"),
    [
        (([1, 1, 1], [1743, 35, 2271], [0.34, 99.5, 0.17]), (1.7e-15, 6.5e-15), lpm.LabelSmoothing(0.166), None),
        (([1, 1], [240, 1479]), (3.4e-17, 1.4e-14), lpm.SquaredError(), 0.0),
        (([105408], [28706207]), (1e-20, 3.4e-20), lpm.SquaredError(), None),
        (([4, 173, 1], [8393502, 2, 38193238], [84, 0.03, 5]), (9.1e-14, 2.4e-16), lpm.CrossEntropy(), 1.24),
    ],
    ids=["zeros", "carried by the bias", "one group", "bias decay"],
)
def test_decays_as_small_as_the_rounding_of_the_gradient(groups, decays, loss, bias_decay):
    """What is zero, and how far a bias steps, must not be read off a gradient that is all rounding."""
    s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups(*groups), *decays, loss=loss, bias_decay=bias_decay))
    assert s.status == lpm.Status.certified
    assert s.phase == lpm.Phase.separated


# Groups, decays, loss, decay of the bias, and the optimum.
_FLAT_AND_STEEP = (
    (
        [1437, 1, 1, 256539, 1, 239390],
        [299, 6751, 59, 670100, 9.976e7, 6.864e6],
        [0.01221, 0.001816, 707.6, 0.9157, 164.1, 946.9],
    ),
    (3.608e-18, 5.174e-18),
    lpm.LogitAdjusted(-0.0371),
    0.0,
    1.166067438840e-07,
)


@pytest.mark.parametrize(
    ("groups", "decays", "loss", "bias_decay", "optimum"),  # within 1e-10 of the lower bounds
    [
        (
            ([23497, 431182, 25542, 76017, 1138, 26], [24, 3.796e7, 170700, 17, 2.96e6, 6.033e6]),
            (8.166e-17, 5.812e-20),
            lpm.CrossEntropy(),
            None,
            1.929998624466e-07,
        ),
        pytest.param(*_FLAT_AND_STEEP, marks=pytest.mark.slow),
        pytest.param(
            (
                [164930, 474, 883, 1, 1, 1],
                [2.11e7, 1.985e6, 1.355e7, 30, 2.174e6, 3],
                [0.001936, 0.06426, 5.521, 6.932, 142.4, 0.003101],
            ),
            (1.194e-12, 5.608e-12),
            lpm.LabelSmoothing(0.03587),
            0.0,
            6.152278887899e-01,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ([3455, 1, 74988, 1], [7510, 222, 36040, 1.105e7], [0.03347, 310.7, 0.002019, 1.664]),
            (2.398e-8, 1.21e-8),
            lpm.SquaredError(),
            4.4518e-4,
            1.350647108486e-01,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["cross-entropy", "adjusted, free bias", "smoothed, free bias", "squared, decayed bias"],
)
def test_where_first_order_descent_rests_newtons_method_goes_on(groups, decays, loss, bias_decay, optimum):
    """Curvatures that differ by 10^15: the descent alone stopped at gaps of 4e-4 to 0.85."""
    s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups(*groups), *decays, loss=loss, bias_decay=bias_decay))
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(optimum, rel=1e-10)


@pytest.mark.slow
def test_newtons_method_is_what_certifies_where_the_descent_rests():
    """Without it the descent stalls far from the optimum; an eager solve compiles it when it has seen that."""
    groups, decays, loss, bias_decay, optimum = _FLAT_AND_STEEP
    x = lpm.UnconstrainedFeatures(lpm.ClassGroups(*groups), *decays, loss=loss, bias_decay=bias_decay)
    alone, full = lpm.solve(x, method=lpm.Grouped(newton=False)), lpm.solve(x, method="grouped")
    assert alone.status == lpm.Status.stalled and alone.value > 2 * optimum
    assert full.status == lpm.Status.certified and full.steps > alone.steps
    assert full.lower_bound >= alone.lower_bound and full.value <= alone.value


def test_a_margin_at_the_threshold_of_merging_is_kept_where_the_objective_needs_it():
    """The multiplier is the pull on 91886 classes: a margin of 3e-6 of each spends a hundredth of the budget."""
    groups = lpm.ClassGroups(
        [100, 1, 91886], [29, 63, 28670418], [0.6816911496157992, 1.5883495527458236, 0.8528222547270777]
    )
    loss = lpm.LogitAdjusted(0.3006996858047495)
    x = lpm.LayerPeeled(groups, 0.020221730773719977, 1.4046390580441474e-06, loss=loss)
    s = lpm.solve(x)
    assert s.status == lpm.Status.certified
    assert float(s.within[2]) * 91885 > 0.01 * float(x.budget)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "budgets"),
    [(([53573, 0, 0], [3, 1.595e7, 11]), (0.002976, 97.48)), (([4, 0], [480, 1], [0.3133, 7.17]), (8.042, 0.1242))],
)
def test_weights_of_absent_groups_are_no_rounding(groups, budgets):
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups(*groups), *budgets, loss=lpm.SquaredError()), method="grouped")
    assert s.status == lpm.Status.certified
    assert float(s.gap / s.value) < 1e-9


def test_blocks_that_no_machine_holds_are_refused():
    """XLA would end the process."""
    with pytest.raises(ValueError, match=r"G = 1000000 groups.*7.45e\+03 GiB.*from_counts"):
        lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.per_class(np.arange(1.0, 1e6 + 1)), 1.0, 1.0))
    with pytest.raises(ValueError, match=r"logits of 1000000 classes take .* use within and between"):
        lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(10**6), 1.0, 1.0)).logits()


@pytest.mark.parametrize("R", [1.0, 10.0, 100.0])
def test_agrees_with_the_exact_solver_of_two_groups(R):
    problem = lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)
    exact, s = lpm.solve(problem), lpm.solve(problem, method="grouped")
    assert s.method == "grouped" and s.status == lpm.Status.certified
    assert (int(s.rank), int(s.phase)) == (int(exact.rank), int(exact.phase))
    for name in ("value", "multiplier", "slack", "within", "between", "cosine", "w_norm2", "h_norm2", "margin"):
        np.testing.assert_allclose(getattr(s, name), getattr(exact, name), atol=1e-8, err_msg=name)


@pytest.mark.parametrize("side", [pytest.param(-1, marks=pytest.mark.slow), 1])
def test_label_smoothing_moves_the_threshold(side):
    # the pull at zero is (1 - epsilon) / K: epsilon + K c = 1 is where the optimum leaves zero
    price = 0.7 / 5 * (1 - side * 1e-6)
    problem = lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(5, 1.0), price, price, loss=lpm.LabelSmoothing(0.3))
    s = lpm.solve(problem).check()
    assert s.status == lpm.Status.certified
    assert float(s.slack[0]) == pytest.approx(side * 1e-6, rel=1e-5)
    assert s.phase == (lpm.Phase.separated if side > 0 else lpm.Phase.annihilated)
    assert lpm.certify(problem, s).phase == s.phase


@pytest.mark.parametrize("side", [pytest.param(-1, marks=pytest.mark.slow), 1])
def test_merging_is_decided_at_the_threshold(side):
    # sqrt(n) <= lambda N with the last of three groups within 1e-6 of it
    n = np.array([40.0, 15.0, 4.0])
    N = 2 * n.sum()
    price = np.sqrt(n[2]) / N
    groups = lpm.ClassGroups([2, 2, 2], n)
    s = lpm.solve(lpm.UnconstrainedFeatures(groups, price * (1 - side * 1e-6), price * (1 - side * 1e-6)))
    assert s.status == lpm.Status.certified
    assert (float(s.slack[2]) > 0) == (side > 0)
    assert (float(s.within[2]) > 0) == (side > 0)
    assert s.phase == (lpm.Phase.separated if side > 0 else lpm.Phase.merged)


@pytest.mark.parametrize("s", [1e-6, 1.0, 30.0, 100.0])
@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e20])
def test_extremes(ratio, s):
    found = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(8, ratio), s, s))
    assert found.status == lpm.Status.certified
    assert np.isfinite(found.slack).all()


def test_dead_weight_decay_is_zero():
    s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups([2, 2, 2], [40.0, 15.0, 4.0]), 5.0, 5.0))
    assert s.status == lpm.Status.certified
    assert (int(s.rank), s.phase) == (0, lpm.Phase.annihilated)
    assert float(s.value) == pytest.approx(np.log(6), rel=1e-12)


@pytest.mark.slow
def test_a_narrow_factorisation_or_few_steps_are_not_certified():
    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(8, 10.0), 1.0, 5.0)
    from lpmjax.solve import _solve

    narrow = _solve(problem, jnp.asarray(1e-8), None, lpm.Grouped(max_steps=1000, width=3))
    assert narrow.status in (lpm.Status.stalled, lpm.Status.max_steps)
    assert lpm.solve(problem, max_steps=1).status == lpm.Status.max_steps
    warm = lpm.solve(problem, start=lpm.solve(problem))
    assert warm.status == lpm.Status.certified
    assert int(warm.steps) <= 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", [[3, 8], pytest.param(list(range(3, 41)), marks=pytest.mark.slow)], ids=["3 and 8", "3 to 40"]
)
def test_grid_over_class_counts_in_one_trace(sizes):

    @jax.jit
    @chex.assert_max_traces(n=1)
    def values(K):
        build = lambda k: lpm.LayerPeeled(lpm.ClassGroups.long_tail(k, 20.0, size=max(sizes)), 1.0, 2.0)  # noqa: E731
        return jax.vmap(lambda k: lpm.solve(build(k)))(K)

    chex.clear_trace_counter()
    batch = values(jnp.asarray(sizes, float))
    assert (batch.status == lpm.Status.certified).all()
    for i, K in list(enumerate(sizes))[:: 1 if len(sizes) < 9 else 6]:  # each compiles a solver
        single = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(K, 20.0), 1.0, 2.0))
        assert float(batch.value[i]) == pytest.approx(float(single.value), rel=1e-9)
        assert int(batch.rank[i]) == int(single.rank)
        np.testing.assert_allclose(batch.slack[i][:K], single.slack, atol=1e-8)


@pytest.mark.slow
def test_non_negative_features_follow_the_closed_form():
    n = np.array([40.0, 20.0, 6.0, 2.0])
    price, N, K = 2e-2, 68.0, 4
    problem = lpm.UnconstrainedFeatures(lpm.ClassGroups.from_counts(n), price, price, nonnegative=True)
    s = lpm.solve(problem).check()
    t = N * price * np.sqrt((K - 1) / (K * n))
    M = np.where(t >= (K - 1) / K, 0.0, np.log((K - 1) * (1 / np.minimum(t, 0.74) - 1)))
    np.testing.assert_allclose(s.within, M, atol=1e-12)
    np.testing.assert_allclose(s.h_norm2, M * np.sqrt((K - 1) / (K * n)), atol=1e-12)
    assert (np.asarray(s.slack) > 0).tolist() == (n > N**2 * price**2 * K / (K - 1)).tolist()
    W, H = s.factors()
    assert (np.asarray(H) >= 0).all()
    np.testing.assert_allclose(W @ H, s.logits(), atol=1e-12)
    np.testing.assert_allclose(np.sum(np.asarray(W) ** 2, 1), s.w_norm2, atol=1e-12)
    best = lpm.best(lpm.factored(problem, restarts=8))
    assert best.status == lpm.Status.certified
    assert float(best.value) == pytest.approx(float(s.value), rel=1e-9)
    moved = lpm.certify(problem, dataclasses.replace(s, within=np.asarray(s.within) * 1.001))
    assert moved.status == lpm.Status.stalled
    with pytest.raises(ValueError, match="nonnegative = True"):
        lpm.UnconstrainedFeatures(problem.groups, price, price, loss=lpm.SquaredError(), nonnegative=True)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: lpm.LabelSmoothing(1.0), "epsilon = 1 is out of range"),
        (lambda: lpm.LogitAdjusted(np.inf), "tau = inf is out of range"),
        (
            lambda: lpm.LayerPeeled(lpm.ClassGroups.balanced(3), 1.0, 1.0, loss="mse"),
            "loss must be a lpmjax loss such as CrossEntropy.*got 'mse'",
        ),
        (lambda: lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(3), 1.0, 1.0, bias_decay=-1.0), "bias_decay = -1"),
        (lambda: lpm.ClassGroups.long_tail(9, 2.0, size=5), "K = 9 is out of range"),
    ],
)
def test_errors_say_what_to_do(call, named):
    with pytest.raises(ValueError, match=named):
        call()
