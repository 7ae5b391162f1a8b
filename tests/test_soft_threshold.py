"""Squared error with two factors in closed form: budgets, decays, and a bias that takes the mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import Status

SQUARED = lpm.SquaredError()
GROUPS = lpm.ClassGroups.from_counts([8, 4, 2, 2])
WEIGHED = lpm.ClassGroups([1, 1, 2], [8, 4, 2], [1.0, 2.0, 1.0])


def budgets(s):
    return lpm.LayerPeeled(GROUPS, s, s, loss=SQUARED)


def decays(decay, **options):
    groups = options.pop("groups", GROUPS)
    return lpm.UnconstrainedFeatures(groups, decay, 2 * decay, loss=SQUARED, **options)


CASES = {
    "budget": (lambda x: budgets(x), [0.1, 0.3, 0.8, 2.0]),
    "given weights": (lambda x: decays(x, groups=WEIGHED), [1e-3, 1e-2, 0.2]),
    "free": (lambda x: decays(x, bias_decay=0.0), [1e-3, 3e-2, 0.1]),
    "decayed": (lambda x: decays(3e-3, groups=lpm.ClassGroups.balanced(3, 4), bias_decay=x), [1e-2, 0.1, 1.0]),
}


@pytest.mark.parametrize(
    "name", ["budget", "free", *(pytest.param(n, marks=pytest.mark.slow) for n in list(CASES)[1::2])]
)
def test_closed_form_has_no_gap(name):
    build, values = CASES[name]
    exact = jax.vmap(lambda x: lpm.solve(build(x)))(jnp.array(values))
    assert exact.method == "closed_form" and (exact.status == Status.certified).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_closed_form_is_what_the_descent_finds(name):
    build, values = CASES[name]
    assert build(values[0]).methods[:2] == ("closed_form", "grouped")
    exact = jax.vmap(lambda x: lpm.solve(build(x)))(jnp.array(values))
    descent = jax.vmap(lambda x: lpm.solve(build(x), method="grouped"))(jnp.array(values))
    assert exact.method == "closed_form" and (exact.status == Status.certified).all()
    for field in ("value", "within", "between", "h_norm2", "w_norm2", "slack", "multiplier", "rank", "phase", "bias"):
        one, other = getattr(exact, field), getattr(descent, field)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9, err_msg=field)


def test_free_bias_needs_weights_by_default():
    assert decays(1e-2, groups=WEIGHED, bias_decay=0.0).methods[0] == "grouped"
    assert decays(1e-2, bias_decay=0.1).methods[0] == "grouped"  # decayed, of unequal counts


def test_bias_turns_the_frame_into_a_simplex():
    """K = 3, n = 4, decays 5e-3: from a* = bias_decay / (1 + bias_decay) = .03 on the mean logit is not zero."""
    star = 0.03 / 0.97
    groups = lpm.ClassGroups.balanced(3, 4)
    found = jax.vmap(lambda x: lpm.solve(lpm.UnconstrainedFeatures(groups, 5e-3, 5e-3, SQUARED, bias_decay=x)))(
        star * jnp.array([0.5, 1 - 1e-6, 1 + 1e-6, 1e6])
    )
    mean = np.asarray(found.between)[:, 0, 0]
    assert (found.status == Status.certified).all() and (mean[:2] == 0).all() and 0 < mean[2] < 1e-5
    np.testing.assert_allclose(found.cosine[:2, 0], -0.5, atol=1e-12)
    np.testing.assert_allclose(found.cosine[3, 0], 0, atol=1e-6)


@pytest.mark.slow
def test_decayed_bias_at_unequal_counts():
    """Where every class is alive and the bias is dear enough, Z diag(sqrt n) is diagonal less a rank-one term."""
    n, decay, b = np.array([8.0, 4.0, 2.0]), 1e-2, 0.1
    found = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.from_counts(n), decay, decay, SQUARED, bias_decay=b))
    N, roots = n.sum(), np.sqrt(n)
    assert b >= decay * np.sum(n / (roots - N * decay))
    value = decay * roots.sum() - 3 * N * decay**2 / 2 - decay**2 * N / (2 * b)
    assert float(found.value) == pytest.approx(value, abs=1e-10) and value == pytest.approx(0.0533264069, abs=1e-10)
    exact = np.diag(roots - N * decay) - decay / b * np.outer(roots, roots)
    bias = np.asarray(found.bias)[:, None]
    np.testing.assert_allclose((found.logits() - bias) * roots, exact, atol=1e-7)
    np.testing.assert_allclose(bias[:, 0], decay / b * roots, atol=1e-7)


@pytest.mark.slow
def test_derivatives_on_a_budget():
    def outputs(s):
        found = lpm.solve(budgets(s))
        return jnp.concatenate([found.value[None], found.multiplier[None], found.within, found.slack])

    slope = jax.jacfwd(outputs)(0.4)
    numeric = (outputs(0.4 + 1e-6) - outputs(0.4 - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, numeric, rtol=1e-7)
