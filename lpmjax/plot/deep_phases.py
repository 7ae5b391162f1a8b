"""Which structure of a deep linear network is best."""

from typing import Any

import numpy as np

from .. import boundary
from ..extras import matplotlib_modules
from .given import require_axes, require_dataset

#: names of the rows' dimension
_ROWS = {"K": "number of classes $K$", "M": "number of weight matrices $M$", "R": "imbalance ratio $R=n_A/n_B$"}

_ZERO = "#dddddd"


def deep_phases(ds: Any, ax: Any = None) -> Any:
    """Best structure over the weight decay and one of K, M and R, with the analytic criterion over it.

    Over K or M, balanced, a bar marks the decay from which pairs beat the simplex ETF
    (:func:`lpmjax.boundary.pairs_beat_etf`); rows in which ``2^(2/(M+1)) < 2 - 1/floor(K/2)``, where they do so at
    every decay, have a triangle at the left. Over R a curve is where decoupled pairs of the minority die
    (:func:`lpmjax.boundary.deep_annihilated`).

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.phases`, of more than one decay and of one value of the two dimensions of K, M, R that
        are not drawn.
    ax : matplotlib Axes; by default new ones.

    Returns
    -------
    The Axes: weight decay across (log scale), the other dimension up.

    Raises
    ------
    ValueError
        For a dataset of another kind or other dimensions.
    """
    pyplot, colors = matplotlib_modules()
    require_dataset(ds, "best")
    require_axes("ax", ax)
    rows = [name for name in _ROWS if ds.sizes.get(name, 1) > 1]
    if ds.sizes.get("lambda_", 1) < 2 or len(rows) != 1:
        raise ValueError(
            "deep_phases draws 'best' over lambda_ and one of K, M and R; select one value of the others, as in "
            f"ds.sel(M=2). Got dimensions {dict(ds.sizes)}."
        )
    row = rows[0]
    best = ds["best"].squeeze(drop=True).transpose(row, "lambda_").values
    shown = [str(name) for name in ds["structure"].values if (best == name).any()]
    codes = np.vectorize(shown.index)(best)
    height = 4.4 if row == "R" else 1.4 + 0.42 * len(best)
    own = ax is None
    if ax is None:
        ax = pyplot.subplots(figsize=(7.2, height + 0.2 * np.ceil((len(shown) + 1) / 3)), layout="constrained")[1]
    hues = iter(pyplot.get_cmap("tab20").colors * len(shown))
    palette = colors.ListedColormap([_ZERO if name == "zero" else next(hues) for name in shown])
    across, up = np.exp(_edges(np.log(ds["lambda_"].values))), ds[row].values
    edges = np.exp(_edges(np.log(up))) if row == "R" else np.arange(up.size + 1) - 0.5
    ax.pcolormesh(across, edges, codes, cmap=palette, vmin=-0.5, vmax=len(shown) - 0.5, rasterized=True)
    (_curve if row == "R" else _marks)(ax, ds, row, across)
    for code, name in enumerate(shown):
        ax.fill_between([], [], [], color=palette(code), label=name)
    ax.set(xscale="log", xlim=(across[0], across[-1]), ylim=(edges[0], edges[-1]), ylabel=_ROWS[row])
    ax.set_xlabel(r"weight decay $\lambda$ of every factor" + ("" if row == "R" else r" ($\lambda n^{1/(M+1)}$)"))
    if row == "R":
        ax.set_yscale("log")
    else:
        ax.set_yticks(range(up.size), [str(value) for value in up])
    fixed = ", ".join(f"${name}$ = {int(np.squeeze(ds[name].values))}" for name in ("K", "M") if name != row)
    ax.set_title(f"Deep linear network, cross-entropy, {fixed}")
    # Below the axes of a figure of its own, whose layout leaves room for it.
    where = {"loc": "outside lower center", "ncols": 3} if own else {"loc": "best"}
    (ax.figure if own else ax).legend(**where, fontsize="small", frameon=not own)
    return ax


def _marks(ax: Any, ds: Any, row: str, across: np.ndarray) -> None:
    """Where pairs beat the ETF, in each row."""
    labels = {"bar": "pairs beat the ETF from here", "triangle": r"$2^{2/(M+1)}<2-1/\lfloor K/2\rfloor$"}
    for place, value in enumerate(ds[row].values):
        K, M = (int(value if name == row else np.squeeze(ds[name].values)) for name in ("K", "M"))
        start = boundary.pairs_beat_etf(K, M)
        if start == 0:
            ax.plot(across[0], place, ">", color="black", clip_on=False, label=labels.pop("triangle", None))
        elif across[0] < start < across[-1]:
            ends = [place - 0.5, place + 0.5]
            ax.plot([start] * 2, ends, color="black", lw=2, label=labels.pop("bar", None))


def _curve(ax: Any, ds: Any, row: str, across: np.ndarray) -> None:
    """Where pairs of the minority die."""
    K, M = int(np.squeeze(ds["K"].values)), int(np.squeeze(ds["M"].values))
    fine = np.geomspace(across[0], across[-1], 300)
    if K >= 4:
        ratios = np.asarray(boundary.deep_annihilated(float(K - K // 2), float(K // 2), float(M), fine))
        shown = ratios >= 1
        ax.plot(fine[shown], ratios[shown], color="black", lw=1.3, label="minority pairs die (exact)")


def _edges(centres: np.ndarray) -> np.ndarray:
    """Cell edges half-way between centres; the outer ones half a step out."""
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])
