"""Which classes of a diagnosis collapse: slack and norms of every class."""

from typing import Any

import numpy as np

from ..arguments import require_type
from ..counts.names import told_apart
from ..diagnosis import Diagnosis
from .given import two_axes


def diagnosis(found: Any, axes: Any = None) -> Any:
    """Slack of every class, and below it the squared norms of its classifier row and feature.

    Parameters
    ----------
    found : Diagnosis of :func:`lpmjax.diagnose`.
    axes : two matplotlib Axes, of the slack and of the norms; by default new ones.

    Returns
    -------
    The two Axes: classes across, by decreasing slack (log scale from 300 classes; names up to 30), collapsed classes
    as orange triangles, undecided ones as grey squares. A norm of zero is drawn at the lower edge.
    """
    require_type("found", found, Diagnosis, "a Diagnosis, as lpmjax.diagnose returns it")
    axes = two_axes(axes, nrows=2, sharex=True, figsize=(6.4, 5.6))
    above, below = axes
    K = found.counts.size
    order = np.lexsort((-found.counts, -found.slack))
    negative, place = found.slack[order] < 0, np.arange(1, K + 1)
    collapsed, open_ = (
        (found.collapsed[order], found.undecided[order]) if found.known else (negative, np.zeros(K, bool))
    )
    kept = ~(collapsed | open_)
    size = float(np.clip(60 / K, 3, 6))
    style = {"ls": "none", "rasterized": K > 2000}
    for chosen, marker, colour, name in (
        (kept, "o", "#2166ac", r"slack $\geq$ 0"),
        (open_, "s", "#808080", "undecided"),
        (collapsed, "v", "#d6600a", "collapsed: slack < 0" if found.known else "slack < 0, not certified"),
    ):
        if chosen.any():
            label = f"{name} ({chosen.sum()} of {K})"
            above.plot(place[chosen], found.slack[order][chosen], marker, color=colour, ms=size, label=label, **style)
    above.axhline(0, color="black", lw=0.8)
    _draw_norms(below, found, order, ((kept, "o"), (open_, "s"), (collapsed, "v")), size, style)
    _label_classes(below, found, order)
    title = f"{K} classes, imbalance {found.counts.max() / found.counts.min():.4g}"
    above.set(ylabel="slack", title=f"{type(found.solution.problem).__name__}: {title}")
    for ax in (above, below):
        ax.legend(fontsize="small", frameon=False)
    return axes


def _draw_norms(below: Any, found: Diagnosis, order: np.ndarray, markers, size: float, style) -> None:
    """Squared norms, with ``markers`` by what is known of slack."""
    place = np.arange(1, order.size + 1)
    # Open features around smaller filled classifiers: both show where they coincide.
    norms = (
        (r"$\|h_k\|^2$", found.h_norm2[order], "#8073ac", "none", size),
        (r"$\|w_k\|^2$", found.w_norm2[order], "#4d4d4d", "#4d4d4d", 0.6 * size),
    )
    positive = np.concatenate([norm[norm > 0] for _, norm, *_ in norms])
    floor = positive.min() / 4 if positive.size else 1.0
    for name, norm, colour, face, width in norms:
        for chosen, marker in markers:
            height = np.maximum(norm[chosen], floor)
            below.plot(place[chosen], height, marker, color=colour, mfc=face, mew=0.8, ms=width, **style)
        below.plot([], [], "o", color=colour, mfc=face, ms=width, label=name)
    below.set(yscale="log", ylabel="squared norm", xlabel="class, by decreasing slack")


def _label_classes(below: Any, found: Diagnosis, order: np.ndarray) -> None:
    """Names of a few classes, ranks of many."""
    K, place = order.size, np.arange(1, order.size + 1)
    if K <= 30:
        ticks = told_apart(dict(enumerate(found.names)), 24)
        plain = [ticks[k].replace("$", r"\$") for k in order]  # no mathematics
        below.set_xticks(place, plain, rotation=90 if K > 8 else 0, fontsize="small")
        below.set_xlabel("")
    if K >= 300:
        below.set_xscale("log")
    else:
        below.set_xlim(0.5, K + 0.5)
