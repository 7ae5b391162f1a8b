"""W and H as they are: any dimension, restarts, per-sample features, other optimisers, derivatives."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lpmjax as lpm


def problem(dim=None, E_H=5.0):
    return lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, E_H, dim=dim)


@pytest.mark.parametrize(
    ("dim", "value"),
    [
        pytest.param(9, 0.2616770386, marks=pytest.mark.slow),
        (4, 0.2725755),
        pytest.param(6, 0.2620562, marks=pytest.mark.slow),
        pytest.param(3, 0.2836618, marks=pytest.mark.slow),
    ],
)
def test_fewer_dimensions_than_the_rank(dim, value):
    runs = lpm.factored(problem(dim), restarts=12)
    s = lpm.best(runs).check()
    assert float(s.value) == pytest.approx(value, abs=1e-7)
    assert s.status == (lpm.Status.certified if dim == 9 else lpm.Status.converged)
    assert s.W.shape == (10, dim)
    assert float(s.lower_bound) <= 0.2616770387  # the relaxation's optimum
    np.testing.assert_allclose(s.W @ s.H, s.logits(), atol=1e-12)
    assert float(jnp.mean(jnp.sum(s.W**2, 1))) == pytest.approx(1.0, rel=1e-9)
    assert float(jnp.mean(jnp.sum(s.H**2, 0))) == pytest.approx(5.0, rel=1e-9)


def test_auto_falls_back_where_dim_is_below_the_rank():
    s = lpm.solve(problem(dim=4))
    assert (s.method, s.status) == ("factored", lpm.Status.converged)


@pytest.mark.slow
def test_agrees_with_the_exact_solver():
    exact, s = lpm.solve(problem()), lpm.solve(problem(), method="factored", restarts=2)
    assert s.status == lpm.Status.certified
    for name in ("value", "multiplier", "slack", "within", "between", "cosine", "w_norm2", "h_norm2", "margin"):
        np.testing.assert_allclose(getattr(s, name), getattr(exact, name), atol=1e-6, err_msg=name)
    np.testing.assert_allclose(s.cosines(), exact.cosines(), atol=1e-6)


@pytest.mark.slow
def test_features_of_a_class_collapse():
    p = lpm.UnconstrainedFeatures(lpm.ClassGroups.from_counts([6, 3, 3, 1]), 8e-3, 8e-3)
    s = lpm.best(lpm.factored(p, restarts=2, per_sample=True)).check()
    assert s.H.shape == (3, 13)
    assert s.status == lpm.Status.certified
    assert float(s.value) == pytest.approx(float(lpm.solve(p).value), rel=1e-9)
    spread = [float(jnp.max(jnp.std(s.H[:, a:b], axis=1))) for a, b in ((0, 6), (6, 9), (9, 12))]
    assert max(spread) < 1e-6 < float(jnp.max(jnp.std(s.H, axis=1)))


@pytest.mark.slow
def test_projected_budgets_reach_the_same_value():
    p = lpm.LayerPeeled(lpm.ClassGroups.from_counts([4, 2, 1]), 1.0, 2.0)
    exact = float(lpm.solve(p).value)
    runs = lpm.factored(p, restarts=2, projected=True, optimizer=optax.sgd(2.0), max_steps=1000)
    assert (runs.status == lpm.Status.certified).all()
    s = lpm.best(runs)
    assert float(s.value) == pytest.approx(exact, rel=1e-9)
    assert float(jnp.sum(s.W**2)) <= 3.0 * (1 + 1e-12)
    assert float(jnp.sum(s.H**2)) <= 6.0 * (1 + 1e-12)
    # Adam's steps are not along the gradient: with a Euclidean projection they rest elsewhere, and that is said.
    adam = optax.adam(optax.exponential_decay(0.05, 100, 0.7))
    elsewhere = lpm.factored(p, restarts=1, projected=True, optimizer=adam, max_steps=2000)
    assert float(elsewhere.value[0]) > 1.01 * exact
    assert elsewhere.status[0] == lpm.Status.max_steps


@pytest.mark.slow
def test_too_few_steps_say_so_and_a_start_helps():
    p = problem(dim=9)
    short = lpm.factored(p, restarts=2, max_steps=1)
    assert (short.status == lpm.Status.max_steps).all()
    s = lpm.factored(p, start=lpm.best(lpm.factored(p, restarts=2)))
    assert s.status[0] == lpm.Status.certified
    assert int(s.steps[0]) <= 20


@pytest.mark.slow
def test_derivatives_through_the_factored_solver():
    n = jnp.array([6.0, 3.0, 1.0, 1.0])

    def outputs(v, method):
        p = lpm.LayerPeeled(lpm.ClassGroups.per_class(n, v[:4]), v[4], v[5], dim=3)
        s = lpm.solve(p, method=method, restarts=2)
        return jnp.concatenate([s.value[None], s.slack, s.w_norm2, s.h_norm2])

    f = jax.jit(partial(outputs, method="factored"))
    v = np.array([6.0, 4.0, 1.0, 1.5, 1.0, 3.0])
    forward = np.asarray(jax.jit(jax.jacfwd(f))(v))
    step = 1e-4
    columns = [
        (f(v * (1 + step * e)) - f(v * (1 - step * e))) / (2 * step * x) for e, x in zip(np.eye(6), v, strict=True)
    ]
    np.testing.assert_allclose(forward, np.stack(columns, 1), atol=1e-7)
    grouped = jax.jit(jax.jacfwd(partial(outputs, method="grouped")))(v)
    np.testing.assert_allclose(forward, grouped, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["narrow", "full", "per sample", "nonnegative"])
def test_certify_trusts_only_the_factors(form):
    decays = (lpm.ClassGroups.from_counts([6, 3, 3, 1]), 8e-3, 8e-3)
    p, options = {
        "full": (problem(9), {}),
        "narrow": (problem(4), {}),
        "per sample": (lpm.UnconstrainedFeatures(*decays), {"per_sample": True}),
        "nonnegative": (lpm.UnconstrainedFeatures(*decays, nonnegative=True), {}),
    }[form]
    s = lpm.best(lpm.factored(p, restarts=12 if form == "narrow" else 2, **options))
    expected = lpm.Status.converged if form == "narrow" else lpm.Status.certified
    tampered = dataclasses.replace(s, value=0.0, gap=0.0, status=lpm.Status.certified)
    checked = lpm.certify(p, tampered)
    assert checked.status == expected
    for name in ("value", "gap", "slack", "between", "w_norm2", "multiplier"):
        np.testing.assert_allclose(getattr(checked, name), getattr(s, name), atol=1e-11, err_msg=name)
    moved = lpm.certify(p, dataclasses.replace(s, H=s.H * np.linspace(1, 1.1, s.H.shape[1])))
    assert moved.status == lpm.Status.stalled
    assert moved.value - moved.gap <= s.value <= moved.value


@pytest.mark.slow
def test_certify_of_restarts_and_of_float32():
    p = problem(9)
    runs = lpm.certify(p, lpm.factored(p, restarts=2))
    assert runs.status.tolist() == [lpm.Status.certified] * 2
    with jax.enable_x64(False):
        single = lpm.solve(problem(9), method="factored", restarts=1)
    assert (single.value.dtype, single.status) == (jnp.float32, lpm.Status.converged)
    assert lpm.certify(p, single, tol=1e-4).status == lpm.Status.certified
    with pytest.raises(ValueError, match="W of shape"):
        lpm.certify(lpm.LayerPeeled.two_group(2, 2, 10.0, 1.0, 5.0), single)


def test_certify_needs_a_gap_that_means_something():
    p = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0)
    s = lpm.solve(p)
    wrong = dataclasses.replace(s, within=s.within * 0, tol=np.inf)
    assert lpm.certify(p, wrong).status == lpm.Status.stalled
    pair = lpm.best(lpm.factored(problem(9), restarts=1))
    assert lpm.certify(problem(9), dataclasses.replace(pair, W=-pair.W, tol=np.inf)).status == lpm.Status.stalled
    for tol in (np.inf, np.nan, -1.0, 1.0):
        with pytest.raises(ValueError, match=r"tol = .* out of range: tol must be in"):
            lpm.certify(p, s, tol=tol)
    for arguments in ((None, s), (s, p)):
        with pytest.raises(ValueError, match="problem must be a lpmjax Problem"):
            lpm.certify(*arguments)
    with pytest.raises(ValueError, match="on the host"):
        jax.jit(lambda s: lpm.certify(p, s).value)(s)


def test_traced_groups_of_several_classes_are_invalid_not_another_problem():
    run = jax.jit(lambda R: lpm.best(lpm.factored(lpm.LayerPeeled.two_group(2, 2, R, 1.0, 5.0), restarts=1)).status)
    assert run(10.0) == lpm.Status.invalid


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: lpm.factored(5), "problem must be"),
        (lambda: lpm.best(lpm.solve(problem())), "one leading axis"),
        (lambda: lpm.factored(problem(), restarts=0), "restarts = 0"),
        (lambda: lpm.factored(problem(), projected=True), "first-order optimizer"),
        (lambda: lpm.factored(lpm.LayerPeeled.two_group(5, 2.5, 10.0, 1.0, 1.0)), "whole numbers of classes"),
        (
            lambda: lpm.factored(lpm.LayerPeeled.two_group(2, 2, 1.5, 1.0, 1.0), per_sample=True),
            "per_sample needs whole",
        ),
        (lambda: lpm.factored(problem(dim=3), start=lpm.solve(problem())), "dim = 3 is below|do not fit"),
    ],
)
def test_errors_say_what_to_do(call, named):
    with pytest.raises(ValueError, match=named):
        call()
