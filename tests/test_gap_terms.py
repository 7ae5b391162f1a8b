"""Every term of the duality gap, at any point: no less than the reference finds for the same dual point, and no more.

Without a compilation: the certificate is evaluated in NumPy, as ``certify`` does it. Each mutant of a term must fail
here (``test_mutations``).
"""

import jax
import numpy as np
import pytest
from dual_bound import EXTENDED, LONG, Statement, all_bounds, bounds

import lpmjax as lpm
from lpmjax.duality import Program, duality_gap
from lpmjax.objectives.of_groups import GroupCoordinates

pytestmark = pytest.mark.skipif(not EXTENDED, reason="long doubles are doubles on this processor")
LOSSES = {
    "cross-entropy": lambda _: lpm.CrossEntropy(),
    "adjusted": lpm.LogitAdjusted,
    "smoothed": lpm.LabelSmoothing,
    "squared": lambda _: lpm.SquaredError(),
}
CASES = [(loss, "none", False) for loss in LOSSES]
CASES += [(loss, bias, True) for loss in LOSSES for bias in ("none", "free", "decayed")]
POINTS = 60


def statement(rng, loss, bias, decays, groups=3):
    shape = (POINTS, groups)
    classes = rng.integers(1, 9, shape).astype(float)
    samples, weights = 10 ** rng.uniform(0, 3, (2, *shape))
    # Budgets that bind, at every loss: of others only what the minimiser of the loss costs is looked at.
    first, second = 10 ** (rng.uniform(-3, -1, (2, POINTS)) if decays else rng.uniform(-1, -0.3, (2, POINTS)))
    parameter = {"adjusted": rng.uniform(-1, 1.5, POINTS), "smoothed": 10 ** rng.uniform(-2, -0.3, POINTS)}.get(loss)
    decay = 10 ** rng.uniform(-2, 1, POINTS) if bias == "decayed" else None
    return Statement(loss, classes, samples, weights, parameter, first, second, decays, bias, decay)


def program(s: Statement) -> Program:
    """What the package makes of a statement, as NumPy arrays."""

    def build(classes, samples, weights, parameter, first, second, decay):
        groups = lpm.ClassGroups(classes, samples, weights)
        loss = LOSSES[s.loss](parameter)
        if not s.decays:
            return Program.of(lpm.LayerPeeled(groups, first, second, loss=loss))
        bias_decay = {"none": None, "free": 0.0, "decayed": decay}[s.bias]
        return Program.of(lpm.UnconstrainedFeatures(groups, first, second, loss=loss, bias_decay=bias_decay))

    ones = np.ones(len(s.classes))
    rows = [s.classes, s.samples, s.weights]
    rows += [ones if x is None else x for x in (s.parameter, s.first, s.second, s.bias_decay)]
    return jax.tree.map(np.asarray, jax.vmap(build)(*rows))


def points(rng, s: Statement):
    """Coordinates of every size, the margins mostly of the right sign."""
    size = 10 ** rng.uniform(-6, 1, (POINTS, 1))
    within = size * rng.uniform(-0.1, 1, s.classes.shape)
    between = size[:, :, None] * rng.normal(size=(*s.classes.shape, s.classes.shape[1]))
    return within, between, size * rng.normal(size=s.classes.shape)


def claims_no_more(proof, lower) -> bool:
    """Whether the reference bears out every lower bound of a certificate."""
    return bool((np.asarray(proof.value, LONG) - proof.gap <= lower).all())


@pytest.mark.parametrize(("loss", "bias", "decays"), CASES)
def test_the_gap_is_that_of_the_reference(loss, bias, decays, rng, monkeypatch):
    # Of the gradient scaled to the penalty; a second dual point (test_dual_points) proves nothing here.
    nothing = lambda program, g, *_: (0 * g[1] + 1e30, 0 * g[0], 0 * g[0], 0 * g[1])  # noqa: E731
    monkeypatch.setattr("lpmjax.duality.aligned", nothing)
    for groups in (1, 2, 3):
        s = statement(rng, loss, bias, decays, groups)
        if groups == 1:
            s.classes[:] += 1
        within, between, offset = points(rng, s)
        numbers = program(s)
        with np.errstate(all="ignore"):
            proof = duality_gap(numbers, within, between, None if bias == "none" else offset)
        upper, (lower, *_) = all_bounds(s, within, between, offset)
        assert np.isfinite(lower).all()
        lower = np.maximum(lower, 0)  # no objective is negative
        assert claims_no_more(proof, lower)
        exact = (upper - lower).astype(float)
        scale = np.abs(proof.value) * (1 + np.abs(within).max(-1) + np.abs(between).max((-2, -1)))
        scale = scale + numbers.charge.amount * 0 if decays else scale + proof.norm * numbers.charge.amount
        assert (np.abs(proof.value - upper) <= 1e-13 * scale).all()
        np.testing.assert_array_less(proof.gap, exact * (1 + 1e-9) + 1e-11 * scale)


def test_the_gap_is_never_below_its_rounding(rng):
    """Balanced optima are known in closed form, so that nothing is left of the gap but the rounding."""
    lanes = 400
    K, n = np.ceil(10 ** rng.uniform(0.4, 4, lanes)), np.ceil(10 ** rng.uniform(0, 3, lanes))
    s_ = 10 ** rng.uniform(-2, 1.3, lanes)
    share = 10 ** rng.uniform(-8, 0, lanes)
    for decays in (False, True):
        first = share / (K * np.sqrt(n)) if decays else s_
        s = Statement("cross-entropy", K[:, None], n[:, None], n[:, None], None, first, first, decays)
        c = share / K
        margin = np.log(1 / c - (K - 1)) if decays else s_ * K / (K - 1)
        between = np.zeros((lanes, 1, 1))
        proof = duality_gap(program(s), margin[:, None], between)
        upper, (lower, *_) = all_bounds(s, margin[:, None], between)
        assert (proof.gap >= (upper - lower).astype(float)).all()
        assert (proof.gap >= np.finfo(float).eps * proof.value).all()
        assert (proof.gap <= 1e-12 * proof.value * (1 + margin)).all()


def test_absent_groups_change_nothing(rng):
    """Their offsets are far from those of groups that are there."""
    s = statement(rng, "adjusted", "none", False, 3)
    s.classes[:, 0] += 1
    s.classes[:, 2] = 0
    s.samples[:, 2] = 10 ** rng.choice([-20.0, 20.0], POINTS)
    within, between, _ = points(rng, s)
    between[:, 2], between[:, :, 2] = 0, 0
    proof = duality_gap(program(s), within, between)
    upper, (lower, *_) = all_bounds(s, within, between)
    assert (np.abs(proof.value - upper) <= 1e-13 * proof.value * (1 + np.abs(within).max())).all()
    assert claims_no_more(proof, np.maximum(lower, 0))


def test_nonnegative_features_pay_for_their_columns(rng):
    """Value and gap from the columns' norms and the entropy of any probabilities with ``K rho pi`` within the price."""
    n, lambda_ = 10 ** rng.uniform(0, 3, (POINTS, 3)), 10 ** rng.uniform(-4, -1, POINTS)
    classes = rng.integers(1, 9, n.shape).astype(float)
    margin = rng.uniform(0, 8, n.shape)

    def build(classes, n, lambda_):
        groups = lpm.ClassGroups(classes, n)
        return lpm.UnconstrainedFeatures(groups, lambda_, lambda_, nonnegative=True).objective()

    objective = jax.tree.map(np.asarray, jax.vmap(build)(classes, n, lambda_))
    proof = objective.prove(GroupCoordinates(margin, None))
    K = classes.sum(-1, keepdims=True)
    pi = n / np.sum(classes * n, -1, keepdims=True)
    norm = margin * np.sqrt(n * (1 - 1 / K))  # of a column of (I - J/K) diag(margin), times omega
    value = np.sum(classes * (pi * np.log1p((K - 1) * np.exp(-margin)) + lambda_[:, None] * norm), -1)
    rho = np.exp(-margin) / (1 + (K - 1) * np.exp(-margin))
    # G = pi rho (J - K I) on one column, whose part that an orthogonal frame h >= 0 can use is K rho pi sqrt((K-1)/K).
    rho = np.minimum(rho, lambda_[:, None] * np.sqrt(n) / (K * pi * np.sqrt((K - 1) / K)))
    right = 1 - (K - 1) * rho
    entropy = -(K - 1) * rho * np.log(rho) - right * np.log(right)
    exact = value - np.sum(classes * pi * entropy, -1)
    np.testing.assert_allclose(proof.value, value, rtol=1e-13)
    np.testing.assert_allclose(proof.gap, exact, rtol=1e-9, atol=1e-12)


def test_what_cancels_is_allowed_for(rng):
    """Squared error at extreme decays: logits are 1 less something tiny, whose rounding is no small share of it.

    The optimum is known: ``Z diag(sqrt n)`` is diagonal with sqrt(n_k) - N lambda, of value
    ``lambda sum sqrt(n_k) - N K lambda^2 / 2``.
    """
    lanes = 2000
    classes = np.ceil(10 ** rng.uniform(0, 6, (lanes, 2)))
    samples = np.ceil(10 ** rng.uniform(0, 8, (lanes, 2)))
    first, second = 10 ** rng.uniform(-20, -12, (2, lanes))
    classes[0], samples[0], first[0], second[0] = [1, 7026], [11866947, 584592], 9.9e-16, 3.6e-20
    N = np.sum(classes * samples, -1, keepdims=True, dtype=LONG)
    price = (np.sqrt(first.astype(LONG)) * np.sqrt(second.astype(LONG)))[:, None]
    alive = (np.sqrt(samples) > N * price).all(-1)
    within = 1 - N * price / np.sqrt(samples.astype(LONG))
    optimum = np.sum(classes * (price * np.sqrt(samples.astype(LONG)) - N * price**2 / 2), -1)
    s = Statement("squared", classes, samples, samples, None, first, second, True)
    within = within.astype(float)
    proof = duality_gap(program(s), within, within[:, :, None] * np.eye(2))
    upper, lower = bounds(s, within, within[:, :, None] * np.eye(2))
    assert alive.mean() > 0.5
    assert (lower <= optimum * (1 + 1e-15))[alive].all() and (optimum <= upper)[alive].all()
    assert (np.asarray(proof.value, LONG) - proof.gap <= optimum)[alive].all()
    assert (np.abs(proof.value - optimum) <= proof.gap)[alive].all()
    assert claims_no_more(jax.tree.map(lambda x: x[alive], proof), lower[alive])
