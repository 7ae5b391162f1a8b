"""certify is about the problem as it was written, of which a float32 problem holds rounded numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.certificate import rigorous
from lpmjax.written import as_written


def single(build):
    """A problem and its solution in float32."""
    with jax.enable_x64(False):
        problem = build()
        return problem, lpm.solve(problem)


def contains(proof, optimum):
    return bool(proof.value - proof.gap <= optimum <= proof.value + proof.gap)


def test_default_weights_are_restored_from_the_samples():
    problem, s = single(lambda: lpm.LayerPeeled.two_group(7, 13, 1, 1, 2))
    assert float(np.sum(np.asarray(problem.groups.weights, float) * [7, 13])) != 1.0
    proof = lpm.certify(problem, s, tol=1e-9)
    assert proof.status == lpm.Status.certified
    assert contains(proof, 1.66541796546)
    assert not contains(proof, 1.66541798999)  # of weights that sum to 1 - 1.5e-8
    np.testing.assert_allclose(proof.problem.groups.weights, 0.05, rtol=1e-15)


def test_certify_and_rigorous_speak_of_one_problem():
    _, s = single(lambda: lpm.LayerPeeled.two_group(7, 13, 3, 1, 2))
    proof = lpm.certify(s.problem, s, tol=1e-8)
    for bound in (rigorous(s), rigorous(proof)):
        assert proof.value - proof.gap <= bound.upper and bound.lower <= proof.value


def test_a_number_that_may_have_been_rounded_keeps_the_gap_open():
    def build():
        return lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.1)

    problem, s = single(build)
    exact = build()
    optimum = float(lpm.solve(exact).value)
    proof = lpm.certify(problem, s, tol=1e-8)
    assert proof.status == lpm.Status.stalled
    assert contains(proof, optimum)
    assert lpm.certify(problem, s, tol=1e-5).status == lpm.Status.certified
    sharp = lpm.certify(exact, s)  # the problem in float64 is all there is to know
    assert contains(sharp, optimum)
    assert float(sharp.gap) < float(proof.gap)


def test_given_weights_sum_to_one_again():
    def build():
        return lpm.UnconstrainedFeatures(lpm.ClassGroups([3, 4], [40.0, 2.0], [0.3, 0.7]), 2.0**-9, 2.0**-8)

    problem, s = single(build)
    double, rounding = as_written(problem)
    assert float(np.sum(double.groups.classes * double.groups.weights)) == pytest.approx(1.0, abs=1e-15)
    assert rounding.weights > 0 and rounding.omega == 0 and rounding.price == 2.0**-24  # of each decay half that
    assert contains(lpm.certify(problem, s), float(lpm.solve(build()).value))
    assert as_written(build())[1] is None


@pytest.mark.slow
def test_factors_are_certified_as_written_too():
    def build():
        return lpm.LayerPeeled.two_group(2, 3, 3.3, 1.0, 1.7)

    with jax.enable_x64(False):
        s = lpm.solve(build(), method="factored", restarts=1)
    proof = lpm.certify(s.problem, s, tol=1e-3)
    assert proof.status == lpm.Status.certified
    assert contains(proof, float(lpm.solve(build()).value))
    assert lpm.certify(s.problem, s, tol=1e-9).status != lpm.Status.certified


@pytest.mark.slow
@pytest.mark.parametrize("decays", [False, True])
def test_float32_proofs_hold_for_what_was_written(decays, rng):
    """10,000 random problems of two groups: numbers with decimals, whole numbers, and weights of one's own."""
    lanes = 5000
    K_A, K_B = rng.integers(1, 21, (2, lanes)).astype(float)
    n = np.ceil(10 ** rng.uniform(0, 3, (2, lanes)))
    weights = np.where(rng.random(lanes) < 0.5, n, 10 ** rng.uniform(-1.3, 1.3, (2, lanes)))
    n = np.where(rng.random(lanes) < 0.3, n * rng.uniform(0.9, 1.1, lanes), n)
    share = 10 ** rng.uniform(-3, 0, lanes) * np.max(weights / np.sqrt(n), 0) / (K_A * weights[0] + K_B * weights[1])
    first, second = share * [[2.0], [0.5]] if decays else 10 ** rng.uniform(-1.3, 0.7, (2, lanes))
    first = np.where(rng.random(lanes) < 0.3, first if decays else np.ceil(first), first)

    @jax.jit
    @jax.vmap
    def solutions(K_A, K_B, n, weights, first, second):
        groups = lpm.ClassGroups(jnp.stack([K_A, K_B]), n, weights)
        return lpm.solve((lpm.UnconstrainedFeatures if decays else lpm.LayerPeeled)(groups, first, second))

    rows = (K_A, K_B, n.T, weights.T, first, second)
    exact = solutions(*rows)
    with jax.enable_x64(False):
        found = solutions(*(jnp.asarray(row, jnp.float32) for row in rows))
    proof = lpm.certify(found.problem, found, tol=1e-3)
    known = (exact.status == lpm.Status.certified) & np.isfinite(proof.gap)
    assert known.mean() > 0.98
    off = np.abs(proof.value - exact.value) - proof.gap - exact.gap
    assert not (off > 0)[known].any()
    assert np.median((proof.gap / proof.value)[known]) < 1e-5  # and the proofs are worth something
    assert (proof.status == lpm.Status.certified)[known].mean() > 0.98
