"""The reference bounds in extended precision, against Clarabel's optimum and at points that are not optimal."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from dual_bound import EXTENDED, LONG, Statement, bounds

pytestmark = pytest.mark.skipif(not EXTENDED, reason="long doubles are doubles on this processor")
_TIGHT = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
LOSSES = ("cross-entropy", "adjusted", "smoothed", "squared")
CASES = [(loss, bias, decays) for loss in LOSSES for decays in (True, False) for bias in ("none", "free", "decayed")]
CASES = [case for case in CASES if case[2] or case[1] == "none"]  # budgets come without a bias


def draw(rng, loss, bias, decays, classes=(2, 1, 3)):
    samples = np.round(10 ** rng.uniform(0, 2, len(classes)))
    first, second = 10 ** (rng.uniform(-2, -1, 2) if decays else rng.uniform(-1, -0.1, 2))
    parameter = {"adjusted": [0.7], "smoothed": [0.1]}.get(loss)
    decay = np.array([0.3]) if bias == "decayed" else None
    weights = samples * 10 ** rng.uniform(-0.5, 0.5, len(classes))
    return Statement(
        loss, np.array([classes]), samples[None], weights[None], parameter, [first], [second], decays, bias, decay
    )


def clarabel(s):
    """Value, logits and bias of the convex program, every class by itself."""
    index = np.repeat(np.arange(s.classes.shape[1]), s.classes[0])
    n, weights = s.samples[0][index], s.weights[0][index] / s.weights[0][index].sum()
    K, price = len(index), float(np.sqrt(s.first[0] * s.second[0]))
    Z, b = cp.Variable((K, K)), cp.Variable(K)
    shift = 0 if s.bias == "none" else b
    if s.loss == "adjusted":
        shift = shift + s.parameter[0] * np.log(n)
    smooth = s.parameter[0] if s.loss == "smoothed" else 0.0
    total = 0
    for k, w in enumerate(weights):
        z, target = Z[:, k] + shift, (1 - smooth) * np.eye(K)[k] + smooth / K
        total += w * (cp.sum_squares(z - target) / 2 if s.loss == "squared" else cp.log_sum_exp(z) - target @ z)
    if s.bias == "decayed":
        total += s.bias_decay[0] / 2 * cp.sum_squares(b)
    limits = []
    if s.decays:
        total += price * cp.normNuc(Z @ np.diag(np.sqrt(n)))
    else:
        limits = [cp.normNuc(Z) <= K * price]
    program = cp.Problem(cp.Minimize(total), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": more is asked for than is needed
        program.solve(solver=cp.CLARABEL, **_TIGHT)
    return program.value, Z.value, np.zeros(K) if s.bias == "none" else b.value, index


def grouped(s, Z, b, index):
    """Group averages of a K x K matrix, one entry of the statement's coordinates at a time."""
    G = s.classes.shape[1]
    within, between, bias = np.zeros(G, LONG), np.zeros((G, G), LONG), np.zeros(G, LONG)
    for g in range(G):
        own = np.flatnonzero(index == g)
        bias[g] = b[own].mean()
        for j in range(G):
            rows = np.flatnonzero(index == j)
            between[j, g] = Z[np.ix_(rows, own)].sum() / np.sqrt(len(rows) * len(own))
        if len(own) > 1:
            block = Z[np.ix_(own, own)]
            different = (block.sum() - np.trace(block)) / (len(own) * (len(own) - 1))
            within[g] = np.trace(block) / len(own) - different
    return within[None], between[None], bias[None]


@pytest.mark.parametrize(("loss", "bias", "decays"), CASES)
def test_bounds_enclose_clarabels_optimum_and_are_tight(loss, bias, decays, rng):
    for _ in range(2):
        s = draw(rng, loss, bias, decays)
        value, Z, b, index = clarabel(s)
        upper, lower = bounds(s, *grouped(s, Z, b, index))
        assert lower[0] <= upper[0]
        assert abs(float(upper[0]) - value) < 1e-7
        assert abs(float(lower[0]) - value) < 1e-7


@pytest.mark.parametrize(("loss", "bias", "decays"), CASES)
def test_bounds_hold_at_every_point(loss, bias, decays, rng):
    s = draw(rng, loss, bias, decays)
    value, Z, b, index = clarabel(s)
    within, between, bias = grouped(s, Z, b, index)
    for size in (1e-6, 1e-3, 0.1, 1.0, 10.0):
        moved = [x + size * rng.normal(size=x.shape) for x in (within, between, bias)]
        upper, lower = bounds(s, *moved)
        assert lower[0] < value + 1e-9 < upper[0] + 2e-9
