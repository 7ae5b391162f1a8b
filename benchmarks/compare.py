"""Two stored records, row by row."""

import json
from typing import Any

from .report.derive import name_of, per_cell
from .report.text import number, table


def compare(a: dict[str, Any], b: dict[str, Any]) -> str:
    """A Markdown table of what both hold: seconds per certified cell and how many times faster ``b`` is."""
    after = {_key(row): row for row in b["rows"]}
    lines = []
    for row in a["rows"]:
        other = after.get(_key(row))
        if other is None or (row["seconds"] is None and other["seconds"] is None):
            continue
        times = [per_cell(r) if r["seconds"] and r["outcome"] == "certified" else None for r in (row, other)]
        shown = [number(t) if t else r["outcome"] for t, r in zip(times, (row, other), strict=True)]
        faster = number(times[0] / times[1]) if times[0] and times[1] else ""
        compiled = [number((r["seconds"] or {}).get("compile")) for r in (row, other)]
        lines.append([row["case"], row["solver"], name_of(row), *shown, faster, *compiled])
    head = ["case", "solver", "instance", "s per cell, a", "s per cell, b", "b is faster by", "compile a", "compile b"]
    notes = [
        f"- {name}: {r['started']}, {r['environment'].get('device_kind')}, {r['dtype']}, {r['mode']}, "
        f"commit {r['commit']}"
        for name, r in (("a", a), ("b", b))
    ]
    return "\n".join(notes) + "\n\n" + table(head, lines)


def _key(row: dict[str, Any]) -> str:
    parts = [row["case"], row["solver"], row["instance"], row["dtype"], row.get("devices", 1)]
    return json.dumps(parts, sort_keys=True)
