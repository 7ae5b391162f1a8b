"""The ``lpmjax`` command: solve, sweep, boundary, phase-diagram, verify."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich import box
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    raise ImportError("the command line needs typer and rich: pip install 'lpmjax[cli]'") from error

import jax
import numpy as np

from . import boundary as boundaries
from . import plot as figures
from .files import check_figure, check_writable, json_text, write_dataset, write_figure, write_json
from .groups import ClassGroups
from .problems import LayerPeeled, UnconstrainedFeatures
from .solution import DESCRIPTIONS, Phase, Solution, Status, group_names
from .solve import solve as solve_problem
from .sweep import sweep as sweep_grid
from .verify import Verification
from .verify import verify as verify_theorems

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Exact optima of layer-peeled models of neural collapse, each with a certificate of global optimality. "
    "Everything is computed in float64. The exit code is 0 only if every result is certified or converged.",
)

K_A = Annotated[float, typer.Option("--K-A", help="Classes in group A (the majority if R > 1).")]
K_B = Annotated[float, typer.Option("--K-B", help="Classes in group B.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the result here.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Also write a figure here (.png, .pdf, .svg).")]


@app.command()
def solve(
    K_A: K_A = 5,
    K_B: K_B = 5,
    R: Annotated[float, typer.Option("--R", help="Imbalance ratio n_A / n_B.")] = 10.0,
    E_W: Annotated[float, typer.Option("--E-W", help="Budget: mean squared norm of a classifier row.")] = 1.0,
    E_H: Annotated[float, typer.Option("--E-H", help="Budget: mean squared norm of a feature.")] = 5.0,
    lambda_W: Annotated[
        float | None, typer.Option("--lambda-W", help="Weight decay of the classifier (with --lambda-H and --n-B).")
    ] = None,
    lambda_H: Annotated[float | None, typer.Option("--lambda-H", help="Weight decay of the features.")] = None,
    n_B: Annotated[
        float, typer.Option("--n-B", help="Samples in a class of group B, for the weight-decay form.")
    ] = 1.0,
    tol: Annotated[float | None, typer.Option(help="Relative duality gap to certify (default 1e-10).")] = None,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Solve one two-group problem: norm budgets (Layer-Peeled Model) or weight decay (unconstrained features)."""
    if out is not None:
        check_writable(out)
    if (lambda_W is None) != (lambda_H is None):
        raise ValueError("--lambda-W and --lambda-H go together: give both for the weight-decay form, or neither.")
    if lambda_W is None:
        problem = LayerPeeled.two_group(K_A, K_B, R, E_W, E_H)
    else:
        groups = ClassGroups.two_group(K_A, K_B, R)
        groups = ClassGroups(groups.classes, groups.samples * n_B)
        problem = UnconstrainedFeatures(groups, lambda_W, lambda_H)
    solution = solve_problem(problem, tol=tol)
    record = _record(solution)
    if out is not None:
        write_json(out, record)
    print(json_text(record) if json_ else solution)
    _exit(np.asarray(solution.status))


@app.command()
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
    values = {name: _values(name, text) for name, text in given.items()}
    names = None if variables is None else ["status", *(name.strip() for name in variables.split(","))]
    lengths = {name: np.size(value) for name, value in values.items() if np.ndim(value)}
    budgets = [name for name in ("E_W", "E_H") if name in lengths]
    draw = figures.phase_diagram if len(budgets) == 1 and lengths[budgets[0]] > 8 else figures.cosine
    shown = "phase" if draw is figures.phase_diagram else "cosine"
    if plot is not None and ("R" not in lengths or len(lengths) > 2 or len(lengths) - len(budgets) > 1):
        raise ValueError(f"--plot needs R and at most one of E-W, E-H as axes, got {', '.join(lengths) or 'none'}.")
    if plot is not None and names is not None and shown not in names:
        raise ValueError(f"--plot draws {shown}, so --variables must name it.")
    with _progress() as show:
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
    _exit(ds["status"].values)


@app.command()
def boundary(
    K_A: K_A = 5,
    K_B: K_B = 5,
    s: Annotated[
        str, typer.Option("--s", help="Norm budget sqrt(E_W E_H): number, list or from:to:points.")
    ] = "0.1:10:9",
    log: Annotated[bool, typer.Option("--log", help="Print log R0 and log R1 (R0 overflows at large s).")] = False,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Print the imbalance ratios R0(s) and R1(s) from which the minority merges and vanishes.

    In JSON a boundary that does not exist is null in both R and log R; a ratio too large for a float only in R.
    """
    if out is not None:
        check_writable(out)
    budget = np.atleast_1d(np.asarray(_values("s", s), float))
    logs = {
        "log R0": np.asarray(boundaries.merged(K_A, K_B, budget, log=True)),
        "log R1": np.asarray(boundaries.annihilated(K_A, K_B, budget, log=True)),
    }
    with np.errstate(over="ignore"):
        ratios = {name.removeprefix("log "): np.exp(value) for name, value in logs.items()}
    record = {"K_A": K_A, "K_B": K_B, "s": budget} | ratios | logs
    if out is not None:
        write_json(out, record)
    if json_:
        print(json_text(record))
        return
    table = Table(title=f"K_A = {K_A:g}, K_B = {K_B:g}", box=box.SIMPLE_HEAD)
    prefix = "log " if log else ""
    for heading in ("s", f"merged from {prefix}R0", f"annihilated from {prefix}R1"):
        table.add_column(heading, justify="right")
    for s_value, *row in zip(budget, *logs.values(), strict=True):
        table.add_row(f"{s_value:.10g}", *(_ratio(x, log) for x in row))
    _console().print(table)


@app.command("phase-diagram")
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
    with _progress() as show:
        ds = sweep_grid(
            LayerPeeled.two_group, K_A=K_A, K_B=K_B, R=np.geomspace(1, R_max, cells), E_W=1.0, E_H=s**2, progress=show
        )
    solved = time.perf_counter()
    lines = sweep_grid(
        LayerPeeled.two_group, K_A=K_A, K_B=K_B, R=10 ** (np.arange(41) / 10), E_W=1.0, E_H=_listed("budgets", budgets)
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
        _console().print(f"{solved - begin:.1f} s solving (compilation included), {done - begin:.1f} s in all")
    _exit(np.concatenate([ds["status"].values.ravel(), lines["status"].values.ravel()]))


@app.command()
def verify(
    theorems: Annotated[
        list[str] | None, typer.Argument(metavar="[IDS]...", help="Theorems to check; by default all.")
    ] = None,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Check theorems: every proof step symbolically, then the solvers against the closed forms, with certificates.

    The exit code is 0 only if every theorem is proved and nothing contradicts it numerically.
    """
    if out is not None:
        check_writable(out)
    with _progress("checking", "theorems") as show:
        found = verify_theorems(theorems or None, progress=show)
    record = found.record()
    if out is not None:
        write_json(out, record)
    if json_:
        print(json_text(record))
    else:
        _print_verification(found)
    if not found.ok:
        failed = ", ".join(row.theorem for row in found.rows if not row.ok)
        print(f"not verified: {failed}. Run python -m proofs for the steps of the proofs.", file=sys.stderr)
        raise typer.Exit(1)


_MOST_POINTS = 10**7


def _values(name: str, text: str) -> Any:
    """A number, a list a,b,c or a logarithmic range from:to:points."""
    try:
        if ":" in text:
            first, last, points = text.split(":")
            if not (0 < float(first) < np.inf and 0 < float(last) < np.inf and 1 <= int(points) <= _MOST_POINTS):
                raise ValueError("a logarithmic range needs positive ends and 1 to 10000000 points")
            return np.geomspace(float(first), float(last), int(points))
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"--{name.replace('_', '-')} = {text!r} is not a number, a list 1,10,100 or a range from:to:points "
            "with positive ends and at most 10000000 points."
        ) from error
    return numbers if "," in text else numbers[0]


def _ratio(log_ratio: float, log: bool) -> str:
    if not np.isfinite(log_ratio):
        return "never"
    if log or log_ratio > 700:
        return f"{log_ratio:.10g}" if log else f"exp({log_ratio:.10g})"
    return f"{np.exp(log_ratio):.10g}"


def _listed(name: str, text: str) -> np.ndarray:
    return np.atleast_1d(np.asarray(_values(name, text), float))


def _record(solution: Solution) -> dict[str, Any]:
    record: dict[str, Any] = {name: np.asarray(getattr(solution, name)) for name in DESCRIPTIONS}
    record["status"] = Status(int(solution.status)).name
    record["phase"] = Phase(int(solution.phase)).name
    record["groups"] = group_names(solution.problem.groups.num_groups)
    record["cosines"] = np.asarray(solution.cosines())
    return record | {"method": solution.method, "tol": float(solution.tol), "model": type(solution.problem).__name__}


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
    console = _console()
    console.print("grid: " + " x ".join(f"{name} ({size})" for name, size in ds["status"].sizes.items()))
    if ds["status"].size <= _ROWS:
        console.print(_cell_table(ds))
    if {"gap", "value", "phase", "steps"} <= set(ds):
        summary = _summary(ds)
        for name in ("status", "phase"):
            console.print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in summary[name].items()))
        console.print(f"worst relative gap {summary['worst_relative_gap']:.2g}, at most {summary['most_steps']} steps")
    for path in files:
        console.print(f"wrote {path}", soft_wrap=True)


_ROWS = 60  # grids up to here are printed cell by cell


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


def _print_verification(found: Verification) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))  # 80 columns are enough
    for heading in ("theorem", "proved", "cited", "cells", "out", "error", "verdict"):
        table.add_column(heading, justify="left" if heading in ("theorem", "verdict") else "right", no_wrap=True)
    for row in found.rows:
        table.add_row(*row.columns())
    console = _console()
    console.print(table)
    for note in found.notes():
        console.print(note, soft_wrap=True)


class _progress:
    """A bar on a terminal's standard error, nothing elsewhere."""

    def __init__(self, doing: str = "solving", what: str = "cells"):
        self._words = (doing, what)

    def __enter__(self):
        console = Console(stderr=True)
        doing, what = map(TextColumn, self._words)
        columns = (doing, BarColumn(), MofNCompleteColumn(), what, TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        task = self._bar.add_task("", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


def _console() -> Console:
    return Console(highlight=False, markup=False)  # file names may hold brackets


def _exit(status: np.ndarray) -> None:
    bad = status[(status != Status.certified) & (status != Status.converged)]
    if bad.size:
        print(f"{bad.size} of {status.size} results failed. {Status.message(bad.ravel()[0])}", file=sys.stderr)
        raise typer.Exit(1)


def main() -> None:
    """Entry point: float64 throughout, and errors as one line on standard error with exit code 2."""
    jax.config.update("jax_enable_x64", True)
    try:
        app()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"lpmjax: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
