"""The two-group solver: published values, every phase, the whole domain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from domains import extreme, ordinary, solve_batch

import lpmjax as lpm


def solve(K_A, K_B, R, E_W=1.0, E_H=5.0):
    return lpm.solve(lpm.LayerPeeled.two_group(K_A, K_B, R, E_W, E_H))


def test_balanced_is_the_simplex_etf():
    s = solve(5, 5, 1.0)
    assert s.status == lpm.Status.certified
    assert s.phase == lpm.Phase.separated
    assert float(s.value) == pytest.approx(0.55978152, abs=5e-9)
    np.testing.assert_allclose(s.cosines(), -1 / 9, rtol=1e-12)
    np.testing.assert_allclose(s.w_norm2, 1.0, rtol=1e-12)
    np.testing.assert_allclose(s.h_norm2, 5.0, rtol=1e-12)
    one = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(10), 1.0, 5.0))
    assert one.method == "closed_form"
    assert float(one.value) == pytest.approx(float(s.value), rel=1e-14)
    assert float(one.multiplier) == pytest.approx(float(s.multiplier), rel=1e-13)


@pytest.mark.parametrize(
    ("K_A", "R", "value", "cosine", "phase"),
    [
        (5, 10.0, 0.2616770386, 0.51750, lpm.Phase.separated),
        (5, 100.0, 0.0912992, 1.0, lpm.Phase.merged),
        (7, 10.0, None, np.nan, lpm.Phase.annihilated),
    ],
)
def test_setting_of_fang_et_al(K_A, R, value, cosine, phase):
    s = solve(K_A, 10 - K_A, R).check()
    assert s.phase == phase
    if value is not None:
        assert float(s.value) == pytest.approx(value, abs=5e-8 if R == 100 else 5e-11)
    np.testing.assert_allclose(s.cosine[1], cosine, atol=5e-6)


def test_rank_slack_and_phase_agree():
    for K_A, K_B, R in [(5, 5, 10.0), (5, 5, 100.0), (7, 3, 10.0)]:
        s = solve(K_A, K_B, R)
        alive = int(sum(K for K, slack in zip((K_A, K_B), s.slack, strict=True) if slack > 0))
        expected = alive if s.phase == lpm.Phase.merged else alive - 1
        assert int(s.rank) == expected == np.linalg.matrix_rank(np.asarray(s.logits()), tol=1e-9)
        assert (s.phase == lpm.Phase.separated) == bool((s.slack > 0).all())


def test_annihilated_minority_is_exactly_zero_and_has_no_cosine():
    s = solve(7, 3, 10.0)
    assert float(s.w_norm2[1]) == 0.0 == float(s.h_norm2[1])
    assert np.isnan(s.cosine[1])
    assert np.isnan(s.cosines()[0, 1])
    assert np.isfinite(s.slack).all()


def test_roles_swap_below_one():
    forward, backward = solve(3, 7, 40.0), solve(7, 3, 1 / 40)
    assert float(forward.value) == pytest.approx(float(backward.value), rel=1e-14)
    np.testing.assert_allclose(forward.slack, backward.slack[::-1], rtol=1e-13)
    np.testing.assert_allclose(forward.between, backward.between[::-1, ::-1], rtol=1e-13)
    np.testing.assert_allclose(forward.cosine, backward.cosine[::-1], rtol=1e-13)


def test_a_single_class_never_merges():
    assert solve(5, 1, 3.0).phase == lpm.Phase.separated
    assert solve(1, 1, 1e6).phase == lpm.Phase.separated
    assert np.isnan(solve(1, 1, 3.0).cosine).all()


def test_merged_cosine_is_exactly_one():
    ds = lpm.sweep(
        lpm.LayerPeeled.two_group,
        K_A=[1, 3, 7, 33],
        K_B=[2, 3, 11],
        R=np.geomspace(1, 1e6, 20),
        E_W=1.0,
        E_H=np.geomspace(0.1, 50, 10),
    )
    merged = ds["phase"].values == lpm.Phase.merged
    assert merged.sum() > 100
    assert (ds["cosine"].sel(group="B").values[merged] == 1.0).all()


def test_relative_1e_9_from_a_boundary_is_certified():
    for curve in (lpm.boundary.merged, lpm.boundary.annihilated):
        for K_A, K_B, s in [(7, 3, 5**0.5), (5, 5, 0.8), (20, 4, 0.3)]:
            R = float(curve(K_A, K_B, s))
            for offset in (-1e-9, 0.0, 1e-9):
                assert solve(K_A, K_B, R * (1 + offset), s, s).status == lpm.Status.certified


def test_absent_group_leaves_the_balanced_problem():
    padded = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups([10, 0], [3.0, 1.0]), 1.0, 5.0)).check()
    assert padded.method == "two_group"
    assert float(padded.value) == pytest.approx(float(solve(5, 5, 1.0).value), rel=1e-13)
    assert padded.phase == lpm.Phase.separated
    assert float(padded.w_norm2[1]) == 0.0
    assert np.isnan(padded.cosine[1])


def test_counts_may_be_real():
    low, mid, high = (float(solve(K, 5, 10.0).value) for K in (4.0, 4.5, 5.0))
    assert low < mid < high


def test_two_classes_against_scalar_minimisation():
    # K_A = K_B = 1: Z = u vᵀ, so one angle is all there is. Brute force over it.
    R, s = 7.0, 1.5
    weights = np.array([R, 1.0]) / (R + 1)
    theta = np.linspace(0, np.pi / 2, 200_001)
    margins = 2 * s * np.sqrt(2) * np.stack([np.cos(theta), np.sin(theta)])
    brute = (weights[:, None] * np.log1p(np.exp(-margins))).sum(0).min()
    assert float(solve(1, 1, R, s, s).value) == pytest.approx(brute, abs=1e-10)


@pytest.mark.parametrize("count", [20_000, pytest.param(10**6, marks=pytest.mark.slow)])
def test_ordinary_domain_is_certified(rng, count):
    s = solve_batch(*ordinary(rng, count))
    assert (np.asarray(s.status) == lpm.Status.certified).all()
    relative = np.asarray(s.gap / s.value)
    print(f"worst relative gap {relative.max():.2g}, steps {np.bincount(np.asarray(s.steps))}")
    assert (relative >= 0).all()
    assert relative.max() <= 1e-10


@pytest.mark.parametrize("count", [20_000, pytest.param(10**6, marks=pytest.mark.slow)])
def test_extreme_domain_is_certified(rng, count):
    s = solve_batch(*extreme(rng, count))
    relative = np.asarray(s.gap / s.value)
    print(f"worst relative gap {relative.max():.2g}, steps {np.bincount(np.asarray(s.steps))}")
    assert np.isfinite(relative).all()
    assert np.quantile(relative, 0.999) <= 1e-9
    assert relative.max() <= 1e-7


def test_weight_decay_published_values():
    balanced = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(4, 2), 5e-3, 2e-3)).check()
    assert float(balanced.within[0]) == pytest.approx(5.396382, abs=5e-7)
    assert float(4 * balanced.w_norm2[0]) == pytest.approx(14.480012, abs=5e-7)
    split = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups([1, 3], [2, 2]), 5e-3, 2e-3)).check()
    assert float(split.value) == pytest.approx(float(balanced.value), rel=1e-13)


def test_weight_decay_merges_at_the_hong_ling_threshold():
    # Group B is merged exactly when n_B <= N² lambda_W lambda_H.
    n_A, n_B, K_A, K_B = 60.0, 6.0, 4, 5
    N = K_A * n_A + K_B * n_B
    at_threshold = np.sqrt(n_B) / N
    for offset, phase in [(-1e-6, lpm.Phase.separated), (1e-6, lpm.Phase.merged)]:
        decay = at_threshold * (1 + offset)
        groups = lpm.ClassGroups([K_A, K_B], [n_A, n_B])
        s = lpm.solve(lpm.UnconstrainedFeatures(groups, decay, decay)).check()
        assert s.phase == phase
        assert (float(s.slack[1]) > 0) == (phase == lpm.Phase.separated)


def test_weight_decay_large_enough_kills_everything():
    groups = lpm.ClassGroups([4, 5], [60.0, 6.0])
    s = lpm.solve(lpm.UnconstrainedFeatures(groups, 1.0, 1.0)).check()
    assert s.phase == lpm.Phase.annihilated
    assert int(s.rank) == 0
    assert float(s.value) == pytest.approx(np.log(9), rel=1e-14)


def test_weight_decay_domain_is_certified(rng):
    count = 20_000
    classes = np.floor(10 ** rng.uniform(0, 3, (count, 2)))
    samples = 10 ** rng.uniform(0, 6, (count, 2))
    raw = samples * np.where(rng.random((count, 1)) < 0.5, 1.0, 10 ** rng.uniform(-2, 2, (count, 2)))
    weights = raw / (classes * raw).sum(1, keepdims=True)
    decay = (weights / np.sqrt(samples)).max(1) * np.exp(-(10 ** rng.uniform(-6, 2, count)))
    problems = jax.vmap(lambda c, n, w, d: lpm.UnconstrainedFeatures(lpm.ClassGroups(c, n, w), d, d))
    s = jax.jit(jax.vmap(lpm.solve))(problems(*map(jnp.asarray, (classes, samples, raw, decay))))
    assert (np.asarray(s.status) == lpm.Status.certified).all()
    assert set(np.unique(s.phase)) == {lpm.Phase.separated, lpm.Phase.merged, lpm.Phase.annihilated}


def test_budget_and_decay_forms_agree_through_the_multiplier():
    # With one sample per class omega is 1 in both, so the multiplier of the budget is the penalty.
    budget = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups([4, 6], [1, 1], [9, 1]), 2.0, 2.0)).check()
    decay = float(budget.multiplier)
    groups = lpm.ClassGroups([4, 6], [1.0, 1.0], [9.0, 1.0])
    penalised = lpm.solve(lpm.UnconstrainedFeatures(groups, decay, decay)).check()
    np.testing.assert_allclose(penalised.within, budget.within, rtol=1e-10)
    np.testing.assert_allclose(penalised.between, budget.between, rtol=1e-10)
    np.testing.assert_allclose(penalised.slack, budget.slack, atol=1e-12)
