"""Regularisation paths: where cosines and directions go as the weight decay vanishes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arguments import require_type
from .given import require_dataset, two_axes

_COLOURS = ("#b2182b", "#2166ac", "#4d4d4d", "#8073ac")


def regularisation_paths(paths: Any, axes: Any = None, group: Any = None) -> Any:
    """Cosines within a group along regularisation paths, and how far directions of the logits are from their limits.

    Parameters
    ----------
    paths : mapping from names to Datasets of :func:`lpmjax.regularisation_path`, all of the same groups.
    axes : two matplotlib Axes, of the cosines and of the distances; by default new ones.
    group : name of the group whose cosine is drawn, by default the last, "B" of two.

    Returns
    -------
    The two Axes: ``log(1 / decay)`` across (log scale); dots are certified optima, dashed lines the limits and the
    predicted ``rate / log(1 / decay)``.

    Raises
    ------
    ValueError
        If there is no path, one is of another kind, or has no such group.
    """
    require_type("paths", paths, Mapping, "a mapping from names to Datasets of lpmjax.regularisation_path")
    if not paths:
        raise ValueError("paths is empty: give a mapping from names to Datasets of lpmjax.regularisation_path.")
    for ds in paths.values():
        require_dataset(ds, "distance", "rate", "limit_cosine", "cosine")
    group = next(iter(paths.values()))["group"].values[-1] if group is None else group
    for name, ds in paths.items():
        groups = ds["group"].values.tolist()
        if not isinstance(group, str) or group not in groups:
            raise ValueError(f"group = {group!r} is not in {name}: choose from {', '.join(groups)}.")
    axes = two_axes(axes, ncols=2, figsize=(9.6, 4.2))
    for (name, ds), colour in zip(paths.items(), np.resize(_COLOURS, len(paths)), strict=True):
        _draw(axes, name, ds, group, str(colour))
    left, right = axes
    left.set(xscale="log", xlabel=r"$\log(1/\lambda)$", ylabel=f"cosine between classifiers of group {group}")
    right.set(xscale="log", yscale="log", xlabel=r"$\log(1/\lambda)$", ylabel="distance of directions from the limit")
    left.set_title("cosines; dashed: minimum-norm separation", fontsize="medium")
    right.set_title(r"directions; dashed: predicted $C/\log(1/\lambda)$", fontsize="medium")
    for ax in axes:
        ax.legend(fontsize="small", frameon=False)
    return axes


def _draw(axes: Any, name: str, ds: Any, group: Any, colour: str) -> None:
    """One path on both Axes."""
    left, right = axes
    across, limit, rate = np.log(1 / ds["decay"].values), float(ds["limit_cosine"].sel(group=group)), float(ds["rate"])
    style = {"color": colour, "ms": 3, "lw": 1.2}
    left.plot(across, ds["cosine"].sel(group=group), "o-", label=name, **style)
    left.axhline(limit, color=colour, lw=0.9, ls="--")
    right.plot(across, ds["distance"], "o", label=f"{name}, $C$ = {rate:.4g}", **style)
    right.plot(across, rate / across, color=colour, lw=0.9, ls="--")
