"""``lpmjax diagnose``: a list of class counts, which classes collapse, and what prevents it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..arguments import require_positive
from ..counts.files import read
from ..diagnose import diagnose as diagnose_counts
from ..figure_files import check_figure, write_figure
from ..files import check_writable, json_text, write_json
from ..plot.collapse import diagnosis as draw_diagnosis
from .common import Json, LambdaH, LambdaW, ProgressBar, exclude, exit_by, option, together
from .interrupt import interruptible

Float = float | None


def diagnose(
    counts: Annotated[
        Path, typer.Argument(help="Table of class,count, or one label or count a line; - is standard input.")
    ],
    as_counts: Annotated[bool, typer.Option("--counts", help="The lines hold counts.")] = False,
    as_labels: Annotated[bool, typer.Option("--labels", help="The lines hold labels of samples.")] = False,
    E_W: Annotated[Float, typer.Option("--E-W", help="Budget: mean squared norm of a classifier row.")] = None,
    E_H: Annotated[Float, typer.Option("--E-H", help="Budget: mean squared norm of a feature.")] = None,
    lambda_W: LambdaW = None,
    lambda_H: LambdaH = None,
    remedies: Annotated[bool, typer.Option("--remedies/--no-remedies", help="Look for what prevents it.")] = True,
    tol: Annotated[Float, typer.Option(help="Relative duality gap to certify.")] = None,
    json_: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for diagnosis.json and diagnosis.png.")] = None,
) -> None:
    """Diagnose class counts: which classes collapse, and the least change that prevents it.

    The model has norm budgets (Layer-Peeled Model, by default E_W = 1 and
    E_H = 5) or weight decays. A class is collapsed where its slack, the log of
    its loss weight over the multiplier, is negative. Remedies are verified by
    solving again; with weight decays they are closed forms.
    """
    if as_counts and as_labels:
        raise ValueError("--counts and --labels exclude each other: say what the lines of the file hold.")
    model = {"E_W": E_W, "E_H": E_H, "lambda_W": lambda_W, "lambda_H": lambda_H}
    given = {option(name): value for name, value in (model | {"tol": tol}).items() if value is not None}
    together(given, "--E-W", "--E-H")
    together(given, "--lambda-W", "--lambda-H")
    exclude(given, ["--E-W", "--E-H"], ["--lambda-W", "--lambda-H"])
    require_positive("Without it the default holds.", **given)
    files = None if out is None else (out / "diagnosis.json", out / "diagnosis.png")
    given_counts = read(counts, "counts" if as_counts else "labels" if as_labels else None)
    if files is not None:
        check_writable(files[0])
        check_figure(files[1])
    diagnosis = None
    try:
        with ProgressBar("solving", "problems") as show:
            model |= {"remedies": False, "tol": tol}
            diagnosis = interruptible(
                diagnose_counts, given_counts, **model, progress=lambda done, what: show(done, None, what)
            )
            if remedies:
                show(1, None, "remedies")  # those of weight decays are closed forms and announce no solve
                found = diagnosis.one_by_one(lambda done, what: show(done + 1, None, what))
                while (more := interruptible(lambda: next(found, None))) is not None:
                    diagnosis = more
    except KeyboardInterrupt:
        if diagnosis is not None:
            print(json_text(diagnosis.record()) if json_ else diagnosis)
        raise
    record = diagnosis.record()
    print(json_text(record) if json_ else diagnosis)
    if files is not None:
        write_json(files[0], record)
        write_figure(files[1], draw_diagnosis(diagnosis)[0].figure)
        if not json_:
            print("", *(f"wrote {file}" for file in files), sep="\n")
    exit_by(np.array([diagnosis.solution.status, *(remedy.status for remedy in diagnosis.remedies)]))
