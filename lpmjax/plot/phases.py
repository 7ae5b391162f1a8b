"""The phase diagram of a two-group sweep."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import boundary
from ..codes import Phase
from ..extras import matplotlib_modules
from .given import is_layer_peeled, require_axes, require_dataset

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
    require_dataset(ds, "phase")
    require_axes("ax", ax)
    if not is_layer_peeled(ds):
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
    named = {"R0": ("$R_0$ (exact)", "-"), "R1": ("$R_1$ (exact)", "--")}
    for name, budgets, height in curves(K_A, K_B, s, R.min(), R.max()):
        label, style = named[name]
        known = any(line.get_label() == label for line in ax.lines)
        ax.plot(budgets, height, style, color="black", lw=1.3, label=None if known else label)
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


def curves(
    K_A: float, K_B: float, s: np.ndarray, lowest: float, highest: float
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name (R0 or R1), norm budgets and R of each exact boundary of ``LayerPeeled.two_group`` that reaches the figure:
    between the least and the largest of ``s``, and between ``lowest`` and ``highest`` ratio."""
    # Below R = 1 the roles are swapped, so the curves there are those of the other group.
    for name, curve in (("R0", boundary.merged), ("R1", boundary.annihilated)):
        for first, second, power in ((K_A, K_B, 1), (K_B, K_A, -1)):
            budgets, height = _boundary(curve, first, second, s)
            height = height**power
            if ((height >= lowest) & (height <= highest)).any():
                yield name, budgets, height


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


def _edges(centres: np.ndarray) -> np.ndarray:
    """Cell edges half-way between centres; the outer ones half a step out."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])
