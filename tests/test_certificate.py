"""The certificate accepts optima, refuses everything else, and agrees with dense linear algebra."""

import dataclasses
import itertools

import equinox as eqx
import jax
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.duality import Program, duality_gap


def dense_gap(problem, Z):
    """The same bound from K x K matrices: <G, Z> + budget ||G||_2."""
    index = problem.groups.class_index
    weights = np.asarray(problem.groups.weights)[index]
    p = np.exp(Z - Z.max(0))
    p /= p.sum(0)
    G = (p - np.eye(len(Z))) * weights
    value = -(weights * np.log(np.diag(p))).sum()
    return value, (G * Z).sum() + float(problem.budget) * np.linalg.norm(G, 2)


PROBLEMS = {
    "separated": lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0),
    "merged": lpm.LayerPeeled.two_group(5, 5, 100.0, 1.0, 5.0),
    "annihilated": lpm.LayerPeeled.two_group(7, 3, 10.0, 1.0, 5.0),
    "decay": lpm.UnconstrainedFeatures(lpm.ClassGroups([3, 4], [40.0, 2.0]), 5e-3, 4e-3),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_certify_repeats_the_compiled_certificate(name):
    problem = PROBLEMS[name]
    s = lpm.solve(problem)
    again = lpm.certify(problem, s)
    assert again.status == lpm.Status.certified
    assert isinstance(again.value, np.generic | np.ndarray)
    assert float(again.value) == pytest.approx(float(s.value), rel=1e-14)
    assert float(again.gap) == pytest.approx(float(s.gap), abs=1e-14)


def perturbed(problem, entry, size):
    """The optimum with its largest coordinate shrunk by ``size`` (growing would be scaled back onto the budget)."""
    s = lpm.solve(problem)
    coordinates = np.array(getattr(s, entry))
    largest = np.unravel_index(np.abs(coordinates).argmax(), coordinates.shape)
    if coordinates[largest] == 0:
        coordinates[largest] = size  # the annihilated block: put something there
    else:
        coordinates[largest] *= 1 - size
    return s, lpm.certify(problem, dataclasses.replace(s, **{entry: coordinates}))


@pytest.mark.parametrize("name", ["separated", "merged", "annihilated"])
@pytest.mark.parametrize("entry", ["within", "between"])
@pytest.mark.parametrize("size", [1e-6, 1e-3])
def test_perturbed_coordinates_lose_the_certificate(name, entry, size):
    s, mutant = perturbed(PROBLEMS[name], entry, size)
    assert mutant.status == lpm.Status.stalled
    assert float(mutant.gap) > 1e3 * float(s.gap)
    # First order in the perturbation, neither less nor absurdly more.
    assert 1e-4 * size < float(mutant.gap) < 1e2 * size
    with pytest.raises(RuntimeError, match="stalled"):
        mutant.check()


@pytest.mark.parametrize("entry", ["within", "between"])
def test_perturbed_weight_decay_loses_the_certificate_quadratically(entry):
    # The penalised bound shrinks the gradient first, so its gap is of the order of the true suboptimality.
    gaps = [float(perturbed(PROBLEMS["decay"], entry, size)[1].gap) for size in (1e-4, 1e-3, 1e-2)]
    assert perturbed(PROBLEMS["decay"], entry, 1e-3)[1].status == lpm.Status.stalled
    assert gaps[0] > 100 * float(lpm.solve(PROBLEMS["decay"]).gap)
    for small, large in itertools.pairwise(gaps):
        assert 5 < large / small < 200


@pytest.mark.slow
def test_solver_with_a_perturbed_root_or_multiplier_is_caught(monkeypatch):
    from lpmjax.solvers import two_group

    problem = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0)
    good = float(lpm.solve(problem).gap)
    original = two_group.increasing_root

    def shifted(residual, params, start, upper, max_steps, known=False):
        root = original(residual, params, start, upper, max_steps, known)
        return root._replace(x=root.x * (1 + 1e-6))

    monkeypatch.setattr(two_group, "increasing_root", shifted)
    jax.clear_caches()
    bad = lpm.solve(problem)
    monkeypatch.undo()
    jax.clear_caches()
    assert bad.status == lpm.Status.stalled
    assert float(bad.gap) > 1e4 * good


def test_optimum_of_another_multiplier_is_caught():
    groups = lpm.ClassGroups([3, 4], [40.0, 2.0])
    exact, wrong = (lpm.UnconstrainedFeatures(groups, d, d) for d in (4e-3, 4e-3 * (1 + 1e-3)))
    mutant = lpm.certify(exact, lpm.solve(wrong))
    assert mutant.status == lpm.Status.stalled
    assert float(mutant.gap) > 1e4 * float(lpm.solve(exact).gap)
    # Budget form: the optimum of a budget (hence multiplier) off by 1e-6 is off by as much.
    exact, wrong = (lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, E_H) for E_H in (5.0, 5.0 * (1 - 1e-6)))
    mutant = lpm.certify(exact, lpm.solve(wrong))
    assert mutant.status == lpm.Status.stalled
    assert float(mutant.gap) > 1e4 * float(lpm.solve(exact).gap)


@pytest.mark.parametrize("name", ["separated", "merged", "annihilated"])
def test_group_certificate_is_the_dense_one(name, rng):
    problem = PROBLEMS[name]
    s = lpm.solve(problem)
    for size in (0.0, 1e-3, 0.3):
        within = np.asarray(s.within) * (1 - size * rng.random(2))
        between = np.asarray(s.between) * (1 - size * rng.random())
        got = duality_gap(Program.of(problem), within, between)
        value, gap = dense_gap(problem, np.asarray(dataclasses.replace(s, within=within, between=between).logits()))
        assert float(got.value) == pytest.approx(value, rel=1e-13)
        assert float(got.gap) == pytest.approx(gap, rel=1e-9, abs=1e-13)


def test_gap_bounds_the_distance_to_the_optimum(rng):
    problem = PROBLEMS["separated"]
    optimum = float(lpm.solve(problem).value)
    for _ in range(200):
        within, between = rng.normal(size=2) * 5, rng.normal(size=(2, 2)) * 5
        got = duality_gap(Program.of(problem), within, between)
        assert float(got.value) - float(got.gap) <= optimum <= float(got.value) + 1e-12


def test_coordinates_outside_the_budget_are_brought_onto_it():
    problem = PROBLEMS["separated"]
    s = lpm.solve(problem)
    double = duality_gap(Program.of(problem), 2 * np.asarray(s.within), 2 * np.asarray(s.between))
    assert float(double.value) == pytest.approx(float(s.value), rel=1e-12)
    assert float(double.gap) <= 1e-12


def test_certificate_is_relative_to_a_tiny_loss():
    s = lpm.solve(lpm.LayerPeeled.two_group(1, 1, 3.0, 40.0, 40.0))
    assert float(s.value) < 1e-30
    assert s.status == lpm.Status.certified
    mutant = lpm.certify(s.problem, dataclasses.replace(s, between=np.asarray(s.between) * (1 - 1e-6)))
    assert mutant.status == lpm.Status.stalled


def test_tolerance_below_rounding_is_never_met():
    s = lpm.solve(PROBLEMS["separated"], tol=1e-17)
    assert s.status == lpm.Status.stalled
    assert "raise tol" in lpm.Status.message(s.status)


@pytest.mark.parametrize("method", ["two_group", pytest.param("grouped", marks=pytest.mark.slow)])
def test_an_underflowing_loss_keeps_its_logarithm_and_its_certificate(method):
    problem = lpm.LayerPeeled.two_group(5, 5, 1.0, 1e3, 1e3)
    s = lpm.solve(problem, tol=1e-7, method=method)
    assert float(s.value) == 0.0 and s.status == lpm.Status.certified and s.phase == lpm.Phase.separated
    # The simplex ETF: 9 rivals at margin s K / (K - 1), of which log(1 + x) is x.
    assert float(s.log_value) == pytest.approx(np.log(9) - 1e4 / 9, rel=1e-14)
    c = lpm.certify(s.problem, s)
    assert c.status == lpm.Status.certified and float(c.log_value) == pytest.approx(float(s.log_value), rel=1e-14)
    moved = dataclasses.replace(s, within=s.within * 1.001)
    assert lpm.certify(s.problem, moved).status == lpm.Status.stalled
    slope = jax.grad(lambda E: lpm.solve(lpm.LayerPeeled.two_group(5, 5, 1.0, E, 1e3), method=method).log_value)(1e3)
    assert float(slope) == pytest.approx(-0.5 * 10 / 9, rel=1e-9)


def test_certify_trusts_nothing_but_coordinates():
    s = lpm.solve(PROBLEMS["merged"])
    lie = dataclasses.replace(
        s,
        value=np.float64(0), phase=np.int8(0), rank=np.int32(9), status=np.int8(4), multiplier=np.float64(7),
        slack=np.ones(2), cosine=np.full(2, 0.5), w_norm2=np.ones(2), h_norm2=np.ones(2), margin=np.ones(2),
    )  # fmt: skip
    truth = lpm.certify(PROBLEMS["merged"], lie)
    for name in ("value", "multiplier", "slack", "cosine", "w_norm2", "h_norm2", "margin", "phase", "rank", "status"):
        np.testing.assert_allclose(getattr(truth, name), getattr(s, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_certify_knows_the_dimension_and_the_range():
    s = lpm.solve(PROBLEMS["separated"])
    narrow = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0, dim=3)  # the rank is 9
    assert lpm.certify(narrow, s).status == lpm.Status.invalid
    spoiled = eqx.tree_at(lambda p: p.E_W, PROBLEMS["separated"], np.float64(-1.0))
    assert lpm.certify(spoiled, s).status == lpm.Status.invalid


def test_certify_refuses_another_problems_solution():
    batch = jax.vmap(lambda R: lpm.solve(lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)))(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="pass the problem that was solved"):
        lpm.certify(PROBLEMS["separated"], batch)
    assert (lpm.certify(batch.problem, batch).status == lpm.Status.certified).all()


def test_every_status_has_a_message_and_a_case():
    problem = PROBLEMS["separated"]
    assert lpm.solve(problem, max_steps=1).status == lpm.Status.max_steps
    traced = jax.jit(lambda R: lpm.solve(lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)))
    assert traced(-1.0).status == lpm.Status.invalid
    assert traced(np.nan).status == lpm.Status.invalid
    spoiled = lpm.certify(problem, dataclasses.replace(lpm.solve(problem), within=np.array([np.nan, 1.0])))
    assert spoiled.status == lpm.Status.nonfinite
    for status in lpm.Status:
        assert lpm.Status.message(status).startswith(status.name)
