"""Rows: one measured thing each, as plain numbers. A cell that is not certified to the stated gap has failed."""

from typing import Any

import jax
import numpy as np

import lpmjax as lpm

from .settings import Settings
from .timing import Measured

Row = dict[str, Any]


def judge(solution: lpm.Solution, gap: float) -> Row:
    """Cells, how many of them are certified to ``gap``, the count of each status, the worst certified gap, steps.

    float32 solutions are first certified on the host in float64 (:func:`lpmjax.certify`).
    """
    if solution.value.dtype != np.float64:
        solution = lpm.certify(solution.problem, solution, gap)
    return judge_arrays(solution.status, solution.gap, solution.value, solution.steps, gap)


def judge_arrays(status: Any, gap: Any, value: Any, steps: Any, limit: float) -> Row:
    """The same from the arrays themselves."""
    status, steps, gap, value = (np.ravel(np.asarray(x)) for x in (status, steps, gap, value))
    with np.errstate(all="ignore"):
        relative = gap / np.abs(value)
    good = (status == lpm.Status.certified) & (relative <= limit)
    finite = relative[np.isfinite(relative)]
    counts = {code.name: int((status == code).sum()) for code in lpm.Status if (status == code).any()}
    return {
        "gap": limit,
        "cells": int(status.size),
        "certified": int(good.sum()),
        "status": counts,
        "worst_relative_gap": float(finite.max()) if finite.size else None,
        "steps": {"mean": float(steps.mean()), "max": int(steps.max())},
    }


def judge_gaps(gaps: Any, limit: float) -> Row:
    """The same from certified relative gaps alone (infinite where there is no answer), as for peers."""
    gaps = np.atleast_1d(np.asarray(gaps, float))
    good, finite = gaps <= limit, gaps[np.isfinite(gaps)]
    counts = {"certified": int(good.sum()), "stalled": int((~good).sum())}
    return {
        "gap": limit,
        "cells": int(gaps.size),
        "certified": int(good.sum()),
        "status": {name: n for name, n in counts.items() if n},
        "worst_relative_gap": float(finite.max()) if finite.size else None,
        "steps": None,
    }


def row(
    case: str, instance: dict[str, Any], verdict: Row, measured: Measured, settings: Settings,
    solver: str = "lpmjax", work: dict[str, Any] | None = None, **more: Any,
) -> Row:  # fmt: skip
    """A measured row. ``more``: further numbers of this case."""
    failed = verdict["cells"] - verdict["certified"]
    head = {"case": case, "solver": solver, "instance": instance, "dtype": settings.dtype, "devices": 1}
    outcome = {"outcome": "failed" if failed else "certified", "failed": failed}
    tail = {"seconds": measured.seconds, "memory": measured.memory, "xla": measured.xla, "work": work}
    return head | outcome | verdict | tail | more


def missing(
    case: str, instance: dict[str, Any], solver: str, outcome: str, reason: str, settings: Settings, gap: float | None
) -> Row:
    """A row without a time: ``outcome`` is "not installed", "failed" or "skipped"."""
    head = {"case": case, "solver": solver, "instance": instance, "dtype": settings.dtype, "devices": 1}
    return head | {"outcome": outcome, "reason": reason, "gap": gap, "seconds": None}


def too_long(previous: Row, factor: float, limit: float) -> str | None:
    """Why a case ``factor`` times as long as ``previous`` is not tried, or None."""
    seconds = previous.get("seconds")
    expected = factor * min(seconds["warm"]) if seconds else 0.0
    return f"expected {expected:.0f} s a solve, above {limit:.0f} s" if expected > limit else None


def on_accelerator() -> bool:
    """Whether jax's default device is not the CPU."""
    return jax.default_backend() != "cpu"
