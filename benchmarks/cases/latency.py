"""What one user waits for: an eager solve with new numbers, and the phase-diagram command from a cold start."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator

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
    """``lpmjax phase-diagram`` in a new process, imports, compilation and figures included."""
    cells = settings.pick(5, 101, 401)
    instance = {"how": "cold command", "cells": cells**2}
    if settings.dtype != "float64":
        reason = "the command works in float64"
        yield missing("phase_diagram", instance, "lpmjax", "skipped", reason, settings, None)
        return
    reports = []

    def command():
        with tempfile.TemporaryDirectory() as folder:
            words = ["phase-diagram", "--cells", str(cells), "--out", folder, "--json"]
            done = subprocess.run([sys.executable, "-m", "lpmjax.cli", *words], capture_output=True, text=True)
            reports.append(json.loads(done.stdout) if done.returncode == 0 else None)

    peak = HostPeak()
    short = Settings("tiny", settings.dtype)  # every run is cold: two say it all
    warm, _ = time_calls(command, short)
    used = memory(peak) | {"host_peak_bytes": children_peak(), "host_method": "ru_maxrss of the command"}
    measured = Measured({"lower": None, "compile": None, "first": None, "warm": warm}, used, None, None)
    report = reports[-1]
    if report is None:
        reason = "the command failed: run lpmjax phase-diagram"
        yield missing("phase_diagram", instance, "lpmjax", "failed", reason, settings, settings.gap("two_group"))
        return
    good, worst = report["status"].get("certified", 0), report["worst_relative_gap"]
    verdict = judge_gaps([worst], settings.gap("two_group"))
    verdict |= {"cells": cells**2, "certified": good if verdict["certified"] else 0, "status": report["status"]}
    yield row("phase_diagram", instance, verdict, measured, settings, seconds_solving=report["seconds_solving"])
