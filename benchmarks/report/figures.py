"""The figures. :func:`series` holds the plotted numbers, so that a test can compare them with the record."""

import math
from collections.abc import Callable
from typing import Any

from lpmjax.extras import matplotlib_modules

from .derive import Record, best, of_case, per_cell, rate

Series = dict[str, list[tuple[float, float]]]

TITLES = {
    "batch": "Two groups: certified cells per second against the number of cells",
    "scaling": "Seconds per certified solve against the number of classes",
    "peers": "Two groups: seconds per certified solve, by solver",
    "tails": "All counts distinct: seconds per certified solve, by solver",
    "precision": "Work and precision: certified relative gap against time",
    "roofline": "Counted operations per second against operations per byte",
}
_MARKS = "osD^vP*X<>hpd8"


def series(name: str, record: Record) -> Series:
    """Points of each curve of a figure, in the order of the record; failed rows have none."""
    found: Series = {}
    for label, x, y in _POINTS[name](record):
        if x and y and math.isfinite(x) and math.isfinite(y):
            found.setdefault(label, []).append((float(x), float(y)))
    return found


def has_data(name: str, record: Record) -> bool:
    """Whether the figure has a point."""
    return bool(series(name, record))


def _batch(record: Record):
    rows = of_case(record, "two_group") + of_case(record, "devices")
    for row in rows:
        devices = row.get("devices", 1)
        how = (
            row["instance"].get("how")
            if row["case"] == "two_group"
            else f"sharded, {devices} device{'s' if devices > 1 else ''}"
        )
        if row["seconds"]:
            yield how, row["instance"]["cells"], rate(row)


def _scaling(record: Record):
    for row in record["rows"]:
        size = row["instance"].get("K")
        if row["outcome"] != "certified" or row["case"] not in ("grouped", "factored", "many_classes"):
            continue
        words = {"factored": "lpm.factored", "many_classes": f"{row['instance'].get('G')} groups"}
        yield words.get(row["case"], "all counts distinct, G = K"), size, per_cell(row)


def _of_kind(kind: str) -> Callable[[Record], Any]:
    def points(record: Record):
        for row in of_case(record, "peers", kind=kind):
            if row["outcome"] == "certified":
                yield row["solver"], row["instance"]["K"], per_cell(row)

    return points


def _precision(record: Record):
    for row in of_case(record, "work_precision"):
        for point in row["points"]:
            yield row["solver"], min(point["samples"]), point["gap"]


def _roofline(record: Record):
    for row in record["rows"]:
        work, time = row.get("work"), best(row)
        if work and time and row["outcome"] == "certified" and row["dtype"] == record["dtype"]:
            operations = work["flops"] + work["matmul_flops"] + work["transcendentals"]
            yield row["case"], operations / work["bytes"], operations / time


_POINTS: dict[str, Callable[[Record], Any]] = {
    "batch": _batch,
    "scaling": _scaling,
    "peers": _of_kind("two groups"),
    "tails": _of_kind("long tail"),
    "precision": _precision,
    "roofline": _roofline,
}


def _draw(name: str, record: Record, xlabel: str, ylabel: str, joined: bool = True, in_order: bool = True):
    curves = series(name, record)
    if not curves:
        return None
    pyplot, _ = matplotlib_modules()
    figure, ax = pyplot.subplots(figsize=(8.2, 4.6), layout="constrained")
    colours = pyplot.get_cmap("tab20").colors
    for i, (label, points) in enumerate(curves.items()):
        points = sorted(points) if in_order else points
        style = {"marker": _MARKS[i % len(_MARKS)], "color": colours[(2 * i + i // 10) % 20], "markersize": 5}
        ax.plot(*zip(*points, strict=True), linestyle="-" if joined else "", linewidth=1.2, label=label, **style)
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.grid(True, which="major", alpha=0.3)
    ax.set_title(TITLES[name], fontsize=10, loc="left")
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _draw_peers(name: str, record: Record):
    figure = _draw(name, record, "classes K", "seconds per certified solve")
    if figure is not None:
        sizes = sorted({x for points in series(name, record).values() for x, _ in points})
        figure.axes[0].set_xticks(sizes, [f"{size:g}" for size in sizes])
        figure.axes[0].set_xticks([], minor=True)
    return figure


def _draw_roofline(record: Record):
    figure = _draw("roofline", record, "counted operations per byte of arguments and results", "operations per second",
                   joined=False)  # fmt: skip
    if figure is None or not record["ceilings"]:
        return figure
    ax = figure.axes[0]
    left, right = ax.get_xlim()
    copy = record["ceilings"]["copy_bytes"]["per_second"]
    roofs = {
        "matrix product": record["ceilings"][f"matmul_{record['dtype']}_flops"]["per_second"],
        "elementwise": record["ceilings"]["elementwise_flops"]["per_second"],
        "exp": record["ceilings"]["exp"]["per_second"],
    }
    for words, roof in roofs.items():
        corner = min(max(roof / copy, left), right)
        ax.plot([left, corner, right], [min(left * copy, roof), roof, roof], color="0.5", linewidth=0.9, label="_roof")
        ax.annotate(words, (right, roof), (-4, 2), textcoords="offset points", ha="right", fontsize=7, color="0.35")
    ax.set_xlim(left, right)
    return figure


FIGURES: dict[str, Callable[[Record], Any]] = {
    "batch": lambda record: _draw("batch", record, "cells in one call or sweep", "certified cells per second"),
    "scaling": lambda record: _draw("scaling", record, "classes K", "seconds per certified solve"),
    "peers": lambda record: _draw_peers("peers", record),
    "tails": lambda record: _draw_peers("tails", record),
    "precision": lambda record: _draw("precision", record, "seconds", "certified relative gap", in_order=False),
    "roofline": _draw_roofline,
}


def close(figure: Any) -> None:
    """Free the figure."""
    matplotlib_modules()[0].close(figure)
