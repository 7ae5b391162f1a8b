"""Thresholds: the root of a decreasing function, and the closest two solves around it that tell its sides apart."""

import dataclasses
from collections.abc import Callable

import numpy as np

from ..codes import Status
from ..results.solution import Solution
from .remedy import Remedy, least, status

_MARGINS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  #: relative steps to either side of a threshold, narrowest first
_TRIES = 4  #: solves that may be wasted on the wrong side of a threshold
_NOISE = 100  #: relative duality gaps within which slack and the budget used are accurate (observed: 50)


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """Just above a threshold: certified, with every slack >= 0; a relative ``accuracy`` below, some slack is < 0."""

    x: float
    after: Solution
    accuracy: float

    def remedy(self, kind: str, scale: float, factors: np.ndarray, what: str) -> Remedy:
        """It in words, with the evidence."""
        slack, code = least(self.after), status(self.after)
        proof = (
            f"Solved again: least slack {slack:.1e}, {code.name}; negative with {self.accuracy:.0e} less (relative)."
        )
        parameters = self.after.problem.scalars
        return Remedy(kind, scale, factors, parameters, slack, code, self.accuracy, f"{what} {proof}")


def verified(trial: Callable[[float], Solution], root: float, near: Solution) -> Found | None:
    """The closest pair of solves around a root that tells its two sides apart, or None.

    What the duality gap leaves open decides how close that can be; ``near`` tells beforehand.
    """
    for margin in _MARGINS:
        if margin < noise(near):
            continue
        after = trial(root + margin)
        if least(after) >= 0 and status(after) == Status.certified and noise(after) <= margin:
            before = trial(root - margin)
            if least(before) < 0 and noise(before) <= margin:
                return Found(root + margin, after, 2 * margin)
    return None


def noise(s: Solution) -> float:
    """Relative accuracy of what is read off a solve."""
    return _NOISE * float(np.asarray(s.gap / s.value))


def approached(trial: Callable[[float, bool], Solution], x: float, slope: float, margin: float) -> Found | None:
    """Two solves around a threshold near ``x``, some ``margin`` to either side of it, or None.

    ``trial(x, exact)`` solves there, to the last digit or only well enough to tell the sides apart; the least slack
    has about this ``slope``, and secants from solve to solve lead to the threshold.
    """
    slack = least(trial(x, False))
    for _ in range(_TRIES - 1):
        if not abs(slack / slope) > 10 * margin:  # NaN stops, too
            break
        last, x = (x, slack), x - slack / slope
        slack = least(trial(x, False))
        slope = _secant(last, (x, slack), slope)
    after = None
    for tried in range(_TRIES):
        last, x = (x, slack), x - slack / slope + margin * 4**tried
        if not np.isfinite(x):
            return None
        after = trial(x, True)
        if status(after) != Status.certified or not noise(after) <= margin:
            return None
        slack = least(after)
        slope = _secant(last, (x, slack), slope)
        if slack >= 0:
            break
    if after is None or slack < 0:
        return None
    at = (x, slack)
    for tried in range(_TRIES):
        below = at[0] - at[1] / slope - margin * 4**tried
        before = trial(below, False)
        if not noise(before) <= margin:
            return None
        if least(before) < 0:
            return Found(x, after, x - below)
        last, at = at, (below, least(before))
        slope = _secant(last, at, slope)
    return None


def _secant(last: tuple[float, float], new: tuple[float, float], slope: float) -> float:
    """Slope between two points, which may be far from what was expected, but not any number."""
    found = (new[1] - last[1]) / (new[0] - last[0])
    return float(np.clip(found, 0.2 * slope, 5 * slope))


def root_between(
    f: Callable[[float], float], low: tuple[float, float], high: tuple[float, float], close: float = 1e-10
) -> float:
    """Root of f by false position (Illinois) between two points (x, f(x)), f > 0 at the lower and < 0 at the upper.

    It is found where x is known to ``close`` or f is no more than ten times that.
    """
    (low_x, low_f), (high_x, high_f), x, at_x = low, high, low[0], 0.0
    for _ in range(50):
        x = (low_x * high_f - high_x * low_f) / (high_f - low_f)
        previous, at_x = at_x, f(x)
        if not abs(at_x) > 10 * close or high_x - low_x < close:  # NaN stops, too
            break
        same_side = previous * at_x > 0
        if at_x > 0:
            low_x, low_f, high_f = x, at_x, high_f / 2 if same_side else high_f
        else:
            high_x, high_f, low_f = x, at_x, low_f / 2 if same_side else low_f
    return x


def just_above(root: float, slack: Callable[[float], float]) -> tuple[float, float]:
    """The next x above a root known to rounding at which the least slack, as computed, is positive; and that slack."""
    step = float(np.finfo(float).eps)
    while slack(root + step) <= 0:
        step *= 2
    return root + step, slack(root + step)
