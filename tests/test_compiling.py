"""Programs that are compiled quickly: the same results, under every transformation, and whatever XLA knows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpmjax import compiling
from lpmjax.compiling import quick_jit


def wavy(x, power=1):
    return jnp.sin(x) ** power * jnp.exp(-x)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: f,
        jax.jit,
        jax.grad,
        jax.hessian,
        lambda f: lambda x: jax.vmap(f)(x + jnp.arange(3.0)),
        lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=3)[0],
        lambda f: lambda x: jax.linearize(f, x)[1](1.0),
        lambda f: lambda x: jax.jit(lambda: f(0.7))() + x,  # all of it closed over
        lambda f: jax.jit(f).lower(0.7).compile(),
    ],
)
def test_it_is_jit_under_every_transformation(transformed, once):
    quick, usual = (transformed(lambda x, f=f: f(x, power=2)) for f in (quick_jit(wavy, "power", once), wavy))
    np.testing.assert_allclose(quick(0.7), usual(0.7), rtol=1e-14)


def test_it_compiles_once_for_each_static_argument():
    traced = []
    function = quick_jit(lambda x, power: traced.append(power) or x**power, "power")
    for power in (2, 3, 2, 3):
        assert function(2.0, power=power) == 2.0**power
    assert traced == [2, 3]


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "_QUICK", {"xla_no_such_option": False})
    compiling._known.cache_clear()
    try:
        assert compiling._known(False) is None
        np.testing.assert_allclose(quick_jit(wavy)(0.7), wavy(0.7), rtol=1e-14)
    finally:
        compiling._known.cache_clear()


def test_what_this_xla_knows_is_used():
    assert compiling._known(False) and compiling._known(True)
