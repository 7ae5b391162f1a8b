"""Remedy: one least change of a model, in closed form or verified by solving again, and how numbers of it are said."""

import dataclasses
import decimal

import numpy as np

from ..codes import Status
from ..problems.grouped import GroupedProblem
from ..results.solution import Solution

KINDS = ("weights", "budget", "decay")  #: in the order in which they are told


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Remedy:
    """The least change of one ``kind`` after which every slack is >= 0: in closed form, or as found by solving again.

    Attributes
    ----------
    kind : "weights", "budget" or "decay".
    scale : largest factor on a class's weight, factor >= 1 on E_H, or factor <= 1 on both decays; 1 if none is needed,
        None if there is none or none was found (``message`` says which).
    factors : (K,) factors >= 1 on the classes' loss weights (ones for the other kinds).
    parameters : of the model with the remedy;  slack, status : of its optimum, least over classes.
    accuracy : relative; by so much less, solved as well, some slack is negative.
    """

    kind: str
    scale: float | None
    factors: np.ndarray
    parameters: dict[str, float]
    slack: float
    status: Status
    accuracy: float
    message: str


def none_needed(problem: GroupedProblem, kind: str, slack: float) -> Remedy:
    """The model as it is."""
    ones = np.ones(problem.groups.num_groups)
    return Remedy(kind, 1.0, ones, problem.scalars, slack, Status.certified, 0.0, "none needed.")


def without(problem: GroupedProblem, kind: str, status: Status, message: str) -> Remedy:
    """No remedy, and why."""
    nothing = none_needed(problem, kind, np.nan)
    return dataclasses.replace(nothing, scale=None, accuracy=np.nan, status=status, message=message)


def reweighting(problem: GroupedProblem, x: float, accuracy: float) -> tuple[np.ndarray, str]:
    """Factors that raise weights to exp(x) omega, and the words for them."""
    classes, weights, omega = map(np.asarray, (problem.groups.classes, problem.groups.weights, problem.omega))
    factors = np.maximum(1.0, np.exp(x) * omega / weights)
    raised = factors > 1
    lowest, highest = (digits(float(f), accuracy, up=True) for f in (factors[raised].min(), factors.max()))
    between = highest if lowest == highest else f"{lowest} to {highest}"
    return factors, f"loss weight times {between} on {np.sum(classes[raised]):.0f} of {np.sum(classes):.0f} classes."


def least(s: Solution) -> float:
    """Least slack over the classes."""
    return float(np.min(np.asarray(s.slack)))


def status(s: Solution) -> Status:
    """As the enumeration."""
    return Status(int(s.status))


def digits(value: float, accuracy: float, up: bool) -> str:
    """As many digits as a relative accuracy bears, from two to ten, rounded to the side on which nothing collapses."""
    number = min(10, max(2, int(-np.log10(max(accuracy, 1e-12)))))
    rounding = decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR
    rounded = decimal.Context(prec=number, rounding=rounding).create_decimal_from_float(value)
    return f"{float(rounded):.{number}g}"
