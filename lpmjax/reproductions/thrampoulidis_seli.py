"""Thrampoulidis, Kini, Vakilian and Behnia 2022: the geometry of simplex-encoded labels against imbalance."""

from typing import Any

import numpy as np

from ..codes import Status
from ..extras import matplotlib_modules
from ..groups import ClassGroups
from ..plot.gram import gram
from ..problems.separation import Separation
from ..reproduction import Check, Claim, Reproduction
from ..solve import solve
from ..sweeps.sweep import sweep

_HALF = 5
_SHOWN = (1.0, 10.0, 100.0)


def _problem(R: Any) -> Separation:
    return Separation(ClassGroups.two_group(_HALF, _HALF, R))


def compute() -> Any:
    """Minimum-norm separation of five classes of R samples and five of one."""
    R = np.unique(np.concatenate([10 ** (np.arange(41) / 20), [7.0]]))
    kept = ("value", "gap", "status", "cosine", "w_norm2", "h_norm2", "margin")
    return sweep(_problem, R=R, variables=kept)


def checks(ds: Any) -> list[Check]:
    """The closed forms in R, and that every optimum has its certificate."""
    found = []
    for R, ratio, cosine in ((7, "2.31660", "0.000000"), (10, "2.67210", "0.033369"), (100, "5.76621", "0.338026")):
        at = ds.sel(R=R, method="nearest")
        norms, minority = at["w_norm2"].values, float(at["cosine"].sel(group="B"))
        found.append(Check(f"ratio of squared norms of classifiers at R = {R}", norms[0] / norms[1], ratio))
        found.append(Check(f"cosine between minority classifiers at R = {R}", minority, cosine))
    return [*found, Check("certified optima", float((ds["status"] == Status.certified).sum()), str(ds["status"].size))]


def draw(ds: Any) -> Any:
    """Above Gram matrices of the classifiers at three ratios, below norms and cosines against the ratio."""
    pyplot, _ = matplotlib_modules()
    figure = pyplot.figure(figsize=(11.0, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1.0, 0.9))
    for i, R in enumerate(_SHOWN):
        ax = gram(solve(_problem(R)), figure.add_subplot(grid[0, 2 * i : 2 * i + 2]), label=False)
        ax.set_title(f"$W W^\\top$ at $R$ = {R:g}")
    left, right = figure.add_subplot(grid[1, :3]), figure.add_subplot(grid[1, 3:])
    ratios = {
        "w_norm2": ("classifiers $\\|w_A\\|^2/\\|w_B\\|^2$", "-"),
        "h_norm2": ("features $\\|h_A\\|^2/\\|h_B\\|^2$", "--"),
    }
    for name, (words, line) in ratios.items():
        left.plot(ds["R"], ds[name].sel(group="A") / ds[name].sel(group="B"), line, color="black", label=words)
    left.set(xscale="log", yscale="log", xlabel="imbalance ratio $R=n_A/n_B$", ylabel="ratio of squared norms")
    for group, line, color in (("A", "-", "#440154"), ("B", "--", "#21918c")):
        right.plot(ds["R"], ds["cosine"].sel(group=group), line, color=color, label=f"within group {group}")
    right.axhline(-1 / (2 * _HALF - 1), color="grey", lw=0.8, ls=":", label="simplex ETF, $-1/(K-1)$")
    right.plot([7], [0], "k+", ms=10, label="$R$ = 7: a right angle")
    right.set(xscale="log", xlabel="imbalance ratio $R=n_A/n_B$", ylabel="cosine between classifiers")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize="small")
    figure.suptitle(f"Simplex-encoded labels, $K_A$ = $K_B$ = {_HALF}")
    return figure


_SOURCE = "Thrampoulidis, Kini, Vakilian and Behnia 2022 (SELI)"

REPRODUCTION = Reproduction(
    title="norms, cosines and Gram matrices of simplex-encoded labels against imbalance",
    source=f"{_SOURCE}, the figures of the SELI geometry",
    setting="K_A = K_B = 5, one sample in a minority class, R = 10^(i/20), i = 0..40, and 7",
    differs="the optimum itself, certified; the paper's trained networks, which approach it slowly, are left out.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "Minimum-norm separation of unequal classes has the logits SY (SELI), not a simplex ETF: minority "
            "classifiers are shorter and closer to one another",
            f"{_SOURCE}; that its dual is positive for all counts derived here (`ulpm.seli`)",
        ),
    ),
)
