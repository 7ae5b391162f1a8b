"""Optima by an independent convex solver, Clarabel, of the models as they are written: every class by itself.

Nothing of the package's losses, symmetry or certificate is used.
"""

import warnings
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np

#: losses by the name that they have in :class:`dual_bound.Statement`
LOSSES = ("cross-entropy", "adjusted", "smoothed", "squared")
_TIGHT = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}


class Optimum(NamedTuple):
    """What Clarabel finds."""

    value: float
    logits: Any  #: (K, K) without the bias
    bias: Any  #: (K,), zero in a model without one


def mean_loss(loss: str, logits: Any, n: Any, weights: Any, parameter: float | None = None) -> Any:
    """CVXPY's expression of ``sum_k weights_k loss(z_k, k)``; weights (K,) of one class, up to scale.

    ``parameter`` is tau of "adjusted", epsilon of "smoothed".
    """
    weights = np.asarray(weights) / np.sum(weights)
    shift = parameter * np.log(n) if loss == "adjusted" else np.zeros(len(n))
    smooth = parameter if loss == "smoothed" else 0.0
    total = 0
    for k, (w, target) in enumerate(zip(weights, (1 - smooth) * np.eye(len(n)) + smooth / len(n), strict=True)):
        z = logits[:, k] + shift
        total += w * (cp.sum_squares(z - target) / 2 if loss == "squared" else cp.log_sum_exp(z) - target @ z)
    return total


def convex_optimum(
    loss: str,
    n: Any,
    weights: Any,
    *,
    decays: tuple[float, float] | None = None,
    budgets: tuple[float, float] | None = None,
    bias: float | None = None,
    parameter: float | None = None,
) -> Optimum:
    """With ``decays`` (lambda_W, lambda_H) or within ``budgets`` (E_W, E_H), each pair as one nuclear norm.

    ``bias`` is its decay: None for a model without one, 0.0 for a free one.
    """
    K = len(n)
    Z, b = cp.Variable((K, K)), cp.Variable(K)
    logits = Z if bias is None else Z + cp.reshape(b, (K, 1), order="F") @ np.ones((1, K))
    total = mean_loss(loss, logits, n, weights, parameter)
    if bias:
        total += bias / 2 * cp.sum_squares(b)
    limits = []
    if decays is not None:
        total += np.sqrt(decays[0] * decays[1]) * cp.normNuc(Z @ np.diag(np.sqrt(n)))
    if budgets is not None:
        limits = [cp.normNuc(Z) <= K * np.sqrt(budgets[0] * budgets[1])]
    value = _solve(cp.Problem(cp.Minimize(total), limits))
    return Optimum(value, Z.value, np.zeros(K) if bias is None else b.value)


def semidefinite_optimum(n: Any, E_W: float, E_H: float) -> tuple[float, Any]:
    """Fang et al.'s relaxation of the Layer-Peeled Model, 2K x 2K; value and Gram matrix of W."""
    K = len(n)
    X = cp.Variable((2 * K, 2 * K), PSD=True)
    total = mean_loss("cross-entropy", X[:K, K:], n, n)
    limits = [cp.trace(X[:K, :K]) <= K * E_W, cp.trace(X[K:, K:]) <= K * E_H]
    return _solve(cp.Problem(cp.Minimize(total), limits)), X.value[:K, :K]


def _solve(program: cp.Problem) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": more is asked for than is needed
        program.solve(solver=cp.CLARABEL, **_TIGHT)
    assert program.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
    return float(program.value)
