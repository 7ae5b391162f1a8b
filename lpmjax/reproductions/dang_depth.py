"""Dang, Tran, Osher, Tran-The, Ho and Nguyen 2023: deep linear networks with squared error against depth."""

from typing import Any

import numpy as np

from ..extras import matplotlib_modules
from ..groups import ClassGroups
from ..losses.squared_error import SquaredError
from ..plot.frames import MARKERS
from ..problems.deep_linear import DeepLinear
from ..reproduction import Check, Claim, Reproduction
from ..solve import solve

_DEPTHS = (1, 2, 3, 4, 6, 8)
_DECAY = 0.016
_COUNTS = {"balanced": (100.0,) * 4, "imbalanced": (200.0, 100.0, 50.0, 50.0)}
#: (counts, decays of the weights, decay of the features) with known optima
_KNOWN = {
    "M = 1": ((8, 4, 2), (1e-2,), 1e-2, ".06032641"),
    "M = 2": ((8, 4, 2), (5e-3, 1e-2), 2e-3, ".03345587"),
    "M = 3": ((8, 4, 2), (3e-3, 5e-3, 1e-2), 2e-3, ".03547667"),
}


def compute() -> Any:
    """Certified optima at every depth: diagonal logits, norms of features and classifiers, free bias beside none."""
    import xarray as xr

    words = {
        "logit": "logit of the right class",
        "w_norm2": "squared norm of a classifier row",
        "h_norm2": "squared norm of a feature",
    }
    shape = (len(_COUNTS), len(_DEPTHS), 4)
    columns = {name: np.zeros(shape) for name in words}
    cosine, certified = np.zeros(len(_DEPTHS)), np.zeros((len(_COUNTS), len(_DEPTHS)), bool)
    for i, counts in enumerate(_COUNTS.values()):
        for j, M in enumerate(_DEPTHS):
            found = solve(DeepLinear(ClassGroups.from_counts(counts), (_DECAY,) * M, _DECAY, SquaredError()))
            at = np.asarray(found.problem.groups.class_index)
            columns["logit"][i, j] = np.diag(found.logits())
            columns["w_norm2"][i, j], columns["h_norm2"][i, j] = found.w_norm2[at], found.h_norm2[at]
            certified[i, j] = found.certified
    for j, M in enumerate(_DEPTHS):
        groups = ClassGroups.balanced(4, 100)
        free = solve(DeepLinear(groups, (_DECAY,) * M, _DECAY, SquaredError(), bias_decay=0.0))
        cosine[j] = free.cosine[0]
    dims = ("counts", "M", "class")
    ds = xr.Dataset({name: (dims, columns[name], {"long_name": long}) for name, long in words.items()})
    ds = ds.assign_coords({"counts": list(_COUNTS), "M": list(_DEPTHS), "class": [1, 2, 3, 4]})
    ds["samples"] = (("counts", "class"), np.array(list(_COUNTS.values())), {"long_name": "samples of a class"})
    ds["certified"] = (("counts", "M"), certified.astype(np.int8))
    ds["free_bias_cosine"] = ("M", cosine, {"long_name": "cosine between classifiers with a free bias, balanced"})
    values = [
        float(solve(DeepLinear(ClassGroups.from_counts(n), w, h, SquaredError())).value)
        for n, w, h, _ in _KNOWN.values()
    ]
    return ds.assign(
        known=("setting", values, {"long_name": "value at settings with known optima"}), setting=list(_KNOWN)
    )


def checks(ds: Any) -> list[Check]:
    """Known values, each class by a grid search over its one singular value, frames, certificates."""
    found = [
        Check(f"value of n = 8, 4, 2, {name}", float(ds["known"].sel(setting=name)), given[3])
        for name, given in _KNOWN.items()
    ]
    for name, counts in _COUNTS.items():
        for M in (1, 3, 8):
            best = _by_grid(np.array(counts), M)
            worst = np.abs(ds["logit"].sel(counts=name, M=M).values - best).max()
            found.append(Check(f"logits of {name} classes less those of a grid search, M = {M}", worst, "0.0000"))
    worst = float(np.abs(ds["free_bias_cosine"] + 1 / 3).max())
    found.append(Check("cosine with a free bias less that of the simplex ETF", worst, "0.00000000"))
    return [*found, Check("certified optima", float(ds["certified"].sum()), str(ds["certified"].size))]


def _by_grid(n: np.ndarray, M: int) -> np.ndarray:
    """sigma / sqrt(n) of every class, by search: it costs (sqrt n - sigma)^2 / 2N + (L/2) decay sigma^(2/L)."""
    share, N = np.linspace(0, 1, 100001), n.sum()
    cost = n[:, None] * (1 - share) ** 2 / (2 * N) + (M + 1) / 2 * _DECAY * (n[:, None] ** 0.5 * share) ** (2 / (M + 1))
    return share[cost.argmin(1)]


def draw(ds: Any) -> Any:
    """Balanced on the left, imbalanced on the right: logits above, squared norms below."""
    pyplot, _ = matplotlib_modules()
    figure, axes = pyplot.subplots(2, 2, figsize=(9.6, 6.8), layout="constrained", sharex=True, sharey="row")
    for column, name in zip(axes.T, ds["counts"].values, strict=True):
        one = ds.sel(counts=name)
        samples = np.unique(one["samples"])[::-1]
        for i, n in enumerate(samples):
            at, color = (
                int(np.argmax(one["samples"].values == n)),
                pyplot.get_cmap("viridis")(0.8 * i / max(len(samples) - 1, 1)),
            )
            style = {"marker": MARKERS[i], "color": color, "ms": 6}
            column[0].plot(ds["M"], one["logit"][:, at], label=f"$n_k$ = {n:g}", **style)
            column[1].plot(
                ds["M"], one["h_norm2"][:, at], ls="--", mfc="none", label=f"features, $n_k$ = {n:g}", **style
            )
            column[1].plot(ds["M"], one["w_norm2"][:, at], label=f"classifiers, $n_k$ = {n:g}", **style)
        column[0].set_title(f"{name}, decays {_DECAY:g}")
        column[1].set_xlabel("weight matrices $M$")
        column[1].set_yscale("symlog", linthresh=0.01)
        for ax in column:
            ax.legend(frameon=False, fontsize="small")
    axes[0, 0].set(ylabel="logit of the right class", ylim=(-0.05, 1.05))
    axes[1, 0].set_ylabel("squared norm")
    return figure


_SOURCE = "Dang, Tran, Osher, Tran-The, Ho and Nguyen 2023 (arXiv 2301.00437)"

REPRODUCTION = Reproduction(
    title="geometry of deep linear networks with squared error against depth, balanced and imbalanced",
    source=f"{_SOURCE}, the theorems on M ≥ 1 weight matrices and the figures against depth",
    setting=f"n = 100, 100, 100, 100 and 200, 100, 50, 50, every decay {_DECAY:g}, M = 1, 2, 3, 4, 6, 8, no bias "
    "(free: cosines)",
    differs="global optima in closed form, certified, where the paper trains; a class dies by comparing values, "
    "where the published script takes the largest root of the first-order condition, which near the threshold is "
    "not optimal.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "At every depth the optimum with squared error is an orthogonal frame whose lengths solve one scalar "
            "equation for each class, and with a free bias and balanced classes a simplex ETF",
            _SOURCE,
            prior="M = 1: Zhou et al. 2022 (balanced); M = 2: Tirer and Bruna 2022",
        ),
    ),
)
