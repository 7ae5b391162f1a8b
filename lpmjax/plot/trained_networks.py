"""Trained networks beside what peeled models say of them."""

from typing import Any

import numpy as np

from ..experiment.comparison import compared
from ..extras import matplotlib_modules
from .given import require_dataset

_STYLES = {
    "LayerPeeled": ("#2166ac", "-"),
    "UnconstrainedFeatures": ("#b2182b", "-"),
    "ReluFeatures": ("#d6600a", ":"),
    "DeepLinear": ("#1b7837", "--"),
}
#: where a minority is drawn whose classifiers are zero, so that they have no cosine
_ZERO = 1.15


def trained_networks(ds: Any, axes: Any = None) -> Any:
    """Mean cosine between the minority's classifiers against the imbalance ratio, of networks and of models.

    Parameters
    ----------
    ds : Dataset of :meth:`lpmjax.experiment.Experiment.dataset`.
    axes : array of matplotlib Axes, (depths, decays); by default new ones.

    Returns
    -------
    The Axes: a row for each depth, a column for each decay. Dots are means of the networks over the seeds, with bars
    from the least to the largest; lines are medians of predictions; a minority that is predicted to be zero, which has
    no cosine, is at the upper edge. The horizontal line is the cosine above which the minority counts as collapsed.

    Raises
    ------
    ValueError
        If ``ds`` is another Dataset, or ``axes`` do not fit it.
    """
    require_dataset(ds, "cosines", "predicted_cosines", "depth", "decay")
    found = compared(ds)
    shape = ds.sizes["depth"], ds.sizes["decay"]
    if axes is None:
        pyplot, _ = matplotlib_modules()
        size = (2.4 * shape[1] + 0.6, 2.3 * shape[0] + 0.9)
        _, axes = pyplot.subplots(*shape, sharex=True, sharey=True, squeeze=False, figsize=size, layout="constrained")
    if np.shape(axes) != shape:
        raise ValueError(f"axes have shape {np.shape(axes)}: they must be {shape}, one for each depth and decay.")
    for i, depth in enumerate(ds["depth"].values):
        for j, decay in enumerate(ds["decay"].values):
            _panel(axes[i, j], found.sel(half="minority", depth=depth, decay=decay))
            if i == 0:
                axes[i, j].set_title(rf"decay $\lambda$ = {decay:g}", fontsize="medium")
        axes[i, 0].set_ylabel(f"{depth} weight matrices\ncosine in the minority")
    for ax in axes[-1]:
        ax.set_xlabel("imbalance ratio")
    axes[0, 0].figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize="small", frameon=False
    )
    return axes


def _panel(ax: Any, found: Any) -> None:
    ratio = found["ratio"].values
    ax.axhline(0.5, color="#bbbbbb", lw=0.8)
    for name, (colour, line) in _STYLES.items():
        own = found.sel(predictor=name)
        cosine = own["predicted_cosine"].where(own["predicted_cosine"].notnull(), _ZERO)
        cosine = cosine.where(own["predicted_w_norm2"].notnull()).median("seed")
        ax.plot(ratio, cosine, line, marker=".", ms=4, color=colour, lw=1.3, label=name)
    seen = found["cosine"]
    middle = seen.mean("seed")
    spread = np.abs(np.stack([middle - seen.min("seed"), seen.max("seed") - middle]))
    ax.errorbar(ratio, middle, spread, fmt="o", color="black", ms=4, capsize=2, lw=1, label="networks", zorder=3)
    ax.set(xscale="log", xlim=(ratio.min() / 1.3, ratio.max() * 1.3), ylim=(-0.35, 1.25))
    ax.set_yticks([0, 0.5, 1, _ZERO], ["0", "0.5", "1", "zero"])
