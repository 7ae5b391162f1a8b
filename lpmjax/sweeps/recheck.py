"""Recheck: what single cells of a store claim, proved or solved again."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ..certify import certify
from ..codes import Phase, Status
from ..fields import words_of
from ..results.solution import Solution
from .grid import Points
from .plan import Plan
from .task import Solve

_ENTRIES = 2**22  #: of square blocks that are held at once
_CELLS = 1024
_ROUNDING = 16  #: ulps by which two evaluations of a value may differ beyond their gaps
_TOL_OF_RUN = 1e-8  #: relative, where a run says nothing of its gap


def faults(plan: Plan, cells: np.ndarray, stored: dict[str, np.ndarray]) -> list[str]:
    """A line for each of these cells that is not what it claims to be; ``stored`` are their variables."""
    size = max(1, min(_CELLS, _ENTRIES // plan.first.size**2))
    again = plan.solver(size) if not _has_coordinates(plan) else None
    found = []
    for i in range(0, cells.size, size):
        part = {name: array[i : i + size] for name, array in stored.items()}
        points = Points(plan.grid.builder, plan.grid.values(cells[i : i + size]), plan.grid.fixed)
        if again is None:
            new, how = _certified(plan, points, part), "proved again"
        else:
            new, how = again(points)[0], "solved again"
        for at, what in _compared(part, new, 2 * getattr(plan.task, "tol", _TOL_OF_RUN)):
            where = ", ".join(f"{name} = {values[at]:g}" for name, values in points.axes.items())
            found.append(f"{where or 'the cell'}: {what} {how}")
    return found


def _has_coordinates(plan: Plan) -> bool:
    """Whether the variables hold all that a certificate starts from."""
    solved = isinstance(plan.task, Solve) and not plan.on_host and not plan.falls_back
    kept = solved and not getattr(plan.first, "has_bias", False) and set(words_of(plan.kind)) <= set(plan.names)
    # Of group coordinates a certificate takes nothing else; without a bias that is None, as W and H are.
    known = {"problem", "tol", "method"} | ({"pairwise", "bias", "W", "H"} if plan.kind is Solution else set())
    return kept and {f.name for f in dataclasses.fields(plan.kind)} <= set(plan.names) | known


def _certified(plan: Plan, points: Points, stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the stored coordinates prove, on the host in float64."""
    count, task = points.shape[0], plan.task
    assert isinstance(task, Solve)
    with jax.enable_x64(plan.dtype == "float64"):
        build = jax.vmap(lambda values, _: plan.grid.builder(**values, **plan.grid.fixed))
        problem = build(points.axes, np.zeros(count))
        others = {f.name: None for f in dataclasses.fields(plan.kind) if f.name not in stored}
        told = {"problem": problem, "tol": np.full(count, task.tol), "method": task.solver.name}
        solution: Any = functools.partial(plan.kind, **(others | told | stored))()
        result = certify(problem, solution, task.tol)
    return {name: np.asarray(getattr(result, name)) for name in plan.names}


def _compared(stored: dict[str, Any], new: dict[str, Any], tol: float) -> Iterator[tuple[int, str]]:
    """Cells whose stored claims the new numbers do not bear out."""
    for at in range(next(iter(new.values())).shape[0]):
        old_at, new_at = ({name: array[at] for name, array in one.items()} for one in (stored, new))
        for name, codes in (("status", Status), ("phase", Phase)):
            if name in stored and _contradicted(name, int(old_at[name]), int(new_at[name])):
                yield at, f"{name} stored as {_named(codes, old_at[name])}, {_named(codes, new_at[name])}"
        if "value" in stored and not _close(old_at, new_at, tol):
            yield at, f"value stored as {old_at['value']:.12g}, {new_at['value']:.12g}"


def _contradicted(name: str, old: int, new: int) -> bool:
    if name == "status":
        return new != Status.certified if old == Status.certified else old not in list(Status)
    return old != new and Phase.undetermined not in (old, new)


def _close(old: dict[str, Any], new: dict[str, Any], tol: float) -> bool:
    """Whether two values are as near as their gaps say, or as ``tol`` does where the gap is not stored."""
    size = abs(old["value"])
    if np.isnan(size) or np.isnan(new["value"]):
        return bool(np.isnan(size) and np.isnan(new["value"]))
    allowed = np.nan_to_num(old["gap"]) + np.nan_to_num(new["gap"]) if "gap" in old else tol * size
    return bool(abs(old["value"] - new["value"]) <= allowed + _ROUNDING * np.finfo(size.dtype).eps * size)


def _named(codes: Any, code: Any) -> str:
    return codes(int(code)).name if int(code) in list(codes) else f"code {int(code)}"
