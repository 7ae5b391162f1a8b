"""``lpmjax sweep`` and ``lpmjax phase-diagram``: grids of two-group problems."""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from .. import plot as figures
from ..files import check_figure, check_writable, json_text, write_dataset, write_figure
from ..problems import LayerPeeled
from ..solution import Phase, Status
from ..sweep import sweep as sweep_grid
from .common import K_A, K_B, Json, PlotFile, ProgressBar, console, exit_by, parsed, parsed_list

_ROWS = 60  #: grids up to here are printed cell by cell


def sweep(
    K_A: Annotated[str, typer.Option("--K-A", help="Classes in group A.")] = "5",
    K_B: Annotated[str, typer.Option("--K-B", help="Classes in group B.")] = "5",
    R: Annotated[str, typer.Option("--R", help="Imbalance ratio.")] = "1:1e4:41",
    E_W: Annotated[str, typer.Option("--E-W", help="Classifier budget.")] = "1",
    E_H: Annotated[str, typer.Option("--E-H", help="Feature budget.")] = "5",
    variables: Annotated[str | None, typer.Option(help="Variables to keep, besides status (default: all).")] = None,
    json_: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="NetCDF file to write (.nc).")] = None,
    plot: PlotFile = None,
) -> None:
    """Solve a grid of Layer-Peeled Models.

    A value is a number, a list 1,10,100 or a logarithmic range from:to:points (1:1e4:41). Every value that is not a
    single number becomes an axis. The figure is the phase diagram (R and one budget swept) or the minority cosine.
    """
    if out is not None:
        if out.suffix != ".nc":
            raise ValueError(f"--out = {str(out)!r}: the data set is NetCDF, so the name must end in .nc.")
        check_writable(out)
    if plot is not None:
        check_figure(plot)
    given = {"K_A": K_A, "K_B": K_B, "R": R, "E_W": E_W, "E_H": E_H}
    values = {name: parsed(name, text) for name, text in given.items()}
    names = None if variables is None else ["status", *(name.strip() for name in variables.split(","))]
    lengths = {name: np.size(value) for name, value in values.items() if np.ndim(value)}
    budgets = [name for name in ("E_W", "E_H") if name in lengths]
    draw = figures.phase_diagram if len(budgets) == 1 and lengths[budgets[0]] > 8 else figures.cosine
    shown = "phase" if draw is figures.phase_diagram else "cosine"
    if plot is not None and ("R" not in lengths or len(lengths) > 2 or len(lengths) - len(budgets) > 1):
        raise ValueError(f"--plot needs R and at most one of E-W, E-H as axes, got {', '.join(lengths) or 'none'}.")
    if plot is not None and names is not None and shown not in names:
        raise ValueError(f"--plot draws {shown}, so --variables must name it.")
    with ProgressBar() as show:
        ds = sweep_grid(LayerPeeled.two_group, variables=names, progress=show, **values)
    figure = None if plot is None else draw(ds).figure
    if out is not None:
        write_dataset(out, ds)
    if plot is not None:
        write_figure(plot, figure)
    if json_:
        print(json_text(ds.to_dict()))
    else:
        _print_sweep(ds, [path for path in (out, plot) if path is not None])
    exit_by(ds["status"].values)


def phase_diagram(
    K_A: K_A = 5,
    K_B: K_B = 5,
    cells: Annotated[int, typer.Option(help="Cells along each axis.")] = 401,
    s_max: Annotated[float, typer.Option(help="Largest norm budget sqrt(E_W E_H), at E_W = 1.")] = 4.0,
    R_max: Annotated[float, typer.Option("--R-max", help="Largest imbalance ratio.")] = 1e4,
    budgets: Annotated[str, typer.Option(help="Budgets E_H of the cosine figure, at E_W = 1.")] = "0.5,1,2,5,10",
    out: Annotated[Path, typer.Option("--out", help="Folder for data and figures.")] = Path("results"),
    json_: Json = False,
) -> None:
    """Compute the phase diagram over R and the norm budget, and the minority cosine against R.

    Writes phase_diagram.nc, phase_diagram.png, cosine.nc and cosine.png. The cosine figure has the setting of figure
    3 in Fang, He, Long and Su (2021): E_W = 1, E_H = 5 and R = 10^(i/10), i = 0..40, with other budgets beside it.
    """
    if cells < 2:
        raise ValueError(f"--cells = {cells} is out of range: it must be at least 2.")
    if not (R_max > 1 and np.isfinite(R_max)):
        raise ValueError(f"--R-max = {R_max:g} is out of range: it must be finite and above 1.")
    if not (s_max > 0 and np.isfinite(s_max)):
        raise ValueError(f"--s-max = {s_max:g} is out of range: it must be finite and above 0.")
    paths = {name: out / name for name in ("phase_diagram.nc", "phase_diagram.png", "cosine.nc", "cosine.png")}
    for path in paths.values():
        check_writable(path)
    begin = time.perf_counter()
    s = s_max * np.arange(1, cells + 1) / cells
    with ProgressBar() as show:
        ds = sweep_grid(
            LayerPeeled.two_group, K_A=K_A, K_B=K_B, R=np.geomspace(1, R_max, cells), E_W=1.0, E_H=s**2, progress=show
        )
    solved = time.perf_counter()
    lines = sweep_grid(
        LayerPeeled.two_group,
        K_A=K_A,
        K_B=K_B,
        R=10 ** (np.arange(41) / 10),
        E_W=1.0,
        E_H=parsed_list("budgets", budgets),
    )
    drawn = {"phase_diagram.png": figures.phase_diagram(ds).figure, "cosine.png": figures.cosine(lines).figure}
    write_dataset(paths["phase_diagram.nc"], ds)
    write_dataset(paths["cosine.nc"], lines)
    for name, figure in drawn.items():
        write_figure(paths[name], figure)
    done = time.perf_counter()
    record = _summary(ds) | {
        "seconds_solving": solved - begin,
        "seconds_in_all": done - begin,
        "files": [str(path) for path in paths.values()],
    }
    if json_:
        print(json_text(record))
    else:
        _print_sweep(ds, list(paths.values()))
        console().print(f"{solved - begin:.1f} s solving (compilation included), {done - begin:.1f} s in all")
    exit_by(np.concatenate([ds["status"].values.ravel(), lines["status"].values.ravel()]))


def _summary(ds: Any) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        relative = (ds["gap"] / np.abs(ds["value"])).values
    status, phase = ds["status"].values, ds["phase"].values
    return {
        "cells": int(status.size),
        "status": {code.name: int((status == code).sum()) for code in Status if (status == code).any()},
        "phase": {code.name: int((phase == code).sum()) for code in Phase if (phase == code).any()},
        "worst_relative_gap": float(np.nanmax(relative)) if np.isfinite(relative).any() else float("nan"),
        "most_steps": int(ds["steps"].max()),
    }


def _print_sweep(ds: Any, files: list[Path]) -> None:
    out = console()
    out.print("grid: " + " x ".join(f"{name} ({size})" for name, size in ds["status"].sizes.items()))
    if ds["status"].size <= _ROWS:
        out.print(_cell_table(ds))
    if {"gap", "value", "phase", "steps"} <= set(ds):
        summary = _summary(ds)
        for name in ("status", "phase"):
            out.print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in summary[name].items()))
        out.print(f"worst relative gap {summary['worst_relative_gap']:.2g}, at most {summary['most_steps']} steps")
    for path in files:
        out.print(f"wrote {path}", soft_wrap=True)


def _cell_table(ds: Any) -> Table:
    axes = list(ds["status"].dims)
    per_cell = [name for name in ("value", "phase") if name in ds]
    per_group = [(name, group) for name in ("slack", "cosine") if name in ds for group in ds["group"].values[1:]]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in [*axes, *per_cell, *(f"{name} {group}" for name, group in per_group)]:
        table.add_column(heading, justify="right", no_wrap=True)
    for index in np.ndindex(*ds["status"].shape):
        cell = ds.isel(dict(zip(axes, index, strict=True)))
        row = [f"{float(cell[name]):.5g}" for name in axes]
        row += [Phase(int(cell[name])).name if name == "phase" else f"{float(cell[name]):.10g}" for name in per_cell]
        per_group_values = [float(cell[name].sel(group=group)) for name, group in per_group]
        table.add_row(*row, *(f"{x:.5f}" if np.isfinite(x) else "-" for x in per_group_values))
    return table
