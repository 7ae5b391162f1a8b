"""Random problems of every loss, bias and form: no claim that the reference bounds do not bear out, and no stalls.

``python tests/test_campaign.py 20000`` runs that many problems and prints the table (``... 20000 extreme float64`` for
those that these words describe); the tests run fewer.
"""

import os
import sys
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dual_bound import EXTENDED, ULP, Statement, bounds

import lpmjax as lpm

LOSSES = {
    "cross-entropy": lambda _: lpm.CrossEntropy(),
    "adjusted": lpm.LogitAdjusted,
    "smoothed": lpm.LabelSmoothing,
    "squared": lambda _: lpm.SquaredError(),
}
STRUCTURES = [(loss, "none", False) for loss in LOSSES]
STRUCTURES += [(loss, bias, True) for loss in LOSSES for bias in ("none", "free", "decayed")]
DOMAINS = ("ordinary", "extreme")
TOTAL = int(os.environ.get("LPMJAX_CAMPAIGN", "2000"))  #: problems of the tests, over all structures
_LOOSE = 1e-3  # what float32 is asked for
_CHUNK = 64


class Tally(NamedTuple):
    """Lanes of one structure: what they claim, against the reference bounds."""

    lanes: int
    false: int  #: the claimed lower bound exceeds the objective at that very point
    unsupported: int  #: it exceeds the reference's lower bound, or the value is off by more than the gap
    certified: int
    stalled: int  #: or out of steps
    nonfinite: int
    worst: Any  #: index of the lanes that are not certified, or whose claim fails


def draw(rng, domain, loss, bias, decays, lanes, size, width):
    """``lanes`` problems of 1 to ``size`` groups, padded with absent ones to ``width``."""
    G = rng.integers(1, size + 1, lanes)
    here = np.arange(width) < G[:, None]
    if domain == "ordinary":
        classes = rng.integers(1, 21, (lanes, width)).astype(float)
        samples = np.ceil(10 ** rng.uniform(-1, 3, (lanes, width)))
        weights = 10 ** rng.uniform(np.log10(0.05), np.log10(20), (lanes, width))
        first, second = 10 ** rng.uniform(np.log10(0.05), np.log10(20), (2, lanes))
    else:
        classes = np.floor(10 ** (rng.uniform(0, 6, (lanes, width)) * rng.integers(0, 2, (lanes, width))))
        samples = np.ceil(10 ** rng.uniform(0, 8, (lanes, width)))
        weights = 10 ** rng.uniform(-3, 3, (lanes, width))
        first, second = 10 ** rng.uniform(-6, 2, (2, lanes))
    classes[:, 0] = np.where((G == 1) & (classes[:, 0] < 2), 2, classes[:, 0])
    weights = np.where(rng.random((lanes, 1)) < 0.5, samples, weights)  # the default, or the caller's own
    classes = np.where(here, classes, 0.0)
    if decays:
        pi = weights / np.sum(classes * weights, -1, keepdims=True)
        threshold = np.max(np.where(here, pi / np.sqrt(samples), 0), -1)  # of the group that holds out longest
        share = 10 ** (rng.uniform(-3, np.log10(2), lanes) if domain == "ordinary" else rng.uniform(-14, 0.5, lanes))
        split = 10 ** rng.uniform(-2, 2, lanes)
        first, second = (np.maximum(share * threshold * part, 1e-20) for part in (split, 1 / split))
    parameter = {"adjusted": rng.uniform(-1, 1.5, lanes), "smoothed": 10 ** rng.uniform(-2, -0.3, lanes)}.get(loss)
    decay = 10 ** rng.uniform(-3 if domain == "ordinary" else -10, 1, lanes) if bias == "decayed" else None
    return Statement(loss, classes, samples, weights, parameter, first, second, decays, bias, decay)


@partial(jax.jit, static_argnames=("loss", "bias", "decays"), compiler_options={"xla_backend_optimization_level": 0})
@partial(jax.vmap, in_axes=(None, None, None, 0))
def _solve(loss, bias, decays, row):
    classes, samples, weights, (parameter, first, second, decay) = row
    groups = lpm.ClassGroups(classes, samples, weights)
    if not decays:
        return lpm.solve(lpm.LayerPeeled(groups, first, second, loss=LOSSES[loss](parameter)))
    bias_decay = {"none": None, "free": 0.0, "decayed": decay}[bias]
    return lpm.solve(
        lpm.UnconstrainedFeatures(groups, first, second, loss=LOSSES[loss](parameter), bias_decay=bias_decay)
    )


def solved(s: Statement, dtype):
    """Solutions of a statement, a fixed number of lanes at a time."""
    ones = np.ones(len(s.classes))
    numbers = [ones if x is None else x for x in (s.parameter, s.first, s.second, s.bias_decay)]
    rows = (s.classes, s.samples, s.weights, tuple(numbers))
    parts = [np.minimum(np.arange(i, i + _CHUNK), len(ones) - 1) for i in range(0, len(ones), _CHUNK)]
    found = [
        _solve(s.loss, s.bias, s.decays, jax.tree.map(lambda x, part=part: jnp.asarray(x[part], dtype), rows))
        for part in parts
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(ones)], *found)


def run(domain, structure, lanes, size, width, dtype="float64", seed=0) -> tuple[Tally, Statement, Any]:
    """Solve and judge one structure."""
    loss, bias, decays = structure
    rng = np.random.default_rng([seed, DOMAINS.index(domain), STRUCTURES.index(structure), size, dtype == "float32"])
    s = draw(rng, domain, loss, bias, decays, lanes, size, width)
    with jax.enable_x64(dtype == "float64"):
        found = solved(s, dtype)
    if dtype == "float32":
        found = lpm.certify(found.problem, found, tol=_LOOSE)
    upper, lower = bounds(s, found.within, found.between, found.bias)
    finite = np.isfinite(found.gap) & np.isfinite(found.value)
    claim = np.where(finite, found.lower_bound, -np.inf)
    false = claim > upper
    unsupported = (claim > lower) | (finite & ~(np.abs(found.value - upper) <= found.gap + ULP**2))
    certified = found.status == lpm.Status.certified
    nonfinite = (found.status == lpm.Status.nonfinite) | (found.status == lpm.Status.invalid)
    bad = np.flatnonzero(false | unsupported | ~certified)
    counts = (int(np.sum(x)) for x in (false, unsupported, certified, ~certified & ~nonfinite, nonfinite))
    return Tally(lanes, *counts, bad), s, (found, upper, lower)


def told(tally: Tally, domain) -> str:
    """For the message of a failing test: how to see the lanes again."""
    return f"{tally._asdict()}; run('{domain}', ...) returns the problems and what was found"


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.skipif(not EXTENDED, reason="long doubles are doubles on this processor")
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: "-".join(map(str, s)))
def test_every_claim_is_borne_out_and_nothing_ordinary_stalls(structure):
    lanes = TOTAL // (2 * len(STRUCTURES))
    for domain in DOMAINS:
        tally, *_ = run(domain, structure, lanes, 5, 5)
        assert tally.false == tally.nonfinite == 0, told(tally, domain)
        if domain == "ordinary":
            assert tally.unsupported == tally.stalled == 0, told(tally, domain)
        else:  # rounding can leave a gap open, and the reference's bound loose
            assert tally.stalled <= 0.1 * lanes, told(tally, domain)


@pytest.mark.slow
@pytest.mark.skipif(not EXTENDED, reason="long doubles are doubles on this processor")
@pytest.mark.parametrize("structure", STRUCTURES[::3], ids=lambda s: "-".join(map(str, s)))
def test_float32_claims_are_borne_out_for_what_was_written(structure):
    tally, s, (found, *_) = run("ordinary", structure, TOTAL // (4 * len(STRUCTURES)), 5, 5, "float32")
    assert tally.false == 0, told(tally, "ordinary")
    exact = solved(s, "float64")  # of these points the reference's dual points can be looser than the package's
    assert np.all(exact.status == lpm.Status.certified)
    assert np.all(found.lower_bound <= exact.value) and np.all(found.value + found.gap >= exact.lower_bound)


def main(total: int, words: list[str]) -> None:
    """Run ``total`` problems and print a line for each structure."""
    print(f"{'domain':<9}{'dtype':<8}{'problem':<34}{'groups':<7} lanes false unsup. cert. stall nonf.", flush=True)
    kinds = [
        (domain, structure, size, dtype)
        for domain in DOMAINS
        for dtype in ("float64", "float32")
        for structure in STRUCTURES
        for size in (3, 9)
        if all(word in (domain, dtype, *structure, str(size)) for word in words)
    ]
    sums = np.zeros(6, int)
    for domain, structure, size, dtype in kinds:
        tally, *_ = run(domain, structure, -(-total // len(kinds)), size, size, dtype)
        name = f"{structure[0]}, {'decay' if structure[2] else 'budget'}, bias {structure[1]}"
        counts = "".join(f"{x:6d}" for x in tally[:-1])
        print(f"{domain:<9}{dtype:<8}{name:<34}<= {size:<4}{counts}", tally.worst[:6].tolist(), flush=True)
        sums += np.array(tally[:-1])
    print(f"{'all':<58}" + "".join(f"{x:6d}" for x in sums))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, sys.argv[2:])
