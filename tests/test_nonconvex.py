"""Losses that are not convex: slopes, convex pieces, lower bounds, closed forms, what is certified and what is not."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, minimize

import lpmjax as lpm
from lpmjax import Status
from lpmjax.losses.focal import FocalMinorant
from lpmjax.objectives.margin_bound import least, profile
from lpmjax.objectives.of_groups import GroupCoordinates


def focal(p, gamma):
    """As it is written, of probabilities whose first is the right class's."""
    return -((1 - p[..., 0]) ** gamma) * np.log(p[..., 0])


def power(p, q):
    return (1 - p[..., 0]) ** q + np.sum(p[..., 1:] ** q, axis=-1)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def of_logits(loss, z):
    """The library's loss and its gradient at logits (K,) of a sample of the first class."""
    nx = z.__array_namespace__()
    margins = (z[0] - z[1:])[:, None]
    at = loss.on_groups(margins, nx.ones_like(margins))
    return at.value[0], nx.concatenate([-at.wrong.sum(0), at.wrong[:, 0]])


LOSSES = {
    "focal": (lpm.Focal, focal, 2.0),
    "focal 0.5": (lpm.Focal, focal, 0.5),
    "power": (lpm.PowerSoftmax, power, 2.0),
    "power 1.3": (lpm.PowerSoftmax, power, 1.3),
}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_slopes(name, rng):
    kind, formula, parameter = LOSSES[name]
    loss, logits = kind(parameter), rng.normal(size=(100, 6)) * 3
    values, slopes = jax.vmap(lambda z: of_logits(loss, z))(logits)
    np.testing.assert_allclose(values, formula(softmax(logits), parameter), rtol=1e-12)
    steps = 1e-5 * np.eye(6)
    numeric = [
        (formula(softmax(logits + h), parameter) - formula(softmax(logits - h), parameter)) / 2e-5 for h in steps
    ]
    np.testing.assert_allclose(slopes, np.stack(numeric, -1), atol=1e-9)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda z: of_logits(loss, z)[0]))(logits), slopes, atol=1e-14)


def test_focal_of_zero_focus_is_cross_entropy():
    z = jnp.array([0.3, -1.0, 2.0])
    for one, other in zip(of_logits(lpm.Focal(0.0), z), of_logits(lpm.CrossEntropy(), z), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gamma", "edge", "below"),
    [(1.0, 0.0432, 0.1183), (2.0, 0.0578, 0.1633), (3.0, 0.0575, 0.1669)],
)
def test_where_the_focal_loss_is_convex(gamma, edge, below, rng):
    """Exactly where the right class has a probability above ``edge``, of any number of classes."""
    for K in (2, 5):
        logits = jnp.asarray(rng.normal(size=(2000, K)) * 3).at[:, 0].add(-jnp.log(K - 1.0) / 2)
        p = softmax(np.asarray(logits))[:, 0]
        focal_, minorant = lpm.Focal(gamma), FocalMinorant(jnp.asarray(gamma))

        def curvature(loss, logits=logits):
            hessians = jax.jit(jax.vmap(jax.hessian(lambda z: of_logits(loss, z)[0])))(logits)
            return np.linalg.eigvalsh(hessians).min(-1)

        convex = curvature(focal_) > -1e-12
        assert convex[p > edge + 1e-3].all()
        assert not convex[(p < edge - 1e-3) & (p > 1e-6)].any()
        assert curvature(minorant).min() > -1e-12
        low, high = (
            np.asarray(jax.vmap(lambda z, loss=loss: of_logits(loss, z)[0])(logits)) for loss in (minorant, focal_)
        )
        np.testing.assert_allclose(low[p > below + 1e-4], high[p > below + 1e-4], rtol=1e-14)
        assert (low[p < below - 1e-3] < high[p < below - 1e-3]).all()


def test_fenchel_gap_of_the_minorant_is_an_upper_bound(rng):
    """The conjugate is maximised by SciPy."""
    loss, K = FocalMinorant(np.asarray(2.0)), 4
    counts = np.ones((K - 1, 1))
    for shrink in (0.3, 0.9, 1.0, 1.2):
        z, other = rng.normal(size=K) * 2, rng.normal(size=K)
        at, near = (loss.on_groups((x[0] - x[1:])[:, None], counts) for x in (z, other))
        for wrong in (at.wrong * min(1.0, shrink), near.wrong * min(shrink, 0.95 / near.wrong.sum())):
            y = np.concatenate([[-wrong.sum()], wrong[:, 0]])
            found = minimize(lambda x, y=y: of_logits(loss, x)[0] - y @ x, z, tol=1e-12)
            gap = float(loss.fenchel_gap(at, counts, wrong, 0 * wrong[0])[0])
            assert gap >= float(at.value[0]) - found.fun - y @ z - 1e-9
        assert float(loss.fenchel_gap(at, counts, at.wrong, 0 * wrong[0])[0]) == pytest.approx(0.0, abs=1e-15)
    assert loss.fenchel_gap(at, counts, at.wrong * 2 / at.wrong.sum(), 0 * wrong[0])[0] == np.inf


@pytest.mark.parametrize("name", LOSSES)
def test_equal_rivals_are_the_least_loss_of_a_margin(name, rng):
    """``profile`` is a lower bound at any logits, and ``least`` one on its minimum with a price."""
    kind, formula, parameter = LOSSES[name]
    loss = kind(parameter)
    for K in (3, 17, 200):
        z = rng.normal(size=(200, K)) * rng.uniform(0.1, 4, (200, 1))
        margin = z[:, 0] - z[:, 1:].mean(1)
        values, _ = jax.vmap(lambda m, K=K: profile(loss, m[None], jnp.asarray(float(K))))(margin)
        assert (formula(softmax(z), parameter) >= np.asarray(values)[:, 0] * (1 - 1e-12)).all()
        grid = np.concatenate([[0], np.geomspace(1e-3, 700, 20_000)])
        g = formula(softmax(np.pad(grid[:, None], ((0, 0), (0, K - 1)))), parameter)
        for rate in 10.0 ** rng.uniform(-6, 0, 5):
            found = least(loss, np.float64(K), np.array([rate]))
            best = np.min(g + rate * grid)
            assert float(found.bound[0]) <= best * (1 + 1e-12)
            assert float(found.bound[0]) >= best - 1e-5 * (1 + rate)  # the grid is coarse
            here = formula(softmax(np.pad(found.margin[None], ((0, 0), (0, K - 1)))), parameter)
            assert float(here[0] + rate * found.margin[0]) == pytest.approx(float(found.bound[0]), rel=1e-10)


def test_focal_with_two_stationary_margins():
    """K = 100, gamma = 3: theory's equation has two roots; the larger counts, as long as it beats zero."""
    K, gamma = 100, 3.0

    def equation(q, c):
        return (1 - q) ** (gamma + 1) - gamma * q * (1 - q) ** gamma * np.log(q) - c

    for share, alive in ((1.12, True), (1.18, False)):
        c = share / (K - 1)
        qs = np.linspace(1 / K, 0.5, 4000)
        signs = np.sign(equation(qs, share))
        roots = [
            brentq(equation, a, b, (share,)) for a, b, s, t in zip(qs, qs[1:], signs, signs[1:], strict=False) if s != t
        ]
        assert len(roots) == 2
        if alive:
            assert np.round(roots, 4).tolist() == [0.0146, 0.1199]
        s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(K), c, c, lpm.Focal(gamma)))
        assert s.status == Status.certified and s.method == "closed_form"
        a = np.log(roots[1] * (K - 1) / (1 - roots[1])) if alive else 0.0
        assert float(s.within[0]) == pytest.approx(a, abs=1e-10)
        at = [-((1 - q) ** gamma) * np.log(q) + c * (K - 1) * np.log(q * (K - 1) / (1 - q)) for q in (1 / K, roots[1])]
        assert float(s.value) == pytest.approx(min(at), rel=1e-12)
        assert s.phase == (lpm.Phase.separated if alive else lpm.Phase.annihilated)
        fixed = jax.tree.map(np.asarray, s.problem).objective()
        for moved in (0.9, 1.1):  # what other margins prove does not cross the optimum
            proof = fixed.prove(GroupCoordinates(moved * np.asarray(s.within) + 0.1, np.zeros((1, 1))))
            assert float(proof.value - proof.gap) <= float(s.value) * (1 + 1e-13)
            assert float(proof.value) > float(s.value)
        assert np.isnan(s.slack).all()  # what pulls equal classes apart is no constant of this loss


@pytest.mark.slow
def test_derivatives_of_a_closed_form():
    groups = lpm.ClassGroups.balanced(12, 5.0)

    def solved(c, gamma):
        return lpm.solve(lpm.UnconstrainedFeatures(groups, c, 2e-3, lpm.Focal(gamma)))

    for name in ("value", "within"):
        of = lambda c, g, name=name: jnp.sum(getattr(solved(c, g), name))  # noqa: E731
        slopes = jax.jit(jax.grad(of, (0, 1)))(1e-3, 2.0)
        h = 1e-5
        assert float(slopes[0]) == pytest.approx(float(of(1e-3 + 1e-8, 2.0) - of(1e-3 - 1e-8, 2.0)) / 2e-8, rel=1e-5)
        assert float(slopes[1]) == pytest.approx(float(of(1e-3, 2 + h) - of(1e-3, 2 - h)) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(
    ("K", "q", "budget"),
    [(10, 2.0, 1.80893046), (20, 2.0, 2.90604176), (5, 2.0, 0.54412129), (10, 3.0, 1.32581940), (10, 1.5, 2.16018488)],
)
def test_budget_below_which_the_etf_loses(K, q, budget):
    found = lpm.boundary.dropped_class(K, lpm.PowerSoftmax(q))
    assert float(found) == pytest.approx(budget, abs=1e-7)


@pytest.mark.slow
def test_boundary_of_dropping():
    def excess(s, K, loss):  # of one class dropped, by plain arithmetic
        _, formula, parameter = loss
        a = K * s / (K - 2)
        rest = softmax(np.array([a, *np.zeros(K - 2), a / (K - 1)]))
        whole = softmax(np.array([s * K / (K - 1), *np.zeros(K - 1)]))
        dropped = (1 - 1 / K) * formula(rest, parameter) + formula(np.full(K, 1 / K), parameter) / K
        return dropped - formula(whole, parameter)

    for K, loss in ((20, LOSSES["focal"]), (100, LOSSES["focal"]), (7, LOSSES["power 1.3"])):
        s = float(lpm.boundary.dropped_class(K, loss[0](loss[2])))
        assert excess(s * 0.999, K, loss) < 0 < excess(s * 1.001, K, loss)
    assert lpm.boundary.dropped_class([4.0, 10.0, 1e5], lpm.CrossEntropy()).tolist() == [0, 0, 0]
    assert lpm.boundary.dropped_class([4.0, 17.0], lpm.Focal(2.0)).tolist() == [0, 0]
    slope = jax.grad(lambda q: lpm.boundary.dropped_class(10.0, lpm.PowerSoftmax(q)))(2.0)
    values = [lpm.boundary.dropped_class(10.0, lpm.PowerSoftmax(2 + h)) for h in (-1e-5, 1e-5)]
    assert float(slope) == pytest.approx(float(values[1] - values[0]) / 2e-5, rel=1e-7)
    assert np.isnan(jax.jit(lambda K: lpm.boundary.dropped_class(K, lpm.PowerSoftmax(2.0)))(3.0))


def of_power(s, K=10):
    return lpm.LayerPeeled(lpm.ClassGroups.balanced(K), s, s, lpm.PowerSoftmax(2.0))


@pytest.mark.slow
def test_the_etf_is_not_optimal_on_a_small_budget():
    etf = lpm.solve(of_power(1.0), method="closed_form")
    assert float(etf.value) == pytest.approx(0.6210881, abs=1e-7)
    assert etf.status == Status.stalled and etf.phase == lpm.Phase.undetermined
    found = lpm.solve(of_power(1.0))
    assert found.method == "factored" and found.status == Status.converged
    assert float(found.value) <= 0.5902888
    assert 0.585 < float(found.lower_bound) < float(found.value)
    W, H = np.asarray(found.W), np.asarray(found.H)
    assert np.sum(W * W) == pytest.approx(10, rel=1e-9) and np.sum(H * H) == pytest.approx(10, rel=1e-9)
    p = np.take_along_axis(softmax((W @ H).T), np.arange(10)[:, None], 1)[:, 0]
    rest = np.sum(softmax((W @ H).T) ** 2, 1) - p**2
    assert np.mean((1 - p) ** 2 + rest) == pytest.approx(float(found.value), rel=1e-9)
    again = lpm.certify(found.problem, found)
    assert again.status == Status.converged and float(again.value) == pytest.approx(float(found.value), rel=1e-12)
    moved = lpm.certify(found.problem, dataclasses.replace(found, W=found.W.at[0, 0].add(0.1)))
    assert moved.status == Status.stalled


def test_the_etf_is_certified_from_some_budget_on():
    """Where the line from zero margin touches the loss: theory's s* is 1.80893, the touching point 1.94140."""
    gaps = {s: lpm.solve(of_power(s), method="closed_form") for s in (1.7, 1.9, 1.95, 3.0)}
    assert [Status(int(s.status)).name for s in gaps.values()] == ["stalled", "stalled", "certified", "certified"]
    assert all(float(s.lower_bound) <= float(s.value) for s in gaps.values())


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, 0.05])
def test_focal_of_any_counts_is_certified_where_no_probability_is_small(bias):
    groups = lpm.ClassGroups.from_counts([50, 50, 50, 5, 5, 5])
    for decay in (5e-3, 1e-3):
        s = lpm.solve(lpm.UnconstrainedFeatures(groups, decay, decay, lpm.Focal(2.0), bias_decay=bias)).check()
        assert s.status == Status.certified and float(s.gap / s.value) < 1e-10
    weak = lpm.solve(lpm.UnconstrainedFeatures(groups, 2e-2, 2e-2, lpm.Focal(2.0), bias_decay=0.0))
    assert weak.status == Status.converged and 0 < float(weak.lower_bound) < float(weak.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_bound_is_below_every_point(name, rng):
    """Of random problems, what any logits prove never crosses the least value of many starts and random logits."""
    kind, formula, parameter = LOSSES[name]
    K = 6
    for _ in range(6):
        n = 10 ** rng.uniform(0, 2, K)
        pi, s = n / n.sum(), 10 ** rng.uniform(-1, 0.6)
        budget, price = K * s, 10 ** rng.uniform(-3, -1)
        groups = lpm.ClassGroups(np.ones(K), n)
        for problem in (
            lpm.LayerPeeled(groups, s, s, kind(parameter)),
            lpm.UnconstrainedFeatures(groups, price, price, kind(parameter)),
        ):
            on_budget = isinstance(problem, lpm.LayerPeeled)
            omega = np.ones(K) if on_budget else np.sqrt(n)

            def objective(Z, pi=pi, omega=omega, on_budget=on_budget, price=price, K=K):
                logits = np.stack([np.r_[Z[k, k], np.delete(Z[:, k], k)] for k in range(K)])
                value = pi @ formula(softmax(logits), parameter)
                return value if on_budget else value + price * np.linalg.norm(Z * omega, "nuc")

            least_value, bound = np.inf, 0.0
            for scale in 10 ** rng.uniform(-1, 1, 300):
                Z = rng.normal(size=(K, K)) + 3 * rng.uniform() * np.diag(rng.uniform(size=K) > 0.3)
                Z = Z - Z.mean(0)
                Z *= budget / np.linalg.norm(Z, "nuc") if on_budget else scale
                least_value = min(least_value, objective(Z))
            fixed = jax.tree.map(np.asarray, problem).objective()
            for _ in range(3):
                Z = rng.normal(size=(K, K))
                proof = fixed.prove(fixed.coordinates_of(Z * budget / np.linalg.norm(Z, "nuc")))
                assert float(proof.gap) >= 0
                bound = max(bound, float(proof.value - proof.gap))
            best = lpm.solve(problem, method="factored")
            bound = max(bound, float(best.lower_bound))
            Z = np.asarray(best.logits())
            least_value = min(least_value, objective(Z), float(best.value))
            assert objective(Z) == pytest.approx(float(best.value), rel=1e-7)
            assert bound <= least_value * (1 + 1e-12)
            assert bound > 0


def test_float32_is_converged_and_certified_as_float64():
    with jax.enable_x64(False):
        single = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(10), 1e-2, 1e-2, lpm.Focal(2.0)))
    assert single.value.dtype == np.float32 and single.status == Status.converged
    double = lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(10), 1e-2, 1e-2, lpm.Focal(2.0))
    proof = lpm.certify(double, single, tol=1e-5)
    assert proof.status == Status.certified
    assert float(proof.lower_bound) <= float(lpm.solve(double).value) <= float(proof.value)
    open_ = lpm.certify(single.problem, single)  # what rounding changes in the bound is not known
    assert open_.status == Status.stalled and float(open_.lower_bound) == pytest.approx(0.0, abs=1e-12)
    worse = eqx.tree_at(lambda s: s.within, single, single.within * 1.1)
    assert lpm.certify(double, worse, tol=1e-5).status == Status.stalled


def test_bad_parameters():
    with pytest.raises(
        ValueError, match=r"gamma = -1 is out of range: gamma must be finite and >= 0. It is the exponent"
    ):
        lpm.Focal(-1.0)
    with pytest.raises(ValueError, match=r"q = 0.5 is out of range: q must be finite and >= 1"):
        lpm.PowerSoftmax(0.5)
    with pytest.raises(ValueError, match=r"loss must be a lpmjax loss such as"):
        lpm.LayerPeeled(lpm.ClassGroups.balanced(4), 1.0, 1.0, loss="focal")
    with pytest.raises(ValueError, match=r"method = 'grouped' cannot solve this problem"):
        lpm.solve(of_power(1.0), method="grouped")
    with pytest.raises(ValueError, match=r"K = 3 is out of range"):
        lpm.boundary.dropped_class(3, lpm.PowerSoftmax(2.0))
    with pytest.raises(ValueError, match=r"it must be shift-invariant"):
        lpm.boundary.dropped_class(5, lpm.SquaredError())
    with pytest.raises(ValueError, match=r"loss must be a lpmjax loss"):
        lpm.boundary.dropped_class(5, 2.0)
    status = jax.jit(
        lambda g: lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(4), 0.1, 0.1, lpm.Focal(g))).status
    )
    assert status(-1.0) == Status.invalid
