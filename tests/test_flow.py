"""Paths down the loss: exact dynamics, bounds that are never crossed, what is conserved, and what is refused."""

import json
import sys
from itertools import pairwise

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from command_line import run
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax.paths import gradient_flow
from lpmjax.paths.measures import class_logits, measured
from lpmjax.paths.path import Path
from lpmjax.paths.setting import Setting
from lpmjax.paths.target import Target
from lpmjax.paths.velocity import Landscape, log_loss, velocity

K, n, d = 4, 3, 4
GROUPS = lpm.ClassGroups.balanced(K, n)
SEPARATION = lpm.Separation(GROUPS)
#: the time of one sample a class is sqrt(n) times as long with n copies of it
TIMES = np.concatenate([[0.0, 200.0, 200 * np.sqrt(n)], np.geomspace(1e3, 1e12, 19)])
CHARACTERS = np.array([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).T / 2.0  # orthonormal columns
#: starts, and where they are after t = 200; the second is on the ray of neural collapse
HADAMARD = {(0.2, 0.5, 1.0): (6.40210949, 8.60982269, 8.93469066), (0.5, 0.5, 0.5): (7.86275378,) * 3}


def collapsed(a, copies=n):
    """Balanced factors of ``sum_i a_i chi_i chi_iᵀ / K``: on the ray of neural collapse where all a_i are equal."""
    root = np.sqrt(np.asarray(a))
    W, H = np.zeros((K, d)), np.zeros((d, K))
    W[:, :3], H[:3] = CHARACTERS * root * copies**0.25, (CHARACTERS * root).T / copies**0.25
    return W, np.repeat(H, copies, axis=1)


def starts(copies=n):
    """Hadamard starts, one of features alone, and random ones of scale .01, .1 and 1."""
    rng = np.random.default_rng(7)
    pairs = [*(collapsed(a, copies) for a in HADAMARD), (np.zeros((K, d)), rng.normal(size=(d, K * copies)))]
    for scale in (0.01, 0.1, 1.0):
        pairs.append((scale * rng.normal(size=(K, d)), scale * rng.normal(size=(d, K * copies))))
    return tuple(np.stack(factors) for factors in zip(*pairs, strict=True))


@pytest.fixture(scope="module")
def flows():
    return lpm.flow(SEPARATION, TIMES, start=starts())


def hadamard(logits):
    """The a_i of class logits."""
    return np.einsum("ki,kl,li->i", CHARACTERS, logits, CHARACTERS)


def reduced(a, t):
    """a(t) by three equations, one sample a class, by SciPy."""
    chi = 2 * CHARACTERS

    def rate(_, a):
        p = np.exp(chi @ a / K)
        return 2 * a / K * (1 - chi.T @ (p / p.sum()))

    return solve_ivp(rate, (0, t), a, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]


def test_the_full_flow_follows_the_reduced_equations(flows):
    for seed, (first, known) in enumerate(HADAMARD.items()):
        np.testing.assert_allclose(reduced(first, 200.0), known, atol=1e-8)
        np.testing.assert_allclose(hadamard(flows["logits"].values[seed, 2]), known, atol=2e-8)


def test_the_ray_of_neural_collapse_follows_its_implicit_formula(flows):
    margin = flows["margin"].values[1]
    assert margin[1] == pytest.approx(7.187624572, abs=1e-8)
    with mpmath.workdps(40):
        time = lambda a: mpmath.ei(a) + (K - 1) * mpmath.log(a)  # noqa: E731
        for t, alpha in zip(TIMES, margin, strict=True):
            goal = 2 * mpmath.mpf(t) / mpmath.sqrt(n) + time(mpmath.mpf("0.5"))
            exact = mpmath.findroot(
                lambda a, goal=goal: time(a) - goal, (0.4, mpmath.log(t + 2) + 3), solver="anderson"
            )
            assert alpha == pytest.approx(float(exact), rel=1e-9)  # the tolerance of a step
    # there and only there the bound is attained
    gap = flows["log_loss"].values - flows["log_lower_bound"].values
    np.testing.assert_allclose(gap[1], 0, atol=1e-12)
    assert (gap[2:] > 1e-6).all()
    np.testing.assert_allclose(flows["margin_ratio"].values[1], 1, rtol=1e-9)
    np.testing.assert_allclose(flows["normalised_margin"].values[1], 1 / (2 * np.sqrt(n) * (K - 1)), rtol=1e-9)


def judged(ds):
    """What every flow without decay must show, by name."""
    separated = ds["time"] >= ds["separation_time"]
    smoothed = ds["smoothed_margin"].where(separated).values
    late = ds.sel(time=slice(1e12, None))["scaled_loss"].values
    return {
        "status": bool((ds["status"] == lpm.Status.converged).all()),
        "loss falls": bool((np.diff(ds["log_loss"].values) < 0).all()),
        "smoothed margin rises": not (np.diff(smoothed) < -1e-13).any(),
        "bound": bool((ds["log_loss"] - ds["log_lower_bound"] > -1e-12).all()),
        "conserved": float(max(ds["balance_drift"].max(), ds["column_sum_drift"].max())) < 1e-7,
        "rate": bool(((late > 0.75) & (late < 1.1)).all()),
    }


def test_what_every_flow_shows(flows):
    assert judged(flows) == dict.fromkeys(judged(flows), True)
    assert flows.attrs["separation"] == "reached in all 6 starts"
    assert flows["steps"].values.max() < 150
    # 1 - margin/optimum is of order 1 / log t: no test that it is small
    assert (flows["margin_ratio"].values[:, -1] <= 1 + 1e-9).all()


def test_separation_is_an_event_and_its_absence_is_said(flows):
    begun = flows["log_loss"].values[:, 0]
    at = flows["separation_time"].values
    assert (at > 0).all() and (begun > np.log(np.log(2) / (K * n))).all()
    # Seen from the saves around the earliest, and exactly: at that time the loss is log 2 / N.
    order = np.argsort(at)
    times = np.concatenate([at[order], TIMES[TIMES > at.max()]])
    times = np.concatenate([times, times[-1] * np.arange(2, 24 - times.size + 1)])[: TIMES.size]
    again = lpm.flow(SEPARATION, times, start=starts())
    reached = again["log_loss"].values[order, np.arange(6)]
    np.testing.assert_allclose(reached, np.log(np.log(2) / (K * n)), atol=1e-7)
    early = lpm.flow(SEPARATION, np.linspace(0.1, at.min() / 2, TIMES.size), start=starts())
    assert np.isnan(early["separation_time"]).all() and (early["status"] == lpm.Status.converged).all()
    assert early.attrs["separation"].startswith("not reached by") and "in 6 of 6 starts" in early.attrs["separation"]
    late = tuple(np.repeat(5 * factor, 6, axis=0) for factor in (starts()[0][:1], starts()[1][:1]))
    assert (lpm.flow(SEPARATION, TIMES, start=late)["separation_time"] == 0).all()


def test_with_decay_the_flow_comes_to_rest_at_the_optimum():
    problem = lpm.UnconstrainedFeatures(GROUPS, 5e-3, 2e-3)
    ds = lpm.flow(problem, TIMES, start=starts())
    best = lpm.solve(problem).check()
    np.testing.assert_allclose(ds["objective"].values[:, -1], best.value, rtol=1e-10)
    assert (ds["objective"] >= best.lower_bound).all() and (ds["status"] == lpm.Status.converged).all()
    # flat in the objective where the margin is off by its root
    np.testing.assert_allclose(ds["margin"].values[:, -1], np.log(1 / np.sqrt(n * 1e-5) - (K - 1)), rtol=1e-6)
    assert (np.diff(ds["objective"].values) < 1e-12).all() and "balance_drift" not in ds


def setting_of(samples, depth=2, decays=None, weights=None):
    samples = np.asarray(samples)
    weights = samples / samples.sum() if weights is None else np.asarray(weights)
    return Setting(samples, weights, np.repeat(np.arange(samples.size), samples), decays, depth, None)


def random_factors(rng, setting, width=3, scale=0.7, batch=()):
    widths = (setting.K, *(width,) * (setting.depth - 1), setting.labels.size)
    return tuple(scale * rng.normal(size=(*batch, a, b)) for a, b in pairwise(widths))


def slope_error(rng, setting):
    """Of velocity at log time 0.3, from the derivative of the plain formula of the loss."""
    factors = random_factors(rng, setting)

    def objective(factors):
        Z = factors[0]
        for factor in factors[1:]:
            Z = Z @ factor
        each = jax.nn.logsumexp(Z, axis=0) - Z[setting.labels, jnp.arange(Z.shape[1])]
        decay = zip(setting.decays or (0.0,) * setting.depth, factors, strict=True)
        weights = setting.weights[setting.labels] / setting.samples[setting.labels]
        return jnp.sum(weights * each) + sum(rate / 2 * jnp.sum(factor**2) for rate, factor in decay)

    both = jax.jit(lambda factors, at: (jax.grad(objective)(factors), velocity(factors, 0.3, at)))
    slopes, found = both(factors, Landscape.of(setting))
    return max(float(abs(np.exp(0.3) * a + b).max()) for a, b in zip(slopes, found, strict=True))


@pytest.mark.parametrize(
    "setting",
    [
        setting_of([2, 2, 2]),
        setting_of([3, 1, 2], weights=[0.2, 0.5, 0.3]),
        setting_of([2, 1, 1], 4, (0.1, 0.2, 0.3, 0.4)),
    ],
)
def test_velocity_is_downhill(rng, setting):
    assert slope_error(rng, setting) < 1e-14


def test_velocity_keeps_its_digits_where_the_loss_underflows():
    setting = setting_of([1, 1, 1])
    both = jax.jit(lambda factors, time, at: (velocity(factors, time, at), log_loss(factors, at)))
    for size in (30.0, 600.0):  # the gradient is about e^-size, times t = e^size
        W, H = np.eye(3), size * np.eye(3) + np.arange(9.0).reshape(3, 3) / 7
        (_, found), log = both((W, H), size, Landscape.of(setting))
        with mpmath.workdps(600):
            exact = np.zeros((3, 3))
            for i in range(3):
                p = [mpmath.exp(mpmath.mpf(float(H[j, i]))) for j in range(3)]
                for j in range(3):
                    exact[j, i] = ((j == i) - p[j] / mpmath.fsum(p)) * mpmath.exp(size) / 3
        np.testing.assert_allclose(found, exact, rtol=1e-12)
        loss = mpmath.fsum(mpmath.log1p(mpmath.fsum(mpmath.exp(float(H[j, i] - H[i, i])) for j in range(3) if j != i))
                           for i in range(3)) / 3  # fmt: skip
        assert float(log) == pytest.approx(float(mpmath.log(loss)), rel=1e-13)


def test_exponents_of_the_linearised_flow():
    """About neural collapse, in units of the margin's own rate: those that ``plot.flow`` draws are among them."""
    setting, alpha = setting_of([n] * K), 5e3
    W, H = collapsed([alpha] * 3)  # Z = alpha S, for the characters span the complement of the ones vector
    log_time = alpha + np.log(np.sqrt(n) / (2 * alpha))  # where the margin rises at rate 1

    def of(flat):
        moved = velocity((flat[: W.size].reshape(W.shape), flat[W.size :].reshape(H.shape)), log_time, landscape)
        return jnp.concatenate([x.ravel() for x in moved])

    landscape = Landscape.of(setting)
    flat = jnp.asarray(np.concatenate([W.ravel(), H.ravel()]))
    rates = -np.linalg.eigvals(np.asarray(jax.jit(jax.jacfwd(of))(flat))).real
    root = np.sqrt(1 - 2 / K)
    expected = np.array([1 / (2 * K), 0.5, (1 - root) / 2, (1 + root) / 2, 1 / K, 1.0])
    nearest = abs(rates[rates > 1e-2][:, None] - expected)
    assert nearest.min(1).max() < 1e-3 and nearest.min(0).max() < 1e-3
    assert np.isclose(rates, 1 / (2 * K), atol=1e-3).sum() == K * (n - 1) * (K - 2)


def test_no_logits_are_below_the_bound(rng):
    for samples, weights in (([3, 3, 3], None), ([9, 1, 2, 4], None), ([1, 50], None), ([5, 1, 1], [0.2, 0.5, 0.3])):
        setting = setting_of(samples, weights=weights)
        target, size = Target.of(setting.samples), 10 ** rng.uniform(-2, 2, (500, 1, 1))
        Z = np.concatenate([rng.normal(size=(500, setting.K, setting.K)), np.tile(np.eye(setting.K), (500, 1, 1))])
        Z = np.concatenate([size, size]) * Z + 0.1 * rng.normal(size=Z.shape)
        norm = np.linalg.svd(Z * np.sqrt(setting.samples), compute_uv=False).sum(-1)
        own = np.einsum("bkk->bk", Z)
        against = np.where(np.eye(setting.K, dtype=bool), -np.inf, Z - own[:, None])
        loss = np.log(np.logaddexp(0, np.logaddexp.reduce(against, axis=1)) @ setting.weights)
        assert (loss - target.log_least_loss(setting.weights, norm) > -1e-12).all()


def test_the_bound_is_the_least_loss_of_such_margins():
    samples, weights, norm = np.array([5, 1, 1]), np.array([0.2, 0.5, 0.3]), 9.0
    target, off = Target.of(samples), ~np.eye(3, dtype=bool)

    def loss(m):
        against = np.full((3, 3), -np.inf)
        against[off] = -m
        return np.logaddexp(0, np.logaddexp.reduce(against, axis=0)) @ weights

    budget = {"type": "ineq", "fun": lambda m: norm - target.dual[off] @ m}
    found = minimize(loss, np.zeros(6), constraints=[budget], method="SLSQP", options={"ftol": 1e-14, "maxiter": 500})
    assert float(target.log_least_loss(weights, np.array(norm))) == pytest.approx(np.log(found.fun), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, [0.3, 0.5, 0.2]])
def test_optima_with_small_decay_come_near_the_bound(weights):
    """The bound forgets only that margins are those of one matrix: the optima come as near as that allows."""
    left = []
    for decay in (1e-2, 1e-4, 1e-8):
        problem = lpm.UnconstrainedFeatures(lpm.ClassGroups.per_class([5.0, 2.0, 1.0], weights), decay, decay)
        solution = lpm.solve(problem).check()
        Z = np.asarray(solution.logits())
        norm = np.linalg.svd(Z * np.sqrt([5.0, 2, 1]), compute_uv=False).sum()
        loss = float(solution.value) - decay * norm
        pi = np.asarray(problem.groups.weights)
        left.append(np.log(loss) - Target.of(np.array([5, 2, 1])).log_least_loss(pi, np.array(norm)))
    assert all(-1e-6 < gap for gap in left)
    assert left[2] < left[0] < 0.2


def test_measures_by_their_definitions(rng):
    setting = setting_of([3, 1, 2, 3])
    start, factors = (random_factors(rng, setting, batch=batch) for batch in ((2,), (2, 5)))
    path = Path.of(start, factors, [1, 1], [0.0, 0.0], [True, True])
    found, labels = measured(path, setting, Target.of(setting.samples)), setting.labels
    for at in np.ndindex(2, 5):
        W, H = (factor[at] for factor in factors)
        centred, Z, means = W - W.mean(0), W @ H, np.stack([H[:, labels == k].mean(1) for k in range(4)])
        nc = lpm.metrics.neural_collapse(H.T, labels, centred)
        m = [[Z[k, i] - Z[j, i] for j in range(4) if j != k] for i, k in enumerate(labels)]
        loss = np.mean([np.log1p(np.exp(-np.array(row)).sum()) for row in m])
        norm2 = (W**2).sum() + (H**2).sum()
        cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for j, a in enumerate(centred) for b in centred[:j]]
        expected = {
            "log_loss": np.log(loss),
            "margin": np.min(m),
            "norm2": norm2,
            "normalised_margin": np.min(m) / norm2,
            "smoothed_margin": -np.log(np.expm1(9 * loss)) / norm2,
            "margin_spread_within": np.sqrt(np.mean([
                (np.array(m[i]) - np.mean([m[j] for j in range(9) if labels[j] == k], axis=0)) ** 2
                for i, k in enumerate(labels)])),
            "nc0": (W.sum(0) ** 2).sum() / 4,
            "nc1": nc.NC1,
            "nc3": nc.NC3,
            "w_cosine_min": np.min(cosine),
            "w_cosine_max": np.max(cosine),
            "balance_drift": np.linalg.norm((W.T @ W - H @ H.T) - sum(
                sign * A @ A.T for sign, A in ((1, start[0][at[0]].T), (-1, start[1][at[0]])))) / norm2,
            "column_sum_drift": np.linalg.norm(W.sum(0) - start[0][at[0]].sum(0)) / np.linalg.norm(W),
        }  # fmt: skip
        for name, value in expected.items():
            assert found[name][at] == pytest.approx(value, rel=1e-10), name
        np.testing.assert_allclose(class_logits(path, setting)[at], W @ means.T, atol=1e-13)


def test_measures_are_at_their_limits_on_seli():
    setting = setting_of([5, 5, 1, 1])
    target = Target.of(setting.samples)
    optimum = lpm.solve(lpm.Separation(lpm.ClassGroups([2, 2], [5.0, 1.0])))
    assert target.gamma == pytest.approx(float(optimum.value), rel=1e-13)
    assert target.dual.sum() == pytest.approx(target.gamma, rel=1e-13) and (target.dual >= 0).all()
    u, s, v = np.linalg.svd((np.eye(4) - 0.25) * np.sqrt(setting.samples))
    factors = u * np.sqrt(s), np.repeat((np.sqrt(s)[:, None] * v) / np.sqrt(setting.samples), setting.samples, axis=1)
    path = Path.of([x[None] for x in factors], [7 * x[None, None] for x in factors], [1], [0.0], [True])
    found = {name: float(value[0, 0]) for name, value in measured(path, setting, target).items()}
    assert found["margin_ratio"] == pytest.approx(1, rel=1e-12) and found["margin"] == pytest.approx(49, rel=1e-12)
    for name in ("nc1", "nc2", "direction_distance"):
        assert abs(found[name]) < 1e-12, name


def test_gradient_descent_tends_to_the_flow_with_its_step(flows):
    # The error of Euler's method is of first order: a tenth of the step has a tenth of it.
    left = []
    for rate in (0.5, 0.05):
        ds = lpm.flow(SEPARATION, [round(200 / rate)], start=starts(), optimizer=optax.sgd(rate))
        left.append(np.abs(ds["margin"].values[1, 0] - 7.187624572))
    assert left[0] < 0.02 and left[1] == pytest.approx(left[0] / 10, rel=0.1)
    first = rate * ds["separation_time"].values
    np.testing.assert_allclose(first, flows["separation_time"], rtol=0.02)
    assert ds["time"].attrs["units"] == "step" and (ds["steps"] == 4000).all() and "scaled_loss" not in ds


def test_the_data_set_says_what_it_holds(flows, tmp_path):
    assert flows["log_loss"].dims == ("seed", "time") and flows.sizes["seed"] == 6
    for name, variable in flows.variables.items():
        assert variable.attrs["long_name"] and (name == "status" or variable.attrs["units"]), name
    needed = {"title", "method", "start", "samples", "device", "lpmjax_version", "jax_version", "dtype", "separation"}
    assert needed <= set(flows.attrs)
    lpm.files.write_dataset(tmp_path / "flow.nc", flows)
    import xarray as xr

    with xr.open_dataset(tmp_path / "flow.nc") as back:
        np.testing.assert_array_equal(back["margin"], flows["margin"])


def test_the_figure_draws_predicted_exponents(flows):
    from matplotlib import pyplot

    axes = lpm.plot.flow(flows)
    lines = {line.get_label(): line for ax in axes for line in ax.lines}
    for label, rate in (("predicted $t^{-1/(2K)}$", 1 / (2 * K)), ("sqrt", (1 - np.sqrt(1 - 2 / K)) / 2)):
        line = next(line for name, line in lines.items() if label in name)
        x, y = map(np.asarray, line.get_data())
        np.testing.assert_allclose(np.diff(np.log(y)) / np.diff(np.log(x)), -rate, rtol=1e-10)
    assert all(ax.get_xscale() == "log" and ax.get_xlabel() and ax.get_ylabel() for ax in axes)
    assert np.asarray(lines["simplex ETF, $-1/(K-1)$"].get_ydata()) == pytest.approx(-1 / 3)
    own = pyplot.subplots(1, 4)[1]
    assert lpm.plot.flow(flows, own)[0] is own[0]
    with pytest.raises(ValueError, match="axes has 1 entries"):
        lpm.plot.flow(flows, [own[0]])
    with pytest.raises(ValueError, match="ds has 1 time"):
        lpm.plot.flow(flows.isel(time=[0]), own)
    pyplot.close("all")


@pytest.mark.usefixtures("kept_by_nobody")
def test_the_command(capsys, tmp_path):
    def flow(*options):
        return run(capsys, "flow", "--K", K, "--n", n, "--seeds", 6, "--times", "1e-2:1e12:22", *options)

    code, printed, _ = flow("--out", tmp_path / "flow.nc", "--plot", tmp_path / "flow.png")
    assert code == 0 and "separation: reached in all 6 starts, at" in printed and "conserved to" in printed
    assert max(map(len, printed.split("\n\nwrote")[0].splitlines()[:18])) <= 80
    assert (tmp_path / "flow.nc").stat().st_size > 1000 and (tmp_path / "flow.png").stat().st_size > 1000
    code, printed, _ = flow("--json")
    record = json.loads(printed)
    assert code == 0 and len(record["data_vars"]["log_loss"]["data"]) == 6
    for options, message in {
        ("--counts", "3,3"): "--K and --counts exclude each other",
        ("--lambda-W", "1e-3"): "--lambda-W and --lambda-H go together",
        ("--optimizer", "sgd"): "--optimizer = 'sgd' is unknown",
        ("--out", "flow.csv"): "the name must end in .nc",
        ("--plot", "flow.xyz"): "the suffix must be one of",
    }.items():
        code, _, error = flow(*options)
        assert code == 2 and message in error
    assert run(capsys, "flow", "--K", "1")[0] == 2


W0, H0 = np.ones((K, d)), np.ones((d, K * n))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ts": []}, "ts has shape"),
        ({"ts": [0.0]}, "ts ends at 0: the last must be > 0"),
        ({"ts": [-1.0, 1.0]}, r"ts\[0\] = -1 is out of range: .*from 0"),
        ({"ts": [1.0, 3.0, 2.0]}, r"ts\[2\] = 2 does not exceed ts\[1\] = 3: sort ts"),
        ({"ts": [1.0, np.nan]}, r"ts\[1\] = nan"),
        ({"ts": [1.0, 1e301]}, r"ts\[1\] = 1e\+301 is out of range"),
        ({"ts": [1.5], "optimizer": optax.sgd(1.0)}, "whole numbers of steps"),
        ({"start": (W0, H0.T)}, r"start has shapes .*\(d, N\) with K = 4 classes and N = 12 samples"),
        ({"start": (W0[:3], H0)}, "start has shapes"),
        ({"start": (W0,)}, "start must be a tuple of 2 factors"),
        ({"start": (W0, H0, H0)}, "start has shapes"),
        ({"start": (W0[None], H0)}, "common seed axis"),
        ({"start": (0 * W0, 0 * H0)}, "two zero factors, a stationary point"),
        ({"start": (W0, np.inf * H0)}, r"start\[1\] \(H\)\[0, 0\] = inf"),
        ({"start": (W0, H0), "scale": 1.0}, "start and random starts exclude each other"),
        ({"dim": 0}, "dim = 0 is out of range"),
        ({"scale": 0.0}, "scale = 0 is out of range"),
        ({"seeds": 0}, "seeds = 0 is out of range"),
        ({"depth": 1}, "depth = 1 is out of range"),
        ({"problem": lpm.Separation(GROUPS, dim=3), "dim": 5}, "dim = 5 is out of range: the problem has dim = 3"),
        ({"problem": lpm.Separation(GROUPS, dim=3), "start": (W0, H0)}, "dimension 4, but the problem has dim = 3"),
        ({"problem": lpm.Separation(GROUPS, norm="class_average")}, "problem = Separation is out of range"),
        ({"problem": lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, lpm.SquaredError())}, r"loss=CrossEntropy\(\)"),
        ({"problem": lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2), "depth": 3}, "depth = 3 is out of range"),
        ({"problem": lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(4, 2.5), 1e-2, 1e-2)}, "whole numbers"),
        ({"problem": lpm.LayerPeeled(GROUPS, 1.0, 1.0)}, "problem must be a Separation, UnconstrainedFeatures or"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        lpm.flow(**{"problem": SEPARATION, "ts": [1.0]} | arguments)


def test_samples_are_in_the_callers_order():
    setting = Setting.of(lpm.Separation(lpm.ClassGroups.from_counts([1, 5, 1, 2])), None)
    assert setting.samples.tolist() == [1, 5, 1, 2] and setting.labels.tolist() == [0, 1, 1, 1, 1, 1, 2, 3, 3]
    with pytest.raises(ValueError, match="K = 100000 classes and N = 100000 samples"):
        lpm.flow(lpm.Separation(lpm.ClassGroups.balanced(100000)), [1.0])


def test_one_class_has_no_flow():
    with pytest.raises(ValueError, match=r"sum\(classes\) = 1 .*at least 2"):
        lpm.flow(lpm.Separation(lpm.ClassGroups([1], [5])), [1.0])


def test_without_diffrax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(ImportError, match=r"pip install 'lpmjax\[flow\]'"):
        lpm.flow(SEPARATION, [1.0])


def test_float32_problems_are_followed_in_float64(flows):
    with jax.enable_x64(False):
        problem = lpm.Separation(lpm.ClassGroups.balanced(K, n))
        ds = lpm.flow(problem, TIMES, start=starts())
    np.testing.assert_array_equal(ds["log_loss"], flows["log_loss"])


@pytest.mark.slow
def test_one_sample_a_class_and_times_up_to_1e300():
    ds = lpm.flow(SEPARATION, np.append(TIMES, np.geomspace(1e20, 1e300, 15)), start=starts())
    assert judged(ds) == dict.fromkeys(judged(ds), True) and ds["steps"].values.max() < 600
    one = lpm.flow(lpm.Separation(lpm.ClassGroups.balanced(K)), [200.0], start=[x[:2] for x in starts(1)])
    for seed, known in enumerate(HADAMARD.values()):
        np.testing.assert_allclose(hadamard(one["logits"].values[seed, 0]), known, atol=1e-7)


@pytest.mark.slow
def test_three_factors_beside_scipy(rng):
    setting, times = setting_of([n] * K, depth=3), [1.0, 10.0, 100.0, 1e4]
    start = random_factors(rng, setting, width=4, scale=0.5)
    ds = lpm.flow(SEPARATION, times, start=start)
    shapes = [factor.shape for factor in start]
    cuts = np.cumsum([factor.size for factor in start])[:-1]
    hot = np.eye(K)[:, setting.labels]

    def rate(_, flat):
        A, B, C = (x.reshape(shape) for x, shape in zip(np.split(flat, cuts), shapes, strict=True))
        Z = A @ B @ C
        p = np.exp(Z - Z.max(0))
        G = (hot - p / p.sum(0)) / setting.labels.size
        return np.concatenate([(G @ (B @ C).T).ravel(), (A.T @ G @ C.T).ravel(), ((A @ B).T @ G).ravel()])

    flat = np.concatenate([factor.ravel() for factor in start])
    found = solve_ivp(rate, (0, times[-1]), flat, method="DOP853", t_eval=times, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ds["norm2"].values[0], (found.y**2).sum(0), rtol=1e-8)
    assert ds.attrs["depth"] == 3 and float(ds["balance_drift"].max()) < 1e-9
    assert (ds["log_loss"] > ds["log_lower_bound"]).all() and float(ds["margin_ratio"].max()) < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "decays"),
    [
        (lpm.ClassGroups([2, 2], [6, 1]), (1e-2, 1e-2)),
        (GROUPS, (1e-7, 1e-7)),
        (GROUPS, (1e-2, 1e-4)),  # balance comes slowly
        (GROUPS, (0.3, 0.3)),  # zero is the optimum
    ],
)
def test_rest_is_found_where_decays_are_small_large_and_far_apart(groups, decays):
    problem = lpm.UnconstrainedFeatures(groups, *decays)
    ds = lpm.flow(problem, [1.0, 1e4, 1e14], seeds=2, scale=0.3, dim=d)
    best = lpm.solve(problem).check()
    np.testing.assert_allclose(ds["objective"].values[:, -1], best.value, rtol=1e-10)
    assert (ds["status"] == lpm.Status.converged).all()


@pytest.mark.slow
def test_gradient_descent_with_decay():
    problem = lpm.UnconstrainedFeatures(GROUPS, 5e-3, 2e-3)
    ds = lpm.flow(problem, [1000, 4000], start=starts(), optimizer=optax.sgd(1.0))
    np.testing.assert_allclose(ds["objective"].values[:, -1], lpm.solve(problem).value, rtol=1e-6)
    searched = lpm.flow(problem, [100], start=starts(), optimizer=optax.lbfgs())
    np.testing.assert_allclose(searched["objective"].values[:, -1], lpm.solve(problem).value, rtol=1e-6)
    diverged = lpm.flow(SEPARATION, [50], start=starts(), optimizer=optax.sgd(1e300))
    assert (diverged["status"] == lpm.Status.nonfinite).any() and "ended before" in diverged.attrs["separation"]


@pytest.mark.slow
def test_a_path_that_ends_early_is_not_a_number_from_there(monkeypatch):
    monkeypatch.setattr(gradient_flow, "MAX_STEPS", 30)
    jax.clear_caches()
    ds = lpm.flow(SEPARATION, TIMES, start=starts())
    jax.clear_caches()
    assert (ds["status"] == lpm.Status.max_steps).all() and ds["log_loss"].values[:, -1] == pytest.approx(
        np.nan, nan_ok=True
    )
    assert (
        np.isfinite(ds["log_loss"].values[:, 0]).all() and "6 of 6 ended before the last time" in ds.attrs["separation"]
    )


@pytest.mark.slow
def test_deep_flow_with_decay_comes_to_rest_above_the_lower_bound():
    problem = lpm.DeepLinear(lpm.ClassGroups.balanced(3, 2), (1e-2, 1e-2), 1e-2)
    ds = lpm.flow(problem, [1.0, 1e3, 1e9], seeds=4, dim=3, scale=0.5, key=jax.random.key(1))
    best = lpm.solve(problem)
    assert (ds["objective"].values[:, -1] >= float(best.lower_bound)).all()
    assert np.isclose(ds["objective"].values[:, -1], float(best.value), rtol=1e-9).any()


@pytest.mark.slow
def test_unequal_counts_tend_to_seli():
    problem = lpm.Separation(lpm.ClassGroups([2, 2], [5, 1]))
    ds = lpm.flow(problem, np.geomspace(1, 1e300, 60), seeds=3)
    assert float(ds["direction_distance"].isel(time=-1).max()) < 0.02
    assert (np.diff(ds["log_loss"].values) < 0).all() and (ds["log_loss"] >= ds["log_lower_bound"]).all()
    assert float(ds["nc2"].isel(time=-1).max()) < 0.02


@pytest.mark.slow
def test_too_few_dimensions_are_said():
    ds = lpm.flow(SEPARATION, [1e3, 1e6], dim=2, seeds=2)
    assert "dim = 2 < K - 1 = 3" in ds.attrs["remark"]
    assert (ds["log_loss"] > ds["log_lower_bound"]).all() and float(ds["margin_ratio"].max()) < 0.9


@pytest.mark.slow
def test_a_cancelling_gradient_leaves_the_exact_ray(monkeypatch):
    """1 - p in the place of the sum of the others: its digits are gone at 1e15."""

    def cancelling(factors, log_time, at):
        W, H = factors
        push = (at.own - jax.nn.softmax(W @ H, axis=0)) * jnp.exp(at.log_weights + log_time)
        return push @ H.T, W.T @ push

    def margin(T):
        return float(lpm.flow(SEPARATION, [200.0, T], start=[x[:1] for x in starts()])["margin"][0, -1])

    exact = margin(1e15)
    monkeypatch.setattr(gradient_flow, "velocity", cancelling)
    jax.clear_caches()
    wrong = margin(1e15)
    jax.clear_caches()
    assert not abs(wrong - exact) < 1e-3
