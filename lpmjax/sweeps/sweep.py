"""sweep: any builder of a Problem over named axes, as an xarray.Dataset with coordinates, units and provenance."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from ..arguments import require_integer
from ..codes import Status
from ..fields import words_of
from ..problems.problem import Problem
from ..results.result import Result
from ..solve import solve
from ..solvers.solver import AbstractSolver, HostSolver
from .dataset import dataset
from .fill import allocate, fill, one_by_one
from .grid import Grid, as_axis, check_dtypes, check_keywords, first_problem, is_axis
from .task import Run, Solve


def sweep(
    builder: Callable[..., Problem],
    *,
    run: Callable[[Problem], Result] | None = None,
    method: str | AbstractSolver = "auto",
    tol: float | None = None,
    max_steps: int | None = None,
    variables: Sequence[str] | None = None,
    dtype: str = "float64",
    max_bytes: int = 2**32,
    progress: Callable[[int, int], None] | None = None,
    **arguments: Any,
) -> Any:
    """Solve ``builder(**arguments)`` at every point of a grid, or ``run`` whatever else returns a Result.

    Every keyword whose value is a list, range or one-dimensional array becomes a dimension of that name; the others
    (a tuple is one value) are passed as they are (numbers among them become scalar coordinates). The values of an axis
    may repeat and come in any order: each has its cell, but ``ds.sel`` finds only values that do not repeat.

    Parameters
    ----------
    builder : returns a Problem, e.g. ``LayerPeeled.two_group``; it is called under ``jax.vmap``.
    run : what to do with each problem, instead of solving it: a function of a Problem that returns a
        :class:`lpmjax.Result` and works under ``jax.vmap``; a function defined once is compiled once. The result names
        the variables.
    method, tol, max_steps : as in :func:`lpmjax.solve`, without ``run``; where a ``dim`` is below the rank of the
        optimum, "auto" falls back to "factored". Methods that choose shapes by what they find ("factored",
        "branch_and_bound") go cell by cell.
    variables : names of the result's attributes to keep; by default all.
    dtype : "float64" (whatever jax's own setting) or "float32".
    max_bytes : refuse results larger than this.
    progress : called with (cells done, cells in all) from time to time.

    Returns
    -------
    xarray.Dataset with one variable per attribute, dimension ``group`` where it is per group, CF flags for ``phase``
    and ``status``, and versions, dtype, device and tolerance in its attributes. Cells that failed say so in
    ``status``; they are NaN or uncertified, never dropped.

    Raises
    ------
    ValueError
        For a builder that is no function or returns no Problem, a ``run`` that is none or is given with a method, an
        empty or multi-dimensional axis, a keyword that the builder does not take, a value that it refuses (naming axis
        and position), an unknown variable, or a result above ``max_bytes``.

    Example
    -------
    >>> import lpmjax as lpm
    >>> ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1, 10, 100], E_W=1.0, E_H=[1.0, 5.0])
    >>> dict(ds["cosine"].sizes)
    {'R': 3, 'E_H': 2, 'group': 2}
    >>> ds["cosine"].sel(group="B").round(3).values.tolist()  # nan: its classifiers are zero
    [[-0.111, -0.111], [nan, 0.517], [nan, 1.0]]
    """
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype = {dtype!r} is out of range: use 'float64' or 'float32'.")
    if not callable(builder):
        raise ValueError(
            f"builder must be a function that returns a Problem, as LayerPeeled.two_group, got {builder!r}."
        )
    if run is not None and not callable(run):
        raise ValueError(f"run must be a function of a Problem that returns a Result, or None, got {run!r}.")
    if run is not None and (method, tol, max_steps) != ("auto", None, None):
        raise ValueError("method, tol and max_steps are for solve, which run replaces: use them inside run.")
    if progress is not None and not callable(progress):
        raise ValueError(f"progress must be a function of (cells done, cells in all), or None, got {progress!r}.")
    max_bytes = require_integer("max_bytes", max_bytes, 1)
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
        names = _names(variables, type(like))
        _check_names(builder, arguments, type(like))
        falls_back = isinstance(task, Solve) and method == "auto" and not on_host
        falls_back = falls_back and first.dim is not None and "factored" in first.methods
        kept = tuple(dict.fromkeys((*names, "status"))) if falls_back else names
        out = allocate(kept, grid.shape, like, max_bytes)
        settings = task.settings | {"dtype": dtype}
        if on_host:
            one_by_one(out, grid, np.ndindex(*grid.shape), task, progress, first=like)
        else:
            fill(out, grid, task, first.size, progress)
        # Where dim is below the rank of the relaxed optimum: under vmap classes cannot be told apart.
        left = np.argwhere(out["status"] == Status.invalid) if falls_back else ()
        if len(left) > 0:
            one_by_one(out, grid, map(tuple, left), partial(solve, method="factored", tol=tol))
            settings["method"] += ", factored where dim is below the rank"
        return dataset({name: out[name] for name in names}, grid, first, type(like), settings)


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
