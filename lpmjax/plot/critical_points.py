"""Levels of a landscape: values of critical points against the rank of their logits."""

from typing import Any

import numpy as np

from ..extras import matplotlib_modules
from .given import require_axes, require_dataset

#: how each verdict is drawn: marker, whether filled, and in words
_KINDS = {
    "global_minimum": ("*", True, "global minimum"),
    "strict_saddle": ("v", False, "strict saddle"),
    "not_stationary": ("x", True, "not stationary"),
    "undecided": ("s", False, "undecided"),
}


def critical_points(ds: Any, ax: Any = None) -> Any:
    """Values of the critical points of all set partitions, against rank, by what they are; partitions are named.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.landscape.critical_points`.
    ax : matplotlib Axes; by default new ones.

    Returns
    -------
    The Axes: rank of the logits across, value up.

    Raises
    ------
    ValueError
        For a dataset of another kind or other dimensions.
    """
    pyplot, _ = matplotlib_modules()
    require_dataset(ds, "verdict", "value", "rank")
    require_axes("ax", ax)
    if ds["value"].dims != ("partition",):
        raise ValueError(f"ds must have values over partition alone, as from critical_points; got {dict(ds.sizes)}.")
    if ax is None:
        ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")[1]
    ranks, values, verdicts = (ds[name].values for name in ("rank", "value", "verdict"))
    names = ds["verdict"].attrs["flag_meanings"].split()
    for code in np.unique(verdicts):
        marker, filled, words = _KINDS[names[code]]
        these, color = verdicts == code, f"C{code}"
        face = color if filled else "none"
        ax.scatter(ranks[these], values[these], marker=marker, s=70, facecolors=face, edgecolors=color, label=words)
    for name, rank, value in zip(ds["partition"].values, ranks, values, strict=True):
        ax.annotate(str(name), (rank, value), (7, 0), textcoords="offset points", va="center", fontsize="small")
    ax.set(xticks=np.arange(ranks.min(), ranks.max() + 1), xlim=(ranks.min() - 0.3, ranks.max() + 0.9))
    sphere = rf", $\|W\|^2 + \|H\|^2$ = {ds.attrs['norm2']:g}" if "norm2" in ds.attrs else ""
    ax.set(xlabel="rank of the logits", ylabel=f"value ({ds['value'].attrs['units']})")
    ax.set_title(ds.attrs["title"] + sphere)
    ax.legend(frameon=False, fontsize="small")
    return ax
