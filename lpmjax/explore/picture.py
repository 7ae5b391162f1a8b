"""What is shown of one point: its certificate, its groups, and the classes that are drawn."""

from typing import Any

import jax
import numpy as np

from .. import boundary
from ..codes import Phase, Status
from ..results.logits import group_names
from ..results.solution import Solution
from ..settings import nan_is_a_value
from ..solve import solve
from .drawn import Drawn
from .point import Point

_COLUMNS = ("slack", "cosine", "w_norm2", "h_norm2", "margin")


@nan_is_a_value
def picture(point: Point) -> dict[str, Any]:
    """Solved in float64; NaN where something does not exist. ValueError for parameters out of range."""
    problem = point.problem()
    with jax.enable_x64(True):
        solution: Solution = solve(problem)
        pairs = np.asarray(solution.cosines())
        boundaries = boundary_ratios(point)
    status, phase = Status(int(solution.status)), Phase(int(solution.phase))
    groups = {name: np.asarray(getattr(solution, name)) for name in _COLUMNS}
    groups |= {name: np.asarray(getattr(problem.groups, name)) for name in ("classes", "samples")}
    numbers = {name: float(getattr(solution, name)) for name in ("value", "lower_bound", "gap", "tol", "multiplier")}
    known = status in (Status.certified, Status.converged)
    return {
        "parameters": point.numbers,
        "status": status.name,
        "message": Status.message(status),
        "phase": phase.name,
        "rank": int(solution.rank),
        **numbers,
        "groups": {"name": group_names(2)} | groups,
        "cosine_AB": pairs[0, 1],
        "boundaries": boundaries,
        "python": point.python(),
        **(drawn(Drawn(solution)) if known else {}),
    }


def drawn(classes: Drawn) -> dict[str, Any]:
    """Vectors and matrices of the classes that are drawn."""
    directions = classes.directions()
    W, H = classes.grams()
    # One between the groups and one in each: principal directions as well, but not the first.
    apart = [next((d for d in directions if d.group == g), None) for g in (-1, 0, 1)]
    return {
        "classes": {"name": classes.names, "group": classes.group, "note": classes.note},
        "frames": {
            "principal": classes.frame(directions[:3]),
            "apart": classes.frame([d for d in apart if d is not None]),
        },
        "matrices": {"classifiers": W, "features": H, "cosines": classes.cosines()},
    }


def boundary_ratios(point: Point) -> dict[str, float]:
    """Imbalance ratios from which on the minority is merged (R0) and annihilated (R1), as far as closed forms say."""
    numbers = point.numbers
    K_A, K_B = (float(numbers[name]) for name in ("K_A", "K_B"))
    if point.model == "decays":
        price = np.sqrt(numbers["lambda_W"]) * np.sqrt(numbers["lambda_H"])
        return {"R0": float(merged_under_decay(K_A, K_B, price, numbers["n_B"]))}
    s = np.sqrt(numbers["E_W"]) * np.sqrt(numbers["E_H"])
    curves = {"R0": boundary.merged, "R1": boundary.annihilated}
    return {name: float(curve(K_A, K_B, s)) for name, curve in curves.items()}


def merged_under_decay(K_A: float, K_B: float, price: Any, n_B: float) -> Any:
    """R at which the slack of the minority is zero: its loss weight ``n_B / N`` is ``price sqrt(n_B)``, with
    ``N = n_B (K_A R + K_B)`` and ``price = sqrt(lambda_W lambda_H)`` (Hong and Ling 2023). Below 1 it is none."""
    return np.where(K_B < 2, np.inf, (1 / (price * np.sqrt(n_B)) - K_B) / K_A)
