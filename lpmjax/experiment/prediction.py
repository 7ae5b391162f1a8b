"""What peeled models say of a trained network, from its counts, decays and measured norms; nothing is fitted to it.

========================  ==========================================================================================
LayerPeeled               budgets are the mean squared norms of the network's classifier rows and class features
UnconstrainedFeatures     its decay of the classifier; of the features the one that balances it, ``lambda_H sum |h|² =
                          lambda_W |W|²``, as at every stationary point of the model
ReluFeatures              the same with features >= 0
DeepLinear                one factor for each weight matrix: those above the first hidden layer, with its decays, and
                          free outputs of that layer, with the decay that balances them
========================  ==========================================================================================

With two weight matrices DeepLinear is UnconstrainedFeatures. The network's own classifier and features are a point of
each of the first three models, so that their optimal values bound its own from below.
"""

from typing import NamedTuple

import jax
import numpy as np

from ..groups import ClassGroups
from ..problems.deep_linear import DeepLinear
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.deep import DeepSolution
from ..solve import solve
from ..solvers.multi_start import MultiStart
from .observation import Measures, cosines

#: random starts at each width of a deep model
_RESTARTS = 4

PREDICTORS = ("LayerPeeled", "UnconstrainedFeatures", "ReluFeatures", "DeepLinear")


class Prediction(NamedTuple):
    """What one model says; classes are by place."""

    value: float
    observed_value: float  #: the same quantity, of the network
    rank: int
    slack: np.ndarray  #: (K,) NaN for models without one
    w_norm2: np.ndarray  #: (K,) of classifier rows
    h_norm2: np.ndarray  #: (K,) of the last features
    cosines: np.ndarray  #: (K, K) between classifier rows: of two classes the mean over classes of their counts
    status: int


def predicted(counts: np.ndarray, decays: np.ndarray, found: Measures) -> dict[str, Prediction]:
    """By each of the models, of a network with ``decays`` (L,) and what was measured of it. On the host, in float64."""
    with jax.enable_x64(True):
        groups = ClassGroups.from_counts(counts.tolist())
        last = float(decays[-1])
        paid = last * found.w_norm2.sum()
        free = last, found.lambda_H
        budgets = float(found.w_norm2.mean()), float(found.h_norm2.mean())
        models = {
            "LayerPeeled": (LayerPeeled(groups, *budgets), found.loss),
            "UnconstrainedFeatures": (UnconstrainedFeatures(groups, *free), found.loss + paid),
            "ReluFeatures": (UnconstrainedFeatures(groups, *free, nonnegative=True), found.loss + paid),
        }
        results = {name: _of_groups(model, observed) for name, (model, observed) in models.items()}
        if decays.size == 2:
            return results | {"DeepLinear": results["UnconstrainedFeatures"]}
        deep = DeepLinear(groups, decays[:0:-1].tolist(), found.lambda_first)
        return results | {"DeepLinear": _of_deep(deep, counts, found.objective)}


def _of_groups(model, observed: float) -> Prediction:
    """From group coordinates, without the class order, which is static and would cost a compilation each."""
    s, index = solve(model.unordered), model.groups.class_index
    pairwise = np.asarray(s.cosines())[np.ix_(index, index)].copy()
    np.fill_diagonal(pairwise, 1.0)
    slack, w_norm2, h_norm2 = (np.asarray(x)[index] for x in (s.slack, s.w_norm2, s.h_norm2))
    return Prediction(float(s.value), observed, int(s.rank), slack, w_norm2, h_norm2, pairwise, int(s.status))


def _of_deep(model: DeepLinear, counts: np.ndarray, observed: float) -> Prediction:
    """The best of random starts, as a network would train it; its classifier is the first factor."""
    s = solve(model, method=MultiStart(restarts=_RESTARTS))
    assert isinstance(s, DeepSolution)
    first, *rest = (np.asarray(factor) for factor in s.factors())
    features = np.linalg.multi_dot(rest) if len(rest) > 1 else rest[0]
    w_norm2, h_norm2 = (_over_equals(np.sum(x**2, axis=1), counts) for x in (first, features.T))
    pairwise = _over_equal_pairs(cosines(first), counts)
    nothing = np.full(counts.size, np.nan)
    return Prediction(float(s.value), observed, int(s.rank), nothing, w_norm2, h_norm2, pairwise, int(s.status))


def _over_equals(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K,) for each class the mean over all of its count: they play unequal parts, each of them in some optimum."""
    return np.array([values[counts == n].mean() for n in counts])


def _over_equal_pairs(pairwise: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K, K) the same of pairs of different classes, as far as both are there; NaN if none is."""
    table, apart = np.eye(counts.size), ~np.eye(counts.size, dtype=bool)
    for first in np.unique(counts):
        for second in np.unique(counts):
            pairs = np.outer(counts == first, counts == second) & apart
            known = pairwise[pairs][np.isfinite(pairwise[pairs])]
            table[pairs] = known.mean() if known.size else np.nan
    return table
