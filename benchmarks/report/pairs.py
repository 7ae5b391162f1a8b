"""Two checkouts in turns: the table of what a person waits for, before and after."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from .derive import Record
from .text import number, table

SCHEMA = "lpmjax.against/1"
FILES = "*-against-*.json"
Runs = list[dict[str, Any]]


def page(results: Path) -> str:
    """The newest record of :mod:`benchmarks.against` among these, or nothing."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob(FILES)]
    found = [record for record in found if record.get("schema") == SCHEMA]
    if not found:
        return ""
    record = max(found, key=lambda record: record["started"])
    commits = [str(record[side]["commit"])[:7] for side in ("before", "after")]
    words = (
        f"## Before and after\n\nCommits {commits[0]} and {commits[1]} in turns, one process at a time "
        f"({record['started']}, {record['environment']['cpu']}, {record['environment']['cores']} cores); medians.\n\n"
    )
    return words + table_of(record)


def _samples(runs: Runs) -> list[float]:
    return [sample for run in runs for sample in run.get("samples", [])]


def time_of(runs: Runs) -> str:
    """The median of all samples, or why there are none."""
    samples = _samples(runs)
    return f"{number(median(samples))} s" if samples else runs[0]["error"]


def _told(runs: Runs) -> str:
    """The time, and what it stands for: cells a second, or the memory that it took."""
    samples, told = _samples(runs), time_of(runs)
    if samples and "cells" in runs[0]:
        told += f", {number(runs[0]['cells'] / median(samples))} cells/s"
    if samples and "peak_bytes" in runs[0]:
        told += f", {number(max(run['peak_bytes'] for run in runs) / 2**30)} GiB"
    return told


def table_of(record: Record) -> str:
    """The table: medians, how many times faster, the range of the samples, and what was asked."""
    lines = []
    for name, row in record["targets"].items():
        sides = [_samples(row[side]) for side in ("before", "after")]
        ratio = number(median(sides[0]) / median(sides[1])) if all(sides) else ""
        spread = f"{number(min(sides[1]))} to {number(max(sides[1]))} ({len(sides[1])})" if sides[1] else ""
        times = [_told(row[side]) for side in ("before", "after")]
        lines.append([name, *times, ratio, spread, row["asked"]])
    head = ["what", "before", "after", "faster by", "samples after", "asked"]
    return table(head, lines)
