"""``lpmjax experiment``: trained networks beside what peeled models say of them."""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from ..experiment.comparison import compared, errors
from ..experiment.control import controls
from ..experiment.grid import Experiment
from ..experiment.images import SOURCES, load
from ..experiment.reweighting import reweighted
from ..experiment.sampling import Profile
from ..experiment.settings import Architecture, Settings
from ..figure_files import check_figure, write_figure
from ..files import check_writable, json_text, write_dataset
from ..plot.trained_networks import trained_networks as draw
from .common import Json, ProgressBar, parsed_list, print_table
from .interrupt import interruptible


def experiment(
    data: Annotated[str, typer.Argument(help=f"Data set: {', '.join(SOURCES)}.")],
    folder: Annotated[Path | None, typer.Option(help="Of the files of mnist, fashion-mnist or cifar10.")] = None,
    ratios: Annotated[str, typer.Option(help="Imbalance ratios.")] = "1,3,10,30,60",
    decays: Annotated[str, typer.Option(help="Weight decays.")] = "0.01,0.03,0.06,0.1,0.2",
    depths: Annotated[str, typer.Option(help="Numbers of weight matrices.")] = "2,3",
    seeds: Annotated[int, typer.Option(help="Random seeds of each network.")] = 3,
    samples: Annotated[int, typer.Option(help="Samples of a majority class.")] = 60,
    width: Annotated[int, typer.Option(help="Of hidden layers, or channels of convolutions.")] = 64,
    profile: Annotated[Profile, typer.Option(help="How counts fall.")] = Profile.two_groups,
    architecture: Annotated[Architecture, typer.Option(help="Kind of network.")] = Architecture.perceptron,
    reweighting: Annotated[bool, typer.Option("--reweighting", help="Also train with other loss weights.")] = False,
    control: Annotated[bool, typer.Option("--control", help="Also train the peeled models themselves.")] = False,
    json_: Json = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of the files that are written.")] = Path("results"),
) -> None:
    """Train networks on imbalanced data, and compare their last layers with what peeled models predict.

    Every network of the grid of depths, ratios, decays and seeds is trained to
    stationarity. Writes experiment.nc and experiment.png; Ctrl-C keeps what is
    finished.
    """
    settings = Settings(
        tuple(map(float, parsed_list("ratios", ratios))),
        tuple(map(float, parsed_list("decays", decays))),
        tuple(map(_whole, parsed_list("depths", depths))),
        seeds,
        samples,
        width,
        profile,
        architecture,
    )
    names = ["experiment.nc", *(["reweighting.nc"] if reweighting else []), *(["control.nc"] if control else [])]
    for name in names:
        check_writable(out / name)
    check_figure(out / "experiment.png")
    begin = time.perf_counter()
    study = Experiment(load(data, folder), settings)
    more: dict[str, Any] = {}
    try:
        with ProgressBar("training", "networks") as show:
            interruptible(study.complete, show)
        if reweighting:
            with ProgressBar("reweighting", "ratios") as show:
                more["reweighting"] = interruptible(reweighted, study, settings.depths[0], show)
        if control:
            with ProgressBar("control", "ratios") as show:
                more["control"] = interruptible(controls, study, show)
    except KeyboardInterrupt:
        if study.done:
            _finish(study, more, out, json_, begin)
        raise
    _finish(study, more, out, json_, begin)
    missed = int((study.dataset()["converged"] != 1).sum())
    if missed:
        raise typer.Exit(1)


def _whole(depth: float) -> int:
    if depth != int(depth):
        raise ValueError(f"--depths = {depth:g} is out of range: it must hold integers >= 2.")
    return int(depth)


def _finish(study: Experiment, more: dict[str, Any], out: Path, json_: bool, begin: float) -> None:
    """Write what there is, and say what it shows."""
    ds = study.dataset()
    found = compared(ds)
    files = [out / "experiment.nc", out / "experiment.png"]
    write_dataset(files[0], ds)
    write_figure(files[1], draw(ds)[0, 0].figure)
    for name, other in more.items():
        files.append(out / f"{name}.nc")
        write_dataset(files[-1], other)
    rows, onsets, seconds = errors(ds, found), _onsets(found), time.perf_counter() - begin
    record = {
        "networks": study.done,
        "of": study.total,
        "largest_residual": float(ds["residual"].max()),
        "not_converged": int((ds["converged"] == 0).sum()),
        "errors": rows,
        "onset": onsets,
        "seconds": seconds,
        "files": [str(file) for file in files],
    }
    if json_:
        print(json_text(record))
        return
    residual = f"largest gradient {record['largest_residual']:.1e} of the pull of weight decay"
    print(f"{study.done} of {study.total} networks trained and predicted; {residual}")
    print_table(_table(rows, _ERRORS, "mean absolute errors; collapse of the minority as observed, missed, false"))
    print_table(_table(onsets, _ONSETS, "ratio from which on the minority has collapsed"))
    for name, other in more.items():
        title, columns, of = _MORE[name]
        print_table(_table(of(other), columns, title))
    for file in files:
        print(f"wrote {file}")
    print(f"{seconds:.0f} s in all")


def _onsets(found: Any) -> list[dict[str, Any]]:
    rows = []
    for depth in found["depth"].values:
        for decay in found["decay"].values:
            own = found.sel(depth=depth, decay=decay)
            said = {str(name): float(own["predicted_onset"].sel(predictor=name)) for name in own["predictor"].values}
            rows.append({"depth": int(depth), "decay": float(decay), "networks": float(own["onset"])} | said)
    return rows


def _reweighting(ds: Any) -> list[dict[str, Any]]:
    rows = []
    for ratio in ds["ratio"].values:
        for scheme in ds["scheme"].values:
            own = ds.sel(ratio=ratio, scheme=scheme).mean(["decay", "seed"])
            accuracy = own["test_accuracy"]
            rows.append(
                {
                    "ratio": float(ratio),
                    "weights": str(scheme),
                    "cosine": float(own["cosine"].sel(half="minority")),
                    "minority": float(accuracy.sel(half="minority")),
                    "majority": float(accuracy.sel(half="majority")),
                }
            )
    return rows


def _controls(ds: Any) -> list[dict[str, Any]]:
    rows = []
    for depth in ds["depth"].values:
        for ratio in ds["ratio"].values:
            own = ds.sel(depth=depth, ratio=ratio)
            rows.append(
                {
                    "depth": int(depth),
                    "ratio": float(ratio),
                    "value": float(abs(own["value_error"]).max()),
                    "gram": float(own["gram_error"].max()),
                    "known": f"{int(own['known'].sum())} of {own['known'].size}",
                    "structures": "; ".join(map(str, dict.fromkeys(own["structure"].values.tolist()))),
                }
            )
    return rows


#: columns of each table: heading, key, format
_ERRORS = [
    ("depth", "depth", "d"),
    ("model", "model", "s"),
    ("cosine A", "cosine_majority", ".3f"),
    ("cosine B", "cosine_minority", ".3f"),
    ("|w|^2 A", "w_norm2_majority", ".0%"),
    ("B", "w_norm2_minority", ".0%"),
    ("value", "value", ".0%"),
    ("right", "agree", ".0%"),
    ("missed", "missed", ".0%"),
    ("false", "false", ".0%"),
]
_ONSETS = [
    ("depth", "depth", "d"),
    ("decay", "decay", "g"),
    ("networks", "networks", "g"),
    ("LayerPeeled", "LayerPeeled", "g"),
    ("Unconstrained", "UnconstrainedFeatures", "g"),
    ("ReLU", "ReluFeatures", "g"),
    ("DeepLinear", "DeepLinear", "g"),
]
_REWEIGHTING = [
    ("ratio", "ratio", "g"),
    ("weights", "weights", "s"),
    ("cosine", "cosine", ".3f"),
    ("minority", "minority", ".1%"),
    ("majority", "majority", ".1%"),
]
_CONTROL = [
    ("depth", "depth", "d"),
    ("ratio", "ratio", "g"),
    ("value", "value", ".0e"),
    ("Gram", "gram", ".0e"),
    ("known", "known", "s"),
    ("structures", "structures", "s"),
]
_MORE: dict[str, tuple[str, list[tuple[str, str, str]], Any]] = {
    "reweighting": (
        "loss weights: cosine in the minority and test accuracies, means over decays and seeds",
        _REWEIGHTING,
        _reweighting,
    ),
    "control": (
        "control: peeled models trained alike, largest relative errors over the decays",
        _CONTROL,
        _controls,
    ),
}


def _table(rows: list[dict[str, Any]], columns: list[tuple[str, str, str]], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left", title_style="")
    for heading, _, spec in columns:
        table.add_column(heading, justify="left" if spec == "s" else "right", no_wrap=True)
    for row in rows:
        cells = [row[key] for _, key, _ in columns]
        shown = [
            "-" if isinstance(x, float) and np.isnan(x) else "none" if x == np.inf else format(x, spec)
            for x, (_, _, spec) in zip(cells, columns, strict=True)
        ]
        table.add_row(*shown)
    return table
