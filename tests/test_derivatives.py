"""Derivatives of every output by every parameter against central differences, forward and reverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm


def outputs(s):
    parts = [s.value[None], s.multiplier[None], s.slack, s.within, s.between.ravel(), s.cosine, s.w_norm2, s.h_norm2]
    return jnp.concatenate([*parts, s.margin])


class Model:
    """A model as a function of eight numbers, each derivative compiled once for all cases."""

    def __init__(self, solve):
        self.solve = solve
        self.outputs = jax.jit(lambda v: outputs(solve(v)))
        self.forward = jax.jit(jax.jacfwd(self.outputs))
        self.backward = jax.jit(jax.jacrev(self.outputs))
        self.gradient = jax.jit(jax.grad(lambda v: solve(v).value))
        self.hessian = jax.jit(jax.jacfwd(self.gradient))


def layer_peeled(v):
    return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups(v[0:2], v[2:4], v[4:6]), v[6], v[7]))


def weight_decay(v):
    return lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups(v[0:2], v[2:4], v[4:6]), v[6], v[7]))


LAYER_PEELED, WEIGHT_DECAY = Model(layer_peeled), Model(weight_decay)
CASES = {
    "separated": (LAYER_PEELED, [5, 5, 10, 1, 10, 1, 1, 5], lpm.Phase.separated),
    "balanced": (LAYER_PEELED, [4, 6, 1, 1, 1, 1, 2, 3], lpm.Phase.separated),
    "merged": (LAYER_PEELED, [5, 5, 100, 1, 100, 1, 1, 5], lpm.Phase.merged),
    "annihilated": (LAYER_PEELED, [7, 3, 10, 1, 10, 1, 1, 5], lpm.Phase.annihilated),
    "swapped": (LAYER_PEELED, [3, 7, 1, 3, 1, 3, 1, 5], lpm.Phase.separated),
    "decay": (WEIGHT_DECAY, [2, 3, 20, 2, 0.8, 0.1, 5e-3, 2e-3], lpm.Phase.separated),
    "decay annihilated": (WEIGHT_DECAY, [4, 3, 200, 1, 0.8, 0.01, 5e-2, 2e-3], lpm.Phase.annihilated),
}


def central(f, v):
    columns = []
    for i in range(v.size):
        h = np.zeros_like(v)
        h[i] = 1e-4 * v[i]
        columns.append((8 * (f(v + h) - f(v - h)) - (f(v + 2 * h) - f(v - 2 * h))) / (12 * h[i]))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "decay" in n else n for n in CASES])
def test_jacobian_of_everything(name):
    model, at, phase = CASES[name]
    v = np.array(at, float)
    assert model.solve(v).phase == phase
    forward, backward = np.asarray(model.forward(v)), np.asarray(model.backward(v))
    undefined = np.isnan(model.outputs(v))
    assert np.isfinite(forward).all()  # also where the output is NaN: there the tangent is zero
    assert (forward[undefined] == 0).all()
    size = np.abs(forward).max(axis=1, keepdims=True) + 1e-3
    np.testing.assert_allclose(backward / size, forward / size, atol=1e-9)
    reference = central(lambda v: np.asarray(model.outputs(v)), v)
    good = ~undefined
    if name == "balanced":
        good[-2:] = False  # the least margin is a minimum of two equal ones here: only one-sided derivatives
    np.testing.assert_allclose((forward / size)[good], (reference / size)[good], atol=1e-6)


@pytest.mark.parametrize("name", [n if n == "separated" else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_value_to_second_order(name):
    model, at, _ = CASES[name]
    v = np.array(at, float)
    hessian = np.asarray(model.hessian(v))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-7 * np.abs(hessian).max())
    reference = central(lambda v: np.asarray(model.gradient(v)), v)
    np.testing.assert_allclose(hessian, reference, atol=1e-6 * np.abs(reference).max())


def test_balanced_closed_form_derivative():
    def value(E_H):
        return lpm.solve(lpm.LayerPeeled.two_group(5, 5, 1.0, 1.0, E_H)).value

    def closed(E_H):
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(10), 1.0, E_H)).value

    def explicit(E_H):
        return jnp.log1p(9 * jnp.exp(-jnp.sqrt(E_H) * 10 / 9))

    expected = float(jax.grad(explicit)(5.0))
    assert float(jax.grad(value)(5.0)) == pytest.approx(expected, rel=1e-12)
    assert float(jax.grad(closed)(5.0)) == pytest.approx(expected, rel=1e-12)


def test_value_derivative_is_minus_the_multiplier():
    def value(E_H):
        return lpm.solve(lpm.LayerPeeled.two_group(5, 5, 30.0, 1.0, E_H)).value

    s = lpm.solve(lpm.LayerPeeled.two_group(5, 5, 30.0, 1.0, 5.0))
    d_budget = 10 / (2 * np.sqrt(5.0))
    assert float(jax.grad(value)(5.0)) == pytest.approx(-float(s.multiplier) * d_budget, rel=1e-12)


def test_under_vmap_and_jit_with_masked_lanes():
    # The second lane is annihilated (NaN cosine) and the third invalid; neither may touch the first.
    def cosine(R):
        return lpm.solve(lpm.LayerPeeled.two_group(7, 3, R, 1.0, 5.0)).cosine[1]

    slopes = jax.jit(jax.vmap(jax.grad(cosine)))(jnp.array([2.0, 10.0, -1.0]))
    h = 1e-5
    assert float(slopes[0]) == pytest.approx(float(cosine(2 + h) - cosine(2 - h)) / (2 * h), rel=1e-6)
    assert float(slopes[1]) == 0.0
    total = jax.jit(jax.grad(lambda R: jnp.nansum(jax.vmap(cosine)(R))))(jnp.array([2.0, 10.0, 3.0]))
    assert np.isfinite(total).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minority", "decay", "majority", "both", "annihilated"])
def test_by_the_number_of_classes_at_one_class(name):
    # One-sided: fewer than one class is out of range.
    build = {
        "minority": lambda K: lpm.LayerPeeled.two_group(5, K, 3.0, 1.0, 5.0),
        "majority": lambda K: lpm.LayerPeeled.two_group(K, 5, 3.0, 1.0, 5.0),
        "both": lambda K: lpm.LayerPeeled.two_group(1.0, K, 3.0, 1.0, 5.0),
        "decay": lambda K: lpm.UnconstrainedFeatures(lpm.ClassGroups([5, K], [20, 2], [0.1, 0.02]), 5e-3, 5e-3),
        "annihilated": lambda K: lpm.LayerPeeled.two_group(5, K, 300.0, 1.0, 5.0),
    }[name]

    @jax.jit
    def f(K):
        s = lpm.solve(build(K))
        return jnp.stack([s.value, s.multiplier, *s.slack, *s.w_norm2, *s.h_norm2, s.margin[0]])

    h = 1e-6
    forward_difference = (-3 * f(1.0) + 4 * f(1 + h) - f(1 + 2 * h)) / (2 * h)
    np.testing.assert_allclose(jax.jacfwd(f)(1.0), forward_difference, rtol=1e-6, atol=1e-7)


def test_extreme_lanes_have_finite_derivatives():
    def value(R, s):
        return lpm.solve(lpm.LayerPeeled.two_group(1e6, 10.0, R, s, s)).value

    for R, s in [(1e20, 1e-6), (1e20, 100.0), (1.0, 1e-6), (3.0, 100.0)]:
        assert np.isfinite(jax.grad(value, argnums=(0, 1))(R, s)).all()
