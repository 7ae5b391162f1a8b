"""Minimum-norm separation: the problem as written by an SDP solver, its values, certificate, derivatives, ranges."""

import dataclasses

import cvxpy as cp
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import Phase, Status
from lpmjax.frames import seli, simplex_etf
from lpmjax.objectives.separation import SeparationObjective

Groups = lpm.ClassGroups


def separation(n, *, delta=None, norm="per_sample"):
    """Every class a group of its own."""
    return lpm.Separation(Groups.per_class(np.asarray(n, float)), delta=delta, norm=norm)


def written(n, delta=None, class_average=False):
    """Optimum and logits of the problem with one feature per class, by Clarabel, as it is written."""
    K, delta = len(n), np.ones(len(n)) if delta is None else delta
    omega = np.ones(K) if class_average else np.sqrt(n)
    Z = cp.Variable((K, K))
    own = cp.diag(cp.multiply(Z, np.diag(delta)))
    apart = [own[k] - delta[j] * Z[j, k] >= 1 for k in range(K) for j in range(K) if j != k]
    program = cp.Problem(cp.Minimize(cp.normNuc(Z @ np.diag(omega))), apart)
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return float(program.value), Z.value


def test_random_counts_against_an_sdp_solver(rng):
    for i in range(24):
        n = np.exp(rng.uniform(0, np.log(100), 4))
        delta = None if i % 2 else np.exp(rng.uniform(-1, 1, 4))
        s = lpm.solve(separation(n, delta=delta, norm="class_average" if i % 3 == 0 else "per_sample")).check()
        value, Z = written(n, delta, i % 3 == 0)
        assert s.status == Status.certified and s.phase == Phase.separated and int(s.rank) == 3
        assert float(s.value) == pytest.approx(value, rel=1e-7)
        np.testing.assert_allclose(s.logits(), Z, atol=1e-4)


def test_balanced_is_the_simplex_etf():
    s = lpm.solve(lpm.Separation(Groups.balanced(4, 3.0)))
    assert float(s.value) == pytest.approx(3 * 3**0.5, rel=1e-14)
    W, H = (np.asarray(x) for x in s.factors())
    np.testing.assert_allclose(W @ W.T, 3**0.5 * (np.eye(4) - 0.25), atol=1e-14)
    np.testing.assert_allclose(W, 3**0.5 * H.T, atol=1e-14)
    np.testing.assert_allclose(W @ H, np.eye(4) - 0.25, atol=1e-14)
    assert (np.sum(W**2) + 3 * np.sum(H**2)) / 2 == pytest.approx(float(s.value), rel=1e-14)


@pytest.mark.parametrize(
    ("R", "cosine", "ratio"), [(7, 0, 2.31660), (10, 0.0333689, 2.67210), (100, 0.3380261, 5.766212)]
)
def test_known_values_of_two_groups(R, cosine, ratio):
    s = lpm.solve(lpm.Separation(Groups.two_group(5, 5, R)))
    assert float(s.cosine[1]) == pytest.approx(cosine, abs=5e-8)
    assert float(s.w_norm2[0] / s.w_norm2[1]) == pytest.approx(ratio, abs=5e-6)
    singular = np.linalg.svd(np.asarray(s.logits()) * np.sqrt(np.repeat([R, 1.0], 5)), compute_uv=False)
    np.testing.assert_allclose(singular, [*[R**0.5] * 4, np.sqrt((5 + 5 * R) / 10), 1, 1, 1, 1, 0], atol=1e-13)
    assert float(s.value) == pytest.approx(singular.sum(), rel=1e-14)
    average = lpm.solve(lpm.Separation(Groups.two_group(5, 5, R), norm="class_average"))
    np.testing.assert_allclose(average.cosine, -1 / 9, atol=1e-14)
    assert float(average.value) == pytest.approx(9, rel=1e-14)


def test_text_and_file(tmp_path):
    s = lpm.solve(lpm.Separation(Groups.two_group(5, 5, 10.0), delta=[1.0, 0.5]))
    assert str(s).startswith("Separation, K = 10: separated, rank 9, certified by closed_form in 0 steps\nvalue 23.6")
    assert str(s).splitlines()[2] == "group  classes   samples     delta   cosine     |w|^2     |h|^2   margin"
    assert float(s.margin[1]) == pytest.approx(1.84)  # of the plain logits, with which one predicts
    s.save(tmp_path / "separation.npz")
    again = lpm.load(tmp_path / "separation.npz")
    assert np.array_equal(again.dual, s.dual) and again.problem.norm == "per_sample"
    damaged = dataclasses.replace(s, dual=s.dual[:1])
    damaged.save(tmp_path / "damaged.npz")
    with pytest.raises(ValueError, match=r"dual has shape \(1, 2\), not \(2, 2\)"):
        lpm.load(tmp_path / "damaged.npz")


def test_frame_is_the_optimum():
    n = [7.0, 2.0, 3.0, 4.0]
    W, H = seli(n, d=5)
    s = lpm.solve(separation(n))
    left, right = s.factors(5)
    np.testing.assert_allclose(W @ H, np.eye(4) - 0.25, atol=1e-14)
    np.testing.assert_allclose(W @ W.T, left @ left.T, atol=1e-14)
    np.testing.assert_allclose(H.T @ H, right.T @ right, atol=1e-14)
    assert float(jnp.sum(W**2) + jnp.sum(np.array(n) * H**2)) / 2 == pytest.approx(float(s.value), rel=1e-14)
    W, H = seli([5.0, 5.0, 5.0])
    np.testing.assert_allclose(W, 5**0.25 * (2 / 3) ** 0.5 * simplex_etf(3), atol=1e-14)


def test_dual_is_positive_for_every_counts(rng):
    """10^4 vectors of counts and factors: positive dual, closed gap, value of a dual point of norm 1."""
    n, delta = np.exp(rng.uniform(0, 12, (10_000, 4))), np.exp(rng.uniform(-1, 1, (10_000, 4)))
    solved = jax.jit(jax.vmap(lambda n, delta: lpm.solve(lpm.Separation(Groups.per_class(n), delta=delta))))(n, delta)
    off = ~np.eye(4, dtype=bool)
    dual = np.asarray(solved.dual)
    assert (dual[:, off] > 0).all() and (dual[:, ~off] == 0).all()
    np.testing.assert_allclose(dual.sum((1, 2)), solved.value, rtol=1e-12)
    assert (solved.status == Status.certified).all() and (solved.gap <= 1e-12 * solved.value).all()


def moved(s, within, between):
    return eqx.tree_at(lambda s: (s.within, s.between), s, (s.within + within, s.between + between))


def test_whatever_coordinates_say_the_bound_is_below_the_optimum(rng):
    problem = lpm.Separation(Groups([2.0, 1.0, 3.0, 1.0], [20.0, 5.0, 1.0, 2.0]), delta=[1.0, 2.0, 0.7, 1.0])
    best, separating = lpm.solve(problem), 0
    for size in np.repeat([1e-5, 1e-3, 0.1, 0.3], 20):
        proof = lpm.certify(problem, moved(best, rng.normal(size=4) * size, rng.normal(size=(4, 4)) * size))
        if not np.isfinite(proof.value):
            assert proof.status == Status.nonfinite
            continue
        separating += 1
        assert proof.status == Status.stalled
        assert float(proof.lower_bound) <= float(best.value) * (1 + 1e-13) <= float(proof.value) * (1 + 2e-13)
    assert separating > 50
    scaled = eqx.tree_at(lambda s: (s.within, s.between), best, (3 * best.within, 3 * best.between))
    assert lpm.certify(problem, scaled).status == Status.certified  # a feasible point is a direction and its margin


def test_any_dual_point_bounds_the_optimum(rng):
    """Of random multipliers, which a group shares: sum and norm are those of the K x K matrix written out."""
    classes, n = np.array([2, 1, 3, 1]), np.array([20.0, 5.0, 1.0, 2.0])
    delta = np.array([1.0, 2.0, 0.7, 1.0])
    objective = SeparationObjective(classes.astype(float), np.sqrt(n), delta)
    best = float(lpm.solve(lpm.Separation(Groups(classes, n), delta=delta)).value)
    group = np.repeat(np.arange(4), classes)
    closest = 0.0
    for _ in range(300):
        beta = rng.exponential(size=(4, 4)) ** rng.choice([0.1, 1.0, 3.0])
        total, norm = objective.of_dual(beta)
        full = beta[group][:, group] * (1 - np.eye(7))
        G = np.diag(delta[group] * full.sum(0)) - delta[group][:, None] * full
        assert total == pytest.approx(full.sum(), rel=1e-12)
        assert norm == pytest.approx(np.linalg.norm(G / np.sqrt(n[group]), 2), rel=1e-12)
        closest = max(closest, total / norm / best)
    assert 0.6 < closest <= 1


def least_one(self, at):
    """Margins taken for enough."""
    return np.ones((4, 4))


def without_groups(self, beta):
    """The norm between groups alone."""
    total, _ = of_dual(self, beta)
    return total, of_dual(dataclasses.replace(self, classes=np.minimum(self.classes, 1)), beta)[1]


of_dual = SeparationObjective.of_dual


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("margins", least_one),
        ("of_dual", without_groups),
        ("of_dual", lambda self, beta: (of_dual(self, beta)[0], np.float64(0.95))),
        ("of_dual", lambda self, beta: (1.1 * of_dual(self, beta)[0], of_dual(self, beta)[1])),
    ],
)
def test_a_certificate_that_lies_is_found(monkeypatch, name, mutant, rng):
    """Without the least margin, or with too small a norm or too large a sum, a bound passes the optimum."""
    problem = lpm.Separation(Groups([2.0, 1.0, 3.0, 1.0], [20.0, 5.0, 1.0, 2.0]))
    solved = lpm.solve(problem)
    best, lies = float(solved.value), []
    for mutate in (False, True):
        if mutate:
            monkeypatch.setattr(SeparationObjective, name, mutant)
        lies.append(0)
        for size in np.repeat([0.03, 0.3], 20):
            proof = lpm.certify(problem, moved(solved, rng.normal(size=4) * size, rng.normal(size=(4, 4)) * size))
            lies[-1] += bool(proof.lower_bound > best * (1 + 1e-12)) or bool(proof.value < best * (1 - 1e-12))
    assert lies[0] == 0 < lies[1]


@pytest.mark.parametrize(
    "groups",
    [
        Groups.two_group(5, 5, 1e20),
        Groups.two_group(1, 1, 1e20),
        Groups.two_group(1, 9, 1e-20),
        Groups.two_group(5e5, 5e5, 100.0),
        Groups.two_group(1, 999_999, 1e20),
        Groups([2.0, 0.0, 1.0, 5.0], [1e20, 1.0, 1e10, 1.0]),
        Groups([1.0, 1.0, 1.0, 1.0], [1e20, 1.0, 1.0, 2.0]),
        pytest.param(Groups.long_tail(40, 1e20), marks=pytest.mark.slow),
    ],
)
def test_extreme_counts_are_certified(groups):
    s = lpm.solve(lpm.Separation(groups)).check()
    K = float(groups.num_classes)
    assert s.status == Status.certified and float(s.gap) <= 1e-12 * float(s.value) and float(s.rank) == K - 1
    n, counts = np.asarray(groups.samples), np.asarray(groups.classes)
    # the squared row norms and the samples' squared norms add up to the value each, and nothing is lost in rounding
    for each in (np.sum(counts * s.w_norm2), np.sum((counts * n) * s.h_norm2)):
        assert each == pytest.approx(float(s.value), rel=1e-12)
    assert np.nanmin(s.h_norm2[counts > 0]) > 0 and np.nanmin(s.w_norm2[counts > 0]) > 0
    assert lpm.certify(s.problem, s).status == Status.certified


@pytest.mark.slow
def test_groups_are_what_their_classes_are():
    grouped = lpm.solve(lpm.Separation(Groups.from_counts([2.0, 9.0, 2.0, 4.0, 9.0])))
    single = lpm.solve(separation([2.0, 9.0, 2.0, 4.0, 9.0]))
    assert float(grouped.value) == pytest.approx(float(single.value), rel=1e-14)
    index = grouped.problem.groups.class_index
    for name in ("w_norm2", "h_norm2"):
        np.testing.assert_allclose(getattr(grouped, name)[index], getattr(single, name), rtol=1e-13)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(np.asarray(grouped.dual)[index][:, index][off], np.asarray(single.dual)[off], rtol=1e-12)
    np.testing.assert_allclose(grouped.logits(), single.logits(), atol=1e-14)


@pytest.mark.slow
def test_derivatives():
    """By samples, factors and numbers of classes; of the value twice; by samples it is homogeneous of degree 1/2."""
    at = (jnp.array([7.0, 3.0, 2.0]), jnp.array([1.0, 0.7, 1.3]), jnp.array([2.0, 1.5, 3.0]))

    def views(n, delta, classes):
        s = lpm.solve(lpm.Separation(Groups(classes, n), delta=delta))
        return {name: getattr(s, name) for name in ("value", "cosine", "w_norm2", "h_norm2", "dual", "between")}

    plain = jax.jit(views)
    slopes = jax.jit(jax.jacfwd(views, (0, 1, 2)))(*at)
    for argument in range(3):
        for i in range(3):
            sides = []
            for h in (1e-5, -1e-5):
                point = list(at)
                point[argument] = at[argument].at[i].add(h)
                sides.append(plain(*point))
            for name, slope in slopes.items():
                difference = (sides[0][name] - sides[1][name]) / 2e-5
                np.testing.assert_allclose(slope[argument][..., i], difference, atol=2e-9, err_msg=name)

    def value(n):
        return views(n, *at[1:])["value"]

    gradient = jax.jit(jax.grad(value))
    curvature = jax.jit(jax.hessian(value))(at[0])
    for i in range(3):
        difference = (gradient(at[0].at[i].add(1e-5)) - gradient(at[0].at[i].add(-1e-5))) / 2e-5
        np.testing.assert_allclose(curvature[i], difference, atol=1e-9)
    assert float(gradient(at[0]) @ at[0]) == pytest.approx(float(value(at[0])) / 2, rel=1e-14)


@pytest.mark.slow
def test_sweep_float32_and_weights():
    ds = lpm.sweep(lambda R: lpm.Separation(Groups.two_group(5, 5, R)), R=[1.0, 7.0, 100.0])
    assert (ds.status == Status.certified).all() and ds["dual"].dims == ("R", "logit_group", "group")
    assert ds["value"].attrs == {"long_name": "least half sum of squared norms", "units": "1"}
    np.testing.assert_allclose(ds["cosine"][:, 1], [-1 / 9, 0, 0.3380261], atol=5e-8)
    with jax.enable_x64(False):
        single = lpm.solve(lpm.Separation(Groups.two_group(5, 5, 7.0), delta=[1.0, 0.7]))
    assert single.value.dtype == np.float32 and single.status == Status.converged
    proof = lpm.certify(single.problem, single, tol=1e-5)  # 0.7 was rounded, 7 was not
    double = float(lpm.solve(lpm.Separation(Groups.two_group(5, 5, 7.0), delta=[1.0, 0.7])).value)
    assert proof.status == Status.certified and 5e-8 < float(proof.gap) / double < 1e-5
    assert float(proof.lower_bound) <= double <= float(proof.value + proof.gap)
    weighted = lpm.Separation(Groups([5.0, 5.0], [7.0, 1.0], sample_weights=[1.0, 9.0]))
    assert float(lpm.solve(weighted).value) == float(ds["value"][1])  # a hard margin knows no weights


def test_bad_input():
    groups = Groups.two_group(5, 5, 10.0)
    with pytest.raises(ValueError, match=r"delta\[1\] = -1 is out of range: delta must be finite and > 0. It scales"):
        lpm.Separation(groups, delta=[1.0, -1.0])
    with pytest.raises(ValueError, match=r"delta has shape \(3,\) for 2 groups: give one entry per group"):
        lpm.Separation(groups, delta=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="norm = 'sample' is out of range: it must be one of"):
        lpm.Separation(groups, norm="sample")
    with pytest.raises(ValueError, match="sum"):
        lpm.Separation(Groups([1.0], [3.0]))
    with pytest.raises(ValueError, match="dim = 8 is below the rank of the optimum"):
        lpm.solve(lpm.Separation(groups, dim=8))
    assert lpm.solve(lpm.Separation(groups, dim=9)).factors()[0].shape == (10, 9)
    with pytest.raises(ValueError, match="method = 'factored' cannot solve this problem"):
        lpm.solve(lpm.Separation(groups), method="factored")
    status = jax.jit(lambda d: lpm.solve(lpm.Separation(groups, delta=jnp.array([1.0, d]))).status)
    assert status(-1.0) == Status.invalid and status(2.0) == Status.certified
    with pytest.raises(ValueError, match="one entry for each of K >= 2"):
        seli([3.0])
    with pytest.raises(ValueError, match=r"counts\[1\] = 0 is out of range"):
        seli([3.0, 0.0])
    with pytest.raises(ValueError, match="d = 1 is out of range"):
        seli([3.0, 2.0, 1.0], d=1)
