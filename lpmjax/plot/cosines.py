"""Within-group cosines against the imbalance ratio."""

from typing import Any

import numpy as np

from .. import boundary
from ..codes import Status
from ..extras import matplotlib_modules
from ..problems.layer_peeled import LayerPeeled
from ..sweeps.sweep import sweep
from .given import is_layer_peeled, require_axes, require_dataset

_SYMBOLS = {"E_H": "$E_H$", "E_W": "$E_W$"}


def cosine(ds: Any, ax: Any = None, group: str = "B") -> Any:
    """Within-group cosine of classifier rows against R, one colour per budget; blank where no cosine exists.

    Dots are the values of the sweep. For a Layer-Peeled Model with cross-entropy the lines are exact: solved on a fine
    grid that holds the phase boundaries, where they have kinks. Other models' dots are joined.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.sweep` with ``cosine`` over R and, optionally, one of E_W, E_H, at fixed K_A and K_B.
    ax : matplotlib Axes; by default new ones.
    group : which group's cosine, the minority "B" by default.
    """
    pyplot, _ = matplotlib_modules()
    require_dataset(ds, "cosine")
    require_axes("ax", ax)
    named = list(ds["cosine"]["group"].values)
    if not isinstance(group, str) or group not in named:
        raise ValueError(f"group = {group!r} is not in ds: choose from {', '.join(named)}.")
    points = ds["cosine"].sel(group=group)
    others = _budget_axis(ds, points)
    ax = pyplot.subplots(figsize=(6.4, 4.6), layout="constrained")[1] if ax is None else ax
    curves = _fine_cosine(ds).sel(group=group) if is_layer_peeled(ds) else points.sortby("R")
    count = points.sizes[others[0]] if others else 1
    for i in range(count):
        at = {others[0]: i} if others else {}
        label = f"{_SYMBOLS[others[0]]} = {float(points[others[0]][i]):g}" if others else None
        style = {"color": pyplot.get_cmap("viridis")(i / max(count, 2)), "zorder": 2 + i / count}
        _draw(ax, curves.isel(at), points.isel(at), label, count - 1 - i, style)
    K = float(ds["K_A"]) + float(ds["K_B"])
    ax.axhline(-1 / (K - 1), color="grey", lw=0.8, ls=":", label="simplex ETF, $-1/(K-1)$")
    R, known = ds["R"].values, points.values[np.isfinite(points.values)]
    if not known.size:
        ax.text(0.5, 0.5, f"no cosine: group {group} is one class, or zero", transform=ax.transAxes, ha="center")
    ax.set(
        xlim=(R.min() / 1.2, R.max() * 1.2),
        xscale="log",
        ylim=(min(-0.2, -1 / (K - 1) - 0.05, *(known - 0.05)), 1.05),
        xlabel=r"imbalance ratio $R=n_A/n_B$",
        ylabel=f"cosine between classifiers of group {group}",
        title=f"$K_A$ = {float(ds['K_A']):g}, $K_B$ = {float(ds['K_B']):g} (a line ends where the classifiers vanish)",
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize="small", frameon=False)
    return ax


def _budget_axis(ds: Any, points: Any) -> list[Any]:
    """The dimension beside R, if there is one."""
    others = [name for name in points.dims if name != "R"]
    fits = set(others) <= set(_SYMBOLS) and len(others) <= 1 and {"K_A", "K_B"} <= set(ds.coords)
    if "R" not in points.dims or not fits:
        raise ValueError(
            f"cosine needs 'cosine' over R and at most one of E_W, E_H, at fixed K_A and K_B; got {points.dims}."
        )
    return others


def _draw(ax: Any, curve: Any, points: Any, label: str | None, below: int, style: dict[str, Any]) -> None:
    """One budget: ``below`` other lines lie on it."""
    ax.plot(curve["R"], curve, "-", lw=1.2, label=label, **style)
    ax.plot(points["R"], points, "o", ms=3, **style)
    # Where classifiers coincide so do the lines: a wider band under the next, narrower one shows them all.
    ax.plot(curve["R"], curve.where(curve == 1), "-", lw=1.2 + 1.2 * below, solid_capstyle="butt", **style)


def _fine_cosine(ds: Any) -> Any:
    """``cosine`` on a fine grid of R with the kinks at R0 and the ends at R1, at the budgets of the sweep."""
    K_A, K_B = float(ds["K_A"]), float(ds["K_B"])
    s = np.ravel(np.sqrt(ds["E_W"] * ds["E_H"]))
    first, last = float(ds["R"].min()), float(ds["R"].max())
    kinks = [
        np.asarray(curve(*classes, s)) ** power * (1 - power * below)
        for classes, power in (((K_A, K_B), 1), ((K_B, K_A), -1))
        for curve, below in ((boundary.merged, 0.0), (boundary.annihilated, 1e-9))
    ]
    R = np.unique(np.concatenate([np.geomspace(first, last, 400), *kinks]))
    R = R[(R >= first) & (R <= last)]
    budgets = {name: ds[name].values.tolist() for name in ("E_W", "E_H")}
    fine = sweep(LayerPeeled.two_group, K_A=K_A, K_B=K_B, R=R, **budgets)  # all variables: so it is compiled already
    return fine["cosine"].where(fine["status"] == Status.certified)
