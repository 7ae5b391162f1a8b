"""The penalised duality gap from K x K matrices, for every loss and a decayed bias: nothing is grouped, nothing shared
with the certificate that it is compared with."""

from typing import Any

import jax
import numpy as np

from ..duality import Program, duality_gap
from ..groups import ClassGroups
from ..losses.loss import ConvexLoss
from ..losses.softmax import CrossEntropy, LabelSmoothing, LogitAdjusted
from ..losses.squared_error import SquaredError
from ..problems.unconstrained import UnconstrainedFeatures
from .comparison import relative

_CLASSES = (3, 1, 2)
_POINTS = 8
_LOSSES = (CrossEntropy(), LogitAdjusted(0.7), LabelSmoothing(0.2), SquaredError())


def errors() -> np.ndarray:
    """Of the certificate's gap and value at random points, for each loss with and without a bias."""
    rng, found = np.random.default_rng(0), []
    for loss in _LOSSES:
        for decay in (None, 0.3):
            for _ in range(_POINTS):
                found += _at_random_point(rng, loss, decay)
    return np.concatenate(found)


def _at_random_point(rng, loss: ConvexLoss, decay: float | None) -> list[np.ndarray]:
    n = 10 ** rng.uniform(0, 2, len(_CLASSES))
    lambda_ = 10 ** rng.uniform(-2.5, -1)
    problem = UnconstrainedFeatures(ClassGroups(_CLASSES, n), 2 * lambda_, lambda_ / 2, loss, bias_decay=decay)
    program = jax.tree.map(np.asarray, Program.of(problem))
    size = 10 ** rng.uniform(-2, 0.5)
    within, between = size * rng.uniform(0, 1, n.size), size * rng.normal(size=(n.size, n.size))
    if program.loss.shift_invariant:  # what the certificate would take out itself
        unit = np.sqrt(np.array(_CLASSES) / np.sum(_CLASSES))
        between = between - np.outer(unit, unit @ between)
    bias = None if decay is None else size * rng.normal(size=n.size)
    proof = duality_gap(program, within, between, bias)

    group = np.repeat(np.arange(n.size), _CLASSES)
    K = np.array(_CLASSES, float)[group]
    centring = np.eye(group.size) - (group[:, None] == group) / K
    Z = between[group[:, None], group] / np.sqrt(np.outer(K, K)) + within[group] * centring
    b = np.zeros(group.size) if bias is None else bias[group]
    value, gap = _dense(loss, Z, b, n[group], lambda_, decay)
    scale = np.array([value])
    return [relative([proof.value], [value]), relative([np.minimum(proof.direct, proof.value)], [gap], scale)]


def _dense(loss: Any, Z, b, n, price: float, decay: float | None) -> tuple[float, float]:
    """Objective, and what it exceeds the dual objective by at the gradient scaled down to the penalty."""
    pi, eye = n / n.sum(), np.eye(n.size)
    offsets = loss.tau * np.log(n) if isinstance(loss, LogitAdjusted) else np.zeros(n.size)
    smooth = float(loss.epsilon) if isinstance(loss, LabelSmoothing) else 0.0
    U, target = Z + b[:, None] + offsets[:, None], (1 - smooth) * eye + smooth / n.size
    if isinstance(loss, SquaredError):
        y = U - eye
        losses = np.sum(y * y, axis=0) / 2
    else:
        log_p = U - np.log(np.sum(np.exp(U), axis=0))
        losses, y = -np.sum(target * log_p, axis=0), np.exp(log_p) - target
    norm = np.linalg.norm(y * pi / np.sqrt(n), 2)
    y = min(1.0, price / norm) * y
    if isinstance(loss, SquaredError):
        conjugate = np.sum(y * y, axis=0) / 2 + np.diag(y)
    else:
        p = y + target
        conjugate = np.sum(p * np.log(p), axis=0) - offsets @ y
    value = pi @ losses + price * np.linalg.norm(Z * np.sqrt(n), "nuc")
    dual = -pi @ conjugate
    if decay is not None:
        value, dual = value + decay / 2 * b @ b, dual - np.sum((y @ pi) ** 2) / (2 * decay)
    return float(value), float(value - max(dual, 0.0))  # no objective is negative
