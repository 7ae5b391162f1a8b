"""``lpmjax sweep``: grids of problems."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from ..codes import Phase, Status
from ..figure_files import check_figure, write_figure
from ..files import check_writable, json_text, write_dataset
from ..plot.cosines import cosine as draw_cosine
from ..plot.phases import phase_diagram as draw_phases
from ..problems.layer_peeled import LayerPeeled
from ..sweeps.sweep import sweep as sweep_grid
from .common import Json, PlotFile, ProgressBar, exit_by, parsed, print_table
from .interrupt import interruptible
from .models import Bias, Counts, Dim, LongTail, LossName, described
from .stores import check_workers, exit_by_status, print_store, sweep_store

Axis = str | None
_RATIOS = "1:1e4:41"
_ROWS = 60  #: grids up to here are printed cell by cell


def sweep(
    K_A: Annotated[Axis, typer.Option("--K-A", help="Classes in group A.", show_default="5")] = None,
    K_B: Annotated[Axis, typer.Option("--K-B", help="Classes in group B.", show_default="5")] = None,
    R: Annotated[Axis, typer.Option("--R", help="Imbalance ratio n_A / n_B.", show_default=_RATIOS)] = None,
    counts: Counts = None,
    long_tail: LongTail = None,
    E_W: Annotated[Axis, typer.Option("--E-W", help="Classifier budget.", show_default="1")] = None,
    E_H: Annotated[Axis, typer.Option("--E-H", help="Feature budget.", show_default="5")] = None,
    lambda_W: Annotated[Axis, typer.Option("--lambda-W", "--weight-decay-W", help="Classifier's weight decay.")] = None,
    lambda_H: Annotated[Axis, typer.Option("--lambda-H", "--weight-decay-H", help="Features' weight decay.")] = None,
    n_B: Annotated[
        Axis, typer.Option("--n-B", help="Samples in a class of group B, with weight decay.", show_default="1")
    ] = None,
    loss: LossName = None,
    bias: Bias = None,
    dim: Dim = None,
    variables: Annotated[
        str | None, typer.Option(help="Variables to keep, value,phase,..., besides status.", show_default="all")
    ] = None,
    max_bytes: Annotated[int, typer.Option(help="Refuse results (with --store, chunks) larger than this.")] = 2**32,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder (.zarr) to fill; the same command goes on where it ended.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Fill it by a Dask cluster of so many.")] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Fill it by the cluster of this Dask scheduler.")
    ] = None,
    json_: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="NetCDF file to write (.nc).")] = None,
    plot: PlotFile = None,
) -> None:
    """Solve a grid of problems, with norm budgets (Layer-Peeled Model) or weight decay.

    A value is a number, a list 1,10,100 or a logarithmic range
    from:to:points (1:1e4:41). Every value that is not a single number
    becomes an axis. The figure is the phase diagram (R and one budget swept)
    or the minority cosine, of two groups with norm budgets and
    cross-entropy.
    """
    if out is not None:
        if out.suffix != ".nc":
            raise ValueError(f"--out = {str(out)!r}: the data set is NetCDF, so the name must end in .nc.")
        if store is not None:
            raise ValueError("--out and --store exclude each other: give one or the other.")
        check_writable(out)
    check_workers(store, workers, scheduler)
    if plot is not None:
        check_figure(plot)
    if counts is None and long_tail is None:
        R = R or _RATIOS
    given = {"K_A": K_A, "K_B": K_B, "R": R, "n_B": n_B}
    given |= {"E_W": E_W, "E_H": E_H, "lambda_W": lambda_W, "lambda_H": lambda_H}
    values = {name: None if text is None else parsed(name, text) for name, text in given.items()}
    builder, arguments = described(values, counts, long_tail, loss, bias, dim)
    names = None if variables is None else ["status", *(name.strip() for name in variables.split(","))]
    draw = None if plot is None else _drawing(builder, arguments, names)
    if store is not None:
        options = {"variables": names, "max_bytes": max_bytes}
        found, ds = sweep_store(builder, arguments, options, store, (workers, scheduler), json_)
        print_store(found, json_)
        if plot is not None and draw is not None:
            write_figure(plot, draw(ds.load()).figure)
            if not json_:
                print_files([plot])
        exit_by_status(found)
        return
    with ProgressBar() as show:
        ds = interruptible(sweep_grid, builder, variables=names, max_bytes=max_bytes, progress=show, **arguments)
    if json_:
        print(json_text(ds.to_dict()))
    else:
        print_sweep(ds)
    if out is not None:
        write_dataset(out, ds)
    if plot is not None and draw is not None:
        write_figure(plot, draw(ds).figure)
    if not json_:
        print_files(path for path in (out, plot) if path is not None)
    exit_by(ds["status"].values)


def _drawing(builder: Any, arguments: dict[str, Any], names: list[str] | None) -> Callable[[Any], Any]:
    """The figure of a sweep; ValueError where there is none."""
    if builder != LayerPeeled.two_group or {"loss", "dim"} & set(arguments):
        raise ValueError("--plot draws two groups with norm budgets and cross-entropy: leave other options out.")
    lengths = {name: np.size(value) for name, value in arguments.items() if np.ndim(value)}
    budgets = [name for name in ("E_W", "E_H") if name in lengths]
    if "R" not in lengths or len(lengths) > 2 or len(lengths) - len(budgets) > 1:
        raise ValueError(f"--plot needs R and at most one of E-W, E-H as axes, got {', '.join(lengths) or 'none'}.")
    draw = draw_phases if len(budgets) == 1 and lengths[budgets[0]] > 8 else draw_cosine
    shown = "phase" if draw is draw_phases else "cosine"
    if names is not None and shown not in names:
        raise ValueError(f"--plot draws {shown}, so --variables must name it.")
    return draw


def summarised(ds: Any) -> dict[str, Any]:
    """Statuses, phases and the worst gap of a sweep."""
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


def print_sweep(ds: Any) -> None:
    """Cells, if they are few, and how many are of which kind."""
    print("grid: " + " x ".join(f"{name} ({size})" for name, size in ds["status"].sizes.items()))
    if ds["status"].size <= _ROWS:
        print_table(_cell_table(ds))
    if {"gap", "value", "phase", "steps"} <= set(ds):
        summary = summarised(ds)
        for name in ("status", "phase"):
            print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in summary[name].items()))
        print(f"worst relative gap {summary['worst_relative_gap']:.2g}, at most {summary['most_steps']} steps")


def print_files(paths: Iterable[Path]) -> None:
    """One line each."""
    for path in paths:
        print(f"wrote {path}")


def _cell_table(ds: Any) -> Table:
    """Group A is left out: the majority is of less interest; with more than two groups there is no room for any."""
    axes = list(ds["status"].dims)
    per_cell = [name for name in ("value", "phase", "rank") if name in ds]
    shown = ds["group"].values[1:] if ds.sizes.get("group") == 2 else []
    per_group = [(name, group) for name in ("slack", "cosine") if name in ds for group in shown]
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
