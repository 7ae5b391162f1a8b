"""Values of the structures of a deep linear network against the weight decay."""

from typing import Any

import numpy as np

from ..extras import matplotlib_modules
from .given import require_axes, require_dataset

#: relative excess that is drawn as none
_FLOOR = 1e-6


def deep_values(ds: Any, ax: Any = None) -> Any:
    """How far structures are above the best one against the weight decay: those that are best somewhere, and the ETF.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.phases`, of more than one decay and one value of K, M and R.
    ax : matplotlib Axes; by default new ones.

    Returns
    -------
    The Axes: weight decay across (log scale), excess over the least value up (log scale; it ends where it is zero).

    Raises
    ------
    ValueError
        For a dataset of another kind or other dimensions.
    """
    pyplot, _ = matplotlib_modules()
    require_dataset(ds, "value_of", "best")
    require_axes("ax", ax)
    one = ds.squeeze()
    if one["best"].dims != ("lambda_",):
        raise ValueError(
            "deep_values draws 'value_of' over lambda_ at one K, M and R; select one value of the others, as in "
            f"ds.sel(K=5, M=2). Got dimensions {dict(ds.sizes)}."
        )
    if ax is None:
        ax = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")[1]
    best = one["best"].values
    decays, least = one["lambda_"].values, one["value"].values
    for name in one["structure"].values:
        if str(name) != "ETF" and not (best == name).any():
            continue
        excess = one["value_of"].sel(structure=name).values / least - 1
        # Zero has no logarithm: a curve starts from where it is best, at the floor of the figure.
        ax.plot(decays, np.maximum(excess, _FLOOR), label=str(name), lw=1.6)
    ax.set(xscale="log", yscale="log", xlim=(decays[0], decays[-1]), ylim=(_FLOOR, 1.0))
    ax.set_xlabel(r"weight decay $\lambda$ of every factor ($\lambda n^{1/(M+1)}$)")
    ax.set_ylabel("value above the best, relative")
    ax.set_title(f"Deep linear network, cross-entropy, $K$ = {int(one['K'])}, $M$ = {int(one['M'])}")
    ax.legend(frameon=False, fontsize="small")
    return ax
