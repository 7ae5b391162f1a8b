"""The command: run, report, compare. Progress goes to standard error; an error is one line and exit code 2."""

import argparse
from pathlib import Path

from .environment import ROOT
from .settings import CASES, DTYPES, MODES, Settings

_RESULTS = ROOT / "benchmarks" / "results"


def main(words: list[str] | None = None) -> None:
    """Parse ``words`` (by default the command line) and do what they say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time the solvers and their peers; report on stored results; compare two of them.",
    )
    parser.add_argument(
        "what", nargs="?", default="quick", help="quick (default), device, full, tiny, report or compare"
    )
    parser.add_argument("files", nargs="*", type=Path, help="two results, for compare")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="the same as compare A B")
    parser.add_argument("--out", type=Path, help="folder of the results, or of the report")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder that the report reads")
    parser.add_argument("--dtype", choices=DTYPES, default="float64")
    parser.add_argument("--only", nargs="+", metavar="CASE", default=[], help=f"among {', '.join(CASES)}")
    chosen = parser.parse_args(words)
    what, files = ("compare", chosen.compare) if chosen.compare else (chosen.what, chosen.files)
    if what not in (*MODES, "report", "compare"):
        parser.error(f"{what!r} is not something to do: use quick, device, full, tiny, report or compare.")
    if unknown := [name for name in chosen.only if name not in CASES]:
        parser.error(f"--only {' '.join(unknown)}: choose among {', '.join(CASES)}.")
    if what == "compare" and len(files) != 2:
        parser.error("compare needs two files: python -m benchmarks compare a.json b.json.")
    if what != "compare" and files:
        parser.error(f"{what} takes no files, got {files[0]}: choose cases with --only.")
    try:
        if what == "report":
            from .report import write

            write(chosen.results, chosen.out or ROOT / "benchmarks")
        elif what == "compare":
            from .compare import compare
            from .suite import load

            print(compare(*map(load, files)), end="")
        else:
            from .suite import run

            print(run(Settings(what, chosen.dtype), chosen.only, chosen.out or _RESULTS).name)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f"python -m benchmarks: {error}\n")


if __name__ == "__main__":
    main()
