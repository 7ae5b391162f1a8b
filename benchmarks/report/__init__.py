"""REPORT.md and its figures, from stored records alone: the same JSON gives the same bytes."""

import os
import sys
from pathlib import Path
from typing import Any

from lpmjax.figure_files import write_figure

from ..settings import MODES
from ..suite import SCHEMA, load
from . import figures, pairs, text


def write(results: Path, out: Path) -> Path:
    """Read the records in ``results``, write ``out/REPORT.md`` and ``out/figures/*.png``; return the path of the page.

    Of each device and dtype the fullest record counts, of these the newest.
    """
    records = chosen(results)
    for name, draw in figures.FIGURES.items():
        for record in records:
            figure = draw(record)
            if figure is not None:
                write_figure(out / "figures" / f"{label(record)}-{name}.png", figure)
                figures.close(figure)
    path = out / "REPORT.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(".REPORT.md")
    partial.write_text("\n".join(filter(None, (text.page(records), pairs.page(results)))), encoding="utf-8")
    os.replace(partial, path)
    return path


def chosen(results: Path) -> list[dict[str, Any]]:
    """One record for each device, dtype and choice of cases."""
    best: dict[str, tuple[Any, dict[str, Any]]] = {}
    for path in sorted(set(results.glob("*.json")) - set(results.glob(pairs.FILES))):
        try:
            record = load(path)
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        rank = (MODES.index(record["mode"]), record["started"])
        key = label(record)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, record | {"file": path.name})
    if not best:
        raise ValueError(f"no record of schema {SCHEMA} in {results}: run python -m benchmarks first.")
    return [record for _, (_, record) in sorted(best.items())]


def label(record: dict[str, Any]) -> str:
    """Device, dtype and, of a run of some cases, their names, as part of a file name."""
    parts = [record["environment"].get("device_kind", "unknown"), record["dtype"], *record.get("only", [])]
    return text.slug(" ".join(parts))
