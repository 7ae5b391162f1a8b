"""Tables of ``lpmjax experiment``, and the studies beside its grid."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from ..experiment.control import controls
from ..experiment.decoupling import decoupled
from ..experiment.grid import Experiment
from ..experiment.reweighting import reweighted
from .common import print_table

Rows = list[dict[str, Any]]
#: heading, key, format
Columns = list[tuple[str, str, str]]


def onset_rows(found: Any) -> Rows:
    """Ratio from which on the minority has collapsed, at each depth and decay."""
    rows = []
    for depth in found["depth"].values:
        for decay in found["decay"].values:
            own = found.sel(depth=depth, decay=decay)
            said = {str(name): float(own["predicted_onset"].sel(predictor=name)) for name in own["predictor"].values}
            rows.append({"depth": int(depth), "decay": float(decay), "networks": float(own["onset"])} | said)
    return rows


def _reweighting(ds: Any) -> Rows:
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


def _decoupling(ds: Any) -> Rows:
    names = ("NC0_relative", "NC1", "NC2", "NC3")
    rows = []
    for decay in ds["decay"].values:
        for kind in ds["kind"].values:
            own = ds.sel(decay=decay, kind=kind).isel(step=-1).mean("seed")
            measures = {name: float(own[name]) for name in names}
            rows.append({"decay": float(decay), "kind": str(kind)} | measures)
    return rows


def _controls(ds: Any) -> Rows:
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


#: names of the models for 80 columns
_SHORT = {
    "seeds": "over seeds",
    "LayerPeeled": "LayerPeeled",
    "UnconstrainedFeatures": "Unconstrained",
    "ReluFeatures": "with ReLU",
    "DeepLinear": "DeepLinear",
}
_ERRORS = [
    ("depth", "depth", "d"),
    ("model", "short", "s"),
    ("cos A", "cosine_majority", ".3f"),
    ("cos B", "cosine_minority", ".3f"),
    ("|w|² A", "w_norm2_majority", ".0%"),
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
    *((short, name, "g") for name, short in _SHORT.items() if name != "seeds"),
]


def print_errors(errors: Rows, onsets: Rows) -> None:
    """How far predictions are off, and the onsets of collapse."""
    short = [row | {"short": _SHORT[row["model"]]} for row in errors]
    print_table(_table(short, _ERRORS, "mean absolute errors; collapse of the minority as observed, missed, false"))
    print_table(_table(onsets, _ONSETS, "ratio from which on the minority has collapsed"))


def print_further(name: str, ds: Any) -> None:
    """The table of a study beside the grid."""
    own = FURTHER[name]
    print_table(_table(own.rows(ds), own.columns, own.title))


def _table(rows: Rows, columns: Columns, title: str) -> Table:
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


class Further(NamedTuple):
    """A study beside the grid, and its table."""

    study: Callable[[Experiment, Any], Any]
    title: str
    columns: Columns
    rows: Callable[[Any], Rows]


FURTHER = {
    "reweighting": Further(
        lambda study, show: reweighted(study, min(study.settings.depths), show),
        "loss weights: cosine in the minority and test accuracies, means over decays and seeds",
        [
            ("ratio", "ratio", "g"),
            ("weights", "weights", "s"),
            ("cosine", "cosine", ".3f"),
            ("minority", "minority", ".1%"),
            ("majority", "majority", ".1%"),
        ],
        _reweighting,
    ),
    "control": Further(
        controls,
        "control: peeled models trained alike, largest relative errors over the decays",
        [
            ("depth", "depth", "d"),
            ("ratio", "ratio", "g"),
            ("value", "value", ".0e"),
            ("Gram", "gram", ".0e"),
            ("known", "known", "s"),
            ("structures", "structures", "s"),
        ],
        _controls,
    ),
    "decoupling": Further(
        lambda study, _: decoupled(study.images, study.settings, min(study.settings.depths)),
        "balanced data after Adam and AdamW, means over the seeds: NC0 relative to |W|² / K",
        [
            ("decay", "decay", "g"),
            ("kind", "kind", "s"),
            ("NC0", "NC0_relative", ".1e"),
            ("NC1", "NC1", ".3f"),
            ("NC2", "NC2", ".3f"),
            ("NC3", "NC3", ".3f"),
        ],
        _decoupling,
    ),
}
