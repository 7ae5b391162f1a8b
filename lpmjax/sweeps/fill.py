"""Fill: the cells of a grid in batches of fixed length, on every core."""

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import numpy as np

from ..codes import Status
from ..problems.problem import Problem
from .grid import Grid
from .task import Run, Solve, in_lockstep

_LANES_ON_CPU = 8192  # best of 1024 to 16384 on two cores: temporaries stay in the cache, calls are few
_LANES_OF_DESCENT = 16  # on CPU descents run one after another; this many make a call worth its while
_LANES_ELSEWHERE = 1 << 20


def allocate(names, shape, like: Any, max_bytes: int) -> dict[str, np.ndarray]:
    """An array of each variable, of the shape and dtype that one cell of the result has."""
    cells = math.prod(shape)
    plan = {name: (shape + getattr(like, name).shape, getattr(like, name).dtype) for name in names}
    size = {name: math.prod(full) * np.dtype(kind).itemsize for name, (full, kind) in plan.items()}
    total = sum(size.values())
    if total > max_bytes:
        largest = ", ".join(sorted(size, key=lambda name: -size[name])[:4])
        raise ValueError(
            f"{cells} cells x {len(names)} variables take {total / 2**30:.2g} GiB, above max_bytes = "
            f"{max_bytes / 2**30:.2g} GiB: keep fewer variables (value, phase, ...; the largest are {largest}), or "
            "raise max_bytes."
        )
    return {name: np.empty(full, kind) for name, (full, kind) in plan.items()}


def one_by_one(
    out, grid: Grid, cells: Iterable[tuple[int, ...]], task: Callable[[Problem], Any], progress=None, first=None
) -> None:
    """Do the task in these cells (an index for each axis), eagerly; ``first`` is the result of the first, if known."""
    for done, cell in enumerate(cells, start=1):
        values = {name: axis[i] for (name, axis), i in zip(grid.axes.items(), cell, strict=True)}
        known = first is not None and done == 1
        found = first if known else task(grid.builder(**values, **grid.fixed))
        for name, array in out.items():
            array[cell] = np.asarray(getattr(found, name))
        if progress is not None:
            progress(done, math.prod(grid.shape))


def fill(out, grid: Grid, task: Run | Solve, rows: int, progress) -> None:
    """Do the task in every cell, into the arrays ``out``; ``rows`` is the size of a problem."""
    cells, x64 = math.prod(grid.shape), bool(jax.config.read("jax_enable_x64"))
    rounds, lanes = task.rounds(cells), _lanes(task.exact, rows, cells)
    flat = {name: array.reshape(cells, *array.shape[len(grid.shape) :]) for name, array in out.items()}
    # Compiled for this sweep only, which is cheap; the solver is compiled once for all sweeps of a structure.
    build = jax.jit(jax.vmap(lambda values, _: grid.builder(**values, **grid.fixed)))

    def work(index: np.ndarray, start: Any, task: Run | Solve, before: int) -> tuple[np.ndarray, Any]:
        """Solve the cells of ``index``; those that another round continues, and where they are."""
        last = task is rounds[-1]
        padded = np.arange(lanes) % index.size
        values = grid.values(index[padded])
        with jax.enable_x64(x64), jax.debug_nans(False):  # they are thread-local; NaN is a value here
            start = jax.tree.map(lambda leaf: leaf[padded], start)
            found, status, ends = _batch(build(values, np.zeros(lanes)), start, tuple(out), task, last)
            for name, value in found.items():
                more = before if name == "steps" else 0
                flat[name][index] = np.asarray(value)[: index.size] + more
        left = np.flatnonzero(np.asarray(status)[: index.size] == Status.max_steps)
        return index[left], None if last else jax.tree.map(lambda leaf: np.asarray(leaf)[left], ends)

    # XLA runs such short pieces on one core each, so on CPU the cores are filled from here.
    pool = ThreadPoolExecutor(_usable_cores() if jax.default_backend() == "cpu" else 1)
    try:
        index, start, before = np.arange(cells), None, 0
        for task in rounds:
            pieces = [slice(i, i + lanes) for i in range(0, index.size, lanes)]
            jobs = [
                pool.submit(work, index[piece], jax.tree.map(lambda x, p=piece: x[p], start), task, before)
                for piece in pieces
            ]
            left = []
            for piece, job in zip(pieces, jobs, strict=True):
                left.append(job.result())
                if progress is not None and task is rounds[-1]:
                    progress(cells - index[piece.stop :].size, cells)
            index = np.concatenate([i for i, _ in left])
            if task is rounds[-1] or index.size == 0:
                break
            start = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(ends for _, ends in left))
            before += task.max_steps
    finally:
        pool.shutdown(cancel_futures=True)  # an error or Ctrl-C must not wait for the rest of the grid


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@partial(jax.jit, static_argnames=("names", "task", "last"))
def _batch(problems: Problem, start: Any, names, task: Run | Solve, last: bool):
    """Variables of each lane, its status, and what another round needs."""
    results = jax.vmap(task)(problems, start)
    return {name: getattr(results, name) for name in names}, results.status, None if last else results


def _lanes(exact: bool, rows: int, cells: int) -> int:
    """Cells solved in one call. A small sweep is padded to the usual length of exact methods on CPU: there lanes cost
    microseconds, another compilation seconds."""
    if not in_lockstep():
        return _LANES_ON_CPU if exact else _LANES_OF_DESCENT
    most = _LANES_ELSEWHERE if exact else max(1, _LANES_ELSEWHERE // rows**2)
    return min(most, max(_LANES_ON_CPU if exact else 1, cells))
