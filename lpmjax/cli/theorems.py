"""``lpmjax verify``: proofs, and the solvers against them."""

import sys
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from ..files import check_writable, json_text, write_json
from ..verify import Verification
from ..verify import verify as verify_theorems
from .common import Json, Out, ProgressBar, print_table
from .interrupt import interruptible


def verify(
    theorems: Annotated[
        list[str] | None, typer.Argument(metavar="[IDS]...", help="Theorems to check; by default all.")
    ] = None,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Check theorems: every proof step symbolically, then the solvers against the closed forms, with certificates.

    The exit code is 0 only if every theorem is proved and nothing contradicts it numerically.
    """
    if out is not None:
        check_writable(out)
    with ProgressBar("checking", "theorems") as show:
        found = interruptible(verify_theorems, theorems or None, progress=show)
    record = found.record()
    if json_:
        print(json_text(record))
    else:
        _print_verification(found)
    if out is not None:
        write_json(out, record)
    if not found.ok:
        failed = ", ".join(row.theorem for row in found.rows if not row.ok)
        print(f"not verified: {failed}. Run python -m proofs for the steps of the proofs.", file=sys.stderr)
        raise typer.Exit(1)


def _print_verification(found: Verification) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))  # 80 columns are enough
    for heading in ("theorem", "proved", "cited", "cells", "out", "error", "verdict"):
        table.add_column(heading, justify="left" if heading in ("theorem", "verdict") else "right", no_wrap=True)
    for row in found.rows:
        table.add_row(*row.columns())
    print_table(table)
    for note in found.notes():
        print(note)
