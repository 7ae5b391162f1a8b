"""The two-group solver: cells per second, compile time, eager latency, and the gap that the cells reach."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm

from .timing import time_calls, time_jitted


def cells(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random problems: K_A, K_B in 1..1000, R in [1, 1e6], s in [0.01, 20] (log-uniform), E_W = 1."""
    rng = np.random.default_rng(seed)
    s = 10 ** rng.uniform(-2, np.log10(20), count)
    return {
        "K_A": rng.integers(1, 1001, count).astype(float),
        "K_B": rng.integers(1, 1001, count).astype(float),
        "R": 10 ** rng.uniform(0, 6, count),
        "E_W": np.ones(count),
        "E_H": s**2,
    }


def run(count: int = 10**6) -> dict[str, Any]:
    """Time one batched call, a sweep of as many cells, and single eager solves."""
    grid = cells(count)

    def batched(grid):
        return jax.vmap(lambda point: lpm.solve(lpm.LayerPeeled.two_group(**point)))(grid)

    timing = time_jitted(batched, grid)
    solution = jax.jit(batched)(grid)
    status = np.asarray(solution.status)
    certified = int((status == lpm.Status.certified).sum())
    side = int(np.sqrt(count))

    def swept():
        return lpm.sweep(
            lpm.LayerPeeled.two_group,
            K_A=5,
            K_B=5,
            R=np.geomspace(1, 1e4, side),
            E_W=1.0,
            E_H=np.linspace(0.01, 4, side) ** 2,
        )

    swept()
    sweep_samples = time_calls(swept, runs=5)
    ratios = iter(np.linspace(1, 2, 1000))
    eager = time_calls(
        lambda: lpm.solve(lpm.LayerPeeled.two_group(5, 5, float(next(ratios)), 1.0, 5.0)), runs=200, seconds=5
    )
    problems = iter([lpm.LayerPeeled.two_group(5, 5, float(R), 1.0, 5.0) for R in np.linspace(1, 2, 201)])
    solve_only = time_calls(lambda: lpm.solve(next(problems)), runs=200, seconds=5)
    relative = np.asarray(solution.gap / jnp.abs(solution.value))
    return {
        "case": "two_group",
        "cells": count,
        "certified": certified,
        "failed": count - certified,
        "worst_relative_gap": float(relative.max()),
        "steps_histogram": np.bincount(np.asarray(solution.steps)).tolist(),
        "seconds": timing._asdict(),
        "certified_cells_per_second": certified / timing.best,
        "sweep_cells": side * side,
        "sweep_seconds": sweep_samples,
        "sweep_cells_per_second": side * side / min(sweep_samples),
        "eager_solve_seconds": solve_only,
        "eager_solve_median_seconds": float(np.median(solve_only)),
        "eager_build_and_solve_median_seconds": float(np.median(eager)),
    }
