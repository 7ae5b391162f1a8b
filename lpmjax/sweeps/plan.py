"""Plan: a sweep that has been checked, with all that it takes to do any part of it."""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..arguments import require_callable
from ..codes import Status
from ..fields import words_of
from ..problems.problem import Problem
from ..results.result import Result
from ..solve import solve
from ..solvers.solver import HostSolver
from .dataset import dataset
from .fill import Filler, one_by_one
from .grid import Grid, as_axis, check_dtypes, check_keywords, first_problem, is_axis
from .rounds import Spill
from .task import Run, Solve

#: what goes cell by cell may hand batches to LAPACK on CPU, and two of those at once can wait for ever
_eager = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done in the cells of a grid, and which variables are kept of it."""

    grid: Grid
    first: Problem  #: of the first cell
    task: Run | Solve
    like: Any  #: a result, or the shapes and dtypes of one
    names: tuple[str, ...]
    dtype: str
    asked: Mapping[str, Any]  #: run, method, tol, max_steps and variables, as the caller gave them
    falls_back: bool  #: whether cells of a ``dim`` below the rank are done by "factored"

    @property
    def on_host(self) -> bool:
        """Whether cells are done one by one."""
        return isinstance(self.task, Solve) and isinstance(self.task.solver, HostSolver)

    @property
    def kind(self) -> type[Result]:
        """Of the results."""
        return type(self.like)

    @property
    def cell(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and dtype of each variable in one cell."""
        return {name: (getattr(self.like, name).shape, np.dtype(getattr(self.like, name).dtype)) for name in self.names}

    @property
    def cell_bytes(self) -> int:
        """Of all variables in one cell."""
        return sum(math.prod(shape) * kind.itemsize for shape, kind in self.cell.values())

    def check_memory(self, cells: int, max_bytes: int) -> None:
        """ValueError if the variables of so many cells take more."""
        size = {name: cells * math.prod(shape) * kind.itemsize for name, (shape, kind) in self.cell.items()}
        if sum(size.values()) > max_bytes:
            largest = ", ".join(sorted(size, key=lambda name: -size[name])[:4])
            raise ValueError(
                f"{cells} cells x {len(size)} variables take {sum(size.values()) / 2**30:.2g} GiB, above max_bytes = "
                f"{max_bytes / 2**30:.2g} GiB: keep fewer variables (value, phase, ...; the largest are {largest}), or "
                "raise max_bytes."
            )

    def solver(self, cells: int, threads: int | None = None) -> Callable[..., tuple[dict[str, np.ndarray], bool]]:
        """A function of a grid of at most so many cells: arrays of the variables, and whether any cell fell back.

        Compiled once for all of them, and for every thread that calls it.
        """
        filler = None if self.on_host else Filler(self.grid, self.task, self.first.size, cells, threads)
        return functools.partial(self._solve, filler)

    def _solve(
        self, filler: Filler | None, grid: Grid, progress=None, spill: Spill | None = None
    ) -> tuple[dict[str, np.ndarray], bool]:
        kept = {name: (getattr(self.like, name).shape, getattr(self.like, name).dtype) for name in self._needed}
        out = {name: np.empty(grid.shape + shape, kind) for name, (shape, kind) in kept.items()}
        with jax.enable_x64(self.dtype == "float64"):
            if filler is None:
                known = self.like if grid is self.grid else None
                with _eager:
                    one_by_one(out, grid, range(math.prod(grid.shape)), self.task, progress, first=known)
            else:
                filler(out, grid, progress, spill)
            # Where dim is below the rank of the relaxed optimum: under vmap classes cannot be told apart.
            left = np.flatnonzero(out["status"] == Status.invalid) if self.falls_back else ()
            if len(left) > 0:
                with _eager:
                    one_by_one(out, grid, left, functools.partial(solve, method="factored", tol=self.asked["tol"]))
        return {name: out[name] for name in self.names}, len(left) > 0

    @property
    def _needed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.names, "status"))) if self.falls_back else self.names

    def dataset(self, out: Mapping[str, Any], fell_back: bool) -> Any:
        """xarray.Dataset of these arrays."""
        settings = self.task.settings | {"dtype": self.dtype}
        if fell_back:
            settings["method"] += ", factored where dim is below the rank"
        return dataset(out, self.grid, self.first, self.kind, settings)


def planned(builder: Callable[..., Problem], arguments: dict[str, Any], dtype: str, asked: Mapping[str, Any]) -> Plan:
    """The plan of these arguments of a sweep; ValueError naming the one that is wrong."""
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype = {dtype!r} is out of range: use 'float64' or 'float32'.")
    if not callable(builder):
        raise ValueError(
            f"builder must be a function that returns a Problem, as LayerPeeled.two_group, got {builder!r}."
        )
    run: Any = asked["run"]
    method, tol, max_steps = asked["method"], asked["tol"], asked["max_steps"]
    require_callable("run", run, "a function of a Problem that returns a Result")
    if run is not None and (method, tol, max_steps) != ("auto", None, None):
        raise ValueError("method, tol and max_steps are for solve, which run replaces: use them inside run.")
    check_keywords(builder, arguments)
    with jax.enable_x64(dtype == "float64"):
        check_dtypes(arguments, dtype)
        axes = {name: as_axis(name, value, dtype) for name, value in arguments.items() if is_axis(value)}
        grid = Grid(builder, axes, {name: value for name, value in arguments.items() if name not in axes})
        first = first_problem(grid)
        task = Run(run) if run is not None else Solve.of(first, method, tol, max_steps)
        on_host = isinstance(task, Solve) and isinstance(task.solver, HostSolver)
        like = task(first) if on_host else jax.eval_shape(task, first)
    if not isinstance(like, Result):
        raise ValueError(f"run must return a lpmjax Result, got {type(like).__name__}.")
    names = _names(asked["variables"], type(like))
    _check_names(builder, arguments, type(like))
    falls_back = isinstance(task, Solve) and method == "auto" and not on_host
    falls_back = falls_back and first.dim is not None and "factored" in first.methods
    return Plan(grid, first, task, like, names, dtype, asked, falls_back)


def _names(variables: Sequence[str] | None, kind: type[Result]) -> tuple[str, ...]:
    if isinstance(variables, str) or not isinstance(variables, Iterable | None):
        raise ValueError(f"variables must be a list of names, as ['value', 'phase'], got {variables!r}.")
    known = words_of(kind)
    names = tuple(known) if variables is None else tuple(dict.fromkeys(map(str, variables)))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"variables has {', '.join(map(repr, unknown)) or 'no name'}: choose from {', '.join(known)}.")
    return names


def _check_names(builder: Callable[..., Problem], arguments: dict[str, Any], kind: type[Result]) -> None:
    words = words_of(kind)
    taken = {*words, *(dim for one in words.values() for dim in one.dims)}
    for name in arguments:
        if name in taken:
            title = getattr(builder, "__qualname__", repr(builder))
            raise ValueError(f"argument {name!r} of {title} is the name of a variable or dimension of the result.")
