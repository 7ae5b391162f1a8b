"""``lpmjax claims``: check every statement that the library decides, and write the page of them."""

import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from ..claims import page
from ..files import check_writable, write_bytes
from ..reproduce import names, reproduce
from ..verify import verify
from .grids import print_files
from .interrupt import interruptible


def claims(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = Path("docs/claims.md"),
) -> None:
    """Check every theorem and reproduction, and write the page of claims.

    It takes some minutes. The exit code is 0 only if everything passes; what
    does not is "not shown" on the page.
    """
    check_writable(out)
    failed = []

    @cache
    def holds(name: str) -> bool:
        ok = interruptible(reproduce, name).ok if name in names() else interruptible(verify, name).ok
        print(f"{name:<26} {'holds' if ok else 'NOT SHOWN'}", flush=True)
        failed.extend([] if ok else [name])
        return ok

    write_bytes(out, page(holds).encode())
    print_files([out])
    if failed:
        print(f"not shown: {', '.join(failed)}.", file=sys.stderr)
        raise typer.Exit(1)
