"""The dual point on the logits' own singular vectors: sound at any logits, and tight to second order."""

import jax
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.duality import Program, duality_gap

LOSSES = {"squared": lpm.SquaredError(), "smoothed": lpm.LabelSmoothing(0.1)}
GROUPS = lpm.ClassGroups([2.0, 1.0, 3.0], [40.0, 7.0, 1.0], [0.5, 2.0, 0.3])
POINTS = 200


def problem(loss, bias, decay):
    return lpm.UnconstrainedFeatures(GROUPS, decay, 2 * decay, loss=LOSSES[loss], bias_decay=bias)


def certificates(program, within, between, bias):
    """Of a batch of points of one problem."""
    many = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (len(within), *np.shape(x))), program)
    return duality_gap(many, within, between, bias)


@pytest.mark.parametrize("bias", [None, 0.0, 0.05], ids=["none", "free", "decayed"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decay", [1e-9, 1e-3, 3e-2])
def test_no_bound_exceeds_any_value(loss, bias, decay, rng):
    """All points are of one problem, so every lower bound holds for every value."""
    program = Program.of(problem(loss, bias, decay))
    ideal_within, ideal_between = map(np.asarray, program.ideal())
    near = 10 ** rng.uniform(-9, 0, (POINTS, 1))
    share = 1 - rng.uniform(0, 1.2, (POINTS, 1)) * near ** rng.uniform(0, 1, (POINTS, 1))
    within = share * ideal_within * (1 + near * rng.normal(size=(POINTS, 3)))
    noise = near[:, :, None] * rng.normal(size=(POINTS, 3, 3))
    between = share[:, :, None] * ideal_between + noise
    offsets = None if bias is None else near * rng.normal(size=(POINTS, 3))
    proof = certificates(program, np.maximum(within, 0), between, offsets)
    assert np.max(proof.value - proof.gap) <= np.min(proof.value) * (1 + 1e-13)
    assert np.max(proof.value - proof.gap) > 0


def test_decays_next_to_nothing_are_certified():
    """The gradient is of the size of the logits' rounding: scaled to the penalty it proves nothing."""
    groups = lpm.ClassGroups([1, 7026], [11866947, 584592])
    problem = lpm.UnconstrainedFeatures(groups, 9.9e-16, 3.6e-20, loss=lpm.SquaredError())
    penalty = np.sqrt(9.9e-16 * 3.6e-20)
    # Class by class: Z_kk = 1 - N penalty / sqrt(n_k), for penalty * sum sqrt(n_k) - K N penalty^2 / 2.
    K, n = np.array([1, 7026]), np.array([11866947, 584592])
    total, between = K @ n, np.diag(1 - (K @ n) * penalty / np.sqrt(n))
    proof = certificates(Program.of(problem), np.diag(between)[None], between[None], None)
    optimum = penalty * (K @ np.sqrt(n)) - K.sum() * total * penalty**2 / 2
    assert float(proof.value[0]) == pytest.approx(optimum, rel=1e-9)
    assert float(proof.gap[0]) <= 1e-8 * optimum
