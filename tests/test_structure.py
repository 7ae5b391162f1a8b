"""The phase of more than two groups: its word against the norms and cosines that are printed beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax import Phase

LOSSES = {"CE": lpm.CrossEntropy(), "LS": lpm.LabelSmoothing(0.1), "SE": lpm.SquaredError()}
#: norm budgets, or weight decay with no, a free or a decayed bias
CASES = [("CE", "budget")]
SLOW = [(loss, form) for loss in LOSSES for form in ("budget", None, 0.0, 0.1) if (loss, form) not in CASES]
G, LANES = 5, 24


def random_lanes(form):
    """Classes, samples and parameters of lanes from where nothing collapses to where all does."""
    rng = np.random.default_rng(7)
    classes = np.where(rng.random((LANES, 1)) < 0.5, 1.0, rng.integers(1, 4, (LANES, G)))
    samples = np.round(np.exp(rng.uniform(0, 6, (LANES, G))))
    samples[::3, -2] = samples[::3, -1]  # one count in two groups
    samples[1::4, :2] = 600.0  # the majority as well
    N = np.sum(classes * samples, axis=1)
    price = np.sqrt(np.quantile(samples, 0.5, axis=1)) / N * np.exp(rng.uniform(-1.5, 1, LANES))
    return classes, samples, np.exp(rng.uniform(-3, 3, LANES)) if form == "budget" else price


def solved(form, loss):
    def one(classes, samples, x):
        groups = lpm.ClassGroups(classes, samples)
        if form == "budget":
            return lpm.solve(lpm.LayerPeeled(groups, 1.0, x, loss))
        return lpm.solve(lpm.UnconstrainedFeatures(groups, x, x, loss, form))

    return jax.jit(jax.vmap(one))(*map(jnp.asarray, random_lanes(form)))


def unit_gram(s):
    """(K, K) cosines between all classifier rows."""
    group = np.repeat(np.arange(G), np.asarray(s.problem.groups.classes).astype(int))
    gram = np.array(s.cosines())[np.ix_(group, group)]
    np.fill_diagonal(gram, 1.0)
    return gram


@pytest.mark.parametrize(("loss", "form"), CASES + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW])
def test_the_word_is_true_of_norms_and_cosines(loss, form):
    batch, said = solved(form, LOSSES[loss]), set()
    for lane in range(LANES):
        s = jax.tree.map(lambda x, lane=lane: x[lane], batch)
        if s.status != lpm.Status.certified:
            assert s.phase == Phase.undetermined
            continue
        said.add(Phase(int(s.phase)))
        zero = np.asarray(s.w_norm2) == 0
        again = lpm.certify(s.problem, s)
        assert (again.status, again.phase, again.rank) == (s.status, s.phase, s.rank)
        if s.phase == Phase.annihilated:
            assert zero.any()
            assert (np.asarray(s.h_norm2)[zero] == 0).all()
            assert np.isnan(np.asarray(s.cosines())[zero]).all()
            assert np.isnan(again.cosines()[zero]).all()
            continue
        assert not zero.any()
        gram = unit_gram(s)
        K, rank = len(gram), np.sum(np.linalg.eigvalsh(gram) > 1e-6)  # those that are not zero are above 1e-3 here
        assert rank == s.rank
        if s.phase == Phase.separated:
            assert rank >= K - 1
            assert np.max(gram - 2 * np.eye(K)) < 1 - 1e-3
        else:
            assert s.phase == Phase.merged and rank < K - 1
            alike = np.asarray((s.problem.groups.classes > 1) & (s.slack <= 0))
            assert (np.asarray(s.cosine)[alike] == 1).all()
    assert said >= {Phase.separated, Phase.annihilated}
