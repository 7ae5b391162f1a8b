"""The phase diagram behind the point: a coarse sweep, and the boundaries that are known in closed form over it."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ..codes import Phase, Status
from ..plot.phases import curves
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures
from ..sweeps.sweep import sweep
from .picture import merged_under_decay
from .point import Point

#: ends of the axes, both of which are logarithmic, and cells along them
_BUDGET, _PRICE, _RATIO = (0.1, 10.0), (1e-5, 1.0), (1.0, 1e4)
_ACROSS, _UP = 96, 64
_AXES: dict[str, dict[str, Any]] = {
    "budgets": {"name": "norm budget s = √(E_W E_H)", "range": _BUDGET},
    "decays": {"name": "√(λ_W λ_H)", "range": _PRICE},
}


def diagram(point: Point) -> dict[str, Any]:
    """Phases over R and the budget or the decays, at the numbers of classes (and n_B) of the point.

    ``cells`` are rows of digits, codes of :class:`lpmjax.Phase`, from the least R on; what is not certified is
    ``undetermined``.
    """
    point.problem()  # refuses what is out of range in words of the point
    axis = _AXES[point.model]
    low, high = axis["range"]
    x, R = _centres(low, high, _ACROSS), _centres(*_RATIO, _UP)
    fixed: dict[str, Any] = {name: point.numbers[name] for name in ("K_A", "K_B")}
    if point.model == "budgets":
        builder, across, fixed = LayerPeeled.two_group, {"E_H": x * x}, fixed | {"E_W": 1.0}
    else:
        builder, across, fixed = at_price, {"price": x}, fixed | {"n_B": point.numbers["n_B"]}
    ds = sweep(builder, R=R, **across, **fixed, variables=["phase", "status"])
    order = ("R", *across)
    phase, status = (ds[name].transpose(*order).values for name in ("phase", "status"))
    phase = np.where(status == Status.certified, phase, Phase.undetermined)
    return {
        "x": axis,
        "y": {"name": "imbalance ratio R = n_A / n_B", "range": _RATIO},
        "phases": [code.name for code in Phase],
        "cells": ["".join(map(str, row)) for row in phase],
        "uncertified": int((status != Status.certified).sum()),
        "curves": [{"name": name, "x": across, "y": up} for name, across, up in _curves(point)],
    }


def at_price(K_A: Any, K_B: Any, R: Any, price: Any, n_B: Any) -> UnconstrainedFeatures:
    """Both decays equal: phases depend on their product alone."""
    return UnconstrainedFeatures.two_group(K_A, K_B, R, price, price, n_B)


def _centres(first: float, last: float, number: int) -> np.ndarray:
    """Of cells that fill a logarithmic axis."""
    return first * (last / first) ** ((np.arange(number) + 0.5) / number)


def _curves(point: Point) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, and what is within the axes of each boundary."""
    K_A, K_B = (float(point.numbers[name]) for name in ("K_A", "K_B"))
    if point.model == "budgets":
        with jax.enable_x64(True):
            yield from curves(K_A, K_B, np.geomspace(*_BUDGET, 400), *_RATIO)
        return
    price = np.geomspace(*_PRICE, 400)
    R = merged_under_decay(K_A, K_B, price, point.numbers["n_B"])
    shown = (R >= _RATIO[0]) & (R <= _RATIO[1])
    if shown.any():
        yield "R0", price[shown], R[shown]
