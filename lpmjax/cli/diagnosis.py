"""``lpmjax diagnose``: a list of class counts, which classes collapse, and what prevents it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from .. import plot as figures
from ..arguments import require_positive
from ..counts.files import read
from ..diagnose import diagnose as diagnose_counts
from ..files import check_figure, check_writable, json_text, write_figure, write_json
from .common import Json, ProgressBar, exit_by

Float = float | None


def diagnose(
    counts: Annotated[
        Path, typer.Argument(help="Table of class,count, or one label or count a line; - is standard input.")
    ],
    as_counts: Annotated[bool, typer.Option("--counts", help="The lines hold counts.")] = False,
    as_labels: Annotated[bool, typer.Option("--labels", help="The lines hold labels of samples.")] = False,
    E_W: Annotated[Float, typer.Option("--E-W", help="Budget: mean squared norm of a classifier row.")] = None,
    E_H: Annotated[Float, typer.Option("--E-H", help="Budget: mean squared norm of a feature.")] = None,
    decay_W: Annotated[Float, typer.Option("--weight-decay-W", help="Weight decay of the classifier.")] = None,
    decay_H: Annotated[Float, typer.Option("--weight-decay-H", help="Weight decay of the features.")] = None,
    remedies: Annotated[bool, typer.Option("--remedies/--no-remedies", help="Look for what prevents it.")] = True,
    tol: Annotated[Float, typer.Option(help="Relative duality gap to certify.")] = None,
    json_: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for diagnosis.json and diagnosis.png.")] = None,
) -> None:
    """Diagnose class counts: which classes collapse, and the least change that prevents it.

    The model has norm budgets (Layer-Peeled Model, by default E_W = 1 and
    E_H = 5) or weight decays. A class is collapsed where its slack, the log of
    its loss weight over the multiplier, is negative. Each remedy is verified by
    solving again.
    """
    options = {"--E-W": E_W, "--E-H": E_H, "--weight-decay-W": decay_W, "--weight-decay-H": decay_H, "--tol": tol}
    given = {name: value for name, value in options.items() if value is not None}
    for first, second in (("--E-W", "--E-H"), ("--weight-decay-W", "--weight-decay-H")):
        if (first in given) != (second in given):
            raise ValueError(f"{first} and {second} go together: give both, or neither.")
    if "--E-W" in given and "--weight-decay-W" in given:
        raise ValueError("--E-W and --weight-decay-W exclude each other: give budgets or weight decays.")
    if as_counts and as_labels:
        raise ValueError("--counts and --labels exclude each other: say what the lines of the file hold.")
    require_positive("Without it the default holds.", **given)
    files = None if out is None else (out / "diagnosis.json", out / "diagnosis.png")
    found = read(counts, "counts" if as_counts else "labels" if as_labels else None)
    if files is not None:
        check_writable(files[0])
        check_figure(files[1])
    with ProgressBar("solving", "problems") as show:
        diagnosis = diagnose_counts(
            found, E_W=E_W, E_H=E_H, lambda_W=decay_W, lambda_H=decay_H, remedies=remedies, tol=tol, progress=show
        )
    record = diagnosis.record()
    if files is not None:
        figure = figures.diagnosis(diagnosis)[0].figure
        write_json(files[0], record)
        write_figure(files[1], figure)
    print(json_text(record) if json_ else diagnosis)
    if files is not None and not json_:
        print("", *(f"wrote {file}" for file in files), sep="\n")
    exit_by(np.array([diagnosis.solution.status, *(remedy.status for remedy in diagnosis.remedies)]))
