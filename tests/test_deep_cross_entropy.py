"""Deep linear networks with cross-entropy: values, bounds, structures, referee, against SciPy and theory's numbers."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import lpmjax as lpm
from lpmjax.objectives.schatten import DeepCoordinates, SchattenObjective
from lpmjax.solvers.multi_start import MultiStart


def deep(groups, M, decay, **given):
    if not isinstance(groups, lpm.ClassGroups):
        groups = lpm.ClassGroups.balanced(groups)
    return lpm.DeepLinear(groups, (decay,) * M, decay, **given)


def of_network(problem, factors, bias=None):
    """The objective as it is written, from the factors alone."""
    *weights, H = (np.asarray(factor) for factor in factors)
    Z = weights[0]
    for matrix in [*weights[1:], H]:
        Z = Z @ matrix
    index = problem.groups.class_index
    n, pi = np.asarray(problem.groups.samples)[index], np.asarray(problem.groups.weights)[index]
    Z = Z if bias is None else Z + bias[:, None]
    losses = scipy.special.logsumexp(Z, axis=0) - np.diagonal(Z)
    paid = sum(decay * (factor**2).sum() for decay, factor in zip(problem.lambda_W, weights, strict=True))
    return pi @ losses + 0.5 * paid + 0.5 * problem.lambda_H * (n * (H**2).sum(axis=0)).sum()


@pytest.mark.parametrize(
    ("decay", "value", "ratio", "rank", "cosine"),
    [(0.003, 0.051506717, 0.5903744, 3, -1 / 3), (0.03, 0.388677100, None, 2, 0), (0.2, np.log(4), None, 0, np.nan)],
)
def test_four_classes(decay, value, ratio, rank, cosine):
    problem = deep(4, 2, decay)
    solution = lpm.solve(problem)
    assert solution.value == pytest.approx(value, abs=1e-9)
    assert solution.rank == rank
    assert solution.lower_bound <= solution.value
    assert solution.status == lpm.Status.converged
    np.testing.assert_allclose(solution.cosines()[0, 2], cosine, atol=1e-8)
    if ratio is not None:
        assert solution.lower_bound / solution.value == pytest.approx(ratio, abs=1e-6)
    assert of_network(problem, solution.factors()) == pytest.approx(float(solution.value), rel=1e-12)


def test_unequal_decays_are_their_geometric_mean():
    groups = lpm.ClassGroups.from_counts([3, 3, 3, 3])
    problem = lpm.DeepLinear(groups, (2e-3, 9e-3), 4e-3)
    solution = lpm.solve(problem)
    factors = solution.factors()
    np.testing.assert_allclose(factors[0] @ factors[1], solution.W, atol=1e-12)
    assert of_network(problem, factors) == pytest.approx(float(solution.value), rel=1e-12)
    other = lpm.solve(deep(4, 2, (2e-3 * 9e-3 * 4e-3) ** (1 / 3) * 3 ** (1 / 3)))
    assert solution.value == pytest.approx(float(other.value), rel=1e-12)


def test_certify_trusts_the_factors_alone():
    problem = deep(4, 2, 0.003)
    solution = lpm.solve(problem)
    again = lpm.certify(problem, solution)
    assert again.status == lpm.Status.converged
    assert again.value == pytest.approx(float(solution.value), rel=1e-14)
    assert again.lower_bound == pytest.approx(float(solution.lower_bound), rel=1e-9)
    moved = lpm.certify(problem, dataclasses.replace(solution, W=1.001 * solution.W))
    assert moved.status == lpm.Status.stalled
    assert moved.value > solution.value
    # Any logits of the relaxation prove a bound, poor ones a poor one.
    for share in (0.0, 0.5, 3.0):
        poor = lpm.certify(problem, dataclasses.replace(solution, relaxed_within=share * solution.relaxed_within))
        assert poor.lower_bound < again.lower_bound


def test_a_price_that_is_no_bound_is_caught(monkeypatch):
    # At .03 pairs are better than the simplex ETF. A relaxation at the full price would rule them out.
    problem = jax.tree.map(np.asarray, deep(4, 2, 0.03))
    solution = jax.tree.map(np.asarray, lpm.solve(deep(4, 2, 0.03)))
    objective = problem.objective()
    at = objective.coordinates(solution)
    assert objective.prove(at).value - objective.prove(at).gap < solution.value
    true = SchattenObjective.relaxed

    def overpriced(self, value):
        return eqx.tree_at(lambda r: r.program.charge.amount, true(self, value), self.price)

    monkeypatch.setattr(SchattenObjective, "relaxed", overpriced)
    proof = objective.prove(at._replace(relaxed=at.relaxed._replace(within=np.full(1, 1.0))))
    assert proof.value - proof.gap > 0.36  # a false bound, by far: what it would be at the optimum is
    assert 0.36 > solution.lower_bound


def test_gradient_of_factors(rng):
    groups = lpm.ClassGroups.from_counts([5, 5, 2])
    objective = lpm.DeepLinear(groups, (1e-2, 2e-2, 3e-2), 4e-2, bias_decay=0.1).objective()
    at = DeepCoordinates(*(jnp.asarray(rng.normal(size=size)) for size in ((3, 2), 2, (2, 3), 3)), relaxed=None)
    at = at._replace(root=jnp.abs(at.root))
    value, slope = jax.value_and_grad(lambda at: objective.lagrangian(at, None))(at)
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(slope)]
    size = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(at)])
    residual = objective.residual(at, value, objective.loss(objective.logits(at), at.bias)[1])
    assert float(residual) == pytest.approx(
        np.linalg.norm(np.concatenate(leaves)) * np.linalg.norm(size) / float(value), rel=1e-12
    )


def test_derivatives():
    def view(decay):
        solution = lpm.solve(deep(4, 2, decay))
        return jnp.stack([solution.value, solution.spectrum[0], solution.h_norm2[0]])

    step = 1e-6
    for decay in (0.003, 0.03):  # the simplex ETF, and pairs
        slopes = jax.jvp(view, (decay,), (1.0,))[1]
        np.testing.assert_allclose(slopes, (view(decay + step) - view(decay - step)) / (2 * step), rtol=1e-5)


@pytest.mark.slow
def test_reverse_derivatives_of_a_batch():
    def value(decay):
        return lpm.solve(deep(4, 2, decay)).value

    decays, step = jnp.array([0.003, 0.03]), 1e-6
    slopes = jax.vmap(jax.grad(value))(decays)
    differences = (jax.vmap(value)(decays + step) - jax.vmap(value)(decays - step)) / (2 * step)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


@pytest.mark.slow
def test_referee_finds_the_dropped_class():
    problem = deep(3, 2, 0.185)
    found = lpm.referee(problem, restarts=4)
    assert found.solution.value == pytest.approx(1.078151530, abs=1e-9)
    assert found.structure == "[2] and 1 dropped"
    assert found.etf_excess == pytest.approx(1.095479739 - 1.078151530, abs=2e-9)
    assert found.widths == (1, 2) and found.values.shape == (2, 4) and found.hits.any()
    assert found.converged.all() and abs(found.ahead) < 1e-12
    assert found.solution.rank == 1 and np.isnan(found.solution.cosines()).sum() == 5
    assert "starts attain it" in str(found)

    def objective(x):
        W2, W1, H = x[:6].reshape(3, 2), x[6:10].reshape(2, 2), x[10:].reshape(2, 3)
        return of_network(problem, (W2, W1, H))

    first, second, H = found.solution.factors(2)
    start = np.concatenate([np.ravel(x) for x in (first, second, H)])
    rng = np.random.default_rng(0)
    best = min(scipy.optimize.minimize(objective, start + 0.05 * rng.normal(size=16)).fun for _ in range(2))
    assert best == pytest.approx(float(found.solution.value), abs=1e-8)


def test_boundaries():
    assert lpm.boundary.pairs_beat_etf(3, 2) == pytest.approx(0.17348388, abs=1e-8)
    assert lpm.boundary.pairs_beat_etf(6, 2) == 0 == lpm.boundary.pairs_beat_etf(4, 3)
    assert lpm.boundary.pairs_beat_etf(4, 1) == np.inf
    threshold = lpm.boundary.deep_annihilated(2, 2, 2, jnp.array([0.003, 0.01]))
    np.testing.assert_allclose(threshold, 0.319925 / np.array([0.003, 0.01]) - 1, rtol=2e-6)
    # kappa(4, 3) = .5698342 of theory
    assert lpm.boundary.deep_annihilated(2, 2, 3, 0.01) == pytest.approx(0.5698342 / 0.02 - 1, rel=1e-6)
    slope = jax.grad(lpm.boundary.deep_annihilated, argnums=3)(2.0, 2.0, 2.0, 0.01)
    assert slope == pytest.approx(-(float(threshold[1]) + 1) / 0.01, rel=1e-9)


def test_phases():
    ds = lpm.phases(K=3, M=[2, 3], lambda_=[0.1, 0.185, 0.3])
    assert ds["best"].values.tolist() == [["ETF", "[2] and 1 dropped", "zero"], ["ETF", "zero", "zero"]]
    assert float(ds["value"].sel(M=2, lambda_=0.185)) == pytest.approx(1.078151530, abs=1e-9)
    assert float(ds["etf_excess"].sel(M=2, lambda_=0.185)) == pytest.approx(0.017328209, abs=1e-8)
    assert bool((ds["lower_bound"] <= ds["value"]).all())
    ax = lpm.plot.deep_phases(ds)
    assert {text.get_text() for text in ax.figure.legends[0].get_texts()} >= {
        "ETF",
        "zero",
        "pairs beat the ETF from here",
    }


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: deep(4, 2, -1e-3), "lambda"),
        (lambda: deep(lpm.ClassGroups([2.5], [1.0]), 2, 1e-3), "whole numbers"),
        (lambda: MultiStart(widths=(0,)), "widths"),
        (lambda: lpm.referee(deep(4, 1, 1e-3)), "two factors"),
        (lambda: lpm.solve(deep(4, 2, 1e-3, dim=1), method=MultiStart(widths=(2,))), "widths"),
        (lambda: lpm.phases(K=2, M=2, lambda_=0.1), "K"),
        (lambda: lpm.phases(K=3, M=1, lambda_=0.1), "M"),
        (lambda: lpm.phases(K=3, M=2, lambda_=-0.1), "lambda_"),
        (lambda: lpm.boundary.pairs_beat_etf(2, 2), "K"),
        (lambda: lpm.boundary.deep_crossing(4, 2, "ETF", "cube"), "cube"),
        (lambda: lpm.boundary.deep_annihilated(1, 2, 2, 0.1), "K_A"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.slow
def test_traced_counts_are_single_classes():
    def solved(classes):
        return lpm.solve(deep(lpm.ClassGroups(classes, jnp.ones(len(classes))), 2, 0.1), method="named")

    assert jax.jit(solved)(jnp.array([2.0, 1.0])).status == lpm.Status.invalid
    with pytest.raises(ValueError, match="traced"):
        jax.jit(solved)(jnp.array([4.0]))


@pytest.mark.slow
def test_float32_is_converged():
    groups = lpm.ClassGroups(jnp.array([4.0], jnp.float32), jnp.ones(1, jnp.float32))
    solution = lpm.solve(deep(groups, 2, jnp.float32(0.003)))
    assert solution.value.dtype == jnp.float32 and solution.status == lpm.Status.converged
    again = lpm.certify(solution.problem, solution)
    assert again.value == pytest.approx(0.051506717, rel=1e-5)
    assert 0.0303 < again.lower_bound < 0.03041


def test_a_loss_that_is_not_convex_has_what_bound_there_is():
    problem = deep(3, 2, 0.05, loss=lpm.PowerSoftmax(2.0))
    solution = lpm.solve(problem)
    assert solution.status == lpm.Status.converged
    assert 0 <= solution.lower_bound <= solution.value <= float(lpm.solve(deep(3, 2, 1.0, loss=problem.loss)).value)


@pytest.mark.slow
def test_squared_error_with_a_decayed_bias_does_not_separate():
    groups = lpm.ClassGroups([1, 1, 1], [8.0, 4.0, 2.0])
    problem = lpm.DeepLinear(groups, (5e-3, 1e-2), 2e-3, loss=lpm.SquaredError(), bias_decay=0.1)
    s = lpm.solve(problem, restarts=8)
    assert float(s.value) == pytest.approx(0.0324835488, abs=1e-9)
    assert int(s.status) == lpm.Status.converged and float(s.lower_bound) < float(s.value)
