"""``lpmjax phase-diagram``: what the optimum looks like over the parameters of a system."""

import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..figure_files import write_figure
from ..files import check_writable, json_text, write_dataset
from ..plot.cosines import cosine as draw_cosine
from ..plot.phases import phase_diagram as draw_phases
from ..problems.layer_peeled import LayerPeeled
from ..sweeps.sweep import sweep as sweep_grid
from .common import K_A, K_B, Json, ProgressBar, exit_by, option, parsed_list
from .deep_phases import AXES, deep_linear
from .grids import Axis, print_files, print_sweep, summarised
from .interrupt import interruptible

_DEEP = "With --system deep-linear"


class System(StrEnum):
    """Whose phases."""

    two_groups = "two-groups"
    deep_linear = "deep-linear"


_OPTIONS = {
    System.two_groups: {"--K-A", "--K-B", "--cells", "--s-max", "--R-max", "--budgets"},
    System.deep_linear: {"--K", "--M", "--lambda", "--R"},
}


def phase_diagram(
    ctx: typer.Context,
    system: Annotated[System, typer.Option(help="Whose phases.")] = System.two_groups,
    K_A: K_A = 5,
    K_B: K_B = 5,
    cells: Annotated[int, typer.Option(help="Cells along each axis.")] = 401,
    s_max: Annotated[float, typer.Option(help="Largest norm budget sqrt(E_W E_H), at E_W = 1.")] = 4.0,
    R_max: Annotated[float, typer.Option("--R-max", help="Largest imbalance ratio.")] = 1e4,
    budgets: Annotated[str, typer.Option(help="Budgets E_H of the cosine figure, at E_W = 1.")] = "0.5,1,2,5,10",
    K: Annotated[Axis, typer.Option("--K", help="Classes.", show_default=AXES["K"], rich_help_panel=_DEEP)] = None,
    M: Annotated[
        Axis, typer.Option("--M", help="Weight matrices.", show_default=AXES["M"], rich_help_panel=_DEEP)
    ] = None,
    lambda_: Annotated[
        Axis,
        typer.Option("--lambda", help="Decay of every factor.", show_default=AXES["lambda"], rich_help_panel=_DEEP),
    ] = None,
    R: Annotated[
        Axis, typer.Option("--R", help="Imbalance ratio.", show_default="balanced", rich_help_panel=_DEEP)
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for data and figures.")] = Path("results"),
    json_: Json = False,
) -> None:
    """Compute the phase diagram over R and the norm budget, and the minority cosine against R.

    Writes phase_diagram.nc, phase_diagram.png, cosine.nc and cosine.png. The
    cosine figure has the setting of figure 3 in Fang, He, Long and Su (2021):
    E_W = 1, E_H = 5 and R = 10^(i/10), i = 0..40, with other budgets beside it.

    With --system deep-linear: the best structure of deep linear networks with
    cross-entropy, and deep_phases.nc and deep_phases.png instead.
    """
    given = {option(name.rstrip("_")) for name in ctx.params if _is_given(ctx, name)}
    for other, options in _OPTIONS.items():
        if other is not system and given & options:
            named = min(given & options)
            raise ValueError(f"{named} is for --system {other.value}: name that, or leave {named} out.")
    if system is System.deep_linear:
        deep_linear({"K": K, "M": M, "lambda": lambda_}, R, out, json_)
    else:
        _two_groups({"K_A": K_A, "K_B": K_B}, cells, {"s": s_max, "R": R_max}, budgets, out, json_)


def _two_groups(
    classes: dict[str, float], cells: int, most: dict[str, float], budgets: str, out: Path, json_: bool
) -> None:
    if cells < 2:
        raise ValueError(f"--cells = {cells} is out of range: it must be at least 2.")
    for name, least in (("R", 1), ("s", 0)):
        if not (most[name] > least and np.isfinite(most[name])):
            raise ValueError(f"--{name}-max = {most[name]:g} is out of range: it must be finite and above {least}.")
    paths = {name: out / name for name in ("phase_diagram.nc", "phase_diagram.png", "cosine.nc", "cosine.png")}
    for path in paths.values():
        check_writable(path)
    begin = time.perf_counter()
    s = most["s"] * np.arange(1, cells + 1) / cells
    with ProgressBar() as show:
        grid = partial(interruptible, sweep_grid, LayerPeeled.two_group, **classes, E_W=1.0)
        ds = grid(R=np.geomspace(1, most["R"], cells), E_H=s**2, progress=show)
        solved = time.perf_counter()
        lines = grid(R=10 ** (np.arange(41) / 10), E_H=parsed_list("budgets", budgets))
    if not json_:
        print_sweep(ds)
    drawn = {"phase_diagram.png": draw_phases(ds).figure, "cosine.png": draw_cosine(lines).figure}
    write_dataset(paths["phase_diagram.nc"], ds)
    write_dataset(paths["cosine.nc"], lines)
    for name, figure in drawn.items():
        write_figure(paths[name], figure)
    done = time.perf_counter()
    record = summarised(ds) | {
        "seconds_solving": solved - begin,
        "seconds_in_all": done - begin,
        "files": [str(path) for path in paths.values()],
    }
    if json_:
        print(json_text(record))
    else:
        print_files(paths.values())
        print(f"{solved - begin:.1f} s solving (compilation included), {done - begin:.1f} s in all")
    exit_by(np.concatenate([ds["status"].values.ravel(), lines["status"].values.ravel()]))


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
