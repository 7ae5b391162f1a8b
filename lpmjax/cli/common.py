"""What the commands share: the application, options, ranges of values, the progress bar, exit codes."""

import sys
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    raise ImportError("the command line needs typer and rich: pip install 'lpmjax[cli]'") from error

import numpy as np

from ..codes import Status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Exact optima of layer-peeled models of neural collapse, each with a certificate of global optimality. "
    "Everything is computed in float64. The exit code is 0 only if every result is certified or converged.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lpmjax {version('lpmjax')}")
        raise typer.Exit


@app.callback()
def _application(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


K_A = Annotated[float, typer.Option("--K-A", help="Classes in group A (the majority if R > 1).")]
K_B = Annotated[float, typer.Option("--K-B", help="Classes in group B.")]
LambdaW = Annotated[
    float | None, typer.Option("--lambda-W", "--weight-decay-W", help="Weight decay of the classifier.")
]
LambdaH = Annotated[float | None, typer.Option("--lambda-H", "--weight-decay-H", help="Weight decay of the features.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the result here.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Also write a figure here (.png, .pdf, .svg).")]

_MOST_POINTS = 10**7


def option(name: str) -> str:
    """``--E-H`` of ``E_H``."""
    return f"--{name.replace('_', '-')}"


def together(named: Collection[str], first: str, second: str) -> None:
    """ValueError if one of two options is there without the other."""
    if (first in named) != (second in named):
        raise ValueError(f"{first} and {second} go together: give both, or neither.")


def exclude(named: Collection[str], *families: Sequence[str]) -> None:
    """ValueError if options of two families are there: those of one would be without effect."""
    met = [name for family in families for name in family if name in named][:1]
    for family in families:
        other = next((name for name in family if name in named), None)
        if met and other and met[0] not in family:
            raise ValueError(f"{met[0]} and {other} exclude each other: give one or the other.")


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
            f"{option(name)} = {text!r} is not a number, a list 1,10,100 or a range from:to:points "
            "with positive ends and at most 10000000 points."
        ) from error
    return numbers if "," in text else numbers[0]


def parsed_list(name: str, text: str) -> np.ndarray:
    """The same as an array."""
    return np.atleast_1d(np.asarray(parsed(name, text), float))


class ProgressBar:
    """A bar on a terminal's standard error, nothing elsewhere; after Ctrl-C a line that says how far it was."""

    def __init__(self, doing: str = "solving", what: str = "cells"):
        self._doing, self._what = doing, what

    def __enter__(self):
        terminal = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn(self._what))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=terminal, transient=True, disable=not terminal.is_terminal
        )
        self._bar.start()
        self._task = self._bar.add_task(self._doing, total=None)
        return self._show

    def _show(self, done: int, total: int | None, doing: str | None = None) -> None:
        self._bar.update(self._task, completed=done, total=total, description=doing)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            at = self._bar.tasks[self._task]
            rest = f", next: {at.description}" if at.total is None else f" of {at.total:g}"
            print(f"lpmjax: interrupted; {self._what} done: {at.completed:g}{rest}", file=sys.stderr)


def print_table(table: Table) -> None:
    """On standard output at the width that it needs: a value that is cut is wrong."""
    out = console()
    out.width = max(out.width, out.measure(table, options=out.options.update(max_width=10**6)).maximum)
    out.print(table)


def console() -> Console:
    """Standard output."""
    return Console(highlight=False, markup=False)  # file names may hold brackets


def exit_by(status: np.ndarray) -> None:
    """Exit with 1 unless every status is certified or converged."""
    bad = status[(status != Status.certified) & (status != Status.converged)]
    if bad.size:
        print(f"{bad.size} of {status.size} results failed. {Status.message(bad.ravel()[0])}", file=sys.stderr)
        raise typer.Exit(1)
