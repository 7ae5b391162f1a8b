"""Neural collapse along a path: four panels against the logarithm of time."""

from typing import Any

import numpy as np

from ..arguments import require_type
from ..extras import matplotlib_modules
from .given import require_axes, require_dataset

#: what it draws
VARIABLES = (
    "log_loss", "log_lower_bound", "margin_ratio", "margin_spread_within", "margin_spread_between", "nc2", "nc3",
    "w_cosine_min", "w_cosine_max", "h_cosine_min", "h_cosine_max", "direction_distance",
)  # fmt: skip
#: a logarithmic axis ends here: below it is rounding
_FLOOR = 1e-14


def flow(ds: Any, axes: Any = None) -> Any:
    """Loss, cosines, spread of the margins and distance from the limit, a line for each seed.

    In the spirit of figure 2 of Ji et al. (2022), on times that no optimiser reaches. Dashed lines are predicted, not
    fitted: the lower bound at each iterate's norm and the asymptote of the loss; the cosine of the limit; and the
    slopes of the flow linearised about neural collapse (two factors, balanced, no decay), ``t^(-1/(2K))`` within
    classes and ``t^(-(1 - sqrt(1 - 2/K))/2)`` between them. What is conserved keeps a start from following them for
    ever: in the end margins and distances fall like powers of 1 / log t.

    Parameters
    ----------
    ds : Dataset of :func:`lpmjax.flow` with two times or more.
    axes : four matplotlib Axes; by default new ones, two by two.

    Returns
    -------
    The four Axes, as an array.

    Raises
    ------
    ValueError
        For a dataset of another kind, or other axes.
    """
    pyplot, _ = matplotlib_modules()
    require_dataset(ds, "seed", "time", *VARIABLES)
    if ds.sizes["time"] < 2:
        raise ValueError(f"ds has {ds.sizes['time']} time: a line needs two or more.")
    if axes is None:
        axes = pyplot.subplots(2, 2, figsize=(9.6, 7.0), layout="constrained")[1]
    require_type("axes", axes, (np.ndarray, list, tuple), "an array of four matplotlib Axes, or None")
    axes = np.ravel(np.asarray(axes, dtype=object))
    if axes.size != 4:
        raise ValueError(f"axes has {axes.size} entries: give four matplotlib Axes.")
    for ax in axes:
        require_axes("axes", ax)
    shown = ds.isel(time=ds["time"].values > 0)
    for draw, ax in zip((_loss, _cosines, _spread, _distance), axes, strict=True):
        draw(ax, shown)
        ax.set(xscale="log", xlabel="step" if ds["time"].attrs.get("units") == "step" else "time $t$")
        ax.legend(frameon=False, fontsize="small")
    return axes


def _loss(ax: Any, ds: Any) -> None:
    loss, bound = np.exp(ds["log_loss"].values), np.exp(ds["log_lower_bound"].values)
    _lines(ax, ds, loss, "C0", "cross-entropy")
    _lines(ax, ds, bound, "black", "lower bound at this norm", ls="--", lw=0.8)
    if "scaled_loss" in ds:
        _lines(
            ax, ds, loss / ds["scaled_loss"].values, "grey", r"asymptote $\gamma/(2t\log t)$", ls=":", lw=1.2, one=True
        )
    ax.set(yscale="log", title="loss", ylabel="cross-entropy (nat)")


def _cosines(ax: Any, ds: Any) -> None:
    for rows, colour, name in (("w", "C0", "classifiers"), ("h", "C1", "class means")):
        _lines(ax, ds, ds[f"{rows}_cosine_max"].values, colour, f"{name}, largest and least")
        _lines(ax, ds, ds[f"{rows}_cosine_min"].values, colour, None)
    if _is_balanced(ds):
        ax.axhline(
            -1 / (np.size(ds.attrs["samples"]) - 1), color="black", ls="--", lw=0.8, label="simplex ETF, $-1/(K-1)$"
        )
    ax.set(ylim=(-1.05, 1.05), title="centred cosines", ylabel="cosine between different classes")


def _spread(ax: Any, ds: Any) -> None:
    K = np.size(ds.attrs["samples"])
    rates = (1 / (2 * K), "1/(2K)"), ((1 - (1 - 2 / K) ** 0.5) / 2, r"(1-\sqrt{1-2/K})/2")
    for (rate, formula), where, colour in zip(rates, ("within", "between"), ("C0", "C1"), strict=True):
        values = ds[f"margin_spread_{where}"].values
        _lines(ax, ds, np.where(values > _FLOOR, values, np.nan), colour, f"{where} classes")
        if _is_linearised(ds):
            _slope(ax, ds, values, rate, f"predicted $t^{{-{formula}}}$", colour)
    ax.set(yscale="log", title="spread of the margins", ylabel="root mean square (nat)")


def _distance(ax: Any, ds: Any) -> None:
    left = 1 - ds["margin_ratio"].values
    names = {"logits (direction)": "direction_distance", "NC2, classifiers": "nc2"}
    if _is_balanced(ds):  # SELI's classifiers do not lie along its features
        names["NC3, duality"] = "nc3"
    curves = {"1 - margin / largest": left} | {name: ds[key].values for name, key in names.items()}
    for at, (name, values) in enumerate(curves.items()):
        _lines(ax, ds, np.where(values > _FLOOR, values, np.nan), f"C{at}", name)
    ax.set(yscale="log", title="distance from minimum-norm separation", ylabel="relative distance")


def _is_linearised(ds: Any) -> bool:
    """Whether the exponents are those of this path: two factors, equal counts and weights, no decay, not by steps."""
    plain = ds.attrs["depth"] == 2 and "decays" not in ds.attrs and ds.attrs["time_unit"] == "1"
    return plain and _is_balanced(ds) and bool(np.ptp(ds.attrs["weights"]) < 1e-12)


def _is_balanced(ds: Any) -> bool:
    return bool(np.ptp(ds.attrs["samples"]) == 0)


def _lines(
    ax: Any, ds: Any, values: np.ndarray, colour: str, label: str | None, one: bool = False, **style: Any
) -> None:
    """A line for each seed, of which one is in the legend."""
    for at, line in enumerate(values):
        ax.plot(ds["time"].values, line, color=colour, label=label if at == 0 else None, **({"lw": 1.0} | style))


def _slope(ax: Any, ds: Any, values: np.ndarray, rate: float, label: str, colour: str) -> None:
    """A power law above the lines, from well after separation down to where the lowest line ends."""
    times, begin = ds["time"].values, 100 * float(ds["separation_time"].max())
    if not begin < times[-1]:  # NaN where a start was never separated
        return
    late = np.concatenate([[begin], times[times > begin]])
    height = 1.5 * np.interp(np.log(begin), np.log(times), values.max(0)) * (late / begin) ** -rate
    ax.plot(*(x[height >= values.min()] for x in (late, height)), color=colour, ls="--", lw=1.2, label=label)
