"""Hong and Ling 2023: thresholds of minority collapse with weight decay and a decayed last-layer bias."""

from typing import Any

import numpy as np

from ..codes import Status
from ..extras import matplotlib_modules
from ..groups import ClassGroups
from ..problems.unconstrained import UnconstrainedFeatures
from ..reproduction import Check, Claim, Reproduction
from ..solve import solve
from ..sweeps.sweep import sweep

_CLASSES, _SAMPLES, _BIAS_DECAY = (5, 5), (500.0, 100.0), 0.02
_VARIABLES = ("value", "cosine", "slack", "w_norm2", "h_norm2", "phase", "status", "gap")


def _problem(decay: Any) -> UnconstrainedFeatures:
    return UnconstrainedFeatures(ClassGroups(_CLASSES, _SAMPLES), decay, decay, bias_decay=_BIAS_DECAY)


def _threshold() -> float:
    """n_B = N^2 lambda_W lambda_H."""
    return _SAMPLES[1] ** 0.5 / float(np.dot(_CLASSES, _SAMPLES))


def compute() -> Any:
    """Two groups over decays through their thresholds, and three groups at one decay."""
    decays = np.unique(
        np.concatenate([np.geomspace(1e-4, 1e-2, 61), [3.4e-3, 7.5e-3], _threshold() * np.array([1 - 1e-6, 1 + 1e-6])])
    )
    ds = sweep(_problem, decay=decays, variables=_VARIABLES)
    three = UnconstrainedFeatures(ClassGroups((3, 3, 4), (5000.0, 4000.0, 3000.0)), 5e-3, 5e-3, bias_decay=_BIAS_DECAY)
    found = solve(three)
    ds["three_value"] = (
        (),
        float(found.value),
        {"long_name": "value of 3 x 5000, 3 x 4000, 4 x 3000 at .005", "units": "nat"},
    )
    ds["three_bias"] = ("three", np.asarray(found.bias), {"long_name": "last-layer biases there"})
    ds["three_norm2"] = ((), float(np.max(found.w_norm2)), {"long_name": "largest squared norm of a classifier there"})
    return ds.assign(threshold=((), _threshold(), {"long_name": "decay from which on the minority is merged"}))


def checks(ds: Any) -> list[Check]:
    """Values of an independent convex solver, and cosine and slack on both sides of the threshold."""

    def at(decay):
        return ds.sel(decay=decay, method="nearest")

    B = {"group": "B"}
    below, above = (at(_threshold() * (1 + side)) for side in (-1e-6, 1e-6))
    found = [
        Check("value at decay .0034", float(at(3.4e-3)["value"]), "1.6437313"),
        Check("cosine between minority classifiers there (merged)", float(at(3.4e-3)["cosine"].sel(B)), "1"),
        Check("value at decay .0075", float(at(7.5e-3)["value"]), "2.1086695"),
        Check(
            "largest squared norm of a classifier there (all zero)", float(at(7.5e-3)["w_norm2"].max()), "0.000000000"
        ),
        Check("slack times 1e6 just below the threshold", 1e6 * float(below["slack"].sel(B)), "1.000"),
        Check("slack times 1e6 just above", 1e6 * float(above["slack"].sel(B)), "-1.000"),
        Check("cosine just above", float(above["cosine"].sel(B)), "1"),
        Check("value of three groups", float(ds["three_value"]), "2.283748788"),
        Check("largest squared norm there (all zero)", float(ds["three_norm2"]), "0.000000000"),
    ]
    for i, digits in enumerate((".227984", ".034336", "-.196741")):
        found.append(Check(f"bias of group {i + 1} there", float(ds["three_bias"][i]), digits))
    return [*found, Check("certified optima", float((ds["status"] == Status.certified).sum()), str(ds["status"].size))]


def draw(ds: Any) -> Any:
    """Cosines on the left, squared norms on the right, over the decay; the threshold dotted."""
    pyplot, _ = matplotlib_modules()
    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    for group, n, line, color in zip(("A", "B"), _SAMPLES, ("-", "--"), ("#440154", "#21918c"), strict=True):
        one, name = ds.sel(group=group), f"{_CLASSES[0]} classes of {n:g}"
        axes[0].plot(ds["decay"], one["cosine"], line, color=color, label=name)
        axes[1].plot(ds["decay"], one["w_norm2"], line, color=color, label=f"classifiers, {name}")
        axes[1].plot(
            ds["decay"],
            one["h_norm2"],
            line,
            color=color,
            lw=0.8,
            marker="o",
            ms=3,
            mfc="none",
            label=f"features, {name}",
        )
    for ax in axes:
        ax.axvline(float(ds["threshold"]), color="black", lw=0.9, ls=":", label=r"$n_B = N^2\lambda_W\lambda_H$")
        ax.set(xscale="log", xlabel=r"weight decay $\lambda_W = \lambda_H$")
        ax.legend(frameon=False, fontsize="small")
    axes[0].set_ylabel("cosine between classifiers of a group")
    axes[1].set_yscale("symlog", linthresh=1e-3)
    axes[1].set(ylabel="squared norm", ylim=(0, None))
    figure.suptitle(
        f"Unconstrained features with weight decay, bias decay {_BIAS_DECAY:g} (lines end where classifiers vanish)"
    )
    return figure


_SOURCE = "Hong and Ling 2023 (arXiv 2309.09725)"

REPRODUCTION = Reproduction(
    title="minority collapse of unconstrained features against the weight decay",
    source=f"{_SOURCE}, the experiments on the threshold of minority collapse",
    setting="5 classes of 500 and 5 of 100, λ_W = λ_H from 1e-4 to 1e-2, λ_b = .02, with the paper's .0034 and "
    ".0075; 3 classes of 5000, 3 of 4000, 4 of 3000 at .005",
    differs="global optima, certified, at a line of decays, where the paper takes gradient steps at single ones.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "With weight decay minority classifiers coincide exactly when n_B ≤ N² λ_W λ_H, with a last-layer bias "
            "as well; from a larger decay on all classifiers are zero and the bias alone is left",
            _SOURCE,
        ),
    ),
)
