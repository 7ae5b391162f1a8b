"""``python -m benchmarks.worker CASE MODE DTYPE FILE``: one case in a process of its own, a JSON line per row."""

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from lpmjax.files import json_text

from .settings import CEILINGS, Settings


def main(case: str, mode: str, dtype: str, file: str) -> None:
    """Append ``{"environment": ...}``, ``{"ceilings": ...}`` and ``{"row": ...}`` lines to ``file`` as they come."""
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    settings = Settings(mode, dtype)
    with Path(file).open("a", encoding="utf-8") as stream:
        if case == CEILINGS:
            from . import ceilings, environment

            _put(stream, {"environment": environment.accelerator()})
            _put(stream, {"ceilings": ceilings.measure(settings)})
            return
        from .cases import CASES

        for row in CASES[case](settings):
            _put(stream, {"row": row})
            print(f"    {summary(row)}", file=sys.stderr, flush=True)


def _put(stream: TextIO, record: dict[str, Any]) -> None:
    stream.write(json.dumps(json.loads(json_text(record))) + "\n")
    stream.flush()


def summary(row: dict[str, Any]) -> str:
    """One line of progress."""
    what = ", ".join(f"{key} {value}" for key, value in row["instance"].items())
    seconds = row.get("seconds")
    time = f"{min(seconds['warm']):.3g} s" if seconds else row.get("reason", "")
    return f"{row['solver']} ({what}): {row['outcome']} {time}"


if __name__ == "__main__":
    main(*sys.argv[1:])
