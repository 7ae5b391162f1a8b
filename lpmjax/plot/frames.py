"""What pictures of one result need: its classifier and class features as arrays, and who belongs together."""

from typing import Any

import numpy as np

from ..arguments import require_type
from ..results.features import FeatureSolution
from ..results.kept import NetworkSolution
from ..results.logits import LogitSolution, group_names
from ..results.result import Result

#: markers of groups, from the first on: they tell them apart without colour
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def require_result(sol: Any) -> None:
    """ValueError unless ``sol`` is one result that has a geometry."""
    require_type("sol", sol, Result, "a Result, as lpmjax.solve returns it")
    if np.ndim(sol.value):
        raise ValueError(
            f"sol is a batch of shape {np.shape(sol.value)}: draw one of it, jax.tree.map(lambda x: x[0], sol)."
        )
    if not isinstance(sol, FeatureSolution) and not hasattr(sol, "logits"):
        raise ValueError(f"sol is a {type(sol).__name__}, which has neither logits nor features to draw.")


def vectors(sol: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """Classifier (K, d), or None where the model has none, and class features (K, d), which share their space.

    Of deep models the classifier is the product of all weight matrices; behind ReLUs it is the last one, and features
    are those of the last layer.
    """
    if isinstance(sol, FeatureSolution):
        return None, np.asarray(sol.features()).T
    factors = sol.factors() if isinstance(sol, LogitSolution) else (sol.W, sol.H)
    W, *middle, H = (np.asarray(factor) for factor in factors)
    for matrix in middle if not isinstance(sol, NetworkSolution) else ():
        W = W @ matrix
    for matrix in reversed(middle) if isinstance(sol, NetworkSolution) else ():
        H = np.maximum(matrix @ H, 0)
    H, K = H.T, len(W)
    if len(H) != K:  # a feature for each sample: those of a class are side by side
        samples = np.rint(np.asarray(sol.problem.groups.samples)).astype(int)[sol.problem.groups.class_index]
        H = np.stack([part.mean(0) for part in np.split(H, np.cumsum(samples)[:-1])])
    return W, H


def groups_of(sol: Any) -> tuple[np.ndarray, list[str]]:
    """(K,) group of each class in the caller's order, and the names of the groups."""
    groups = sol.problem.groups
    return np.asarray(groups.class_index), group_names(groups.num_groups)


def class_names(sol: Any) -> list[str]:
    """A1, A2, B1 of two groups; 1, 2, 3 otherwise, in the caller's order."""
    index, names = groups_of(sol)
    if len(names) != 2:
        return [str(k + 1) for k in range(index.size)]
    return [f"{names[g]}{(index[: k + 1] == g).sum()}" for k, g in enumerate(index)]
