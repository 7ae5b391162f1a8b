"""Gradient flow to t = 1e12 in log time, beside SciPy's stiff solvers in t and an explicit one in log time."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lpmjax as lpm
from lpmjax.paths.gradient_flow import T0

from ..rows import Row, judge_gaps, row
from ..settings import Settings
from ..timing import time_eager

#: relative error of the least margin at the end that counts as right
_NEAR = 1e-6
#: tolerances of the stiff solvers, relative and absolute, and the reference's
_RTOL, _ATOL, _REFERENCE = 1e-8, 1e-10, (1e-12, 1e-14)
_STIFF = ("BDF", "Radau", "LSODA")


def run(settings: Settings) -> Iterator[Row]:
    """One random start. The error is against SciPy's DOP853 in log time at 1e-12, with a right side in NumPy."""
    end = settings.pick(1e3, 1e12, 1e12)
    for K, n, dim in settings.pick([(3, 1, 3)], [(4, 3, 4)], [(4, 3, 4), (10, 5, 20)]):
        rng = np.random.default_rng(0)
        start = 0.1 * rng.normal(size=(K, dim)), 0.1 * rng.normal(size=(dim, K * n))
        instance: dict[str, Any] = {"K": K, "n": n, "dim": dim, "t": end}
        exact, _ = _by_scipy("DOP853", start, end, _REFERENCE, np.inf)

        def judged(margin: float, exact: float = exact) -> Row:
            return judge_gaps([abs(margin - exact) / exact], _NEAR)

        problem = lpm.Separation(lpm.ClassGroups.balanced(K, n))
        measured = time_eager(lambda problem=problem, start=start: _by_flow(problem, start, end), settings)
        margin, steps = measured.result
        how = instance | {"how": "lpm.flow, measures included"}
        yield row("flow", how, judged(margin), measured, settings, steps_taken=steps)
        for method in settings.pick(("BDF",), ("DOP853", *_STIFF), ("DOP853", *_STIFF)):
            tolerances = (1e-9, 1e-12) if method == "DOP853" else (_RTOL, _ATOL)
            limit = settings.peer_seconds

            def peer(method=method, start=start, tolerances=tolerances, limit=limit):
                return _by_scipy(method, start, end, tolerances, limit)

            measured = time_eager(peer, settings)
            margin, steps = measured.result
            how = instance | {"how": f"{method} in {'log t' if method == 'DOP853' else 't'}"}
            yield row("flow", how, judged(margin), measured, settings, solver="SciPy", steps_taken=steps)


def _by_flow(problem: lpm.Separation, start: Any, end: float) -> tuple[float, int]:
    ds = lpm.flow(problem, [end], start=start)
    return float(ds["margin"].values[0, -1]), int(ds["steps"].values[0])


def _by_scipy(
    method: str, start: Any, end: float, tolerances: tuple[float, float], seconds: float
) -> tuple[float, int]:
    """Least margin at the end and steps; infinite where time runs out."""
    from scipy.integrate import solve_ivp

    shapes, K = [factor.shape for factor in start], len(start[0])
    labels = np.repeat(np.arange(K), shapes[1][1] // K)
    own, begin = np.arange(K)[:, None] == labels, time.perf_counter()
    in_log = method == "DOP853"

    def margins(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        W, H = flat[: start[0].size].reshape(shapes[0]), flat[start[0].size :].reshape(shapes[1])
        Z = W @ H
        return np.where(own, np.inf, np.where(own, Z, 0.0).sum(0) - Z), W, H

    def velocity(at: float, flat: np.ndarray) -> np.ndarray:
        if time.perf_counter() - begin > seconds:
            raise TimeoutError
        m, W, H = margins(flat)
        odds = np.logaddexp.reduce(-m, axis=0)
        push = np.exp(-m - np.logaddexp(0, odds) - np.log(labels.size) + (at if in_log else 0.0))
        downhill = np.where(own, push.sum(0), -push)
        return np.concatenate([(downhill @ H.T).ravel(), (W.T @ downhill).ravel()])

    span = (np.log(T0), np.log(end + T0)) if in_log else (0.0, end)
    flat = np.concatenate([factor.ravel() for factor in start])
    try:
        found = solve_ivp(velocity, span, flat, method=method, rtol=tolerances[0], atol=tolerances[1])
    except TimeoutError:
        return np.inf, -1
    return float(margins(found.y[:, -1])[0].min()), int(found.t.size - 1)
