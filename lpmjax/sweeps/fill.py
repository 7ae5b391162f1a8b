"""Fill: the cells of grids in batches of fixed length, on every core."""

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


class Filler:
    """Does a task in the cells of grids of one builder and other axes, each of at most ``cells`` cells; compiles once.

    ``rows`` is the size of a problem, ``threads`` how many batches are worked on at once.
    """

    def __init__(self, grid: Grid, task: Run | Solve, rows: int, cells: int, threads: int | None = None):
        # XLA runs such short pieces on one core each, so on CPU the cores are filled from here.
        self._threads = threads or (usable_cores() if jax.default_backend() == "cpu" else 1)
        self._rounds, self._lanes = task.rounds(cells), _lanes(task.exact, rows, cells)
        # Compiled for this sweep only, which is cheap; the solver is compiled once for all sweeps of a structure.
        self._build = jax.jit(jax.vmap(lambda values, _: grid.builder(**values, **grid.fixed)))

    def __call__(self, out: dict[str, np.ndarray], grid: Grid, progress=None) -> None:
        """Do it in every cell, into the arrays ``out``."""
        cells, lanes = math.prod(grid.shape), self._lanes
        flat = {name: array.reshape(cells, *array.shape[len(grid.shape) :]) for name, array in out.items()}
        work = partial(self._work, flat, grid, bool(jax.config.read("jax_enable_x64")))
        pool = ThreadPoolExecutor(self._threads)
        try:
            index, start, before = np.arange(cells), None, 0
            for task in self._rounds:
                pieces = [slice(i, i + lanes) for i in range(0, index.size, lanes)]
                jobs = [
                    pool.submit(work, index[piece], jax.tree.map(lambda x, p=piece: x[p], start), task, before)
                    for piece in pieces
                ]
                left = []
                for piece, job in zip(pieces, jobs, strict=True):
                    left.append(job.result())
                    if progress is not None and task is self._rounds[-1]:
                        progress(cells - index[piece.stop :].size, cells)
                index = np.concatenate([i for i, _ in left])
                if task is self._rounds[-1] or index.size == 0:
                    break
                start = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(ends for _, ends in left))
                before += task.max_steps
        finally:
            pool.shutdown(cancel_futures=True)  # an error or Ctrl-C must not wait for the rest of the grid

    def _work(self, flat, grid: Grid, x64: bool, index: np.ndarray, start: Any, task: Run | Solve, before: int):
        """Solve the cells of ``index``; those that another round continues, and where they are."""
        last = task is self._rounds[-1]
        padded = np.arange(self._lanes) % index.size
        values = grid.values(index[padded])
        with jax.enable_x64(x64), jax.debug_nans(False):  # they are thread-local; NaN is a value here
            start = jax.tree.map(lambda leaf: leaf[padded], start)
            found, status, ends = _batch(self._build(values, np.zeros(self._lanes)), start, tuple(flat), task, last)
            for name, value in found.items():
                more = before if name == "steps" else 0
                flat[name][index] = np.asarray(value)[: index.size] + more
        left = np.flatnonzero(np.asarray(status)[: index.size] == Status.max_steps)
        return index[left], None if last else jax.tree.map(lambda leaf: np.asarray(leaf)[left], ends)


def one_by_one(
    out, grid: Grid, cells: Iterable[int], task: Callable[[Problem], Any], progress=None, first=None
) -> None:
    """Do the task in these cells, counted in C order, eagerly; ``first`` is the result of the first, if known."""
    for done, cell in enumerate(cells, start=1):
        values = {name: value[0] for name, value in grid.values(np.array([cell])).items()}
        known = first is not None and done == 1
        found = first if known else task(grid.builder(**values, **grid.fixed))
        for name, array in out.items():
            array[np.unravel_index(cell, grid.shape)] = np.asarray(getattr(found, name))
        if progress is not None:
            progress(done, math.prod(grid.shape))


def usable_cores() -> int:
    """Of this process."""
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
