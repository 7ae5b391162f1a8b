"""Thresholds: the root of a decreasing function, and the closest two solves around it that tell its sides apart."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..codes import Status
from ..results.solution import Solution
from .remedy import Remedy, least, status

_MARGINS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  #: relative steps to either side of a threshold, narrowest first
_TRIES = 4  #: solves that may be wasted on the wrong side of a threshold
_FURTHER = 0.05  #: share of an interval of slack by which a solve goes beyond it
_TINY = 1e-9  #: slack that tells sides apart
_NOISE = 100  #: relative duality gaps within which slack and the budget used are accurate (observed: 50)


class Shown(NamedTuple):
    """What a solve shows of the least slack over the classes: that it is in an interval."""

    slack: tuple[float, float]
    status: Status
    problem: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """Just above a threshold: every slack is >= ``slack`` >= 0; a relative ``accuracy`` below, some slack is < 0."""

    x: float
    slack: float
    status: Status
    problem: Any
    accuracy: float

    def remedy(self, kind: str, scale: float, factors: np.ndarray, what: str) -> Remedy:
        """It in words, with the evidence."""
        proof = (
            f"Solved again: least slack {self.slack:.1e}, {self.status.name}; negative with {self.accuracy:.0e} less "
            "(relative)."
        )
        parameters, found = self.problem.scalars, f"{what} {proof}"
        return Remedy(kind, scale, factors, parameters, self.slack, self.status, self.accuracy, found)


def _found(x: float, after: Solution, accuracy: float) -> Found:
    return Found(x, least(after), status(after), after.problem, accuracy)


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
                return _found(root + margin, after, 2 * margin)
    return None


def noise(s: Solution) -> float:
    """Relative accuracy of what is read off a solve."""
    return _NOISE * float(np.asarray(s.gap / s.value))


def approached(trial: Callable[[float, bool], Solution], x: float, slope: float, margin: float) -> Found | None:
    """Two solves around a threshold near ``x``, some ``margin`` to either side of it, or None.

    ``trial(x, exact)`` solves there, to the last digit or only well enough to tell the sides apart; the least slack
    has about this ``slope``, and secants from solve to solve lead to the threshold.
    """
    above = _above(trial, x, slope, margin)
    if above is None:
        return None
    x, after, slope = above
    at = (x, least(after))
    for tried in range(_TRIES):
        below = at[0] - at[1] / slope - margin * 4**tried
        before = trial(below, False)
        if not noise(before) <= margin:
            return None
        if least(before) < 0:
            return _found(x, after, x - below)
        last, at = at, (below, least(before))
        slope = _secant(last, at, slope)
    return None


def approached_from_above(
    trial: Callable[[float], Solution], shown: Callable[[float], Shown], x: float, slope: float, margin: float
) -> Found | None:
    """The same where solves are dear: one above, if ``x`` is there, and intervals of slack below, where it is steep."""
    above = _above(lambda x, exact: trial(x), x, slope, margin, alike=True)
    if above is None:
        return None
    x, after, _ = above
    below = _beyond(shown, x, shown(x), -slope, _not_below)
    return None if below is None else _found(x, after, x - below[0])


def _above(
    trial: Callable[[float, bool], Solution], x: float, slope: float, margin: float, alike: bool = False
) -> tuple[float, Solution, float] | None:
    """A certified solve just above the threshold, and the slope found; ``alike``: whether all are exact."""
    near = trial(x, False)
    slack = least(near)
    for _ in range(_TRIES - 1):
        if not abs(slack / slope) > 10 * margin:  # NaN stops, too
            break
        last, x = (x, slack), x - slack / slope
        near = trial(x, False)
        slack = least(near)
        slope = _secant(last, (x, slack), slope)
    if alike and slack >= 0:
        return (x, near, slope) if _sure(near, margin) else None
    for tried in range(_TRIES):
        last, x = (x, slack), x - slack / slope + margin * 4**tried
        if not np.isfinite(x):
            return None
        after = trial(x, True)
        if not _sure(after, margin):
            return None
        slack = least(after)
        slope = _secant(last, (x, slack), slope)
        if slack >= 0:
            return x, after, slope
    return None


def _sure(s: Solution, margin: float) -> bool:
    return status(s) == Status.certified and noise(s) <= margin


def enclosed(trial: Callable[[float], Shown], x: float, slope: float) -> Found | None:
    """The same by solves that leave the least slack an interval: above the threshold all of it is >= 0, below < 0."""
    at = trial(x)
    above = _beyond(trial, x, at, slope, lambda shown: -shown.slack[0])
    below = _beyond(trial, x, at, -slope, _not_below)
    if above is None or below is None:
        return None
    (x, after), (lower, _) = above, below
    return Found(x, after.slack[0], after.status, after.problem, x - lower)


def _not_below(shown: Shown) -> float:
    return shown.slack[1] + _TINY


def _beyond(
    trial: Callable[[float], Shown], x: float, at: Shown, slope: float, lacking: Callable[[Shown], float]
) -> tuple[float, Shown] | None:
    """Where nothing is ``lacking`` any more, which falls by ``slope``."""
    for tried in range(_TRIES):
        lack = lacking(at)
        if lack <= 0:
            return x, at
        last, x = (x, lack), x + ((1 + _FURTHER * 4**tried) * lack + _TINY) / slope
        if not np.isfinite(x):
            return None
        at = trial(x)
        slope = -_secant(last, (x, lacking(at)), -slope)
    return (x, at) if lacking(at) <= 0 else None


def _secant(last: tuple[float, float], new: tuple[float, float], slope: float) -> float:
    """Slope between two points, which may be far from what was expected, but not any number."""
    found = (new[1] - last[1]) / (new[0] - last[0])
    return slope * float(np.clip(found / slope, 0.2, 5))


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
