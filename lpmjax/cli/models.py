"""The model that options describe: its classes, its budgets or weight decays, loss, last-layer bias and dimension."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..groups import ClassGroups
from ..losses.loss import ConvexLoss
from ..losses.softmax import CrossEntropy, LabelSmoothing, LogitAdjusted
from ..losses.squared_error import SquaredError
from ..problems.layer_peeled import LayerPeeled
from ..problems.problem import Problem
from ..problems.unconstrained import UnconstrainedFeatures
from .common import exclude, option, together

Counts = Annotated[
    str | None, typer.Option("--counts", help="Samples of each class, 500,500,5, instead of two groups.")
]
LongTail = Annotated[
    str | None,
    typer.Option(
        "--long-tail",
        help="K:ratio or K:ratio:samples, instead of two groups: K classes of exponentially falling counts, "
        "n_max / n_min = ratio, n_max = samples.",
    ),
]
LossName = Annotated[
    str | None,
    typer.Option(
        "--loss",
        help="cross-entropy, label-smoothing:0.1, logit-adjusted:1 or squared-error.",
        show_default="cross-entropy",
    ),
]
Bias = Annotated[
    str | None,
    typer.Option("--bias", help="Last-layer bias with weight decay: none, free or its decay.", show_default="none"),
]
Dim = Annotated[int | None, typer.Option("--dim", help="Feature dimension.", show_default="as large as useful")]

_LOSSES: dict[str, Callable[..., ConvexLoss]] = {
    "cross-entropy": CrossEntropy,
    "label-smoothing": LabelSmoothing,
    "logit-adjusted": LogitAdjusted,
    "squared-error": SquaredError,
}


def described(
    numbers: dict[str, Any],
    counts: str | None = None,
    long_tail: str | None = None,
    loss: str | None = None,
    bias: str | None = None,
    dim: int | None = None,
) -> tuple[Callable[..., Problem], dict[str, Any]]:
    """A builder of problems and its arguments.

    ``numbers`` are K_A, K_B, R, n_B, E_W, E_H, lambda_W and lambda_H, None where not given. Raises ValueError for an
    option that would be without effect beside another, and for half a pair.
    """
    given = {name: value for name, value in numbers.items() if value is not None}
    named = {option(name) for name in given}
    others = {"--counts": counts, "--long-tail": long_tail, "--bias": bias}
    named |= {name for name, value in others.items() if value is not None}
    exclude(named, ["--K-A", "--K-B", "--R", "--n-B"], ["--counts"], ["--long-tail"])
    exclude(named, ["--E-W", "--E-H"], ["--lambda-W", "--lambda-H", "--n-B", "--bias"])
    together(named, "--lambda-W", "--lambda-H")
    decayed = "--lambda-W" in named
    for name in ("--n-B", "--bias"):
        if name in named and not decayed:
            raise ValueError(f"{name} needs --lambda-W and --lambda-H: with norm budgets it has no effect.")
    arguments = {} if decayed else {"E_W": 1.0, "E_H": 5.0}
    arguments |= {} if loss is None else {"loss": _loss(loss)}
    arguments |= {} if bias is None else {"bias_decay": _bias(bias)}
    arguments |= {} if dim is None else {"dim": dim}
    if counts is not None or long_tail is not None:
        groups = counted(counts) if counts is not None else _long_tail(long_tail, decayed)
        return UnconstrainedFeatures if decayed else LayerPeeled, {"groups": groups} | arguments | given
    builder = (UnconstrainedFeatures if decayed else LayerPeeled).two_group
    return builder, {"K_A": 5.0, "K_B": 5.0, "R": 10.0} | arguments | given


def _loss(text: str) -> ConvexLoss:
    name, *parameter = text.split(":")
    try:
        return _LOSSES[name](*map(float, parameter))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"--loss = {text!r} is unknown: use cross-entropy, label-smoothing:EPSILON, logit-adjusted:TAU or "
            "squared-error."
        ) from error


def _bias(text: str) -> float | None:
    named = {"none": None, "free": 0.0}
    if text in named:
        return named[text]
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"--bias = {text!r} is out of range: use none, free or its weight decay, a number.") from error


def counted(text: str) -> ClassGroups:
    """Groups of the classes of a list of counts."""
    try:
        return ClassGroups.from_counts([float(part) for part in text.split(",")])
    except ValueError as error:
        raise ValueError(f"--counts = {text!r}: {error} Give samples of each class, 500,500,5.") from error


def _long_tail(text: Any, decayed: bool) -> ClassGroups:
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0].isdecimal():
        raise ValueError(f"--long-tail = {text!r} is not K:ratio or K:ratio:samples, as in 100:100:500.")
    if decayed and len(parts) == 2:
        raise ValueError(f"--long-tail = {text!r}: with weight decay the counts matter; give K:ratio:samples.")
    try:
        ratio, *samples = map(float, parts[1:])
        groups = ClassGroups.long_tail(int(parts[0]), ratio)
        return ClassGroups(groups.classes, groups.samples * samples[0]) if samples else groups
    except ValueError as error:
        raise ValueError(f"--long-tail = {text!r}: {error}") from error
