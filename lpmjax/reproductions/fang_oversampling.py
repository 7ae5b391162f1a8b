"""Fang, He, Long and Su 2021: oversampling the minority against minority collapse."""

from typing import Any

import numpy as np

from .. import boundary
from ..codes import Status
from ..extras import matplotlib_modules
from ..groups import ClassGroups
from ..problems.layer_peeled import LayerPeeled
from ..reproduction import Check, Claim, Reproduction
from ..sweeps.sweep import sweep

_HALF, _E_H, _RATIOS = 5, 5.0, (100.0, 1000.0)
_VARIABLES = ("value", "cosine", "slack", "w_norm2", "h_norm2", "phase", "status")


def _problem(R: Any, w: Any) -> LayerPeeled:
    """Every sample of the minority counts w times."""
    groups = ClassGroups.two_group(_HALF, _HALF, R)
    return LayerPeeled(
        ClassGroups(groups.classes, groups.samples, groups.samples * np.array([1.0, 0.0]) + w * np.array([0.0, 1.0])),
        1.0,
        _E_H,
    )


def compute() -> Any:
    """Two ratios, weights from 1 to beyond the ratio, and the least weight that prevents collapse."""
    w = np.unique(
        np.concatenate(
            [10 ** (np.arange(71) / 20), _RATIOS, *(R / _threshold() * np.array([1, 1 + 1e-6]) for R in _RATIOS)]
        )
    )
    ds = sweep(_problem, R=list(_RATIOS), w=w, variables=_VARIABLES)
    ds["w"].attrs = {"long_name": "weight of a minority sample"}
    least = {"long_name": "largest weight at which the minority is still merged: R / R0"}
    return ds.assign(least=("R", np.array(_RATIOS) / _threshold(), least))


def _threshold() -> float:
    return float(boundary.merged(_HALF, _HALF, _E_H**0.5))


def checks(ds: Any) -> list[Check]:
    """The least remedy, the full one, certificates."""
    found = []
    for R in _RATIOS:
        one = ds.sel(R=R)
        least, cosine = R / 12.192447, one["cosine"].sel(group="B")
        found += [
            Check(f"R / R0 at R = {R:g}", float(one["least"]), f"{least:.4f}"),
            Check(f"cosine at w = R / R0, R = {R:g}", float(cosine.sel(w=float(one["least"]), method="nearest")), "1"),
            Check(f"cosine at w = R (simplex ETF), R = {R:g}", float(cosine.sel(w=R, method="nearest")), "-0.11111111"),
            Check(
                f"weights above R / R0 with a cosine of 1, R = {R:g}",
                float((cosine[one["w"] > one["least"] * (1 + 1e-9)] == 1).sum()),
                "0",
            ),
            Check(f"value at w = R, R = {R:g}", float(one["value"].sel(w=R, method="nearest")), "0.55978152"),
        ]
    return [*found, Check("certified cells", float((ds["status"] == Status.certified).sum()), str(ds["status"].size))]


def draw(ds: Any) -> Any:
    """Cosine between minority classifiers over the weight, with R / R0 dotted and w = R marked."""
    pyplot, _ = matplotlib_modules()
    figure, ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for R, line, color in zip(ds["R"].values, ("-", "--"), ("#440154", "#21918c"), strict=True):
        cosine = ds["cosine"].sel(R=R, group="B")
        ax.plot(ds["w"], cosine, line, color=color, label=f"$R$ = {R:g}")
        ax.axvline(
            float(ds["least"].sel(R=R)),
            color=color,
            lw=0.8,
            ls=":",
            label=f"$w_r = R/R_0$ = {float(ds['least'].sel(R=R)):.4g}",
        )
        ax.plot(R, float(cosine.sel(w=R, method="nearest")), "o", color=color, mfc="none", ms=8, label="$w_r = R$")
    ax.axhline(-1 / (2 * _HALF - 1), color="grey", lw=0.8, label="simplex ETF, $-1/(K-1)$")
    ax.set(xscale="log", xlabel="weight $w_r$ of a minority sample", ylabel="cosine between minority classifiers")
    ax.set_title(f"Layer-Peeled Model, $K_A$ = $K_B$ = {_HALF}, $E_W$ = 1, $E_H$ = {_E_H:g}")
    ax.legend(frameon=False, fontsize="small")
    return figure


_SOURCE = "Fang, He, Long and Su 2021 (PNAS; arXiv 2101.12699)"

REPRODUCTION = Reproduction(
    title="cosine between minority classifiers against the oversampling weight",
    source=f"{_SOURCE}, the figure on oversampling",
    setting="K_A = K_B = 5, E_W = 1, E_H = 5, R = 100 and 1000, w_r = 10^(i/20), i = 0..70",
    differs="the model's optimum where the paper trains networks with oversampling; the weight from which collapse "
    "is avoided is exact.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "Oversampling by w_r = R restores the simplex ETF, and minority collapse is avoided exactly above w_r = "
            "R/R₀",
            f"{_SOURCE}: the restoration; the least weight derived here (`lpm.oversampling`)",
        ),
    ),
)
