"""The Dataset of a sweep: variables, coordinates, units and provenance."""

import dataclasses
import functools
import operator
from typing import Any

import numpy as np

from ..codes import Phase, Status, flags
from ..fields import Words, words_of
from ..groups import ClassGroups
from ..problems.problem import Problem
from ..provenance import made_by
from ..results.result import Result
from .grid import Grid


def dataset(out, grid: Grid, first: Problem, kind: type[Result], settings: dict[str, Any]):
    """Of the arrays ``out``; ``kind`` of result, whose fields say what they are. ``settings`` become attributes."""
    import xarray as xr  # a third of a second that only sweeps need

    builder, axes, fixed = grid
    dims, words = tuple(axes), words_of(kind)
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
            attrs |= flags(codes)
        variables[name] = (dims + words[name].dims, array, attrs)
        for dim, size in zip(words[name].dims, array.shape[len(dims) :], strict=True):
            labels, long_name = kind.coordinate(dim, size)
            coords[dim] = (dim, labels, {"long_name": long_name})
    attrs = {
        "title": f"optima of {type(first).__name__}",
        "builder": getattr(builder, "__qualname__", repr(builder)),
        **({"loss": type(loss).__name__} if (loss := getattr(first, "loss", None)) is not None else {}),
        **settings,
        **made_by(),
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
