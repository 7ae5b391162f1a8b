"""``python -m benchmarks.against CHECKOUT``: this checkout and another in turns, by what a person waits for.

Each process (:mod:`.targets`) runs once with this lpmjax, then once with the other, and again: what the machine
does meanwhile meets both. Every sample is kept, in ``results/<date>-<commit>-against-<other commit>.json``; targets
are added to what that file of the same day and commits has of others.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lpmjax.files import write_json

from . import environment, processes, targets
from .report import pairs


def measure(other: Path, names: list[str], seconds: float, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Samples of the targets so far, one target more each time, of ``before`` (the other checkout) and ``after`` (this
    one), which goes first: the other is not waited for without end."""
    found: dict[str, Any] = {}
    for name in names:
        target = targets.TARGETS[name]
        sides: dict[str, pairs.Runs] = {"before": [], "after": []}
        for _ in range(target.processes):
            limit = seconds
            for side, folder in (("after", environment.ROOT), ("before", other)):
                if not any("error" in earlier for earlier in sides[side]):  # what failed once is not tried again
                    begin = time.perf_counter()
                    sides[side].append(_one(name, folder, limit))
                    limit = min(seconds, target.patience * (time.perf_counter() - begin) + 10)
        found[name] = {"asked": target.asked, **sides}
        say(f"{name}: {pairs.time_of(sides['before'])} -> {pairs.time_of(sides['after'])}")
        yield found


def _one(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """One process with the lpmjax of a folder: its samples, or the reason why there are none."""
    script = str(Path(targets.__file__))
    variables = os.environ | {"PYTHONPATH": str(folder)}
    try:
        done = processes.run(
            [sys.executable, "-P", script, name],
            seconds,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {seconds:.0f} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]}
    return json.loads(done.stdout)


def main(words: list[str] | None = None) -> None:
    """Measure, write the record and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description="Two checkouts in turns.")
    parser.add_argument("checkout", type=Path, help="folder of the other checkout")
    parser.add_argument("--only", nargs="+", default=list(targets.TARGETS), metavar="TARGET", help="by default all")
    parser.add_argument("--seconds", type=float, default=600.0, help="time limit of a process (default 600)")
    parser.add_argument("--out", type=Path, default=environment.ROOT / "benchmarks" / "results", help="folder")
    chosen = parser.parse_args(words)
    if not (chosen.checkout / "lpmjax").is_dir():
        parser.error(f"{chosen.checkout} has no folder lpmjax: give the folder of a checkout.")
    if unknown := [name for name in chosen.only if name not in targets.TARGETS]:
        parser.error(f"--only {unknown[0]!r}: choose among {', '.join(targets.TARGETS)}.")
    head: dict[str, Any] = {"schema": pairs.SCHEMA, "started": datetime.now(UTC).isoformat(timespec="seconds")}
    before, after = environment.source(chosen.checkout), environment.source()
    head |= {"before": before, "after": after, "environment": environment.machine()}
    commits = [str(source["commit"])[:7] for source in (after, before)]
    path = chosen.out / f"{head['started'][:10]}-{'-against-'.join(commits)}.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["targets"] if path.exists() else {}
    record: dict[str, Any] = {}
    say = partial(print, file=sys.stderr, flush=True)
    for found in measure(chosen.checkout.resolve(), chosen.only, chosen.seconds, say):
        record = environment.redacted(head | {"targets": kept | found})
        write_json(path, record)  # each time: all of them take an hour
    print(pairs.table_of(record), end="")


if __name__ == "__main__":
    main()
