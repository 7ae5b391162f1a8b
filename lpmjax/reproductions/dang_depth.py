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

_DEPTHS, _FREE = (1, 2, 3, 5, 8), (1, 3)
_DECAY = 0.016
_COUNTS = {"balanced": (100.0,) * 4, "imbalanced": (200.0, 100.0, 50.0, 50.0)}
#: (decays of the weights, decay of the features, value) of n = 8, 4, 2, whose optima are known
_KNOWN = {
    "M = 1": ((1e-2,), 1e-2, ".06032641"),
    "M = 2": ((5e-3, 1e-2), 2e-3, ".03345587"),
    "M = 3": ((3e-3, 5e-3, 1e-2), 2e-3, ".03547667"),
}
_WORDS = {
    "logit": "logit of the right class",
    "w_norm2": "squared norm of a classifier row",
    "h_norm2": "squared norm of a feature",
    "other_logit": "largest magnitude of a logit of another class",
    "certified": "1 where the optimum is certified",
}


def compute() -> Any:
    """Optima at every depth, class by class; a free bias at some; and the settings with known values."""
    import xarray as xr

    cells = [[_columns(_solved(n, (_DECAY,) * M, _DECAY)) for M in _DEPTHS] for n in _COUNTS.values()]
    dims = ("counts", "M", "class")
    ds = xr.Dataset(
        {
            name: (dims, np.array([[c[i] for c in row] for row in cells]), {"long_name": long})
            for i, (name, long) in enumerate(_WORDS.items())
        },
        {"counts": list(_COUNTS), "M": list(_DEPTHS), "class": [1, 2, 3, 4]},
    )
    free = [_solved(_COUNTS["balanced"], (_DECAY,) * M, _DECAY, bias_decay=0.0) for M in _FREE]
    values = [float(_solved((8.0, 4.0, 2.0), w, h).value) for w, h, _ in _KNOWN.values()]
    return ds.assign(
        samples=(("counts", "class"), np.array(list(_COUNTS.values())), {"long_name": "samples of a class"}),
        free_bias_cosine=("free_M", [float(s.cosines()[0, 1]) for s in free], {"long_name": "cosine with a free bias"}),
        known=("setting", values, {"long_name": "value at settings with known optima", "units": "1"}),
    ).assign_coords(free_M=list(_FREE), setting=list(_KNOWN))


def _solved(n: tuple[float, ...], lambda_W: tuple[float, ...], lambda_H: float, bias_decay: float | None = None) -> Any:
    """The optimum, with absent classes up to four: so that a depth is compiled once."""
    absent = 4 - len(n)
    groups = ClassGroups([1.0] * len(n) + [0.0] * absent, [*n, *[1.0] * absent])
    return solve(DeepLinear(groups, lambda_W, lambda_H, SquaredError(), bias_decay))


def _columns(found: Any) -> tuple[Any, ...]:
    """One number for each class, in the order of the words."""
    Z = np.asarray(found.logits())
    others = np.abs(Z - np.diag(np.diag(Z))).max(0)
    return np.diag(Z), found.w_norm2, found.h_norm2, others, np.full(4, int(found.certified), np.int8)


def checks(ds: Any) -> list[Check]:
    """Known values, each class by a grid search over its one singular value, frames, certificates."""
    found = [
        Check(f"value of n = 8, 4, 2, {name}", float(ds["known"].sel(setting=name)), given[2])
        for name, given in _KNOWN.items()
    ]
    for name, counts in _COUNTS.items():
        for M in (1, 3, 8):
            best = _by_grid(np.array(counts), M)
            worst = np.abs(ds["logit"].sel(counts=name, M=M).values - best).max()
            found.append(Check(f"logits of {name} classes less those of a grid search, M = {M}", worst, "0.0000"))
    found.append(Check("largest logit of another class (orthogonal)", float(ds["other_logit"].max()), "0.0000000000"))
    worst = float(np.abs(ds["free_bias_cosine"] + 1 / 3).max())
    found.append(Check("cosine with a free bias less that of the simplex ETF", worst, "0.00000000"))
    return [*found, Check("classes of certified optima", float(ds["certified"].sum()), str(ds["certified"].size))]


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
    setting=f"n = 100, 100, 100, 100 and 200, 100, 50, 50, every decay {_DECAY:g}, M = 1, 2, 3, 5, 8, no bias (free "
    "at M = 1 and 3: cosines)",
    differs="global optima in closed form, certified, where the paper trains; a class dies by comparing values, "
    "where the published script takes the largest root of the first-order condition, which near the threshold is "
    "not optimal.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "At every depth (here M up to 8) the optimum with squared error is an orthogonal frame whose lengths "
            "solve one scalar equation for each class, and with a free bias and balanced classes a simplex ETF",
            _SOURCE,
            prior="M = 1: Zhou et al. 2022 (balanced); M = 2: Tirer and Bruna 2022",
        ),
    ),
)
