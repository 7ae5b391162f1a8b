"""Tirer and Bruna 2022: squared error with one and two linear layers above unconstrained features."""

from functools import partial
from typing import Any

import numpy as np

from .. import boundary
from ..codes import Status
from ..extras import matplotlib_modules
from ..groups import ClassGroups
from ..losses.squared_error import SquaredError
from ..problems.deep_linear import DeepLinear
from ..reproduction import Check, Claim, Reproduction
from ..sweeps.sweep import sweep

_K, _n = 4, 25
_LAYERS, _BIASES = (1, 2), {"none": None, "free": 0.0}
_VARIABLES = ("value", "cosine", "margin", "w_norm2", "h_norm2", "status")


def _problem(decay: Any, M: int, bias_decay: float | None) -> DeepLinear:
    return DeepLinear(ClassGroups.balanced(_K, _n), (decay,) * M, decay, SquaredError(), bias_decay=bias_decay)


def compute() -> Any:
    """One and two layers, no bias and a free one, over decays around the thresholds."""
    import xarray as xr

    share = np.unique(np.concatenate([np.geomspace(0.01, 2.0, 81), [1 - 1e-9, 1 + 1e-9]]))
    rows = []
    for M in _LAYERS:
        decays = share * _threshold(M)
        kinds = [
            sweep(partial(_problem, M=M, bias_decay=bias), decay=decays, variables=_VARIABLES).isel(group=0, drop=True)
            for bias in _BIASES.values()
        ]
        row = xr.concat(kinds, xr.DataArray(list(_BIASES), dims="bias", name="bias"))
        rows.append(row.rename(decay="share").assign_coords(share=share))
    ds = xr.concat(rows, xr.DataArray(list(_LAYERS), dims="M", name="M", attrs={"long_name": "weight matrices"}))
    ds["share"].attrs = {"long_name": "decay over its threshold, from which on all is zero"}
    return ds.assign(
        threshold=("M", [_threshold(M) for M in _LAYERS], {"long_name": "decay from which on all is zero"})
    )


def _threshold(M: int) -> float:
    """K sqrt(n decay^2) = 1 with one layer, K sqrt(K n decay^3) = 1/4 with two (equal decays)."""
    return 1 / (_K * _n**0.5) if M == 1 else (1 / (16 * _K**3 * _n)) ** (1 / 3)


def checks(ds: Any) -> list[Check]:
    """Thresholds against the general formula, the first-order jump, geometries, one decay by a grid search."""
    found = []
    for M in _LAYERS:
        dead = float(boundary.deep_mse(M, _K * _n, ds["threshold"].sel(M=M)))
        found.append(Check(f"samples of a class that are needed at the threshold, M = {M}", dead, f"{_n}.0000"))
    below, above = (ds.sel(share=1 + d, method="nearest").sel(bias="none") for d in (-1e-9, 1e-9))
    found += [
        Check("logit just below the threshold, M = 1", float(below["margin"].sel(M=1)), "0.000000"),
        Check("logit just below the threshold, M = 2", float(below["margin"].sel(M=2)), "0.500000"),
        Check("logit just above the threshold, M = 2", float(above["margin"].sel(M=2)), "0.000000"),
    ]
    for bias, cosine in (("none", "0.000000"), ("free", "-0.333333")):
        worst = ds["cosine"].sel(bias=bias).where(ds["share"] < 1 - 1e-8)
        found.append(Check(f"cosine between classifiers, bias {bias}", float(worst.mean()), cosine))
        found.append(
            Check(f"its spread over layers and decays, bias {bias}", float(worst.max() - worst.min()), "0.000000")
        )
    i = int(np.argmin(np.abs(ds["share"].values - 0.5)))
    for M in _LAYERS:
        at = float(ds["share"][i]) * float(ds["threshold"].sel(M=M))
        worst = float(ds["margin"].sel(bias="none", M=M)[i]) - _by_grid(M, at)
        found.append(Check(f"logit at half the threshold less that of a grid search, M = {M}", worst, "0.0000"))
    certified = float((ds["status"] == Status.certified).sum())
    return [*found, Check("certified optima", certified, str(ds["status"].size))]


def _by_grid(M: int, decay: float) -> float:
    """The logit of the right class, the only number that is free without a bias."""
    share = np.linspace(0, 1, 100001)
    cost = (1 - share) ** 2 * _n / (2 * _K * _n) + (M + 1) / 2 * decay * (_n**0.5 * share) ** (2 / (M + 1))
    return float(share[cost.argmin()])


def draw(ds: Any) -> Any:
    """Logits on the left, cosines on the right, over the decay relative to its threshold."""
    pyplot, _ = matplotlib_modules()
    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    for M, color in zip(_LAYERS, ("#440154", "#21918c"), strict=True):
        for bias, line in zip(_BIASES, ("-", "--"), strict=True):
            one, label = ds.sel(M=M, bias=bias), f"{M} layer{'s' * (M > 1)}, bias {bias}"
            axes[0].plot(ds["share"], one["margin"], line, color=color, label=label, lw=1.6 if bias == "none" else 2.6)
            axes[1].plot(ds["share"], one["cosine"], line, color=color, label=label, lw=2.6 if M == 1 else 1.3)
    axes[0].plot(1, 0.5, "ko", mfc="none", label="jump of two layers, from 1/2")
    for ax in axes:
        ax.axvline(1, color="grey", lw=0.8, ls=":")
        ax.set(xscale="log", xlabel=r"decay / threshold; dotted: $K\sqrt{n}\lambda = 1$, $K\sqrt{Kn\lambda^3} = 1/4$")
        ax.legend(frameon=False, fontsize="small")
    axes[0].set_ylabel("margin of the right class")
    axes[1].set(ylabel="cosine between classifiers", ylim=(-0.5, 0.25))
    figure.suptitle(f"Squared error, $K$ = {_K}, $n$ = {_n}: orthogonal frame, and simplex ETF with a free bias")
    return figure


_SOURCE = "Tirer and Bruna 2022 (arXiv 2202.08087)"

REPRODUCTION = Reproduction(
    title="squared error with one and two linear layers: frames, and the decay from which on all is zero",
    source=f"{_SOURCE}, the theorems on the (extended) unconstrained features model",
    setting=f"K = {_K}, n = {_n}, equal decays from .01 to 2 of their threshold, no bias and a free one",
    differs="the paper proves the frames and trains networks; here are global optima, certified, with thresholds "
    "and the first-order jump of two layers, derived here (`deep_mse.two_layers`). Its ReLU variant is "
    "`lpm.DeepLinear(relu=True)`.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "With squared error the optimum is an orthogonal frame without a bias and a simplex ETF with a free "
            "one, with one linear layer and with two; it is not zero iff K√n λ < 1 and iff K√(Knλ³) < 1/4",
            f"{_SOURCE}: the frames, and the threshold of one layer; that of two derived here",
        ),
    ),
)
