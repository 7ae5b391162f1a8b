"""Classifier rows and class features in their first three principal directions."""

from typing import Any

import numpy as np

from ..extras import matplotlib_modules
from .frames import MARKERS, class_names, groups_of, require_result, vectors

#: classes up to which every classifier has its name
_NAMED = 20


def geometry(sol: Any, ax: Any = None) -> Any:
    """Classifier rows as arrows from the origin with filled marks, class features as open marks, in three dimensions.

    Drawn are the first three principal directions of both together (about the origin), with features scaled to the
    Frobenius norm of the classifier; the title says which share of the squared norms they hold. Every group has a mark
    and a lightness of its own.

    Parameters
    ----------
    sol : one Result of :func:`lpmjax.solve`.
    ax : three-dimensional matplotlib Axes (``projection="3d"``); by default new ones.

    Returns
    -------
    The Axes, which a notebook can rotate.

    Raises
    ------
    ValueError
        For a batch, a result without logits or features, or flat Axes.
    """
    pyplot, _ = matplotlib_modules()
    require_result(sol)
    if ax is None:
        options = {"figsize": (6.4, 5.6), "layout": "constrained", "subplot_kw": {"projection": "3d"}}
        ax = pyplot.subplots(**options)[1]
    if getattr(ax, "name", None) != "3d":
        raise ValueError(f"ax must be three-dimensional matplotlib Axes (projection='3d'), or None, got {ax!r}.")
    W, H = vectors(sol)
    if W is not None and np.any(H):
        H = H * np.linalg.norm(W) / np.linalg.norm(H)
    points, share = _principal(H if W is None else np.concatenate([W, H]))
    K, (index, names) = len(H), groups_of(sol)
    for g, name in enumerate(names):
        of, marker = np.flatnonzero(index == g), MARKERS[g % len(MARKERS)]
        color = pyplot.get_cmap("viridis")(0.7 * g / max(len(names) - 1, 1))
        legend = f"group {name}" if 1 < len(names) <= len(MARKERS) else None
        _features(ax, points[len(points) - K :][of], marker, color, legend if W is None else None)
        if W is not None:
            _classifiers(ax, points[of], marker, color, legend)
    if K <= _NAMED:
        for name, at in zip(class_names(sol), points[:K], strict=True):
            ax.text(*(1.12 * at), name, fontsize="small", ha="center", va="center")
    _frame(ax, points)
    if W is not None:
        ax.plot([], [], [], "o", color="black", label="classifier rows")
    ax.plot(
        [],
        [],
        [],
        "o",
        mfc="none",
        mec="black",
        ms=9,
        ls="none",
        label="class features (scaled)" if W is not None else "features",
    )
    ax.set_title(f"{type(sol.problem).__name__}, rank {int(sol.rank)}: {100 * share:.3g}% of the squared norms")
    ax.legend(loc="upper left", fontsize="small", frameon=False)
    return ax


def _principal(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows in their first three principal directions, signs fixed, and the share of the squared norms in these."""
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    points = np.zeros((len(rows), 3))
    kept = directions[:3]
    kept = kept * np.where(np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], 1) < 0, -1, 1)
    points[:, : len(kept)] = rows @ kept.T
    total = (values**2).sum()
    return points, float((values[:3] ** 2).sum() / total) if total else 1.0


def _classifiers(ax: Any, tips: np.ndarray, marker: str, color: Any, label: str | None) -> None:
    for tip in tips:
        ax.plot(*np.stack([np.zeros(3), tip], axis=1), color=color, lw=1.4)
    ax.plot(*tips.T, marker, color=color, ms=6, label=label)


def _features(ax: Any, tips: np.ndarray, marker: str, color: Any, label: str | None) -> None:
    ax.plot(*tips.T, marker, mfc="none", mec=color, ms=11, mew=1.3, ls="none", label=label)


def _frame(ax: Any, points: np.ndarray) -> None:
    """Equal scales, the origin in the middle."""
    reach = 1.15 * max(np.abs(points).max(), np.finfo(float).tiny)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    ax.set(xlabel="direction 1", ylabel="direction 2", zlabel="direction 3")
    ax.set_box_aspect((1, 1, 1))
    ax.plot([0], [0], [0], "+", color="black", ms=8)
