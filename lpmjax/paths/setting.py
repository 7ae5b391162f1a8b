"""Setting: whose loss a path goes down, sample by sample, as plain numbers on the host."""

from typing import Any, NamedTuple

import numpy as np

from ..arguments import require_integer, require_type
from ..losses.softmax import CrossEntropy
from ..problems.deep_linear import DeepLinear
from ..problems.problem import Problem
from ..problems.separation import Separation
from ..problems.unconstrained import UnconstrainedFeatures

#: a step holds some dozens of arrays of this size
_MOST_LOGITS = 2**27
_KINDS = (Separation, UnconstrainedFeatures, DeepLinear)


class Setting(NamedTuple):
    """Cross-entropy of K classes on N free features, over a product of ``depth`` factors."""

    samples: np.ndarray  #: (K,) of each class, in the caller's order
    weights: np.ndarray  #: (K,) loss weight of each class
    labels: np.ndarray  #: (N,) class of each sample, sorted
    decays: tuple[float, ...] | None  #: weight decay of each factor, or None
    depth: int  #: L, number of factors: 2 are a classifier and features
    dim: int | None  #: inner dimension that the problem asks for

    @property
    def K(self) -> int:
        """Number of classes."""
        return self.samples.size

    @property
    def log_weights(self) -> np.ndarray:
        """(N,) log of the loss weight of each sample."""
        return np.log(self.weights / self.samples)[self.labels]

    @property
    def log_separated(self) -> float:
        """Below this log loss every sample is classified right: the loss of one wrong sample is at least log 2 times
        its weight, ``log 2 / N`` without weights."""
        return float(self.log_weights.min() + np.log(np.log(2.0)))

    @staticmethod
    def of(problem: Problem, depth: int | None) -> "Setting":
        """Of a problem; ``depth`` is for one that does not say how many factors there are. ValueError for others."""
        require_type("problem", problem, _KINDS, "a Separation, UnconstrainedFeatures or DeepLinear")
        decays = _decays(problem)
        if depth is None:
            depth = 2 if decays is None else len(decays)
        if require_integer("depth", depth, 2) != len(decays or (0,) * depth):
            raise ValueError(
                f"depth = {depth} is out of range: {type(problem).__name__} has {len(decays or ())} factors here; "
                "give other depths with Separation(groups), or with the decays of DeepLinear."
            )
        samples, weights = _classes(problem)
        return Setting(samples, weights, np.repeat(np.arange(samples.size), samples), decays, depth, problem.dim)


def _classes(problem: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples, whole numbers, and loss weight of every class in the caller's order."""
    groups = problem.groups
    index = groups.class_index
    samples, weights = (np.asarray(x, float)[index] for x in (groups.samples, groups.weights))
    if (samples != np.rint(samples)).any() or (samples < 1).any():
        raise ValueError(
            f"groups have samples = {np.unique(samples)}: a path moves every feature, so they must be whole numbers "
            ">= 1; scale them up."
        )
    if samples.size * samples.sum() > _MOST_LOGITS:
        raise ValueError(
            f"groups have K = {samples.size} classes and N = {samples.sum():g} samples: a path has K N logits, at most "
            f"{_MOST_LOGITS}; give fewer samples."
        )
    weights = samples if groups.default_weights else weights  # held in float32 they are rounded
    return samples.astype(int), weights / weights.sum()


def _decays(problem: Any) -> tuple[float, ...] | None:
    """Last layer first, features last; ValueError for a model whose paths are not known here."""
    if isinstance(problem, Separation):
        _require_plain(problem, problem.is_limit_of_flow, "norm='per_sample' and delta=None")
        return None
    plain = type(problem.loss) is CrossEntropy and problem.is_linear
    _require_plain(problem, plain, "loss=CrossEntropy(), bias_decay=None and no ReLU")
    return tuple(float(x) for x in (*np.atleast_1d(np.asarray(problem.lambda_W)), problem.lambda_H))


def _require_plain(problem: Problem, plain: bool, what: str) -> None:
    if not plain:
        raise ValueError(f"problem = {type(problem).__name__} is out of range: paths are known for {what} only.")
