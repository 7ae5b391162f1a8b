"""What a person waits for, each as a script of its own: ``python -P targets.py NAME`` prints its samples as JSON.

It imports lpmjax and what lpmjax needs, and nothing of this package, so that it runs with the lpmjax of any checkout
(:mod:`.against`). A call that has compiled something is timed once a process; what is warm, several times.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

Samples = dict[str, Any]
_WARM = 5  #: calls of what is timed warm, after one that is not


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def importing() -> Samples:
    """Import of lpmjax, beyond that of jax."""
    import jax.numpy  # noqa: F401

    def lpmjax() -> None:
        import lpmjax as lpm

        assert callable(lpm.solve)  # names are found when they are asked for

    return {"samples": [_seconds(lpmjax)]}


def _x64() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    import lpmjax as lpm

    jax.block_until_ready(jax.numpy.ones(2) + 1)
    return lpm


def _solved(lpm: Any, problem: Any, **how: Any) -> Callable[[], Any]:
    import jax

    def call() -> Any:
        solution = jax.block_until_ready(lpm.solve(problem, **how))
        solution.check()
        return solution

    return call


def _problem(lpm: Any, which: str, R: Any = 100.0) -> Any:
    if which == "two groups":
        return lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)
    if which == "five groups, weight decay":
        return lpm.UnconstrainedFeatures(lpm.ClassGroups.long_tail(5, R), 5e-3, 5e-3)
    if which == "five groups, squared error, free bias":
        groups = lpm.ClassGroups.long_tail(5, R)
        return lpm.UnconstrainedFeatures(groups, 5e-3, 5e-3, loss=lpm.SquaredError(), bias_decay=0.0)
    return lpm.LayerPeeled(lpm.ClassGroups.long_tail({"five groups": 5, "100 groups": 100}[which], R), 1.0, 1.0)


def first_solve(which: str) -> Samples:
    """First ``lpm.solve`` of a process: tracing, lowering, compiling and solving."""
    lpm = _x64()
    problem = _problem(lpm, which)
    return {"samples": [_seconds(_solved(lpm, problem))]}


def compiling(which: str, view: str) -> Samples:
    """Trace, lower and compile ``solve`` under ``jit``: ``view`` is "value" (the whole Solution), or "gradient" (with
    that of the value by the imbalance ratio)."""
    import jax

    lpm = _x64()

    def solve(R: Any) -> Any:
        return lpm.solve(_problem(lpm, which, R))

    def with_gradient(R: Any) -> Any:
        return jax.value_and_grad(lambda R: ((solution := solve(R)).value, solution), has_aux=True)(R)

    function = solve if view == "value" else with_gradient
    return {"samples": [_seconds(lambda: jax.jit(function).lower(100.0).compile())]}


def views() -> Samples:
    """First logits and factors of a solution."""
    lpm = _x64()
    solution = lpm.solve(_problem(lpm, "two groups"))
    return {"samples": [_seconds(lambda: (solution.logits(), solution.factors()))]}


def branch_and_bound() -> Samples:
    """First proof that a deep model of three classes is at its global optimum."""
    lpm = _x64()
    problem = lpm.DeepLinear(lpm.ClassGroups.balanced(3), lambda_W=(0.185, 0.185), lambda_H=0.185)
    return {"samples": [_seconds(_solved(lpm, problem, method="branch_and_bound", tol=1e-4))]}


def tail(K: int, tol: float, warm: int = 1) -> Samples:
    """K distinct counts, compiled before; peak memory of the process; the value."""
    import resource

    lpm = _x64()
    call = _solved(lpm, lpm.LayerPeeled(lpm.ClassGroups.long_tail(K, 100.0), 1.0, 1.0), tol=tol)
    solution = call()
    samples = [_seconds(call) for _ in range(warm)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    reached = float(solution.gap / solution.value)
    return {"samples": samples, "peak_bytes": peak, "value": float(solution.value), "relative_gap": reached}


def sweep(chosen: bool) -> Samples:
    """A million two-group cells by ``lpm.sweep``: with five variables, or all. Cells per second follow."""
    lpm = _x64()
    axes = {"R": np.geomspace(1, 1e4, 500), "E_H": np.linspace(0.01, 4, 500) ** 2, "K_A": [3, 5, 10, 20]}
    kept = {"variables": ["value", "gap", "phase", "status", "cosine"]} if chosen else {}

    def call() -> Any:
        ds = lpm.sweep(lpm.LayerPeeled.two_group, K_B=5, E_W=1.0, **axes, **kept)
        if (ds["status"] != lpm.Status.certified).any():
            raise RuntimeError("a cell is not certified")
        return ds

    call()
    return {"samples": [_seconds(call) for _ in range(_WARM)], "cells": 10**6}


def batch(gradient: bool) -> Samples:
    """1024 problems of six groups in one vmapped call, or the gradients of their values by the imbalance ratio."""
    import jax

    lpm = _x64()
    ratio, E_H = (x.ravel() for x in np.meshgrid(np.geomspace(2, 1e4, 32), np.linspace(0.1, 3, 32) ** 2))

    def one(ratio: Any, E_H: Any) -> Any:
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(6, ratio), 1.0, E_H))

    function = jax.grad(lambda ratio, E_H: one(ratio, E_H).value) if gradient else one
    every = jax.jit(jax.vmap(function))
    found = jax.block_until_ready(every(ratio, E_H))
    if not gradient and (found.status != lpm.Status.certified).any():
        raise RuntimeError("a lane is not certified")
    return {"samples": [_seconds(lambda: jax.block_until_ready(every(ratio, E_H))) for _ in range(_WARM)]}


def command(words: list[str], later: bool) -> Samples:
    """``lpmjax`` in a new process, figures and imports included: with nothing compiled before on the machine, or
    ``later``, with the compilations that the command has kept."""
    variables = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    with tempfile.TemporaryDirectory() as folder:

        def run() -> None:
            told = [sys.executable, "-P", "-m", "lpmjax.cli", *words]
            subprocess.run(
                told, check=True, capture_output=True, env=variables | {"XDG_CACHE_HOME": folder}, cwd=folder
            )

        samples = [_seconds(run)]
        return {"samples": [_seconds(run) for _ in range(_WARM)] if later else samples}


def diagnosis(classes: int, most: int, least: int, remedies: bool) -> Samples:
    """``lpmjax diagnose`` of a geometric tail of whole counts on the command's own budgets."""
    counts = np.round(most * (least / most) ** (np.arange(classes) / (classes - 1))).astype(int)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "counts.csv")
        with open(file, "w") as stream:
            stream.writelines(f"class{k},{n}\n" for k, n in enumerate(counts))
        words = ["diagnose", file, *([] if remedies else ["--no-remedies"])]
        return command(words, later=False) | {"distinct_counts": int(np.unique(counts).size)}


class Target(NamedTuple):
    """How something is measured, what is asked of it, and how long."""

    measure: Callable[[], Samples]
    asked: str = ""
    processes: int = 1
    #: times as long as with this lpmjax that the other one is waited for
    patience: float = 8.0


def _compilations() -> dict[str, Target]:
    asked = {"two groups": "1.0 s", "five groups": "2 s", "100 groups": "3 s"}
    every = (*asked, "five groups, weight decay", "five groups, squared error, free bias")
    first = {f"first solve, {which}": Target(partial(first_solve, which), asked.get(which, ""), 5) for which in every}
    values = {f"compile in jit, {which}": Target(partial(compiling, which, "value"), "", 5) for which in asked}
    gradients = {
        f"compile in jit with gradient, {which}": Target(partial(compiling, which, "gradient"), "1.6 x the value's", 5)
        for which in asked
    }
    return first | values | gradients


_SOLVE, _DIAGRAM = ["solve", "--R", "100"], ["phase-diagram", "--out", "."]
TARGETS = {
    "import": Target(importing, "0.35 s", 5),
    **_compilations(),
    "logits and factors, first": Target(views, "", 5),
    "branch and bound, three classes, first": Target(branch_and_bound, "", 5),
    "lpmjax solve, first": Target(partial(command, _SOLVE, later=False), "2.5 s", 5),
    "lpmjax solve, later": Target(partial(command, _SOLVE, later=True), "1.2 s"),
    "lpmjax phase-diagram, first": Target(partial(command, _DIAGRAM, later=False), "6 s", 5),
    "lpmjax phase-diagram, later": Target(partial(command, _DIAGRAM, later=True), "3 s"),
    "sweep, five variables": Target(partial(sweep, chosen=True), "2e6 cells/s"),
    "sweep, all variables": Target(partial(sweep, chosen=False), "1.3e6 cells/s"),
    "1024 problems of six groups": Target(partial(batch, gradient=False), "twice as fast"),
    "1024 gradients of six groups": Target(partial(batch, gradient=True)),
    "K = 100, 1e-8": Target(partial(tail, 100, 1e-8, _WARM)),
    "K = 1000, 1e-8": Target(partial(tail, 1000, 1e-8, _WARM), "12 s, 1 GiB"),
    "K = 1000, 1e-4": Target(partial(tail, 1000, 1e-4, _WARM), "5 s"),
    "K = 2000, 1e-8": Target(partial(tail, 2000, 1e-8), "90 s", patience=1.2),
    "diagnose, 1000 classes": Target(partial(diagnosis, 1000, 1280, 5, remedies=True), "120 s", patience=1.2),
    "diagnose, 8142 classes": Target(partial(diagnosis, 8142, 1000, 2, remedies=True), "300 s", patience=1.2),
    "diagnose, 8142 classes, no remedies": Target(
        partial(diagnosis, 8142, 1000, 2, remedies=False), "60 s", patience=4.0
    ),
}

if __name__ == "__main__":
    print(json.dumps(TARGETS[sys.argv[1]].measure()))
