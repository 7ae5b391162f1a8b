"""Deep linear networks: scalar problems of squared error beside SciPy, and the referee beside plain Adam."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lpmjax as lpm

from ..rows import Row, judge, judge_gaps, row
from ..settings import Settings
from ..timing import time_eager, time_jitted

_COUNTS = (200.0, 100.0, 50.0, 50.0)
_M = 3
#: cross-entropy at which pairs are the optimum (certified), its value, and how near to it counts as found
_K, _DECAY, _BEST, _NEAR = 4, 0.03, 0.388677100, 1e-6


def separable(settings: Settings) -> Iterator[Row]:
    """M = 3, four classes, decays over three decades: all cells in one call, and SciPy class by class on some."""
    cells = settings.pick(8, 10**4, 10**5)
    decays = jnp.geomspace(1e-5, 1e-2, cells, dtype=settings.dtype)

    def solve(decay):
        groups = lpm.ClassGroups.per_class(jnp.asarray(_COUNTS, settings.dtype))
        return lpm.solve(lpm.DeepLinear(groups, [decay] * _M, decay, loss=lpm.SquaredError()))

    measured = time_jitted(jax.vmap(solve), decays, settings=settings)
    verdict = judge(measured.result, settings.gap("two_group"))
    instance = {"how": "one call", "M": _M, "K": len(_COUNTS), "cells": cells}
    yield row("deep_separable", instance, verdict, measured, settings, cells_per_second=_rate(cells, measured))
    if settings.dtype == "float64":
        some = np.asarray(decays)[:: max(1, cells // settings.pick(4, 100, 1000))]
        values = np.asarray(measured.result.value)[:: max(1, cells // settings.pick(4, 100, 1000))]
        measured = time_eager(lambda: np.array([_by_scipy(decay) for decay in some]), settings)
        verdict = judge_gaps((measured.result - values) / values, 1e-8)
        rate = _rate(some.size, measured)
        instance = instance | {"how": "SciPy, class by class", "cells": int(some.size)}
        yield row("deep_separable", instance, verdict, measured, settings, solver="SciPy", cells_per_second=rate)


def _rate(cells: int, measured: Any) -> float:
    return cells / float(np.median(measured.seconds["warm"]))


def _by_scipy(decay: float) -> float:
    """Value by a bounded scalar search for every class, compared with zero."""
    from scipy.optimize import minimize_scalar

    N, L = sum(_COUNTS), _M + 1
    c = 0.5 * L * decay

    def of(x: float, root: float) -> float:
        return (root - x) ** 2 / (2 * N) + c * x ** (2 / L)

    value = 0.0
    for n in _COUNTS:
        root = n**0.5
        # From the inflection on the problem is convex.
        low = (N * c * (2 / L) * (1 - 2 / L)) ** (L / (2 * L - 2))
        found: Any = minimize_scalar(
            of, bounds=(min(low, root), root), args=(root,), method="bounded", options={"xatol": 1e-12}
        )
        value += min(n / (2 * N), float(found.fun))
    return value


def referee(settings: Settings) -> Iterator[Row]:
    """K = 4, M = 2: eight starts of every width by ``lpm.referee``, and as many of full width by plain Adam."""
    starts = settings.pick(1, 4, 8)
    problem = lpm.DeepLinear(lpm.ClassGroups.balanced(_K), [_DECAY] * 2, _DECAY)
    measured = time_eager(lambda: lpm.referee(problem, restarts=starts).solution.value, settings)
    gap = abs(float(measured.result) - _BEST) / _BEST
    instance: dict[str, Any] = {"how": "lpm.referee, every width", "K": _K, "M": 2, "starts": 3 * starts}
    yield row("deep_referee", instance, judge_gaps([gap], _NEAR), measured, settings, value=float(measured.result))

    steps = settings.pick(500, 2000, 5000)
    measured = time_eager(lambda: _by_adam(3 * starts, steps), settings)
    value = float(np.min(measured.result))
    hits = int(np.sum(np.abs(measured.result - _BEST) <= 1e-4 * _BEST))
    verdict = judge_gaps([abs(value - _BEST) / _BEST], _NEAR)
    instance = instance | {"how": "plain Adam, full width"}
    more = {"value": value, "hits": hits, "steps_each": steps}
    yield row("deep_referee", instance, verdict, measured, settings, solver="optax Adam", **more)


def _by_adam(starts: int, steps: int) -> Any:
    """Least objective of each start, over three factors of full width."""
    transform = optax.adam(optax.cosine_decay_schedule(0.05, steps))

    def objective(factors):
        Z = factors[0] @ factors[1] @ factors[2]
        loss = jnp.mean(jax.nn.logsumexp(Z, axis=0) - jnp.diagonal(Z))
        return loss + 0.5 * _DECAY * sum(jnp.sum(A * A) for A in factors)

    @jax.jit
    @jax.vmap
    def run(key):
        factors = [0.7 * jax.random.normal(k, (_K, _K)) for k in jax.random.split(key, 3)]

        def step(carry, _):
            factors, state = carry
            updates, state = transform.update(jax.grad(objective)(factors), state)
            return (optax.apply_updates(factors, updates), state), None

        (factors, _), _ = jax.lax.scan(step, (factors, transform.init(factors)), length=steps)
        return objective(factors)

    return np.asarray(run(jax.random.split(jax.random.key(0), starts)))
