"""What one user waits for: an eager solve with new numbers, and the phase-diagram command."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lpmjax as lpm

from ..rows import Row, judge, judge_gaps, missing, row
from ..settings import Settings
from ..timing import HostPeak, Measured, children_peak, memory, time_calls, time_eager
from .grouped import tail_problem


def eager(settings: Settings) -> Iterator[Row]:
    """``lpm.solve`` of one problem with numbers never seen before, already built or built from Python numbers."""

    def ratio(i: int) -> np.ndarray:
        return np.asarray(1.5 + 0.01 * i, settings.dtype)

    def build(R):
        return lpm.LayerPeeled.two_group(5, 5, R, np.asarray(1.0, settings.dtype), np.asarray(5.0, settings.dtype))

    built = iter([build(ratio(i)) for i in range(settings.runs + 2)])
    fresh = iter(range(100, 200))
    balanced = lpm.LayerPeeled(lpm.ClassGroups.balanced(np.asarray(10.0, settings.dtype)), 1.0, 1.0)
    tail = tail_problem(5, settings.dtype)
    kinds = {
        "one group": ("two_group", lambda: lpm.solve(balanced)),
        "two groups": ("two_group", lambda: lpm.solve(next(built))),
        "two groups, build and solve": ("two_group", lambda: lpm.solve(build(ratio(next(fresh))))),
        "five groups": ("grouped", lambda: lpm.solve(tail)),
    }
    for how, (method, call) in kinds.items():
        measured = time_eager(call, settings)
        verdict = judge(measured.result, settings.gap(method))
        yield row("eager", {"how": how, "cells": 1}, verdict, measured, settings)


def phase_diagram(settings: Settings) -> Iterator[Row]:
    """``lpmjax phase-diagram`` in a new process, imports and figures included: with nothing compiled before on the
    machine, and with the compilations that the command has kept."""
    cells = settings.pick(5, 101, 401)
    with tempfile.TemporaryDirectory() as kept:
        for how in settings.pick(("first command",), ("first command",), ("first command", "later command")):
            yield _phase_diagram(how, cells, kept if how == "later command" else None, settings)


def _phase_diagram(how: str, cells: int, kept: str | None, settings: Settings) -> Row:
    instance = {"how": how, "cells": cells**2}
    if settings.dtype != "float64":
        reason = "the command works in float64"
        return missing("phase_diagram", instance, "lpmjax", "skipped", reason, settings, None)
    reports = []

    def command():
        with tempfile.TemporaryDirectory() as folder:
            variables = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
            variables["XDG_CACHE_HOME"] = kept or folder
            words = [sys.executable, "-m", "lpmjax.cli", "phase-diagram", "--cells", str(cells)]
            words += ["--out", str(Path(folder) / "out"), "--json"]
            done = subprocess.run(words, capture_output=True, text=True, env=variables)
            reports.append(json.loads(done.stdout) if done.returncode == 0 else None)

    if kept:
        command()
    peak = HostPeak()
    short = Settings("tiny", settings.dtype)  # a process each: two say it all
    warm, _ = time_calls(command, short)
    used = memory(peak) | {"host_peak_bytes": children_peak(), "host_method": "ru_maxrss of the command"}
    measured = Measured({"lower": None, "compile": None, "first": None, "warm": warm}, used, None, None)
    report = reports[-1]
    if report is None:
        reason = "the command failed: run lpmjax phase-diagram"
        return missing("phase_diagram", instance, "lpmjax", "failed", reason, settings, settings.gap("two_group"))
    good, worst = report["status"].get("certified", 0), report["worst_relative_gap"]
    verdict = judge_gaps([worst], settings.gap("two_group"))
    verdict |= {"cells": cells**2, "certified": good if verdict["certified"] else 0, "status": report["status"]}
    return row("phase_diagram", instance, verdict, measured, settings, seconds_solving=report["seconds_solving"])
