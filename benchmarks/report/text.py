"""The page: tables in Markdown, every number from the records."""

import re
from typing import Any

from . import limits
from .derive import Record, Row, best, ceiling, median, modelled, name_of, of_case, per_cell, rate

_INTRO = """# Benchmarks

Written by `python -m benchmarks report` from the JSON files in `results/` alone; do not edit. A cell counts only if its
duality gap, evaluated in float64, is within the gap that its row states: a row with a cell that is not is marked
**failed**, and cells that failed count for nothing in the rates. Times are the best warm call in seconds, blocked on
the whole result; the JSON holds every sample.
"""


def page(records: list[Record]) -> str:
    """The whole of REPORT.md."""
    parts = [_INTRO, _what_has_run(records)]
    for record in records:
        parts += [_heading(record), _environment(record), _ceilings(record), _programs(record), _cases(record)]
        parts += [_peers(record), _figures(record), _limits(record), _gaps(record), _left_out(record)]
    return "\n".join(part for part in parts if part)


def slug(words: str) -> str:
    """Lower case, with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def number(x: Any) -> str:
    """Three digits."""
    return "" if x is None else f"{x:.3g}"


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines]) + "\n"


def _what_has_run(records: list[Record]) -> str:
    backends = {record["environment"].get("backend") for record in records}
    never = [name.upper() for name in ("gpu", "tpu") if name not in backends]
    lines = [f"- {_title(record)}: `{record['file']}`" for record in records]
    note = f"\n**Not run on a {' or '.join(never)}**: no record of one is stored here.\n" if never else ""
    return "What has been run:\n\n" + "\n".join(lines) + "\n" + note


def _title(record: Record) -> str:
    parts = [record["environment"].get("device_kind"), record["dtype"], record["mode"]]
    return ", ".join([*parts, *([f"only {' and '.join(record['only'])}"] if record.get("only") else [])])


def _heading(record: Record) -> str:
    return f"## {_title(record)}\n"


def _environment(record: Record) -> str:
    e = record["environment"]
    versions = ", ".join(f"{name} {found}" for name, found in e["versions"].items() if found)
    absent = ", ".join(name for name, found in e["versions"].items() if not found)
    dirty = {True: ", with uncommitted changes", False: "", None: ""}[record["dirty"]]
    lines = [
        f"- {e['cpu']}, {e['cores']} cores, {e['memory_bytes'] / 2**30:.3g} GiB; jax on {e.get('backend')} "
        f"(devices: {e.get('devices')}); load average at the start {e['load_average_at_start']}",
        f"- started {record['started']}, {record.get('seconds')} s in all; commit {record['commit']}{dirty}; "
        f"XLA_FLAGS `{record['xla_flags']}`",
        f"- {e['system']}, Python {e['python']}; {versions}" + (f"; not installed: {absent}" if absent else ""),
    ]
    return "\n".join(lines) + "\n"


def _ceilings(record: Record) -> str:
    units = {
        "copy_bytes": "byte/s copied (read and written)",
        "matmul_float64_flops": "flop/s, matrix product, float64",
        "matmul_float32_flops": "flop/s, matrix product, float32",
        "elementwise_flops": "flop/s, elementwise",
        "exp": "exp/s",
        "log": "log/s",
        "calls": "calls/s of an empty compiled function",
        "loop_trips": "trips/s of an empty compiled loop",
    }
    lines = [[words, number(ceiling(record, name))] for name, words in units.items() if ceiling(record, name)]
    return "Ceilings measured in the same run:\n\n" + table(["ceiling", "rate"], lines) if lines else ""


def _outcome(row: Row) -> str:
    if row["outcome"] != "failed":
        return row["outcome"]
    return f"**failed** {row['failed']} of {row['cells']}" if "failed" in row else "**failed**"


def _status(row: Row) -> str:
    return ", ".join(f"{count} {name}" for name, count in (row.get("status") or {}).items())


def _cases(record: Record) -> str:
    head = ["case", "instance", "outcome", "status", "gap asked", "worst gap", "lower", "compile", "first", "warm",
            "median", "runs", "cells/s", "host peak MiB"]  # fmt: skip
    lines = []
    for row in record["rows"]:
        if row["case"] in ("peers", "work_precision", "programs") or row["seconds"] is None:
            continue
        seconds = row["seconds"]
        times = [number(seconds[name]) for name in ("lower", "compile", "first")]
        warm = [number(best(row)), number(median(row)), str(len(seconds["warm"]))]
        peak = f"{row['memory']['host_peak_bytes'] / 2**20:.0f}"
        name = name_of(row) + (f" ({row['dtype']})" if row["dtype"] != record["dtype"] else "")
        found = [_outcome(row), _status(row), number(row["gap"]), number(row["worst_relative_gap"])]
        lines.append([row["case"], name, *found, *times, *warm, number(rate(row)), peak])
    return "### Cases\n\n" + table(head, lines) if lines else ""


def _programs(record: Record) -> str:
    lines = []
    for row in of_case(record, "programs"):
        seconds, size = row["seconds"], row["xla"]
        times = [number(seconds["lower"]), number(seconds["compile"])]
        sizes = [str(size.get(name, "")) for name in ("stablehlo_lines", "instructions", "fusions")]
        lines.append([row["instance"]["problem"], row["instance"]["how"], _outcome(row), *times, *sizes])
    head = ["problem", "what", "outcome", "lower", "compile", "StableHLO lines", "XLA instructions", "fusions"]
    words = "### What a first call costs\n\nOne compilation, nothing traced before, in seconds.\n\n"
    return words + table(head, lines) if lines else ""


def _peers(record: Record) -> str:
    rows = of_case(record, "peers")
    instances = list(dict.fromkeys(name_of(row) for row in rows))
    parts = []
    for instance in instances:
        here = [row for row in rows if name_of(row) == instance]
        ours = {row["solver"]: per_cell(row) for row in here if row["outcome"] == "certified"}
        single, batch = ours.get("lpmjax"), ours.get("lpmjax, batch")
        lines = []
        for row in here:
            time = per_cell(row) if row["outcome"] == "certified" else None
            ratios = ["" if time is None or own is None else number(time / own) for own in (single, batch)]
            reached = number(row.get("worst_relative_gap")) or row.get("reason", "")
            knob = number(row["knob"]) if row.get("knob") else ""
            lines.append([row["solver"], _outcome(row), reached, knob, number(time), *ratios])
        head = [
            "solver",
            "outcome",
            "worst gap",
            "setting",
            "s per cell",
            "times one lpmjax solve",
            "times lpmjax in a batch",
        ]
        parts.append(f"{instance}, relative gap {number(here[0]['gap'])}:\n\n" + table(head, lines))
    if not parts:
        return ""
    words = (
        "### Against other solvers\n\nSame instances, same run; every solver's logits go through the same certificate, "
        "and the loosest setting of each that certifies is the one timed (`failed`: none did). The gap is of the "
        "logits alone, so it is of first order in their error, while the solvers' own criteria are of second: that "
        "is why some need a tight setting. CVXPY solves are re-solves with `Parameter`s. For one problem of K ≤ 10 "
        "classes the convex solvers are adequate: milliseconds.\n"
    )
    return words + "\n" + "\n".join(parts)


def _figures(record: Record) -> str:
    from . import label
    from .figures import FIGURES, TITLES, has_data

    lines = [
        f"![{TITLES[name]}](figures/{label(record)}-{name}.png)\n\n*{TITLES[name]}*\n"
        for name in FIGURES
        if has_data(name, record)
    ]
    return "### Figures\n\n" + "\n".join(lines) if lines else ""


def _limits(record: Record) -> str:
    lines = limits.table(record)
    if not lines:
        return ""
    head = ["case", "instance", "limit", "compute", "stragglers", "memory", "latency", "rest"]
    words = (
        "### What limits each case\n\nShares of the best warm time that the counted work (operations of the traced "
        "program, loops at the trips that they took) needs at the ceilings above. *Stragglers*: compute of lanes that "
        "wait for the slowest. *Memory*: arguments and results; where XLA's temporaries exceed 64 MiB, the bytes that "
        "it counts, each loop once. *Latency*: one call and its empty loop trips. *Rest*: what no ceiling explains; "
        "where a loop trip has little to compute it is the start of many small operations and counts as latency, "
        "elsewhere as compute below its ceiling. *Unknown*: more than the whole time at a ceiling, which was none "
        "then: in records of GPUs to November 2026 every link of the chains of elementwise operations was a kernel of "
        "its own.\n"
    )
    return words + "\n" + table(head, lines) + "\n" + _fractions(record)


def _fractions(record: Record) -> str:
    lines = []
    for row in record["rows"]:
        parts, work, time = modelled(record, row), row.get("work"), best(row)
        if parts is None or not work or not time:
            continue
        cells = [work[name] / row["cells"] for name in ("matmul_flops", "flops", "transcendentals", "bytes")]
        xla = (row.get("xla") or {}).get("temp_bytes")
        done = (parts["compute"] + parts["stragglers"]) / time
        tail = [f"{100 * done:.3g} %", f"{100 * parts['memory'] / time:.3g} %"]
        lines.append([row["case"], name_of(row), *map(number, cells), *tail, number(xla)])
    head = ["case", "instance", "matrix flop", "other flop", "transcendentals", "bytes", "of compute ceiling",
            "of copy ceiling", "XLA temporaries, bytes"]  # fmt: skip
    return "Work per cell, and the share of the ceilings that is reached:\n\n" + table(head, lines)


def _gaps(record: Record) -> str:
    rows = of_case(record, "precision")
    lines = []
    for row in rows:
        found = [number(row["gap_quantiles"][name]) for name in ("median", "99 %", "largest")]
        lines.append([name_of(row), row["dtype"], _outcome(row), *found, number(rate(row))])
    head = ["problem", "dtype", "outcome", "median gap", "99 %", "largest", "cells/s"]
    return "### float32 against float64\n\n" + table(head, lines) if lines else ""


def _left_out(record: Record) -> str:
    lines = [
        [row["case"], row["solver"], name_of(row), row["outcome"], row["reason"]]
        for row in record["rows"]
        if row["seconds"] is None and row["outcome"] != "measured"
    ]
    lines += [[name, "", "", "stopped", ended["error"]] for name, ended in record["cases"].items() if ended["error"]]
    head = ["case", "solver", "instance", "outcome", "reason"]
    return "### Without a time\n\n" + table(head, lines) if lines else ""
