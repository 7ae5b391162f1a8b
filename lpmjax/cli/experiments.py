"""``lpmjax experiment``: trained networks beside what peeled models say of them."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..experiment.comparison import compared, errors
from ..experiment.grid import Experiment
from ..experiment.images import SOURCES, load
from ..experiment.sampling import Profile
from ..experiment.settings import Architecture, Settings
from ..figure_files import check_figure, write_figure
from ..files import check_writable, json_text, write_dataset
from ..plot.trained_networks import trained_networks as draw
from .common import Json, ProgressBar, parsed_list
from .experiment_tables import FURTHER, onset_rows, print_errors, print_further
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
    studies: Annotated[bool, typer.Option(help="Also make the three studies beside the grid.")] = True,
    json_: Json = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of the files that are written.")] = Path("results"),
) -> None:
    """Train networks on imbalanced data, and compare their last layers with what peeled models predict.

    Every network of the grid of depths, ratios, decays and seeds is trained to
    stationarity. Then the networks of the least depth are trained with other loss
    weights, the peeled models themselves as the networks were, and networks with
    decoupled weight decay (left out with --no-studies). Writes experiment.png
    and a data set of each; Ctrl-C keeps what is finished.
    """
    settings = Settings(
        ratios=tuple(map(float, parsed_list("ratios", ratios))),
        decays=tuple(map(float, parsed_list("decays", decays))),
        depths=tuple(map(_whole, parsed_list("depths", depths))),
        seeds=seeds,
        samples=samples,
        width=width,
        profile=profile,
        architecture=architecture,
    )
    for name in ("experiment", *(FURTHER if studies else ())):
        check_writable(out / f"{name}.nc")
    check_figure(out / "experiment.png")
    begin = time.perf_counter()
    study = Experiment(load(data, folder), settings)
    more: dict[str, Any] = {}
    try:
        with ProgressBar("training", "networks") as show:
            interruptible(study.complete, show)
        write_dataset(out / "experiment.nc", study.dataset())  # whatever comes of the other studies
        for name, further in FURTHER.items() if studies else ():
            with ProgressBar(name, "parts") as show:
                more[name] = interruptible(further.study, study, show)
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
    rows, onsets, seconds = errors(ds, found), onset_rows(found), time.perf_counter() - begin
    record = {
        "networks": study.done,
        "of": study.total,
        "largest_residual": float(ds["residual"].max()),
        "not_converged": int((ds["converged"] == 0).sum()),
        "errors": rows,
        "onset": onsets,
        **{name: FURTHER[name].rows(other) for name, other in more.items()},
        "seconds": seconds,
        "files": [str(file) for file in files],
    }
    if json_:
        print(json_text(record))
        return
    residual = f"largest gradient {record['largest_residual']:.1e} of the pull of weight decay"
    print(f"{study.done} of {study.total} networks trained and predicted; {residual}")
    print_errors(rows, onsets)
    for name, other in more.items():
        print_further(name, other)
    for file in files:
        print(f"wrote {file}")
    print(f"{seconds:.0f} s in all")
