"""float32: finite everywhere it is asked to be, close to float64, and never called certified on its own."""

import jax
import numpy as np
import pytest
from domains import ordinary

import lpmjax as lpm


def test_float32_is_converged_then_certified_on_the_host():
    with jax.enable_x64(False):
        p = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0)
        s = lpm.solve(p)
    assert s.value.dtype == np.float32
    assert s.status == lpm.Status.converged
    proof = lpm.certify(p, s)
    assert proof.status == lpm.Status.certified
    assert proof.value.dtype == np.float64
    assert float(proof.lower_bound) <= 0.2616770386 <= float(proof.value)
    assert float(proof.gap) < 1e-5
    assert lpm.certify(p, s, tol=1e-12).status == lpm.Status.stalled


def test_float32_over_the_ordinary_domain(rng):
    K_A, K_B, R, s = ordinary(rng, 20_000)
    s = np.minimum(s, 8.0)  # beyond, losses fall below float32's smallest number
    with jax.enable_x64(False):
        single = jax.jit(jax.vmap(lambda a, b, r, e: lpm.solve(lpm.LayerPeeled.two_group(a, b, r, e, e))))(
            *(x.astype(np.float32) for x in (K_A, K_B, R, s))
        )
        assert not (np.asarray(single.status) == lpm.Status.certified).any()
    proof = lpm.certify(single.problem, single)
    relative = proof.gap / proof.value
    assert np.isfinite(relative).all()
    assert np.quantile(relative, 0.99) < 1e-4
    assert relative.max() < 1e-2


def test_the_library_leaves_the_configuration_alone():
    before = jax.config.jax_enable_x64
    lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1, 2], E_W=1.0, E_H=5.0, dtype="float32")
    assert jax.config.jax_enable_x64 == before


def test_mixed_dtypes_do_not_mix():
    p = lpm.LayerPeeled(lpm.ClassGroups(np.ones(2, np.float32), np.ones(2, np.float32)), np.float32(1), np.float32(5))
    assert lpm.solve(p).value.dtype == np.float32
    assert lpm.solve(p).status == lpm.Status.converged
    assert float(lpm.solve(p).value) == pytest.approx(np.log1p(np.exp(-2 * np.sqrt(5))), rel=1e-5)
