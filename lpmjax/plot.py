"""Figures from sweeps: every function takes and returns a matplotlib ``ax``."""

from typing import Any

import numpy as np

from . import boundary
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
    pyplot, colors = _matplotlib()
    budget = [name for name in ds["phase"].dims if name in ("E_W", "E_H")]
    if sorted(ds["phase"].dims) != sorted(["R", *budget]) or len(budget) != 1:
        raise ValueError(f"phase_diagram needs 'phase' over R and one of E_W, E_H; got dimensions {ds['phase'].dims}.")
    ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")[1] if ax is None else ax
    s = np.sqrt(ds["E_W"] * ds["E_H"]).values
    R = ds["R"].values
    phase = ds["phase"].transpose("R", *budget).values
    palette = colors.ListedColormap([_COLOURS[p] for p in Phase])
    ax.pcolormesh(s, R, phase, cmap=palette, vmin=-0.5, vmax=len(Phase) - 0.5, shading="nearest", rasterized=True)
    K_A, K_B = float(ds["K_A"]), float(ds["K_B"])
    # R1 rises vertically at its end, which equal steps in s would cut short.
    end = float(boundary.annihilation_end(K_A, K_B))
    fine = np.sort(np.concatenate([np.geomspace(s.min(), s.max(), 400), end * (1 - np.geomspace(1e-15, 0.1, 60))]))
    fine = fine[(fine >= s.min()) & (fine <= s.max())]
    for curve, label, style in ((boundary.merged, "$R_0$", "-"), (boundary.annihilated, "$R_1$", "--")):
        height = np.asarray(curve(K_A, K_B, fine))
        shown = np.isfinite(height) & (height >= R.min()) & (height <= R.max())
        if shown.any():
            ax.plot(fine[shown], height[shown], style, color="black", lw=1.3, label=f"{label} (exact)")
    for code in np.unique(phase):
        ax.fill_between([], [], [], color=_COLOURS[Phase(code)], label=_NAMES[Phase(code)])
    ax.set(
        yscale="log",
        xlim=(s.min(), s.max()),
        ylim=(R.min(), R.max()),
        xlabel=r"norm budget $s=\sqrt{E_W E_H}$",
        ylabel=r"imbalance ratio $R=n_A/n_B$",
        title=f"Layer-Peeled Model, $K_A$ = {K_A:g} majority and $K_B$ = {K_B:g} minority classes",
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize="small", frameon=False)
    return ax


def cosine(ds: Any, ax: Any = None, group: str = "B") -> Any:
    """Within-group cosine of classifier rows against R, one line per budget; blank where no cosine exists.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.sweep` with ``cosine`` over R and, optionally, one of E_W, E_H.
    ax : matplotlib Axes; by default new ones.
    group : which group's cosine, the minority "B" by default.
    """
    pyplot, _ = _matplotlib()
    lines = ds["cosine"].sel(group=group)
    others = [name for name in lines.dims if name != "R"]
    if "R" not in lines.dims or len(others) > 1:
        raise ValueError(f"cosine needs 'cosine' over R and at most one budget; got dimensions {lines.dims}.")
    ax = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")[1] if ax is None else ax
    rows = [lines] if not others else [lines.isel({others[0]: i}) for i in range(lines.sizes[others[0]])]
    for i, row in enumerate(rows):
        shade = pyplot.get_cmap("viridis")(i / max(len(rows), 2))
        symbol = {"E_H": "$E_H$", "E_W": "$E_W$"}
        label = f"{symbol.get(others[0], others[0])} = {float(row[others[0]]):g}" if others else None
        ax.plot(row["R"], row, "o-", ms=3, lw=1.1, color=shade, label=label)
    K = float(ds["K_A"]) + float(ds["K_B"])
    ax.axhline(-1 / (K - 1), color="grey", lw=0.8, ls=":", label="simplex ETF, $-1/(K-1)$")
    ax.set(
        xscale="log",
        ylim=(min(-0.2, -1 / (K - 1) - 0.05), 1.05),
        xlabel=r"imbalance ratio $R=n_A/n_B$",
        ylabel=f"cosine between classifiers of group {group}",
        title=f"$K_A$ = {float(ds['K_A']):g}, $K_B$ = {float(ds['K_B']):g} (a line ends where the classifiers vanish)",
    )
    ax.legend(fontsize="small", frameon=False)
    return ax


def _matplotlib():
    try:
        from matplotlib import colors, pyplot
    except ImportError as error:
        raise ImportError("plotting needs matplotlib: pip install 'lpmjax[plot]'") from error
    return pyplot, colors
