"""``lpmjax phase-diagram --system deep-linear``: which structure of a deep linear network is best."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from ..figure_files import write_figure
from ..files import check_writable, json_text, write_dataset
from ..phases import checked_axes, phases
from ..plot.deep_phases import deep_phases as draw
from .common import parsed_list, print_table
from .interrupt import interruptible

#: values of the axes where no other are asked for
AXES = {"K": "3,4,5,6,7,8,9,10", "M": "2", "lambda": "1e-4:0.3:81"}


def deep_linear(axes: dict[str, str | None], R: str | None, out: Path, json_: bool) -> None:
    """Write deep_phases.nc, and deep_phases.png where one axis besides lambda has several values."""
    values = {name: parsed_list(name, text or AXES[name]) for name, text in axes.items()}
    ratios = None if R is None else parsed_list("R", R)
    checked_axes(values["K"], values["M"], values["lambda"], ratios)
    rows = sum(x.size > 1 for x in (values["K"], values["M"], np.ones(1) if ratios is None else ratios))
    paths = [out / "deep_phases.nc", *([out / "deep_phases.png"] if rows == 1 and values["lambda"].size > 1 else [])]
    for path in paths:
        check_writable(path)
    begin = time.perf_counter()
    ds = interruptible(phases, values["K"], values["M"], values["lambda"], ratios)
    solved = time.perf_counter()
    write_dataset(paths[0], ds)
    for path in paths[1:]:
        write_figure(path, draw(ds).figure)
    if json_:
        best, counts = np.unique(ds["best"].values, return_counts=True)
        found = dict(zip(best.tolist(), counts.tolist(), strict=True))
        record = {"cells": int(ds["best"].size), "best": found, "seconds_solving": solved - begin}
        print(json_text(record | {"files": [str(path) for path in paths]}))
        return
    print_table(_table(ds))
    for path in paths:
        print(f"wrote {path}")
    print(f"{solved - begin:.1f} s solving (compilation included)")


def _table(ds: Any) -> Table:
    """Along lambda, where the best structure changes."""
    others = [name for name in ds["best"].dims if name != "lambda_"]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in [*others, "lambda from", "to", "best structure", "rank"]:
        table.add_column(heading, justify="left" if heading == "best structure" else "right", no_wrap=True)
    decays = ds["lambda_"].values
    for index in np.ndindex(*(ds.sizes[name] for name in others)):
        row = ds.isel(dict(zip(others, index, strict=True)))
        best, rank = row["best"].values, row["rank"].values
        starts = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
        for first, last in zip(starts, [*(starts[1:] - 1), best.size - 1], strict=True):
            cells = [f"{float(row[name]):g}" for name in others] if first == 0 else [""] * len(others)
            table.add_row(*cells, f"{decays[first]:.4g}", f"{decays[last]:.4g}", str(best[first]), str(rank[first]))
    return table
