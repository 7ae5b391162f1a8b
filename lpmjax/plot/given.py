"""What figures are given: data sets and axes, or an error that says what to give."""

from typing import Any

import numpy as np

from ..arguments import require_type
from ..extras import matplotlib_modules


def require_dataset(ds: Any, *names: str) -> None:
    """ValueError unless ``ds`` is a Dataset with these variables and coordinates."""
    from xarray import Dataset  # a third of a second, unless the caller has one already

    require_type("ds", ds, Dataset, "a Dataset, as lpmjax.sweep returns it")
    missing = [name for name in names if name not in ds.variables]
    if missing:
        raise ValueError(
            f"ds lacks {', '.join(missing)}: give a two-group lpmjax.sweep, lpmjax.phases or lpmjax.flow with them."
        )


def require_axes(name: str, ax: Any) -> None:
    """ValueError unless ``ax`` is matplotlib Axes, or None."""
    from matplotlib.axes import Axes

    require_type(name, ax, (Axes, type(None)), "matplotlib Axes, or None")


def two_axes(axes: Any, **layout: Any) -> Any:
    """``axes`` if they are two matplotlib Axes, new ones of this layout if None; else ValueError."""
    if axes is None:
        pyplot, _ = matplotlib_modules()
        _, axes = pyplot.subplots(layout="constrained", **layout)
    pair = list(axes) if np.iterable(axes) else []
    if len(pair) != 2:
        raise ValueError(f"axes must be two matplotlib Axes, or None, got {axes!r}.")
    for i, ax in enumerate(pair):
        require_axes(f"axes[{i}]", ax)
    return axes


def is_layer_peeled(ds: Any) -> bool:
    """Whether a sweep's optima are those that ``LayerPeeled.two_group`` has at its coordinates."""
    known = ("optima of LayerPeeled", "CrossEntropy") == (ds.attrs.get("title"), ds.attrs.get("loss"))
    return known and {"K_A", "K_B", "R", "E_W", "E_H"} <= set(ds.coords) and "dim" not in ds.coords
