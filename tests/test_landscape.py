"""Critical points of unconstrained, decayed and deep landscapes: what is said of them is true, and a lie is found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from scipy.optimize import minimize_scalar

import lpmjax as lpm
from lpmjax.landscape import Verdict, direction, point

BALANCED = lpm.ClassGroups.balanced(4, 2)
SPHERE = lpm.Separation(BALANCED)
#: least values on the sphere |W|^2 + |H|^2 = 20 with blocks tied; [2,2] is log(2 + 2 exp(-5 / sqrt(2)))
ON_SPHERE = {
    "[1,1,1,1]": 0.2500622156,
    "[2,1,1]": 0.4549022888,
    "[2,2]": 0.7218737853,
    "[3,1]": 0.8345637134,
    "[4]": np.log(4),
}


def decayed(lambda_W=5e-3, lambda_H=2e-3, loss=None):
    return lpm.UnconstrainedFeatures(BALANCED, lambda_W, lambda_H, loss=loss)


def sphere_point(frame):
    """On the sphere of squared radius 20, features along the classifiers of two samples each."""
    W = frame * np.sqrt(10 / np.sum(frame**2))
    return W, np.repeat(W.T, 2, axis=1) / np.sqrt(2)


@pytest.fixture(scope="module")
def collapsed():
    return sphere_point(np.asarray(lpm.frames.simplex_etf(4, 4)))


@pytest.fixture(scope="module")
def saddle():
    """The partition [2,2]: two classes at either end of a line."""
    return sphere_point(np.outer([1.0, 1.0, -1.0, -1.0], [0.6, 0.0, 0.8, 0.0]))


def assert_saddles(ds):
    """Strict saddles by the explicit direction, whose measured rate is the predicted one."""
    assert (ds.verdict == Verdict.strict_saddle).all() and ds.explicit.all()
    np.testing.assert_allclose(ds.rate_measured, ds.rate_predicted, rtol=2e-6)


def test_every_set_partition_of_four_classes():
    ds = lpm.landscape.critical_points(SPHERE, norm2=20.0)
    assert list(ds.partition.values) == list(ON_SPHERE)
    np.testing.assert_allclose(ds.value, list(ON_SPHERE.values()), atol=1e-10, rtol=0)
    assert ds.verdict[0] == Verdict.global_minimum and ds.gap[0] < 1e-11
    assert_saddles(ds.isel(partition=slice(1, None)))
    np.testing.assert_allclose(ds.spectral_norm[1:], 1 / (4 * np.sqrt(2)), rtol=1e-9)
    tied = ds.isel(partition=slice(1, -1))  # the last one has multiplier 0 and a direction of its own
    np.testing.assert_allclose(tied.rate_predicted, tied.spectral_norm - tied.multiplier, rtol=1e-9)
    assert ds.verdict.attrs["flag_meanings"].split()[1] == "strict_saddle"


@pytest.mark.parametrize("norm2", [1e-2, 2e3])
def test_small_and_large_spheres(norm2):
    """On a small one all losses are log 4 to 1e-3; on a large one the best is 1e-102."""
    ds = lpm.landscape.critical_points(SPHERE, norm2=norm2)
    assert ds.verdict.values.tolist() == [0, 1, 1, 1, 1]
    np.testing.assert_allclose(ds.value[0], np.log1p(3 * np.exp(-norm2 / (6 * np.sqrt(2)))), rtol=1e-9)
    np.testing.assert_allclose(ds.spectral_norm[1:], 1 / (4 * np.sqrt(2)), rtol=1e-9)
    np.testing.assert_allclose(ds.rate_measured[1:], ds.rate_predicted[1:], rtol=1e-3)


def test_what_underflows_is_no_minimum():
    W, H = sphere_point(np.asarray(lpm.frames.simplex_etf(4, 4)))
    size = np.sqrt(4e3 / 20)
    exact = lpm.landscape.classify(SPHERE, (size * W, size * H))
    assert exact.verdict == Verdict.global_minimum and 0 < exact.value < 1e-200
    W, H = W.copy(), size * H
    W[0] *= 0.99
    assert lpm.landscape.classify(SPHERE, (size * W, H)).verdict == Verdict.not_stationary
    with pytest.raises(ValueError, match="underflows"):
        lpm.landscape.classify(SPHERE, (2 * size * W, 2 * H))


@pytest.mark.slow
@pytest.mark.parametrize("n, norm2", [(1, 8.0), (3, 40.0)])
def test_every_set_partition_of_five_classes(n, norm2):
    ds = lpm.landscape.critical_points(lpm.Separation(lpm.ClassGroups.balanced(5, n)), norm2=norm2)
    assert ds.sizes["partition"] == 7
    etf = np.log1p(4 * np.exp(-norm2 / (2 * np.sqrt(n) * 4)))
    np.testing.assert_allclose(ds.value[0], etf, rtol=1e-10)
    assert ds.verdict[0] == Verdict.global_minimum
    assert_saddles(ds.isel(partition=slice(1, None)))
    np.testing.assert_allclose(ds.spectral_norm[1:], 1 / (5 * np.sqrt(n)), rtol=1e-9)


@pytest.mark.slow
def test_partitions_tie_equal_classes_only():
    groups = lpm.ClassGroups.from_counts([5, 3, 5, 3, 5])
    found = lpm.landscape.set_partitions(lpm.Separation(groups))
    assert set(found) == {f"{a} {b}" for a in ("[1,1,1]", "[2,1]", "[3]") for b in ("[1,1]", "[2]")}
    assert found["[2,1] [2]"] == (0, 2, 0, 2, 1)
    point = lpm.landscape.tied_minimum(SPHERE, (0, 1, 0, 2), norm2=20.0, key=jax.random.PRNGKey(1))
    assert lpm.landscape.classify(SPHERE, point).value == pytest.approx(ON_SPHERE["[2,1,1]"], abs=1e-10)
    np.testing.assert_array_equal(point[0][0], point[0][2])
    with pytest.raises(ValueError, match="block 0"):
        lpm.landscape.tied_minimum(lpm.Separation(groups), (0, 0, 1, 2, 3), norm2=20.0)


@pytest.mark.slow
def test_unequal_counts():
    ds = lpm.landscape.critical_points(lpm.Separation(lpm.ClassGroups.from_counts([5, 3, 5, 3, 5])), norm2=60.0)
    assert ds.verdict[0] == Verdict.global_minimum
    assert_saddles(ds.isel(partition=slice(1, None)))
    # a merged block of classes of n samples has the singular value pi / sqrt(n) = sqrt(n) / N
    largest = [np.sqrt(5 if "[1,1,1]" not in name else 3) / 21 for name in ds.partition.values[1:]]
    np.testing.assert_allclose(ds.spectral_norm[1:], largest, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [None, lpm.SquaredError()])
def test_with_weight_decay(loss):
    problem = decayed(loss=loss)
    ds = lpm.landscape.critical_points(problem)
    optimum = lpm.solve(problem).check()
    assert ds.verdict[0] == Verdict.global_minimum
    np.testing.assert_allclose(ds.value[0], optimum.value, rtol=1e-10)
    assert_saddles(ds.isel(partition=slice(1, None)))
    np.testing.assert_allclose(ds.rate_predicted[1:], ds.spectral_norm[1:] - np.sqrt(1e-5), rtol=1e-9)


@pytest.mark.parametrize("starts", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_random_descents_end_at_neural_collapse(starts):
    ds = lpm.landscape.descents(SPHERE, norm2=20.0, starts=starts)
    assert ds.sizes["start"] == starts and (ds.verdict == Verdict.global_minimum).all()
    np.testing.assert_allclose(ds.value, ON_SPHERE["[1,1,1,1]"], atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "dim, verdict, value", [(3, Verdict.global_minimum, 0.2500622156), (2, Verdict.undecided, None)]
)
def test_narrow_features(dim, verdict, value):
    """K - 1 dimensions are enough for cross-entropy; below, the square is no saddle, and nothing proves it best."""
    ds = lpm.landscape.descents(SPHERE, norm2=20.0, starts=40, dim=dim)
    value = np.log1p(2 * np.exp(-2.5 / np.sqrt(2)) + np.exp(-5 / np.sqrt(2))) if value is None else value
    assert (ds.verdict == verdict).all()
    np.testing.assert_allclose(ds.value, value, atol=1e-10)


def plain_loss(flat, K=4, n=2, d=4):
    """Cross-entropy of the flat factors, written out."""
    W, H = flat[: K * d].reshape(K, d), flat[K * d :].reshape(d, K * n)
    Z = W @ H
    return jnp.mean(jax.scipy.special.logsumexp(Z, axis=0) - Z[np.repeat(np.arange(K), n), np.arange(K * n)])


dense_hessian = jax.jit(jax.hessian(plain_loss))


@pytest.mark.slow
def test_extreme_eigenvalues_are_those_of_the_dense_hessian(saddle, collapsed):
    for factors in (saddle, collapsed):
        x = jnp.concatenate([jnp.ravel(A) for A in factors])
        mu = -jax.grad(plain_loss)(x) @ x / (x @ x)
        tangent = jnp.eye(x.size) - jnp.outer(x, x) / (x @ x)
        dense = np.linalg.eigvalsh(tangent @ (dense_hessian(x) + mu * jnp.eye(x.size)) @ tangent)
        found = lpm.landscape.extreme_eigenvalues(SPHERE, factors)
        np.testing.assert_allclose(found[:2], dense[[0, -1]], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_extreme_eigenvalues_with_weight_decay(rng):
    x = rng.normal(size=48)
    found = lpm.landscape.extreme_eigenvalues(decayed(2e-2, 1e-3), (x[:16].reshape(4, 4), x[16:].reshape(4, 8)))
    dense = np.linalg.eigvalsh(dense_hessian(x) + np.diag(np.repeat([2e-2, 1e-3], [16, 32])))
    np.testing.assert_allclose(found[:2], dense[[0, -1]], rtol=1e-9)
    assert np.sum([np.sum(D**2) for D in found.direction]) == pytest.approx(1)


def test_nothing_curves_down_more_than_the_explicit_direction(saddle):
    at = lpm.landscape.classify(SPHERE, saddle)
    least = lpm.landscape.extreme_eigenvalues(SPHERE, saddle).least
    np.testing.assert_allclose(least, at.multiplier - at.spectral_norm, rtol=1e-9)


# What must be told


def test_a_perturbed_minimum_is_not_stationary(collapsed, rng):
    for size, verdict in ((1e-4, Verdict.not_stationary), (1e-9, Verdict.global_minimum)):
        moved = tuple(A + size * rng.normal(size=A.shape) for A in collapsed)
        at = lpm.landscape.classify(SPHERE, moved)
        assert at.verdict == verdict and ("gradient" in at.reason) == (size > 1e-6)
    assert lpm.landscape.classify(SPHERE, tuple(1.01 * A for A in collapsed)).verdict == Verdict.global_minimum
    decay = decayed()
    best = lpm.solve(decay).factors(4)
    assert lpm.landscape.classify(decay, best).verdict == Verdict.global_minimum
    assert lpm.landscape.classify(decay, tuple(1.01 * A for A in best)).verdict == Verdict.not_stationary


def test_small_factors_with_decay_do_not_pass_for_stationary(rng):
    tiny = rng.normal(size=(4, 4)), rng.normal(size=(4, 8))
    assert lpm.landscape.classify(decayed(), tuple(1e-4 * A for A in tiny)).verdict == Verdict.not_stationary
    assert lpm.landscape.classify(decayed(), tuple(0 * A for A in tiny)).verdict == Verdict.strict_saddle
    assert lpm.landscape.classify(decayed(0.2, 0.2), tuple(0 * A for A in tiny)).verdict == Verdict.global_minimum


@pytest.mark.parametrize("problem, optimum", [(SPHERE, ON_SPHERE["[1,1,1,1]"]), (decayed(), None)])
def test_no_point_is_nearer_to_the_optimum_than_its_gap(problem, optimum, rng, saddle, collapsed):
    optimum = float(lpm.solve(problem).value) if optimum is None else optimum
    for t in (0.0, 1e-3, 0.1, 1.0):
        for base in (saddle, collapsed):
            moved = [A + t * rng.normal(size=A.shape) for A in base]
            size = np.sqrt(20 / sum((A**2).sum() for A in moved))
            at = lpm.landscape.classify(problem, tuple(size * A for A in moved))
            assert at.value - optimum <= at.gap * (1 + 1e-9) + 1e-10 and at.gap <= at.value
            assert at.verdict != Verdict.global_minimum or at.value - optimum < 1e-7


def test_a_wrong_direction_is_told(saddle, monkeypatch):
    at = lpm.landscape.classify(SPHERE, saddle)
    P, Q = at.direction
    rate = lpm.landscape.measured_rate(SPHERE, saddle, (P, Q))
    np.testing.assert_allclose(rate, at.spectral_norm - at.multiplier, rtol=1e-6)
    rises = lpm.landscape.measured_rate(SPHERE, saddle, (P, -Q))  # the sign of one factor
    np.testing.assert_allclose(rises, -at.spectral_norm - at.multiplier, rtol=1e-6)

    def flipped(*args):
        (P, Q), rate = direction.explicit_direction(*args)[0]
        return direction.Descent((P, -Q), rate), ""

    monkeypatch.setattr(point, "explicit_direction", flipped)
    told = lpm.landscape.classify(SPHERE, saddle)  # the Hessian's own direction in its place
    assert told.verdict == Verdict.strict_saddle and not told.explicit and "measured" in told.reason
    np.testing.assert_allclose(told.rate_measured, -0.5 * told.least_eigenvalue, rtol=1e-5)
    monkeypatch.setattr(point, "extremes", lambda *_: lpm.landscape.Extremes(-1.0, 1.0, at.direction))
    assert lpm.landscape.classify(SPHERE, saddle).verdict == Verdict.undecided


def test_a_saddle_does_not_pass_for_a_minimum(saddle, monkeypatch):
    """Not even if no direction is found: the gap is open."""
    monkeypatch.setattr(point, "_saddle", lambda *_: point._Found(Verdict.undecided, "nothing"))
    at = lpm.landscape.classify(SPHERE, saddle)
    assert at.verdict == Verdict.undecided and at.gap > 0.4718  # .7219 is above .2501 by so much


@pytest.mark.slow
def test_other_losses():
    problem = decayed(loss=lpm.LogitAdjusted(0.5))
    ds = lpm.landscape.critical_points(problem)
    assert ds.verdict[0] == Verdict.global_minimum
    assert_saddles(ds.isel(partition=slice(1, None)))


# Deep models


def etf(K, lambda_, M=2):
    """Factors of the simplex ETF of least value, one sample a class, equal decays."""
    L = M + 1
    a = minimize_scalar(
        lambda a: np.log1p((K - 1) * np.exp(-a)) + L / 2 * lambda_ * (K - 1) * a ** (2 / L),
        bounds=(1e-3, 60), method="bounded", options={"xatol": 1e-13},
    ).x  # fmt: skip
    frame = np.asarray(lpm.frames.simplex_etf(K)) * np.sqrt((K - 1) / K)
    root = a ** (1 / L)
    return (root * frame, *[root * np.eye(K - 1)] * (M - 1), root * frame.T)


def deep(K, lambda_):
    return lpm.DeepLinear(lpm.ClassGroups.balanced(K), (lambda_, lambda_), lambda_)


@pytest.mark.slow
def test_deep_neural_collapse_is_not_proved_best_where_it_is_not():
    """K = 3, decay .185: a local minimum by its Hessian, but a pair with a dropped class has a lower value."""
    pair = lpm.solve(deep(3, 0.185))
    for factors, value in ((etf(3, 0.185), 1.095479739), (pair.factors(), 1.078151530)):
        at = lpm.landscape.classify(deep(3, 0.185), factors, tol=1e-6, lower_bound=float(pair.lower_bound))
        assert at.verdict == Verdict.undecided and at.least_eigenvalue > -1e-6 and at.direction is None
        assert at.value == pytest.approx(value, abs=1e-8) and np.isnan(at.multiplier)
        assert "gap does not close" in at.reason


@pytest.mark.slow
def test_deep_neural_collapse_where_it_is_proved_best():
    """K = 3, decay .1: branch and bound's lower bound closes the gap."""
    bound = lpm.solve(deep(3, 0.1), method="branch_and_bound", tol=1e-5).lower_bound
    at = lpm.landscape.classify(deep(3, 0.1), etf(3, 0.1), tol=2e-5, lower_bound=float(bound))
    assert at.verdict == Verdict.global_minimum
    for worse in (lpm.solve(deep(3, 0.185)).factors(), etf(3, 0.185)):
        assert lpm.landscape.classify(deep(3, 0.1), worse, lower_bound=float(bound)).verdict == Verdict.not_stationary


@pytest.mark.slow
def test_deep_partitions():
    ds = lpm.landscape.critical_points(deep(3, 0.1))
    assert list(ds.verdict) == [Verdict.undecided, Verdict.strict_saddle, Verdict.undecided]  # the last one is zero
    assert not ds.explicit.any() and ds["rank"].values.tolist() == [2, 1, 0]
    np.testing.assert_allclose(ds.rate_measured[1], -0.5 * ds.least_eigenvalue[1], rtol=1e-5)
    assert ds.least_eigenvalue[2] == pytest.approx(0.1)  # zero is a local minimum: the decay alone


@pytest.mark.slow
def test_deep_squared_error_is_proved():
    problem = lpm.DeepLinear(lpm.ClassGroups.from_counts([8, 4, 2]), (5e-3, 1e-2), 2e-3, loss=lpm.SquaredError())
    ds = lpm.landscape.descents(problem, starts=20)
    assert (ds.verdict == Verdict.global_minimum).all()
    np.testing.assert_allclose(ds.value, 0.03345587, atol=1e-8)


# Bad input


@pytest.mark.parametrize(
    "problem, factors, words",
    [
        (SPHERE, (np.eye(4), np.ones((3, 8))), "product must exist"),
        (SPHERE, (np.ones((3, 2)), np.ones((2, 8))), "4 rows"),
        (SPHERE, (np.ones((4, 2)), np.ones((2, 7))), "8 columns"),
        (SPHERE, (np.zeros((4, 2)), np.zeros((2, 8))), "all zero"),
        (SPHERE, (np.full((4, 2), np.nan), np.ones((2, 8))), "finite"),
        (SPHERE, (np.ones((4, 2)), np.full((2, 8), np.inf)), "finite"),
        (SPHERE, (np.ones((4, 2)), np.eye(2), np.ones((2, 8))), "2 factors"),
        (SPHERE, (1e3 * np.eye(4), 1e3 * np.eye(4)), "underflows"),
        (decayed(), (np.ones(4), np.ones((2, 8))), "matrices"),
        (lpm.Separation(BALANCED, dim=5), (np.eye(4), np.eye(4)), "dim = 5"),
        (lpm.UnconstrainedFeatures(BALANCED, 0.1, 0.1, bias_decay=0.0), (np.eye(4), np.eye(4)), "bias"),
        (lpm.UnconstrainedFeatures(BALANCED, 0.1, 0.1, nonnegative=True), (np.eye(4), np.eye(4)), "ReLU"),
        (lpm.Separation(BALANCED, norm="class_average"), (np.eye(4), np.eye(4)), "per_sample"),
        (lpm.Separation(lpm.ClassGroups.balanced(4, 1.5)), (np.eye(4), np.eye(4)), "whole numbers"),
        (
            lpm.LayerPeeled(BALANCED, 1.0, 1.0),
            (np.eye(4), np.eye(4)),
            "Separation, UnconstrainedFeatures or DeepLinear",
        ),
    ],
)
def test_bad_points_are_refused(problem, factors, words):
    with pytest.raises(ValueError, match=words):
        lpm.landscape.classify(problem, factors)


def test_bad_searches_are_refused():
    with pytest.raises(ValueError, match="norm2"):
        lpm.landscape.critical_points(SPHERE)
    with pytest.raises(ValueError, match="norm2"):
        lpm.landscape.descents(decayed(), norm2=20.0)
    with pytest.raises(ValueError, match="norm2 = -1"):
        lpm.landscape.descents(SPHERE, norm2=-1.0)
    with pytest.raises(ValueError, match="dim = 3"):
        lpm.landscape.descents(lpm.Separation(BALANCED, dim=5), norm2=20.0, dim=3)
    with pytest.raises(ValueError, match="direction has shapes"):
        lpm.landscape.measured_rate(SPHERE, (np.eye(4), np.eye(4)), (np.eye(4), np.eye(4)))


def test_no_room_for_a_direction_is_said():
    """Two classes at either end of a line, in one dimension."""
    at = lpm.landscape.classify(SPHERE, sphere_point(np.array([[1.0], [1.0], [-1.0], [-1.0]])))
    assert at.value == pytest.approx(ON_SPHERE["[2,2]"], abs=1e-10)
    assert "d = 1 leaves no unit vector a" in at.reason and not at.explicit


def test_features_of_classes_stand_for_those_of_samples(saddle):
    W, H = saddle
    one, each = (lpm.landscape.classify(SPHERE, (W, X)) for X in (H[:, ::2], H))
    assert one.value == pytest.approx(each.value, rel=1e-13) and one.verdict == each.verdict


def test_what_is_printed(saddle):
    text = str(lpm.landscape.classify(SPHERE, saddle))
    assert text.startswith("strict saddle: |G|_2 exceeds the multiplier")
    assert "explicit direction: 0.166764" in text and max(map(len, text.splitlines())) <= 100


def test_float32_callers_get_float64(saddle):
    with jax.enable_x64(False):
        single = tuple(jnp.asarray(A) for A in saddle)
        problem = lpm.Separation(lpm.ClassGroups.balanced(4, 2))
        rounded = lpm.landscape.classify(problem, single, tol=1e-5)
        at = lpm.landscape.classify(problem, saddle)
    assert rounded.verdict == at.verdict == Verdict.strict_saddle
    assert at.value == pytest.approx(ON_SPHERE["[2,2]"], abs=1e-10)


def test_levels_are_drawn_by_what_they_are():
    ds = lpm.landscape.critical_points(SPHERE, norm2=20.0)
    ax = lpm.plot.critical_points(ds)
    drawn = {c.get_label(): np.asarray(c.get_offsets()) for c in ax.collections}
    assert set(drawn) == {"global minimum", "strict saddle"}
    np.testing.assert_allclose(drawn["global minimum"], [[3, ON_SPHERE["[1,1,1,1]"]]])
    np.testing.assert_allclose(drawn["strict saddle"][:, 1], list(ON_SPHERE.values())[1:])
    assert [text.get_text() for text in ax.texts] == list(ON_SPHERE) and "20" in ax.get_title()
    pyplot.close(ax.figure)
    with pytest.raises(ValueError, match="partition"):
        lpm.plot.critical_points(ds.rename(partition="start"))
