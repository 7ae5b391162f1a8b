"""``lpmjax reproduce``: figures and tables of the founding papers."""

import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from ..figure_files import check_figure
from ..files import json_text
from ..reproduce import described, names
from ..reproduce import reproduce as compute
from ..reproduction import Reproduced
from .common import Json, console
from .grids import print_files
from .interrupt import interruptible


def reproduce(
    chosen: Annotated[list[str] | None, typer.Argument(metavar="[NAMES]...", help="What to reproduce.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Print what can be reproduced, and compute nothing.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Reproduce everything: some minutes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for data and pictures.")] = Path("results/reproductions"),
    json_: Json = False,
) -> None:
    """Reproduce figures and tables of the founding papers: data (.nc), picture (.png), numbers that are checked.

    Each takes seconds to a minute. Setting and what differs from the paper are
    printed. The exit code is 0 only if every checked number agrees.
    """
    if (listed + every + bool(chosen)) != 1:
        raise ValueError("give names, or --all, or --list: one of the three.")
    if listed:
        _print_list(json_)
        return
    wanted = names() if every else list(chosen or ())
    for name in wanted:
        described(name)
    check_figure(out / f"{wanted[0]}.png")
    records, failed = [], []
    for name in wanted:
        found = interruptible(compute, name)
        paths = found.write(out)
        records.append(found.record() | {"files": [str(path) for path in paths]})
        failed += [] if found.ok else [name]
        if not json_:
            _print(found, paths)
    if json_:
        print(json_text(records))
    if failed:
        print(f"not reproduced: {', '.join(failed)}. Numbers marked DIFFERS disagree.", file=sys.stderr)
        raise typer.Exit(1)


def _print_list(json_: bool) -> None:
    known = {name: described(name) for name in names()}
    if json_:
        print(json_text([{"name": name, **of.words()} for name, of in known.items()]))
        return
    for name, of in known.items():
        print(textwrap.fill(f"{name:<20} {of.title}", 80, subsequent_indent=" " * 21))


def _print(found: Reproduced, paths: list[Path]) -> None:
    for line in str(found).splitlines():
        console().print(textwrap.fill(line, 80, subsequent_indent=" " * 9), soft_wrap=True)
    print_files(paths)
    print(f"{found.seconds:.1f} s\n")
