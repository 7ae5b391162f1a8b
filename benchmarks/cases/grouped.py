"""Many distinct counts: G = 3..200 groups, a million classes in 20 groups, all classes distinct up to K = 2000."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm

from ..rows import Row, judge, missing, row, too_long
from ..settings import Settings
from ..timing import time_eager
from ..work import count, count_solve

_COUNTED = 20.0  #: seconds of a solve above which it is not run once more to be counted


def tail_problem(G: int, dtype: str) -> lpm.LayerPeeled:
    """Every class its own group, n_k from 100 down to 1."""
    return lpm.LayerPeeled(lpm.ClassGroups.long_tail(G, jnp.asarray(100.0, dtype)), 1.0, 1.0)


def factored(settings: Settings) -> Iterator[Row]:
    """All K classes distinct: ``lpm.factored``, to be read beside :func:`many_groups`."""
    for K in settings.pick([6], [10], [10, 20, 50, 100]):
        problem = lpm.LayerPeeled(lpm.ClassGroups.per_class(100.0 ** -np.linspace(0, 1, K)), 1.0, 1.0)
        measured = time_eager(lambda p=problem: lpm.factored(p, restarts=1), settings)
        verdict = judge(measured.result, settings.gap("grouped"))
        yield row("factored", {"K": K, "how": "factored"}, verdict, measured, settings)


def many_groups(settings: Settings) -> Iterator[Row]:
    """``lpm.solve`` of G distinct counts, which is W and H at an adaptive width."""
    last: Row = {}
    for size in settings.pick([3], [100], [3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000], [100, 1000]):
        instance = {"G": size, "K": size, "how": "solve"}
        # From G^2 to G^3 a step; a solve is repeated at least three times.
        factor = (size / last["instance"]["G"]) ** 2.5 if last else 0.0
        reason = too_long(last, factor, settings.pick(1, 10, 100))
        if reason is not None:
            yield missing("grouped", instance, "lpmjax", "skipped", reason, settings, settings.gap("grouped"))
            continue
        problem = tail_problem(size, settings.dtype)
        measured = time_eager(lambda p=problem: lpm.solve(p), settings)
        found = measured.result
        verdict = judge(found, settings.gap("grouped"))
        work = count_solve(lambda p=problem: lpm.solve(p)) if min(measured.seconds["warm"]) < _COUNTED else None
        last = row("grouped", instance, verdict, measured, settings, work=work, rank=int(found.rank))
        yield last


def many_classes(settings: Settings) -> Iterator[Row]:
    """K classes in 20 groups of equal size: K is a value, so one compilation serves all."""
    G = settings.pick(4, 20, 20)
    samples = jnp.asarray(100.0 ** -np.linspace(0, 1, G), settings.dtype)

    def solve(classes):
        # A budget of s = 1 / log10(K) keeps the loss far from zero at every K.
        s = 1 / jnp.log10(jnp.sum(classes))
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups(classes, samples), s, s))

    compiled = jax.jit(solve)
    for K in settings.pick([8], [20, 10**3, 10**6], [20, 100, 10**3, 10**4, 10**5, 10**6]):
        classes = jnp.full(G, K / G, settings.dtype)
        measured = time_eager(partial(compiled, classes), settings)
        verdict = judge(measured.result, settings.gap("grouped"))
        work = count(solve, classes)
        yield row("many_classes", {"G": G, "K": K, "how": "solve"}, verdict, measured, settings, work=work)
