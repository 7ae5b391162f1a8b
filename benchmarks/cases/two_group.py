"""Two-group problems: one call of many lanes, a sweep as a user writes it, and on accelerators chunks up to 10^8."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm

from ..rows import Row, judge, judge_arrays, on_accelerator, row
from ..settings import Settings
from ..timing import time_eager, time_jitted
from ..work import count

_SAMPLED = 10**6  #: lanes that the host certifies for all of a batch in float32


def grid(cells: int, dtype: Any) -> tuple[Any, ...]:
    """K_A, K_B, R, E_H of ``cells`` points, evenly: K_A in 2..41, K_B in 2..62, R in [1, 1e4], s in [0.01, 4]."""
    i = jnp.arange(cells)
    # Multiples of irrational numbers modulo one fill the square evenly, for every number of cells.
    first, second = (jnp.mod(i * ratio, 1.0).astype(dtype) for ratio in (0.754877666, 0.569840291))
    K_A, K_B = (2 + i % 40).astype(dtype), (2 + i % 61).astype(dtype)
    return K_A, K_B, jnp.exp(first * math.log(1e4)), (0.01 + 3.99 * second) ** 2


def solve_lanes(K_A, K_B, R, E_H) -> lpm.Solution:
    """The whole Solution of every lane."""

    def one(a, b, r, e):
        return lpm.solve(lpm.LayerPeeled.two_group(a, b, r, 1.0, e))

    return jax.vmap(one)(K_A, K_B, R, E_H)


def run(settings: Settings) -> Iterator[Row]:
    """Cells per second against the number of cells."""
    top = 10**7 if on_accelerator() else 10**6
    sizes = settings.pick(
        [1, 64],
        [top],
        [10**p for p in range(round(math.log10(top)) + 1)],
        [10**p for p in range(4, round(math.log10(top)) + 1)],
    )
    for cells in sizes:
        points = jax.block_until_ready(grid(cells, settings.dtype))
        measured = time_jitted(solve_lanes, *points, settings=settings)
        verdict = judge(measured.result, settings.gap("two_group"))
        measured.result = None
        work = count(solve_lanes, *points)
        yield row("two_group", {"how": "one call", "cells": cells}, verdict, measured, settings, work=work)
    for cells in settings.pick([16], [10**6], [100, 10**3, 10**4, 10**5, 10**6], [10**6]):
        yield _sweep(cells, settings)
    if on_accelerator() and settings.mode in ("device", "full"):
        yield _chunks(10**8, 10**7, settings)


def _sweep(cells: int, settings: Settings) -> Row:
    """``lpm.sweep`` of R x E_H x K_A: compilation shared, results in host memory, all variables kept."""
    side = math.isqrt(cells // 4)
    axes = {"R": np.geomspace(1, 1e4, side), "E_H": np.linspace(0.01, 4, side) ** 2, "K_A": [3, 5, 10, 20]}

    def swept():
        return lpm.sweep(lpm.LayerPeeled.two_group, K_B=5, E_W=1.0, dtype=settings.dtype, **axes)

    measured = time_eager(swept, settings)
    ds = measured.result
    if settings.dtype == "float64":
        verdict = judge_arrays(ds.status, ds.gap, ds.value, ds.steps, settings.gap("two_group"))
    else:
        K_A, E_H, R = (x.ravel() for x in np.meshgrid(axes["K_A"], axes["E_H"], axes["R"], indexing="ij"))
        points = (jnp.asarray(x, settings.dtype) for x in (K_A, np.full(K_A.size, 5), R, E_H))
        verdict = judge(jax.jit(solve_lanes)(*points), settings.gap("two_group"))
    instance = {"how": "sweep", "cells": verdict["cells"]}
    return row("two_group", instance, verdict, measured, settings)


def _chunks(cells: int, lanes: int, settings: Settings) -> Row:
    """The same compiled call again and again on the device, a new grid each time, its status counted there."""
    points = grid(lanes, settings.dtype)
    limit = settings.gap("two_group")

    def chunk(shift):
        K_A, K_B, R, E_H = points
        found = solve_lanes(K_A, K_B, R * (1 + shift), E_H)
        return found, jnp.max(found.gap / jnp.abs(found.value))

    compiled = jax.jit(chunk).lower(jnp.zeros((), settings.dtype)).compile()
    shifts = [jnp.asarray(i / cells, settings.dtype) for i in range(cells // lanes)]
    totals: dict[str, Any] = {}

    def every_chunk():
        totals.update(certified=0, worst=0.0, counts=np.zeros(len(lpm.Status), int), steps=0, sum=0.0)
        for shift in shifts:
            found, worst = jax.block_until_ready(compiled(shift))
            totals["counts"] += np.bincount(np.asarray(found.status), minlength=len(lpm.Status))
            totals["worst"] = max(totals["worst"], float(worst))
            totals["steps"] = max(totals["steps"], int(jnp.max(found.steps)))
            totals["sum"] += float(jnp.mean(found.steps)) / len(shifts)
        return totals["worst"]

    measured = time_eager(every_chunk, settings)
    # In float32 some lanes of the last chunk stand for all: the host takes a second or more for a million.
    sampled = None if settings.dtype == "float64" else judge(_first(compiled(shifts[-1])[0], lanes, _SAMPLED), limit)
    counts = {code.name: int(totals["counts"][code]) for code in lpm.Status if totals["counts"][code]}
    good = counts.get("certified", 0) if sampled is None else cells * sampled["certified"] // sampled["cells"]
    verdict = {
        "gap": limit,
        "cells": cells,
        "certified": good,
        "status": counts,
        "worst_relative_gap": totals["worst"] if sampled is None else sampled["worst_relative_gap"],
        "steps": {"mean": totals["sum"], "max": totals["steps"]},
    }
    work = count(chunk, shifts[0])
    work = {name: amount * len(shifts) for name, amount in work.items()}
    instance = {"how": "chunks", "cells": cells}
    certified_by = "device" if sampled is None else f"lpm.certify of {sampled['cells']} cells of the last chunk"
    return row("two_group", instance, verdict, measured, settings, work=work, certified_by=certified_by)


def _first(solution: lpm.Solution, lanes: int, most: int) -> lpm.Solution:
    """The first ``most`` of its lanes; what they share has no axis."""
    return jax.tree.map(lambda x: x[:most] if x.shape[:1] == (lanes,) else x, solution)
