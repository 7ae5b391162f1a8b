"""Derivatives of grouped optima, and what they need of a group of one class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [lpm.CrossEntropy(), pytest.param(lpm.LabelSmoothing(0.1), marks=pytest.mark.slow)],
    ids=["plain", "smoothed"],
)
def test_one_derivative_by_the_number_of_classes_at_one_class(loss):
    """From above, whatever the method: a second class that is just beginning to be there."""

    def outputs(K, method):
        s = lpm.solve(lpm.LayerPeeled.two_group(K, 5.0, 10.0, 1.0, 5.0, loss=loss), method=method, tol=1e-11)
        return {name: getattr(s, name) for name in ("value", "multiplier", "slack", "within", "between", "w_norm2")}

    h = 1e-5
    differences = jax.tree.map(lambda a, b: (a - b) / h, outputs(1 + h, "grouped"), outputs(1.0, "grouped"))
    found = jax.jacfwd(lambda K: outputs(K, "grouped"))(1.0)
    for name, value in differences.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    if isinstance(loss, lpm.CrossEntropy):
        exact = jax.jacfwd(lambda K: outputs(K, "two_group"))(1.0)
        for name, value in exact.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_the_derivative_of_a_free_bias_keeps_its_mean_at_zero():
    def bias(K):
        groups = lpm.ClassGroups(jnp.stack([K, 2.0, 3.0]), jnp.array([20.0, 5.0, 1.0]))
        return lpm.solve(lpm.UnconstrainedFeatures(groups, 5e-3, 2e-3, bias_decay=0.0), tol=1e-12).bias

    K, h = jnp.asarray(2.0), 1e-4
    assert float(jnp.array([K, 2, 3]) @ bias(K)) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(jax.jacfwd(bias)(K), (bias(K + h) - bias(K - h)) / (2 * h), rtol=1e-6)


def test_groups_of_one_class_keep_the_limit_of_their_margin():
    problem = lpm.UnconstrainedFeatures(lpm.ClassGroups([1, 4], [30.0, 5.0]), 5e-3, 5e-3)
    exact, s = lpm.solve(problem), lpm.solve(problem, method="grouped")
    np.testing.assert_allclose(s.within, exact.within, atol=1e-8)


@pytest.mark.slow
def test_a_group_of_one_class_is_the_limit_of_larger_ones_for_every_loss():
    def margins(classes, loss):
        groups = lpm.ClassGroups([classes, 3.0, 2.0], [5.0, 3.0, 1.0])
        return lpm.solve(lpm.UnconstrainedFeatures(groups, 2e-3, 2e-3, loss=loss)).check().within

    for loss in (lpm.LabelSmoothing(0.1), lpm.SquaredError()):
        np.testing.assert_allclose(margins(1.0, loss), margins(1 + 1e-7, loss), atol=1e-6)


def outputs(s):
    return jnp.concatenate(
        [s.value[None], s.multiplier[None], s.slack, s.within, s.between.ravel(), s.w_norm2, s.cosine]
    )


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("decayed bias", marks=pytest.mark.slow),
        pytest.param("budget", marks=pytest.mark.slow),
        pytest.param("decay", marks=pytest.mark.slow),
        pytest.param("free bias", marks=pytest.mark.slow),
    ],
)
def test_derivatives_of_everything(form):
    def solution(v):
        groups = lpm.ClassGroups(v[0:3], v[3:6], v[6:9])
        if form == "budget":
            return lpm.solve(lpm.LayerPeeled(groups, v[9], v[10]))
        bias = {"decay": None, "free bias": 0.0, "decayed bias": v[9] * 3}[form]
        return lpm.solve(lpm.UnconstrainedFeatures(groups, v[9], v[10], bias_decay=bias))

    tail = [1.0, 4.0] if form == "budget" else [8e-3, 5e-3]
    v = np.array([2, 3, 2, 20, 6, 2, 1.0, 0.4, 0.1, *tail])
    f = jax.jit(lambda v: outputs(solution(v)))
    forward = np.asarray(jax.jit(jax.jacfwd(f))(v))
    size = np.abs(forward).max(axis=1, keepdims=True) + 1e-2
    step = 1e-4
    columns = [
        (f(v * (1 + step * e)) - f(v * (1 - step * e))) / (2 * step * x) for e, x in zip(np.eye(11), v, strict=True)
    ]
    np.testing.assert_allclose(forward / size, np.stack(columns, 1) / size, atol=1e-6)
    backward = np.asarray(jax.jit(jax.jacrev(f))(v))
    np.testing.assert_allclose(backward / size, forward / size, atol=1e-9)
    value_hessian = jax.jit(jax.hessian(lambda v: solution(v).value))(v)
    np.testing.assert_allclose(value_hessian, value_hessian.T, atol=1e-8 * np.abs(value_hessian).max())


@pytest.mark.slow
def test_gradient_ascent_on_weights_revives_an_annihilated_minority():
    n = jnp.array([30.0, 8.0, 1.0])

    @jax.jit
    @jax.value_and_grad
    def least_slack(log_weights):
        groups = lpm.ClassGroups(jnp.array([4.0, 3.0, 3.0]), n, jnp.exp(log_weights))
        return jnp.min(lpm.solve(lpm.LayerPeeled(groups, 1.0, 1.0)).slack)

    log_weights = jnp.log(n)
    slack, slope = least_slack(log_weights)
    assert slack < 0
    for _ in range(60):
        if slack > 0:
            break
        log_weights = log_weights + 0.3 * slope / jnp.linalg.norm(slope)
        slack, slope = least_slack(log_weights)
    assert slack > 0
