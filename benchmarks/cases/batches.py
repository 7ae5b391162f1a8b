"""Batches of descents: padded tails of mixed length, lockstep against dropping finished lanes, and float32."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm
from lpmjax.problems.problem import Problem

from ..rows import Row, judge, judge_arrays, row
from ..settings import Settings
from ..timing import time_eager, time_jitted
from ..work import count
from .two_group import grid, solve_lanes


def padded(settings: Settings) -> Iterator[Row]:
    """Long tails of K = 3..40 classes padded to 40: one call of all lanes against a loop of single solves."""
    most = settings.pick(6, 16, 40)
    sizes = jnp.arange(3.0, most + 1, dtype=settings.dtype)

    def one(K):
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(K, 100.0, size=most), 1.0, 1.0))

    batch = jax.vmap(one)
    measured = time_jitted(batch, sizes, settings=settings)
    verdict = judge(measured.result, settings.gap("grouped"))
    work = count(batch, sizes)
    instance = {"K": f"3..{most}", "how": "one call"}
    yield row("padded", instance, verdict, measured, settings, work=work)

    single = jax.jit(one)

    def loop():
        return [jax.block_until_ready(single(K)) for K in sizes]

    measured = time_eager(loop, settings)
    verdict = judge(_stack(measured.result), settings.gap("grouped"))
    yield row("padded", {"K": f"3..{most}", "how": "loop of single solves"}, verdict, measured, settings)


def _stack(solutions: list[lpm.Solution]) -> lpm.Solution:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *solutions)


def tail_of(ratio: Any, E_H: Any) -> Problem:
    """Six distinct counts."""
    return lpm.LayerPeeled(lpm.ClassGroups.long_tail(6, ratio), 1.0, E_H)


def rounds(settings: Settings) -> Iterator[Row]:
    """A sweep of descents: all lanes in one call, short calls, and short calls that drop finished lanes.

    On accelerators the lanes of a call are in lockstep; on CPU they run one after another.
    """
    side = settings.pick(2, 16, 32)
    axes: dict[str, Any] = {"ratio": np.geomspace(2, 1e4, side), "E_H": np.linspace(0.1, 3, side) ** 2}
    always, never = 1, side * side + 1
    kinds = {
        "one call": (side * side, never),
        "short calls": (16, never),
        "short calls, finished lanes dropped": (16, always),
    }
    for how, (lanes, from_cells) in kinds.items():
        lockstep: dict[str, Any] = {"in_lockstep": lambda: True} if from_cells == always else {}
        cut: dict[str, Any] = {"_LANES_OF_DESCENT": lanes, "_LANES_ELSEWHERE": lanes * 36}
        with (
            mock.patch.multiple("lpmjax.sweeps.fill", **cut, **lockstep),
            mock.patch.multiple("lpmjax.sweeps.task", _CELLS_FOR_ROUNDS=from_cells, **lockstep),
        ):
            measured = time_eager(lambda: lpm.sweep(tail_of, dtype=settings.dtype, **axes), settings)
        ds = measured.result
        verdict = _verdict(ds, axes, settings)
        yield row("rounds", {"how": how, "G": 6, "cells": side * side}, verdict, measured, settings)


def _verdict(ds: Any, axes: dict[str, np.ndarray], settings: Settings) -> Row:
    if settings.dtype == "float64":
        return judge_arrays(ds.status, ds.gap, ds.value, ds.steps, settings.gap("grouped"))
    ratio, E_H = (x.ravel().astype("float32") for x in np.meshgrid(axes["ratio"], axes["E_H"]))
    found = jax.jit(jax.vmap(lambda r, e: lpm.solve(tail_of(r, e))))(ratio, E_H)
    return judge(found, settings.gap("grouped"))


def precision(settings: Settings) -> Iterator[Row]:
    """The same problems in float64 and float32 in one run, with the gap that each reaches in float64 on the host."""
    cells, G = settings.pick(16, 10**4, 10**5), settings.pick(3, 20, 50)
    kinds = ("float32",) if settings.dtype == "float32" else ("float64", "float32")
    for dtype in kinds:
        own = Settings(settings.mode, dtype)
        with jax.enable_x64(dtype == "float64"):
            points = grid(cells, dtype)
            measured = time_jitted(solve_lanes, *points, settings=own)
            verdict = _with_quantiles(measured.result, own.gap("two_group"))
            yield row("precision", {"how": "two groups", "cells": cells}, verdict, measured, own)

            def tail(E_H, dtype=dtype):
                groups = lpm.ClassGroups.long_tail(G, jnp.asarray(100.0, dtype))
                return lpm.solve(lpm.LayerPeeled(groups, 1.0, E_H))

            measured = time_jitted(tail, jnp.ones((), dtype), settings=own)
            verdict = _with_quantiles(measured.result, own.gap("grouped"))
            yield row("precision", {"how": "distinct counts", "G": G}, verdict, measured, own)


def _with_quantiles(solution: lpm.Solution, gap: float) -> Row:
    """:func:`judge`, and quantiles of the relative gaps that the host finds."""
    proof = lpm.certify(solution.problem, solution, gap)
    relative = np.ravel(proof.gap / np.abs(proof.value))
    finite = relative[np.isfinite(relative)]
    named = {"median": 0.5, "99 %": 0.99, "largest": 1.0}
    quantiles = {name: float(np.quantile(finite, q)) if finite.size else None for name, q in named.items()}
    return judge(solution, gap) | {"gap_quantiles": quantiles}
