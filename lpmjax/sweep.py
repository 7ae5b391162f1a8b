"""sweep: any builder of a Problem over named axes, as an xarray.Dataset with coordinates, units and provenance."""

import dataclasses
import functools
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import require_integer
from .codes import Phase, Status
from .fields import Words, words_of
from .groups import ClassGroups
from .problems.problem import Problem
from .solve import as_tol, choose_solver, solve
from .solvers.solver import AbstractSolver

_LANES_ON_CPU = 8192  # best of 1024 to 16384 on two cores: temporaries stay in the cache, calls are few
_LANES_OF_DESCENT = 16  # on CPU descents run one after another; this many make a call worth its while
_LANES_ELSEWHERE = 1 << 20
#: in lockstep, steps after which finished lanes are dropped; number of cells for which that second compilation pays
_FIRST_ROUND, _CELLS_FOR_ROUNDS = 40, 4096


def sweep(
    builder: Callable[..., Problem],
    *,
    method: str | AbstractSolver = "auto",
    tol: float | None = None,
    max_steps: int | None = None,
    variables: Sequence[str] | None = None,
    dtype: str = "float64",
    max_bytes: int = 2**32,
    progress: Callable[[int, int], None] | None = None,
    **arguments: Any,
) -> Any:
    """Solve ``builder(**arguments)`` at every point of a grid.

    Every keyword whose value is a list, range or one-dimensional array becomes a dimension of that name; the others
    (a tuple is one value) are passed as they are (numbers among them become scalar coordinates). The values of an axis
    may repeat and come in any order: each has its cell, but ``ds.sel`` finds only values that do not repeat.

    Parameters
    ----------
    builder : returns a Problem, e.g. ``LayerPeeled.two_group``; it is called under ``jax.vmap``.
    method, tol, max_steps : as in :func:`solve`; where a ``dim`` is below the rank of the optimum, "auto" falls back to
        "factored", cell by cell.
    variables : names of Solution attributes to keep; by default all.
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
        For a builder that is no function or returns no Problem, an empty or multi-dimensional axis, a keyword that the
        builder does not take, a value that it refuses (naming axis and position), an unknown variable, or a result
        above ``max_bytes``.

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
    if progress is not None and not callable(progress):
        raise ValueError(f"progress must be a function of (cells done, cells in all), or None, got {progress!r}.")
    max_bytes = require_integer("max_bytes", max_bytes, 1)
    _check_keywords(builder, arguments)
    with jax.enable_x64(dtype == "float64"):
        _check_dtypes(arguments, dtype)
        axes = {name: _axis(name, value, dtype) for name, value in arguments.items() if _is_axis(value)}
        fixed = {name: value for name, value in arguments.items() if name not in axes}
        first = _check_values(builder, axes, fixed)
        names = _names(variables, first)
        _check_names(builder, arguments, first)
        shape = tuple(axis.size for axis in axes.values())
        solver = choose_solver(first, method, max_steps)
        falls_back = method == "auto" and first.dim is not None and "factored" in first.methods
        falls_back = falls_back and solver.name != "factored"
        title, bound = solver.name, as_tol(first, solver, tol)
        if bound.ndim:
            raise ValueError(f"tol must be one number, got shape {bound.shape}.")
        limit = float(bound)
        kept = tuple(dict.fromkeys((*names, "status"))) if falls_back else names
        like = jax.eval_shape(partial(solve, method=solver, tol=limit), first)
        out = _allocate(kept, shape, like, max_bytes)
        solve_batch = partial(_solve_batch, names=kept, tol=limit)
        lanes = _lanes(solver, first.size, math.prod(shape))
        rounds = _rounds(solver, math.prod(shape))
        _fill(out, _Grid(builder, axes, fixed), solve_batch, rounds, lanes, progress)
        if falls_back and _solve_factored(out, builder, axes, fixed, tol):
            title += ", factored where dim is below the rank"
        settings = {"method": title, "tol": limit, "dtype": dtype}
        return _dataset({name: out[name] for name in names}, axes, fixed, builder, first, settings)


def _solve_factored(out, builder, axes, fixed, tol) -> bool:
    """Whether there were cells whose ``dim`` is below the rank of the relaxed optimum: they are solved one by one, as
    :func:`solve` does, since under ``vmap`` classes cannot be told apart."""
    cells = np.argwhere(out["status"] == Status.invalid)
    for cell in map(tuple, cells):
        values = {name: axis[i] for (name, axis), i in zip(axes.items(), cell, strict=True)}
        solution = solve(builder(**values, **fixed), method="factored", tol=tol)
        for name, array in out.items():
            array[cell] = np.asarray(getattr(solution, name))
    return len(cells) > 0


def _names(variables: Sequence[str] | None, problem: Problem) -> tuple[str, ...]:
    if isinstance(variables, str) or not isinstance(variables, Iterable | None):
        raise ValueError(f"variables must be a list of names, as ['value', 'phase'], got {variables!r}.")
    known = words_of(problem.result)
    names = tuple(known) if variables is None else tuple(dict.fromkeys(map(str, variables)))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"variables has {', '.join(map(repr, unknown)) or 'no name'}: choose from {', '.join(known)}.")
    return names


def _is_axis(value: Any) -> bool:
    return isinstance(value, (list, range)) or (hasattr(value, "ndim") and value.ndim > 0)


def _axis(name: str, value: Any, dtype: str) -> np.ndarray:
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"axis {name} must hold numbers, got {value!r}.") from error
    if given.size and given.dtype.kind not in "biuf":
        raise ValueError(f"axis {name} must hold numbers, got {value!r}.")
    axis = given.astype(dtype)
    if axis.ndim != 1 or axis.size == 0:
        raise ValueError(f"axis {name} has shape {axis.shape}: it must be one-dimensional with at least one value.")
    return axis


def _check_keywords(builder: Callable[..., Problem], arguments: dict[str, Any]) -> None:
    parameters = inspect.signature(builder).parameters.values()
    accepted = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    title = getattr(builder, "__qualname__", repr(builder))
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    for name in arguments:
        if name not in accepted:
            raise ValueError(f"{title} does not take {name!r}: its arguments are {', '.join(accepted)}.")
    needed = {p.name for p in parameters if p.default is p.empty} - set(arguments)
    if needed:
        raise ValueError(f"{title} also needs {', '.join(sorted(needed))}.")


def _check_names(builder: Callable[..., Problem], arguments: dict[str, Any], problem: Problem) -> None:
    words = words_of(problem.result)
    taken = {*words, *(dim for one in words.values() for dim in one.dims)}
    for name in arguments:
        if name in taken:
            title = getattr(builder, "__qualname__", repr(builder))
            raise ValueError(f"argument {name!r} of {title} is the name of a variable or dimension of the result.")


def _check_dtypes(arguments: dict[str, Any], dtype: str) -> None:
    """Refuse a prebuilt float32 part of a float64 sweep: it would be certified as the problem that was rounded."""
    for name, value in arguments.items():
        for leaf in jax.tree.leaves(value) if not _is_axis(value) else ():
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != dtype:
                raise ValueError(
                    f"{name} holds {leaf.dtype} arrays, but the sweep is in {dtype}: build it with jax_enable_x64 "
                    f"set, inside jax.enable_x64(), or pass dtype='{leaf.dtype}'."
                )


def _check_values(builder, axes, fixed) -> Problem:
    """Build along each axis with the others at their first value; a bad value is an error before any work is done."""
    corner = {name: axis[0] for name, axis in axes.items()}
    try:
        problem = builder(**corner, **fixed)
    except ValueError as error:
        raise ValueError(f"at the first value of every axis: {error}") from error
    if not isinstance(problem, Problem):
        raise ValueError(f"the builder must return a Problem, got {type(problem).__name__}.")
    for name, axis in axes.items():
        try:
            jax.vmap(lambda v, name=name: builder(**(corner | {name: v}), **fixed))(axis).check()
        except ValueError:
            for i, value in enumerate(axis):
                try:
                    builder(**(corner | {name: value}), **fixed)
                except ValueError as error:
                    raise ValueError(f"axis {name}, position {i}: {error}") from error
            raise
    return problem


def _allocate(names, shape, like: Any, max_bytes: int) -> dict[str, np.ndarray]:
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


@partial(jax.jit, static_argnames=("names", "solver", "tol", "last"))
def _solve_batch(problems: Problem, start: Any, names, tol, solver: AbstractSolver, last: bool):
    """Variables of each lane, its status, and what another round needs."""
    solutions = jax.vmap(partial(solve, method=solver, tol=tol))(problems, start=start)
    return {name: getattr(solutions, name) for name in names}, solutions.status, None if last else solutions


def _rounds(solver: AbstractSolver, cells: int) -> list[AbstractSolver]:
    """The solver of each round: lanes that are done after the first are dropped from the next."""
    several = not solver.exact and _in_lockstep() and cells >= _CELLS_FOR_ROUNDS and solver.max_steps > _FIRST_ROUND
    limits = [_FIRST_ROUND, solver.max_steps - _FIRST_ROUND] if several else [solver.max_steps]
    return [dataclasses.replace(solver, max_steps=limit) for limit in limits]


def _in_lockstep() -> bool:
    """Whether a batch of descents takes all its steps together, as it does on accelerators."""
    return jax.default_backend() != "cpu"


def _lanes(solver: AbstractSolver, rows: int, cells: int) -> int:
    """Cells solved in one call. A small sweep is padded to the usual length of exact methods on CPU: there lanes cost
    microseconds, another compilation seconds."""
    descent = not solver.exact
    if not _in_lockstep():
        return _LANES_OF_DESCENT if descent else _LANES_ON_CPU
    most = max(1, _LANES_ELSEWHERE // rows**2) if descent else _LANES_ELSEWHERE
    return min(most, max(1 if descent else _LANES_ON_CPU, cells))


class _Grid(NamedTuple):
    """A builder at every combination of the values of its axes, and what it takes beside them."""

    builder: Callable[..., Problem]
    axes: dict[str, np.ndarray]
    fixed: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes.values())

    def values(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """Of each axis at these cells, counted in C order."""
        points = np.unravel_index(cells, self.shape or (1,))
        return {name: axis[at] for (name, axis), at in zip(self.axes.items(), points, strict=bool(self.axes))}


def _fill(out, grid: _Grid, solve_batch, rounds: list[AbstractSolver], lanes: int, progress) -> None:
    cells, x64 = math.prod(grid.shape), bool(jax.config.read("jax_enable_x64"))
    flat = {name: array.reshape(cells, *array.shape[len(grid.shape) :]) for name, array in out.items()}
    # Compiled for this sweep only, which is cheap; the solver is compiled once for all sweeps of a structure.
    build = jax.jit(jax.vmap(lambda values, _: grid.builder(**values, **grid.fixed)))

    def work(index: np.ndarray, start: Any, solver: AbstractSolver, before: int) -> tuple[np.ndarray, Any]:
        """Solve the cells of ``index``; those that another round continues, and where they are."""
        last = solver is rounds[-1]
        padded = np.arange(lanes) % index.size
        values = grid.values(index[padded])
        with jax.enable_x64(x64), jax.debug_nans(False):  # they are thread-local; NaN is a value here
            start = jax.tree.map(lambda leaf: leaf[padded], start)
            found, status, ends = solve_batch(build(values, np.zeros(lanes)), start, solver=solver, last=last)
            for name, value in found.items():
                more = before if name == "steps" else 0
                flat[name][index] = np.asarray(value)[: index.size] + more
        left = np.flatnonzero(np.asarray(status)[: index.size] == Status.max_steps)
        return index[left], None if last else jax.tree.map(lambda leaf: np.asarray(leaf)[left], ends)

    # XLA runs such short pieces on one core each, so on CPU the cores are filled from here.
    pool = ThreadPoolExecutor(_usable_cores() if jax.default_backend() == "cpu" else 1)
    try:
        index, start, before = np.arange(cells), None, 0
        for solver in rounds:
            pieces = [slice(i, i + lanes) for i in range(0, index.size, lanes)]
            jobs = [
                pool.submit(work, index[piece], jax.tree.map(lambda x, p=piece: x[p], start), solver, before)
                for piece in pieces
            ]
            left = []
            for piece, job in zip(pieces, jobs, strict=True):
                left.append(job.result())
                if progress is not None and solver is rounds[-1]:
                    progress(cells - index[piece.stop :].size, cells)
            index = np.concatenate([i for i, _ in left])
            if solver is rounds[-1] or index.size == 0:
                break
            start = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(ends for _, ends in left))
            before += solver.max_steps
    finally:
        pool.shutdown(cancel_futures=True)  # an error or Ctrl-C must not wait for the rest of the grid


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dataset(out, axes, fixed, builder, first: Problem, settings: dict[str, Any]):
    import xarray as xr  # a third of a second that only sweeps need

    dims, words = tuple(axes), words_of(first.result)
    described = _words_of_arguments(first)
    coords: dict[str, Any] = {name: (name, axis, _attrs(name, described)) for name, axis in axes.items()}
    for name, value in fixed.items():
        if np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf":
            coords[name] = ((), np.asarray(value), _attrs(name, described))
    variables = {}
    for name, array in out.items():
        attrs: dict[str, Any] = _attrs(name, words)
        codes = {"phase": Phase, "status": Status}.get(name)
        if codes is not None:
            attrs |= {"flag_values": np.array(list(codes), np.int8), "flag_meanings": " ".join(c.name for c in codes)}
        variables[name] = (dims + words[name].dims, array, attrs)
        for dim, size in zip(words[name].dims, array.shape[len(dims) :], strict=True):
            labels, long_name = first.result.coordinate(dim, size)
            coords[dim] = (dim, labels, {"long_name": long_name})
    attrs = {
        "title": f"optima of {type(first).__name__}",
        "builder": getattr(builder, "__qualname__", repr(builder)),
        **({"loss": type(loss).__name__} if (loss := getattr(first, "loss", None)) is not None else {}),
        **settings,
        "device": str(jax.devices()[0]),
        "lpmjax_version": version("lpmjax"),
        "jax_version": jax.__version__,
        "numpy_version": np.__version__,
    }
    return xr.Dataset(variables, coords, attrs)


def _words_of_arguments(problem: Problem) -> dict[str, Words]:
    """Of what builders take: parameters of the problem and of what it is made of, and the words of ClassGroups."""
    parts = [getattr(problem, f.name) for f in dataclasses.fields(problem)]
    nested = [words_of(part) for part in parts if dataclasses.is_dataclass(part)]
    return functools.reduce(operator.or_, nested, ClassGroups.words) | words_of(problem)


def _attrs(name: str, words: dict[str, Words]) -> dict[str, Any]:
    long_name, units = words[name][:2] if name in words else (name, "1")
    return {"long_name": long_name, "units": units}
