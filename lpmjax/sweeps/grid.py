"""Grid: a builder of problems at every combination of values of named axes, checked before any work is done."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..compiling import quick_jit
from ..problems.problem import Problem


class Grid(NamedTuple):
    """A builder at every combination of the values of its axes, and what it takes beside them."""

    builder: Callable[..., Problem]
    axes: dict[str, np.ndarray]
    fixed: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(axis.size for axis in self.axes.values())

    def part(self, slices: tuple[slice, ...]) -> "Grid":
        """The grid of some values of each axis."""
        axes = {name: axis[some] for (name, axis), some in zip(self.axes.items(), slices, strict=True)}
        return self._replace(axes=axes)

    def values(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """Of each axis at these cells, counted in C order."""
        points = np.unravel_index(cells, self.shape or (1,))
        return {name: axis[at] for (name, axis), at in zip(self.axes.items(), points, strict=bool(self.axes))}


class Points(Grid):
    """The builder at single points: the values of its axes side by side, not every combination of them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points."""
        return next(iter(self.axes.values())).shape if self.axes else (1,)

    def values(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """Of each axis at these points."""
        return {name: axis[cells] for name, axis in self.axes.items()}


def is_axis(value: Any) -> bool:
    """Whether an argument has several values: a tuple is one."""
    return isinstance(value, (list, range)) or (hasattr(value, "ndim") and value.ndim > 0)


def as_axis(name: str, value: Any, dtype: str) -> np.ndarray:
    """The values of an axis; ValueError unless they are numbers in one dimension."""
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


def check_keywords(builder: Callable[..., Problem], arguments: dict[str, Any]) -> None:
    """ValueError for an argument that the builder does not take, or one that it lacks."""
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


def check_dtypes(arguments: dict[str, Any], dtype: str) -> None:
    """Refuse a prebuilt float32 part of a float64 sweep: it would be certified as the problem that was rounded."""
    for name, value in arguments.items():
        for leaf in jax.tree.leaves(value) if not is_axis(value) else ():
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != dtype:
                raise ValueError(
                    f"{name} holds {leaf.dtype} arrays, but the sweep is in {dtype}: build it with jax_enable_x64 "
                    f"set, inside jax.enable_x64(), or pass dtype='{leaf.dtype}'."
                )


def first_problem(grid: Grid) -> Problem:
    """Build along each axis with the others at their first value; a bad value is an error before any work is done."""
    builder, axes, fixed = grid
    corner = {name: axis[0] for name, axis in axes.items()}
    try:
        problem = builder(**corner, **fixed)
    except ValueError as error:
        raise ValueError(f"at the first value of every axis: {error}") from error
    if not isinstance(problem, Problem):
        raise ValueError(f"the builder must return a Problem, got {type(problem).__name__}.")
    if axes:
        _check_axes(grid)
    return problem


def _check_axes(grid: Grid) -> None:
    """One program for the values of all axes: a sweep of few cells takes less time than to compile it."""
    builder, axes, fixed = grid
    names = np.repeat(list(axes), [axis.size for axis in axes.values()])
    positions = np.concatenate([np.arange(axis.size) for axis in axes.values()])
    values = {
        name: np.concatenate([axis if name == other else np.full(along.size, axis[0]) for other, along in axes.items()])
        for name, axis in axes.items()
    }
    valid = quick_jit(jax.vmap(lambda at: builder(**at, **fixed).is_valid()))(values)
    for at in np.flatnonzero(~np.asarray(valid)):
        try:
            builder(**{name: value[at] for name, value in values.items()}, **fixed).check()
        except ValueError as error:
            raise ValueError(f"axis {names[at]}, position {positions[at]}: {error}") from error
