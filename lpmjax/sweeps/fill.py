"""Fill: the cells of grids in batches of fixed length, on every core."""

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..codes import Status
from ..compiling import quick_jit
from ..problems.problem import Problem
from .grid import Grid
from .order import in_tiles
from .rounds import Reached, Spill
from .task import Run, Solve, in_lockstep

_LANES_ON_CPU = 8192  # in one call: calls are few
#: of these, how many go through a root together: neighbours of a grid take like numbers of steps, and their temporaries
#: stay in the cache. A divisor of any call's length, so that lanes are rounded alike in all.
_TILE = 256
_LANES_OF_DESCENT = 16  # on CPU descents run one after another; this many make a call worth its while
_LANES_ELSEWHERE = 1 << 20


class Filler:
    """Does a task in the cells of grids of one builder and other axes, each of at most ``cells`` cells; compiles once.

    ``rows`` is the size of a problem, ``threads`` how many batches are worked on at once. Several devices share the
    lanes of a batch.
    """

    def __init__(self, grid: Grid, task: Run | Solve, rows: int, cells: int, threads: int | None = None):
        devices = _devices()
        self._threads = threads or (at_once() if jax.default_backend() == "cpu" else 1)
        self._rounds, self._lanes = task.rounds(cells), _lanes(task.exact, rows, cells)
        if threads is not None and not task.exact:  # of many grids each would pay for lanes that hold nothing
            self._lanes = min(self._lanes, cells)
        self._tile = _TILE if task.exact and not in_lockstep() else None
        self._mesh = Mesh(np.array(devices), "lanes") if len(devices) > 1 else None
        if self._mesh is not None:
            least = self._tile or 1
            self._lanes = len(devices) * min(self._lanes, least * -(-cells // (least * len(devices))))
        # Compiled for this sweep only, which is cheap; the solver is compiled once for all sweeps of a structure.
        self._build = quick_jit(jax.vmap(lambda values, _: grid.builder(**values, **grid.fixed)))

    def __call__(self, out: dict[str, np.ndarray], grid: Grid, progress=None, spill: Spill | None = None) -> None:
        """Do it in every cell, into the arrays ``out``; ``spill`` keeps what a round has reached."""
        cells = math.prod(grid.shape)
        flat = {name: array.reshape(cells, *array.shape[len(grid.shape) :]) for name, array in out.items()}
        work = partial(self._work, _Target(flat, grid, bool(jax.config.read("jax_enable_x64"))))
        limits = tuple(task.max_steps for task in self._rounds)
        reached = None if spill is None else spill.load(limits, flat)
        number, before, index, start = reached or Reached(0, 0, in_tiles(grid.shape, self._tile or 1), None)
        pool = ThreadPoolExecutor(self._threads)
        try:
            for task in self._rounds[number:]:
                last = task is self._rounds[-1]
                told = partial(_tell, progress if last else None, cells, cells - index.size)
                index, start = self._round(pool, partial(work, task, before), index, start, told)
                if last or index.size == 0:
                    break
                number, before = number + 1, before + task.max_steps
                if spill is not None:
                    spill.save(limits, Reached(number, before, index, start), flat)
        finally:
            pool.shutdown(cancel_futures=True)  # an error or Ctrl-C must not wait for the rest of the grid

    def _round(self, pool, work: Callable[..., Any], index: np.ndarray, start: Any, told) -> tuple[np.ndarray, Any]:
        """Work on the cells of ``index``; those that the next round continues, and where they are."""
        pieces = [slice(i, i + self._lanes) for i in range(0, index.size, self._lanes)]
        jobs = [pool.submit(work, index[piece], jax.tree.map(lambda x, p=piece: x[p], start)) for piece in pieces]
        left = []
        for piece, job in zip(pieces, jobs, strict=True):
            left.append(job.result())
            told(index[: piece.stop].size)
        ends = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(ends for _, ends in left))
        return np.concatenate([i for i, _ in left]), ends

    def _work(self, target: "_Target", task: Run | Solve, before: int, index: np.ndarray, start: Any):
        """Solve the cells of ``index``; those that another round continues, and where they are."""
        last = task is self._rounds[-1]
        padded = np.arange(self._lanes) % index.size
        values = target.grid.values(index[padded])
        with jax.enable_x64(target.x64), jax.debug_nans(False):  # they are thread-local; NaN is a value here
            start = jax.tree.map(lambda leaf: leaf[padded], start)
            values, start = self._placed((values, np.zeros(self._lanes)), start)
            names = tuple(target.flat)
            found, status, ends = _batch(self._build(*values), start, names, task, last, self._mesh, self._tile)
            for name, value in found.items():
                more = before if name == "steps" else 0
                target.flat[name][index] = np.asarray(value)[: index.size] + more
        left = np.flatnonzero(np.asarray(status)[: index.size] == Status.max_steps)
        return index[left], None if last else jax.tree.map(lambda leaf: np.asarray(leaf)[left], ends)

    def _placed(self, *trees: Any) -> Any:
        """The lanes on their devices."""
        if self._mesh is None:
            return trees
        return jax.device_put(trees, NamedSharding(self._mesh, PartitionSpec("lanes")))


class _Target(NamedTuple):
    flat: dict[str, np.ndarray]  #: variables, cells counted in C order
    grid: Grid
    x64: bool


def _tell(progress, cells: int, before: int, done: int) -> None:
    if progress is not None:
        progress(before + done, cells)


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


def at_once() -> int:
    """How many batches or chunks are worked on at once in this process."""
    if jax.default_backend() != "cpu" or len(_devices()) > 1:
        return 2  # the next is solved while one is written
    # XLA runs such short pieces on one core each, so on CPU the cores are filled from here.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _devices() -> list[Any]:
    """Those of this process, or the one that the caller has set as default."""
    settings: Any = jax.config
    return jax.local_devices() if settings.jax_default_device is None else [settings.jax_default_device]


@partial(quick_jit, static_argnames=("names", "task", "last", "mesh", "tile"))
def _batch(problems: Problem, start: Any, names, task: Run | Solve, last: bool, mesh: Mesh | None, tile: int | None):
    """Variables of each lane, its status, and what another round needs; ``tile`` lanes after one another, or all at
    once."""

    def one(lane: tuple[Problem, Any]):
        result = task(*lane)
        return {name: getattr(result, name) for name in names}, result.status, None if last else result

    def solved(problems: Problem, start: Any):
        lanes = (problems, start)
        return jax.vmap(one)(lanes) if tile is None else jax.lax.map(one, lanes, batch_size=tile)

    if mesh is None:
        return solved(problems, start)
    lanes = PartitionSpec("lanes")  # each device steps through its own: no loop waits for another's
    return jax.shard_map(solved, mesh=mesh, in_specs=lanes, out_specs=lanes, check_vma=False)(problems, start)


def _lanes(exact: bool, rows: int, cells: int) -> int:
    """Cells solved in one call. A small sweep is padded to the usual length of exact methods on CPU: there lanes cost
    microseconds, another compilation seconds."""
    if not in_lockstep():
        return _LANES_ON_CPU if exact else _LANES_OF_DESCENT
    most = _LANES_ELSEWHERE if exact else max(1, _LANES_ELSEWHERE // rows**2)
    return min(most, max(_LANES_ON_CPU if exact else 1, cells))
