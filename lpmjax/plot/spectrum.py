"""Singular values of the optimal logits."""

from typing import Any

import numpy as np

from ..extras import matplotlib_modules
from ..results.features import FeatureSolution
from .frames import require_result, vectors
from .given import require_axes

#: share of the largest below which a singular value is rounding
_ROUNDING = 1e-9


def spectrum(sol: Any, ax: Any = None) -> Any:
    """Singular values of ``W H``, largest first; equal ones stand side by side, and what is zero is an open circle.

    Parameters
    ----------
    sol : one Result of :func:`lpmjax.solve`; of a model of features alone, those of their inner products.
    ax : matplotlib Axes; by default new ones.

    Returns
    -------
    The Axes: place across, singular value up.

    Raises
    ------
    ValueError
        For a batch, or a result without logits or features.
    """
    pyplot, _ = matplotlib_modules()
    require_result(sol)
    require_axes("ax", ax)
    W, H = vectors(sol)
    values = np.linalg.svd((H if W is None else W) @ H.T, compute_uv=False)
    if ax is None:
        ax = pyplot.subplots(figsize=(6.0, 3.8), layout="constrained")[1]
    place, zero = np.arange(1, values.size + 1), values <= _ROUNDING * max(values[0], np.finfo(float).tiny)
    ax.vlines(place[~zero], 0, values[~zero], color="#2166ac", lw=2)
    ax.plot(place[~zero], values[~zero], "o", color="#2166ac", ms=5, label=f"{(~zero).sum()} directions")
    if zero.any():
        ax.plot(place[zero], 0 * place[zero], "o", mfc="none", mec="black", ms=5, label=f"{zero.sum()} zero")
    name = "features, $H^\\top H$" if isinstance(sol, FeatureSolution) else "logits, $W H$"
    ax.set(xlabel="place", ylabel="singular value", title=f"{type(sol.problem).__name__}: {name}, rank {int(sol.rank)}")
    ax.set(xlim=(0.4, values.size + 0.6), ylim=(-0.04 * max(values[0], 1e-300), None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize="small")
    return ax
