"""Fang, He, Long and Su 2021: cosines between minority classifiers against the imbalance ratio."""

from typing import Any

import numpy as np

from .. import boundary
from ..codes import Status
from ..extras import matplotlib_modules
from ..problems.layer_peeled import LayerPeeled
from ..reproduction import Check, Claim, Reproduction
from ..sweeps.sweep import sweep

_K, _E_H = 10, 5.0
_STYLES = {3: ("o", "-"), 5: ("s", "--"), 7: ("^", ":")}
_VARIABLES = ("value", "cosine", "w_norm2", "h_norm2", "slack", "phase", "status", "gap")


def compute() -> Any:
    """The model at R = 10^(i/10) for three numbers of majority classes, and R0 and R1 of each."""
    import xarray as xr

    K_A = np.array(list(_STYLES), float)
    grid = {"R": 10 ** (np.arange(41) / 10), "E_W": 1.0, "E_H": _E_H, "variables": _VARIABLES}
    rows = [sweep(LayerPeeled.two_group, K_A=k, K_B=_K - k, **grid).drop_vars(["K_A", "K_B"]) for k in K_A]
    ds = xr.concat(rows, xr.DataArray(K_A, dims="K_A", name="K_A", attrs={"long_name": "classes of the majority"}))
    curves = {"R0": (boundary.merged, "merge"), "R1": (boundary.annihilated, "vanish")}
    return ds.assign(
        {
            name: (
                "K_A",
                np.asarray(curve(K_A, _K - K_A, _E_H**0.5)),
                {"long_name": f"classifiers {words} from here on"},
            )
            for name, (curve, words) in curves.items()
        }
    )


def checks(ds: Any) -> list[Check]:
    """The exact thresholds, values of an independent convex solver, and that every cell has its certificate."""
    half, B = ds.sel(K_A=5), {"group": "B"}
    at = {R: half.isel(R=i) for i, R in ((10, 10), (20, 100))}
    found = [
        Check("value at K_A = 5, R = 10", float(at[10]["value"]), "0.2616770386"),
        Check("cosine at K_A = 5, R = 10", float(at[10]["cosine"].sel(B)), "0.51750"),
        Check("value at K_A = 5, R = 100", float(at[100]["value"]), "0.0912992"),
        Check("cosine at K_A = 5, R = 100", float(at[100]["cosine"].sel(B)), "1"),
        Check("cosine at R = 1 (simplex ETF)", float(half.isel(R=0)["cosine"].sel(B)), "-0.111111111"),
    ]
    for k, digits in ((3, "245.496931"), (5, "12.192447"), (7, "4.000467")):
        found.append(Check(f"R0 at K_A = {k}", float(ds["R0"].sel(K_A=k)), digits))
    found.append(Check("R1 at K_A = 7", float(ds["R1"].sel(K_A=7)), "5.70533"))
    return [*found, Check("certified cells", float((ds["status"] == Status.certified).sum()), str(ds["status"].size))]


def draw(ds: Any) -> Any:
    """One line for each number of majority classes; R0 dotted upright, a cross where the classifiers vanish."""
    pyplot, _ = matplotlib_modules()
    figure, ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for i, (k, (marker, line)) in enumerate(_STYLES.items()):
        one = ds.sel(K_A=k)
        color = pyplot.get_cmap("viridis")(i / 3)
        cosine = one["cosine"].sel(group="B")
        ax.plot(
            ds["R"], cosine, marker, ls=line, ms=4, color=color, label=f"$K_A$ = {k}, $R_0$ = {float(one['R0']):.4g}"
        )
        ax.axvline(float(one["R0"]), color=color, lw=0.7, ls=":")
        if np.isfinite(one["R1"]):
            ax.plot(
                float(one["R1"]),
                1.0,
                "x",
                ms=9,
                mew=2,
                color=color,
                label=f"zero from $R_1$ = {float(one['R1']):.4g} on",
            )
    ax.axhline(-1 / (_K - 1), color="grey", lw=0.8, label="simplex ETF, $-1/(K-1)$")
    ax.set(xscale="log", xlabel="imbalance ratio $R=n_A/n_B$", ylabel="cosine between minority classifiers")
    ax.set_title(f"Layer-Peeled Model, $K$ = {_K}, $E_W$ = 1, $E_H$ = {_E_H:g}")
    ax.legend(frameon=False, fontsize="small", loc="center right")
    return figure


_SOURCE = "Fang, He, Long and Su 2021 (PNAS; arXiv 2101.12699)"

REPRODUCTION = Reproduction(
    title="cosine between minority classifiers against the imbalance ratio",
    source=f"{_SOURCE}, the figure of the Layer-Peeled Model's minority cosines",
    setting="K = 10, K_A = 3, 5, 7, E_W = 1, E_H = 5, R = 10^(i/10), i = 0..40, cross-entropy, no bias; the "
    "published script has K_A = 5",
    differs="the published script solves the model's semidefinite relaxation numerically; here every cell is exact "
    "and certified. The networks that the paper trains are left out.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "Minority classifiers of the Layer-Peeled Model tend to one another as R → ∞; in this figure they "
            "coincide (cosine exactly 1) from a finite R₀ on",
            f"{_SOURCE}: the limit; the explicit curve R₀(s) derived here (`lpm.merged_boundary`)",
            prior="finite thresholds in other models: weight decay Hong and Ling 2023 (arXiv 2309.09725); ReLU "
            "features Dang et al. 2024 (arXiv 2401.02058); squared error Dang et al. 2023 (arXiv 2301.00437); "
            "contrastive arXiv 2605.11291",
        ),
    ),
)
