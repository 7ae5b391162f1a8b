"""What the commands share: the application, options, ranges of values, the progress bar, exit codes."""

import sys
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
except ImportError as error:
    raise ImportError("the command line needs typer and rich: pip install 'lpmjax[cli]'") from error

import numpy as np

from ..solution import Status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Exact optima of layer-peeled models of neural collapse, each with a certificate of global optimality. "
    "Everything is computed in float64. The exit code is 0 only if every result is certified or converged.",
)

K_A = Annotated[float, typer.Option("--K-A", help="Classes in group A (the majority if R > 1).")]
K_B = Annotated[float, typer.Option("--K-B", help="Classes in group B.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the result here.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Also write a figure here (.png, .pdf, .svg).")]

_MOST_POINTS = 10**7


def parsed(name: str, text: str) -> Any:
    """A number, a list a,b,c or a logarithmic range from:to:points."""
    try:
        if ":" in text:
            first, last, points = text.split(":")
            if not (0 < float(first) < np.inf and 0 < float(last) < np.inf and 1 <= int(points) <= _MOST_POINTS):
                raise ValueError("a logarithmic range needs positive ends and 1 to 10000000 points")
            return np.geomspace(float(first), float(last), int(points))
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"--{name.replace('_', '-')} = {text!r} is not a number, a list 1,10,100 or a range from:to:points "
            "with positive ends and at most 10000000 points."
        ) from error
    return numbers if "," in text else numbers[0]


def parsed_list(name: str, text: str) -> np.ndarray:
    """The same as an array."""
    return np.atleast_1d(np.asarray(parsed(name, text), float))


class ProgressBar:
    """A bar on a terminal's standard error, nothing elsewhere."""

    def __init__(self, doing: str = "solving", what: str = "cells"):
        self._words = (doing, what)

    def __enter__(self):
        terminal = Console(stderr=True)
        doing, what = map(TextColumn, self._words)
        columns = (doing, BarColumn(), MofNCompleteColumn(), what, TimeRemainingColumn())
        self._bar = Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal)
        self._bar.start()
        task = self._bar.add_task("", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


def console() -> Console:
    """Standard output."""
    return Console(highlight=False, markup=False)  # file names may hold brackets


def exit_by(status: np.ndarray) -> None:
    """Exit with 1 unless every status is certified or converged."""
    bad = status[(status != Status.certified) & (status != Status.converged)]
    if bad.size:
        print(f"{bad.size} of {status.size} results failed. {Status.message(bad.ravel()[0])}", file=sys.stderr)
        raise typer.Exit(1)
