"""Figures of sweeps and diagnoses: every function takes and returns a matplotlib ``ax``, or two."""

from typing import Any

import numpy as np

from . import boundary
from .counts.names import told_apart
from .solution import Phase

_COLOURS = {
    Phase.separated: "#dbe9f6",
    Phase.merged: "#fdd9a0",
    Phase.annihilated: "#e39a8c",
    Phase.undetermined: "#ffffff",
}
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
    """
    pyplot, colors = matplotlib_modules()
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
            # R1 rises vertically at its end, which equal steps in s would cut short.
            end = float(boundary.annihilation_end(first, second))
            fine = np.concatenate([np.geomspace(s.min(), s.max(), 400), end * (1 - np.geomspace(1e-15, 0.1, 60))])
            fine = np.sort(fine[(fine >= s.min()) & (fine <= s.max())])
            height = np.asarray(curve(first, second, fine)) ** power
            shown = np.isfinite(height) & (height > 0) & (height >= R.min()) & (height <= R.max())
            if shown.any():
                known = any(line.get_label() == f"{label} (exact)" for line in ax.lines)
                name = None if known else f"{label} (exact)"
                ax.plot(fine[shown], height[shown], style, color="black", lw=1.3, label=name)
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


def _edges(centres: np.ndarray) -> np.ndarray:
    """Cell edges half-way between centres; the outer ones half a step out."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])


def cosine(ds: Any, ax: Any = None, group: str = "B") -> Any:
    """Within-group cosine of classifier rows against R, one line per budget; blank where no cosine exists.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.sweep` with ``cosine`` over R and, optionally, one of E_W, E_H.
    ax : matplotlib Axes; by default new ones.
    group : which group's cosine, the minority "B" by default.
    """
    pyplot, _ = matplotlib_modules()
    lines = ds["cosine"].sel(group=group)
    others = [name for name in lines.dims if name != "R"]
    if "R" not in lines.dims or not set(others) <= {"E_W", "E_H"} or len(others) > 1:
        raise ValueError(f"cosine needs 'cosine' over R and at most one of E_W, E_H; got dimensions {lines.dims}.")
    ax = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")[1] if ax is None else ax
    rows = [lines] if not others else [lines.isel({others[0]: i}) for i in range(lines.sizes[others[0]])]
    for i, row in enumerate(rows):
        shade = pyplot.get_cmap("viridis")(i / max(len(rows), 2))
        symbol = {"E_H": "$E_H$", "E_W": "$E_W$"}
        label = f"{symbol.get(others[0], others[0])} = {float(row[others[0]]):g}" if others else None
        ax.plot(row["R"], row, "o-", ms=3, lw=1.1, color=shade, label=label)
    K = float(ds["K_A"]) + float(ds["K_B"])
    ax.axhline(-1 / (K - 1), color="grey", lw=0.8, ls=":", label="simplex ETF, $-1/(K-1)$")
    R = ds["R"].values
    if not np.isfinite(lines.values).any():
        ax.text(0.5, 0.5, f"no cosine: group {group} is one class, or zero", transform=ax.transAxes, ha="center")
    ax.set(
        xlim=(R.min() / 1.2, R.max() * 1.2),
        xscale="log",
        ylim=(min(-0.2, -1 / (K - 1) - 0.05), 1.05),
        xlabel=r"imbalance ratio $R=n_A/n_B$",
        ylabel=f"cosine between classifiers of group {group}",
        title=f"$K_A$ = {float(ds['K_A']):g}, $K_B$ = {float(ds['K_B']):g} (a line ends where the classifiers vanish)",
    )
    ax.legend(fontsize="small", frameon=False)
    return ax


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
    if axes is None:
        _, axes = pyplot.subplots(2, sharex=True, figsize=(6.4, 5.6), layout="constrained")
    above, below = axes
    K = found.counts.size
    order = np.lexsort((-found.counts, -found.slack))
    collapsed, place = found.collapsed[order], np.arange(1, K + 1)
    size = float(np.clip(60 / K, 3, 6))
    style = {"ls": "none", "rasterized": K > 2000}
    for chosen, marker, colour, name in (
        (~collapsed, "o", "#2166ac", r"slack $\geq$ 0"),
        (collapsed, "v", "#d6600a", "collapsed: slack < 0"),
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


def matplotlib_modules() -> tuple[Any, Any]:
    """(pyplot, colors), or an ImportError that says what to install."""
    try:
        from matplotlib import colors, pyplot
    except ImportError as error:
        raise ImportError("plotting needs matplotlib: pip install 'lpmjax[plot]'") from error
    return pyplot, colors
