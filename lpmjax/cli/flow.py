"""``lpmjax flow``: neural collapse along the gradient flow, or along the steps of an optimiser."""

from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich import box
from rich.table import Table

from ..figure_files import check_figure, write_figure
from ..files import check_writable, json_text, write_dataset
from ..flow import flow as follow
from ..groups import ClassGroups
from ..plot.flow import flow as draw
from ..problems.deep_linear import DeepLinear
from ..problems.problem import Problem
from ..problems.separation import Separation
from ..problems.unconstrained import UnconstrainedFeatures
from .common import Json, PlotFile, console, exclude, exit_by, parsed_list, print_table, together
from .grids import print_files
from .interrupt import interruptible
from .models import Counts, counted

Number = float | None
#: rows of the printed table
_ROWS = 14


def flow(
    K: Annotated[Number, typer.Option("--K", help="Classes.", show_default="4")] = None,
    n: Annotated[Number, typer.Option("--n", help="Samples of each class.", show_default="1")] = None,
    counts: Counts = None,
    times: Annotated[
        str | None,
        typer.Option("--times", help="Times (or steps): a list, or from:to:points.", show_default="1e-2:1e12:57"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Random starts.")] = 4,
    key: Annotated[int, typer.Option(help="Of the random starts.")] = 0,
    scale: Annotated[float, typer.Option(help="Standard deviation of their entries.")] = 0.1,
    dim: Annotated[int | None, typer.Option(help="Feature dimension.", show_default="classes")] = None,
    depth: Annotated[int | None, typer.Option(help="Factors, without decay.", show_default="2")] = None,
    lambda_W: Annotated[
        str | None, typer.Option("--lambda-W", help="Decay of the classifier, or a list: one for each matrix.")
    ] = None,
    lambda_H: Annotated[Number, typer.Option("--lambda-H", help="Decay of the features.")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd:RATE or adam:RATE, the steps of that.", show_default="gradient flow")
    ] = None,
    json_: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="NetCDF file to write (.nc).")] = None,
    plot: PlotFile = None,
) -> None:
    """Follow unconstrained features and classifier down the cross-entropy.

    Without weight decay to the direction of minimum-norm separation, which
    t = 1e12 and more come near to; with decay (--lambda-W, --lambda-H) to
    rest. Printed are means over the starts; the figure has every one.
    """
    if out is not None:
        if out.suffix != ".nc":
            raise ValueError(f"--out = {str(out)!r}: the data set is NetCDF, so the name must end in .nc.")
        check_writable(out)
    if plot is not None:
        check_figure(plot)
    problem = _problem({"K": K, "n": n}, counts, lambda_W, lambda_H)
    named = None if optimizer is None else _optimizer(optimizer)
    if times is None:
        times = "1e-2:1e12:57" if named is None else "1,10,100,1000,10000"
    begun = {"key": jax.random.key(key), "dim": dim, "scale": scale, "seeds": seeds, "depth": depth}
    ds = interruptible(follow, problem, parsed_list("times", times), optimizer=named, **begun)
    if json_:
        print(json_text(ds.to_dict()))
    else:
        _print(ds)
    if out is not None:
        write_dataset(out, ds)
    if plot is not None:
        write_figure(plot, draw(ds)[0].figure)
    if not json_:
        print_files(path for path in (out, plot) if path is not None)
    exit_by(ds["status"].values)


def _problem(classes: dict[str, Number], counts: str | None, lambda_W: str | None, lambda_H: Number) -> Problem:
    given = {"--K": classes["K"], "--n": classes["n"], "--counts": counts}
    given |= {"--lambda-W": lambda_W, "--lambda-H": lambda_H}
    named = {name for name, value in given.items() if value is not None}
    exclude(named, ["--K", "--n"], ["--counts"])
    together(named, "--lambda-W", "--lambda-H")
    equal = {"K": 4.0, "n": 1.0} | {name: value for name, value in classes.items() if value is not None}
    groups = ClassGroups.balanced(**equal) if counts is None else counted(counts)
    if lambda_W is None:
        return Separation(groups)
    decays = parsed_list("lambda_W", lambda_W)
    if decays.size == 1:
        return UnconstrainedFeatures(groups, decays[0], lambda_H)
    return DeepLinear(groups, decays, lambda_H)


def _optimizer(text: str) -> Any:
    import optax  # dear to import

    known = {"sgd": optax.sgd, "adam": optax.adam}
    name, _, rate = text.partition(":")
    try:
        return known[name](float(rate))
    except (KeyError, ValueError) as error:
        raise ValueError(f"--optimizer = {text!r} is unknown: use sgd:RATE or adam:RATE, as in sgd:0.1.") from error


def _print(ds: Any) -> None:
    """Means over the starts at some of the times, and what holds of all of them."""
    table = Table(
        title=f"{ds.attrs['title']}, {ds.sizes['seed']} starts",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    columns = {
        "step" if ds["time"].attrs["units"] == "step" else "t": ds["time"].values,
        "loss": np.exp(ds["log_loss"].mean("seed").values),
        "loss/bound": np.exp((ds["log_loss"] - ds["log_lower_bound"]).mean("seed").values),
        "margin": ds["margin"].mean("seed").values,
        "of max": ds["margin_ratio"].mean("seed").values,
        "NC1": ds["nc1"].mean("seed").values,
        "cos min": ds["w_cosine_min"].mean("seed").values,
        "cos max": ds["w_cosine_max"].mean("seed").values,
    }
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for at in np.unique(np.linspace(0, ds.sizes["time"] - 1, _ROWS).round().astype(int)):
        table.add_row(*(f"{values[at]:.3g}" for values in columns.values()))
    print_table(table)
    for line in _remarks(ds):
        console().print(line, soft_wrap=True)


def _remarks(ds: Any) -> list[str]:
    times, steps = ds["separation_time"].values, ds["steps"].values
    known = times[np.isfinite(times)]
    between = f", at {known.min():.4g} to {known.max():.4g}" if known.size else ""
    lines = [f"separation: {ds.attrs['separation']}{between}", f"steps: {steps.min()} to {steps.max()}"]
    if "balance_drift" in ds and ds["time"].attrs["units"] != "step":
        drift = float(max(ds["balance_drift"].max(), ds["column_sum_drift"].max()))
        lines.append(f"conserved to {drift:.1e}: W'W - HH' relative to norm2, 1'W relative to |W|")
    if "objective" in ds:
        last = ds["objective"].values[:, -1]
        lines.append(f"objective at the end: {last.min():.12g} to {last.max():.12g}")
    return [*lines, *([ds.attrs["remark"]] if "remark" in ds.attrs else [])]
