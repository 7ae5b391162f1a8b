"""Figures of sweeps and diagnoses: every function takes and returns a matplotlib ``ax``, or two."""

from typing import Any

import numpy as np

from . import boundary
from .arguments import require_type
from .codes import Phase, Status
from .counts.names import told_apart
from .diagnose import Diagnosis
from .extras import matplotlib_modules
from .problems.layer_peeled import LayerPeeled
from .sweep import sweep

_COLOURS = {
    Phase.separated: "#dbe9f6",
    Phase.merged: "#fdd9a0",
    Phase.annihilated: "#e39a8c",
    Phase.undetermined: "#ffffff",
}
_OUTSIDE = 1e99  #: a ratio above every figure
_NAMES = {
    Phase.separated: "separated",
    Phase.merged: "merged (Minority Collapse)",
    Phase.annihilated: "annihilated (no cosine)",
    Phase.undetermined: "not solved",
}


def phase_diagram(ds: Any, ax: Any = None) -> Any:
    """Phases of a two-group Layer-Peeled sweep over R and one budget, with the exact curves R0 and R1 over them.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.sweep` with the variable ``phase`` over R and E_W or E_H, at fixed K_A and K_B.
    ax : matplotlib Axes; by default new ones.

    Returns
    -------
    The Axes: norm budget s = sqrt(E_W E_H) across, imbalance ratio R (log scale) up.

    Raises
    ------
    ValueError
        For a sweep over other axes, or of another model or loss than cross-entropy, which has other curves.
    """
    pyplot, colors = matplotlib_modules()
    _require_dataset(ds, "phase")
    _require_axes("ax", ax)
    if not _is_layer_peeled(ds):
        raise ValueError(
            "phase_diagram draws the boundaries of LayerPeeled with CrossEntropy and dim=None at coordinates K_A, K_B, "
            f"R, E_W and E_H; this is a sweep of {ds.attrs.get('builder')} with {ds.attrs.get('loss')}."
        )
    budget = [name for name in ds["phase"].dims if name in ("E_W", "E_H")]
    if sorted(ds["phase"].dims) != sorted(["R", *budget]) or len(budget) != 1:
        raise ValueError(f"phase_diagram needs 'phase' over R and one of E_W, E_H; got dimensions {ds['phase'].dims}.")
    ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")[1] if ax is None else ax
    s = np.sqrt(ds["E_W"] * ds["E_H"]).values
    R = ds["R"].values
    phase = ds["phase"].transpose("R", *budget).values
    palette = colors.ListedColormap([_COLOURS[p] for p in Phase])
    cells = (_edges(s), np.exp(_edges(np.log(R))))
    ax.pcolormesh(*cells, phase, cmap=palette, vmin=-0.5, vmax=len(Phase) - 0.5, rasterized=True)
    K_A, K_B = float(ds["K_A"]), float(ds["K_B"])
    for curve, label, style in ((boundary.merged, "$R_0$", "-"), (boundary.annihilated, "$R_1$", "--")):
        # Below R = 1 the roles are swapped, so the curves there are those of the other group.
        for first, second, power in ((K_A, K_B, 1), (K_B, K_A, -1)):
            budgets, height = _boundary(curve, first, second, s)
            height = height**power
            if ((height >= R.min()) & (height <= R.max())).any():
                known = any(line.get_label() == f"{label} (exact)" for line in ax.lines)
                ax.plot(budgets, height, style, color="black", lw=1.3, label=None if known else f"{label} (exact)")
    for code in np.unique(phase):
        ax.fill_between([], [], [], color=_COLOURS[Phase(code)], label=_NAMES[Phase(code)])
    ax.set(
        yscale="log",
        xlim=(s.min(), s.max()),
        ylim=(R.min(), R.max()),
        xlabel=r"norm budget $s=\sqrt{E_W E_H}$",
        ylabel=r"imbalance ratio $R=n_A/n_B$",
        title=f"Layer-Peeled Model, $K_A$ = {K_A:g} and $K_B$ = {K_B:g} classes",
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize="small", frameon=False)
    return ax


def _boundary(curve: Any, K_A: float, K_B: float, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Norm budgets and R0 or R1 there, as far as it is a number."""
    fine = np.geomspace(s.min(), s.max(), 400)
    end = float(boundary.annihilation_end(K_A, K_B))
    if curve is boundary.annihilated and s.min() < end < s.max():
        # It rises vertically at its end, which equal steps in s would cut short.
        fine = np.concatenate([fine[fine < end], end * (1 - np.geomspace(0.1, 1e-15, 60)), [end]])
        fine = np.sort(fine[fine >= s.min()])
    height = np.asarray(curve(K_A, K_B, fine))
    if curve is boundary.annihilated:
        height = np.where(fine == end, _OUTSIDE, height)
    shown = np.isfinite(height) & (height <= _OUTSIDE)
    return fine[shown], height[shown]


def _is_layer_peeled(ds: Any) -> bool:
    """Whether a sweep's optima are those that ``LayerPeeled.two_group`` has at its coordinates."""
    known = ("optima of LayerPeeled", "CrossEntropy") == (ds.attrs.get("title"), ds.attrs.get("loss"))
    return known and {"K_A", "K_B", "R", "E_W", "E_H"} <= set(ds.coords) and "dim" not in ds.coords


def _edges(centres: np.ndarray) -> np.ndarray:
    """Cell edges half-way between centres; the outer ones half a step out."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])


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
    _require_dataset(ds, "cosine")
    _require_axes("ax", ax)
    named = list(ds["cosine"]["group"].values)
    if not isinstance(group, str) or group not in named:
        raise ValueError(f"group = {group!r} is not in ds: choose from {', '.join(named)}.")
    points = ds["cosine"].sel(group=group)
    others = [name for name in points.dims if name != "R"]
    if (
        "R" not in points.dims
        or not set(others) <= {"E_W", "E_H"}
        or len(others) > 1
        or not {"K_A", "K_B"} <= set(ds.coords)
    ):
        raise ValueError(
            f"cosine needs 'cosine' over R and at most one of E_W, E_H, at fixed K_A and K_B; got {points.dims}."
        )
    ax = pyplot.subplots(figsize=(6.4, 4.6), layout="constrained")[1] if ax is None else ax
    curves = _fine_cosine(ds).sel(group=group) if _is_layer_peeled(ds) else points.sortby("R")
    count = points.sizes[others[0]] if others else 1
    for i in range(count):
        at = {others[0]: i} if others else {}
        symbol = {"E_H": "$E_H$", "E_W": "$E_W$"}
        label = f"{symbol[others[0]]} = {float(points[others[0]][i]):g}" if others else None
        style = {"color": pyplot.get_cmap("viridis")(i / max(count, 2)), "zorder": 2 + i / count}
        curve = curves.isel(at)
        ax.plot(curves["R"], curve, "-", lw=1.2, label=label, **style)
        ax.plot(points["R"], points.isel(at), "o", ms=3, **style)
        # Where classifiers coincide so do the lines: a wider band under the next, narrower one shows them all.
        ax.plot(
            curves["R"], curve.where(curve == 1), "-", lw=1.2 + 1.2 * (count - 1 - i), solid_capstyle="butt", **style
        )
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


def diagnosis(found: Any, axes: Any = None) -> Any:
    """Slack of every class, and below it the squared norms of its classifier row and feature.

    Parameters
    ----------
    found : Diagnosis of :func:`lpmjax.diagnose`.
    axes : two matplotlib Axes, of the slack and of the norms; by default new ones.

    Returns
    -------
    The two Axes: classes across, by decreasing slack (log scale from 300 classes; names up to 30), collapsed classes
    as orange triangles. A norm of zero is drawn at the lower edge.
    """
    pyplot, _ = matplotlib_modules()
    require_type("found", found, Diagnosis, "a Diagnosis, as lpmjax.diagnose returns it")
    if axes is None:
        _, axes = pyplot.subplots(2, sharex=True, figsize=(6.4, 5.6), layout="constrained")
    pair = list(axes) if np.iterable(axes) else []
    if len(pair) != 2:
        raise ValueError(f"axes must be two matplotlib Axes, or None, got {axes!r}.")
    above, below = pair
    _require_axes("axes[0]", above)
    _require_axes("axes[1]", below)
    K = found.counts.size
    order = np.lexsort((-found.counts, -found.slack))
    collapsed, place = found.slack[order] < 0, np.arange(1, K + 1)
    names = (r"slack $\geq$ 0", "collapsed: slack < 0" if found.known else "slack < 0, not certified")
    size = float(np.clip(60 / K, 3, 6))
    style = {"ls": "none", "rasterized": K > 2000}
    for chosen, marker, colour, name in (
        (~collapsed, "o", "#2166ac", names[0]),
        (collapsed, "v", "#d6600a", names[1]),
    ):
        if chosen.any():
            label = f"{name} ({chosen.sum()} of {K})"
            above.plot(place[chosen], found.slack[order][chosen], marker, color=colour, ms=size, label=label, **style)
    above.axhline(0, color="black", lw=0.8)
    # Open features around smaller filled classifiers: both show where they coincide.
    norms = (
        (r"$\|h_k\|^2$", found.h_norm2[order], "#8073ac", "none", size),
        (r"$\|w_k\|^2$", found.w_norm2[order], "#4d4d4d", "#4d4d4d", 0.6 * size),
    )
    positive = np.concatenate([norm[norm > 0] for _, norm, *_ in norms])
    floor = positive.min() / 4 if positive.size else 1.0
    for name, norm, colour, face, width in norms:
        for chosen, marker in ((~collapsed, "o"), (collapsed, "v")):
            height = np.maximum(norm[chosen], floor)
            below.plot(place[chosen], height, marker, color=colour, mfc=face, mew=0.8, ms=width, **style)
        below.plot([], [], "o", color=colour, mfc=face, ms=width, label=name)
    below.set(yscale="log", ylabel="squared norm", xlabel="class, by decreasing slack")
    if K <= 30:
        ticks = told_apart(dict(enumerate(found.names)), 24)
        plain = [ticks[k].replace("$", r"\$") for k in order]  # no mathematics
        below.set_xticks(place, plain, rotation=90 if K > 8 else 0, fontsize="small")
        below.set_xlabel("")
    if K >= 300:
        below.set_xscale("log")
    else:
        below.set_xlim(0.5, K + 0.5)
    title = f"{K} classes, imbalance {found.counts.max() / found.counts.min():.4g}"
    above.set(ylabel="slack", title=f"{type(found.solution.problem).__name__}: {title}")
    for ax in axes:
        ax.legend(fontsize="small", frameon=False)
    return axes


def _require_dataset(ds: Any, *names: str) -> None:
    """ValueError unless ``ds`` is a Dataset with these variables and coordinates."""
    from xarray import Dataset  # a third of a second, unless the caller has one already

    require_type("ds", ds, Dataset, "a Dataset, as lpmjax.sweep returns it")
    missing = [name for name in names if name not in ds.variables]
    if missing:
        raise ValueError(f"ds lacks {', '.join(missing)}: give a two-group lpmjax.sweep that keeps them (variables=).")


def _require_axes(name: str, ax: Any) -> None:
    from matplotlib.axes import Axes

    require_type(name, ax, (Axes, type(None)), "matplotlib Axes, or None")
