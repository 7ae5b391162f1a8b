"""Derivatives and boundaries."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm

from ..rows import Row, judge, row
from ..settings import Settings
from ..timing import time_jitted
from ..work import count
from .two_group import grid


def derivative(settings: Settings) -> Iterator[Row]:
    """Value and gradient of the least slack by every class weight, beside the solve alone."""
    for G in settings.pick([3], [20], [10, 20, 50]):
        samples = jnp.asarray(100.0 ** -np.linspace(0, 1, G), settings.dtype)

        def solve(weights, samples=samples):
            groups = lpm.ClassGroups.per_class(samples, weights)
            return lpm.solve(lpm.LayerPeeled(groups, 1.0, 1.0))

        def least_slack(weights, solve=solve):
            solution = solve(weights)
            return jnp.min(solution.slack), solution

        slope = jax.value_and_grad(least_slack, has_aux=True)
        kinds = {"solve": solve, "value and gradient": slope}
        for how, function in list(kinds.items())[settings.pick(0, 1, 0) :]:
            measured = time_jitted(function, samples, settings=settings)
            found = measured.result if how == "solve" else measured.result[0][1]
            verdict = judge(found, settings.gap("grouped"))
            if how != "solve":
                verdict = _check_gradient(verdict, measured.result[1], samples)
            work = count(function, samples)
            yield row("derivative", {"G": G, "how": how}, verdict, measured, settings, work=work)


def _check_gradient(verdict: Row, gradient, weights) -> Row:
    """The slack does not depend on the scale of the weights: a gradient that is not orthogonal to them is wrong."""
    gradient, weights = np.asarray(gradient, np.float64), np.asarray(weights, np.float64)
    along = abs(gradient @ weights) / (np.linalg.norm(gradient) * np.linalg.norm(weights))
    limit = 1e-6 if verdict["gap"] < 1e-6 else 1e-2
    wrong = not np.isfinite(along) or along > limit
    return verdict | {"certified": 0 if wrong else verdict["certified"], "gradient_along_weights": float(along)}


def boundary(settings: Settings) -> Iterator[Row]:
    """``lpm.boundary.merged`` of many (K_A, K_B, s). Certified: separated just below it, merged just above."""
    step = 1e-6 if settings.dtype == "float64" else 1e-2
    for cells in settings.pick([8], [10**5], [1, 10**3, 10**5, 10**6]):
        K_A, K_B, _, E_H = grid(cells, settings.dtype)
        points = jax.block_until_ready((K_A, K_B, jnp.sqrt(E_H)))
        log_ratio = jax.jit(lambda a, b, s: lpm.boundary.merged(a, b, s, log=True))
        measured = time_jitted(log_ratio, *points, settings=settings)
        found = np.asarray(measured.result)
        verdict = _check_boundary(found, points, step, settings)
        work = count(log_ratio, *points)
        yield row("boundary", {"cells": cells, "how": "merged"}, verdict, measured, settings, work=work)


def _check_boundary(log_ratio, points, step: float, settings: Settings) -> Row:
    K_A, K_B, s = points

    def phases(a, b, s, log_ratio):
        sides = jnp.stack([log_ratio - step, log_ratio + step])
        return jax.vmap(lambda r: lpm.solve(lpm.LayerPeeled.two_group(a, b, jnp.exp(r), 1.0, s * s)))(sides)

    # Beyond log R = 80 float32 cannot hold R, nor float64 beyond 700.
    top = 700.0 if settings.dtype == "float64" else 80.0
    safe = jnp.minimum(jnp.asarray(log_ratio), top)
    found = jax.jit(jax.vmap(phases))(K_A, K_B, s, safe)
    verdict = judge(found, settings.gap("two_group"))
    phase = np.asarray(found.phase)
    right = (phase[:, 0] == lpm.Phase.separated) & (phase[:, 1] == lpm.Phase.merged)
    gap_closed = np.asarray(found.gap <= settings.gap("two_group") * jnp.abs(found.value)).all(axis=1)
    skipped = np.asarray(log_ratio) > top - 1
    good = int(((right & gap_closed) | skipped).sum())
    counts = {"certified": good, "stalled": right.size - good}
    return verdict | {
        "cells": right.size,
        "certified": good,
        "status": {name: count for name, count in counts.items() if count},
        "not_representable": int(skipped.sum()),
    }
