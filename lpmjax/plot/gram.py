"""Gram matrix of classifiers or features as a heat map."""

from typing import Any

import numpy as np

from ..arguments import require_flag
from ..extras import matplotlib_modules
from .frames import class_names, require_result, vectors
from .given import require_axes

#: classes up to which the numbers are written in the cells, and up to which every class has its name
_WRITTEN, _NAMED = 10, 30
_KINDS = {"classifiers": r"W W^\top", "features": r"H^\top H"}


def gram(sol: Any, ax: Any = None, of: str = "classifiers", label: bool = True) -> Any:
    """Inner products of classifier rows, or of class features, light where they are large: lightness keeps its order in
    grey. Up to ten classes the numbers are written in their cells.

    Parameters
    ----------
    sol : one Result of :func:`lpmjax.solve`.
    ax : matplotlib Axes; by default new ones.
    of : "classifiers" or "features".
    label : whether to write numbers in the cells of few classes.

    Returns
    -------
    The Axes, with a colour bar beside it.

    Raises
    ------
    ValueError
        For a batch, a result or a kind that has no such matrix.
    """
    pyplot, _ = matplotlib_modules()
    require_result(sol)
    require_axes("ax", ax)
    if not isinstance(of, str) or of not in _KINDS:
        raise ValueError(f"of = {of!r} is out of range: it must be one of {', '.join(_KINDS)}.")
    label = require_flag("label", label)
    W, H = vectors(sol)
    if W is None and of == "classifiers":
        raise ValueError(f"{type(sol.problem).__name__} has no classifier: draw gram(sol, of='features').")
    rows = W if W is not None and of == "classifiers" else H
    G, names = rows @ rows.T, class_names(sol)
    if ax is None:
        ax = pyplot.subplots(figsize=(5.6, 4.6), layout="constrained")[1]
    image = ax.imshow(G, cmap="cividis", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="inner product", shrink=0.85)
    if label and len(G) <= _WRITTEN:
        middle = (G.min() + G.max()) / 2
        for (j, k), number in np.ndenumerate(G):
            color = "black" if number > middle else "white"
            ax.text(k, j, _short(float(number)), ha="center", va="center", color=color, fontsize="x-small")
    if len(G) <= _NAMED:
        ax.set_xticks(range(len(G)), names, fontsize="small", rotation=90 if len(G) > 12 else 0)
        ax.set_yticks(range(len(G)), names, fontsize="small")
    ax.set(xlabel="class", ylabel="class", title=f"{type(sol.problem).__name__}: {of}, ${_KINDS[of]}$")
    return ax


def _short(number: float) -> str:
    """Two digits after the point, and zero without a sign."""
    text = f"{number:.2f}"
    return "0" if float(text) == 0 else text
