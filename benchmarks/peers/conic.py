"""CVXPY over Clarabel, SCS and Moreau: nuclear norm, semidefinite, and two groups reduced by hand to four scalars.

Loss weights and budget are ``Parameter``s, so that a warm solve re-uses the canonicalised program (and with Clarabel,
whose iteration always starts afresh, the symbolic factorisation); no solve starts from the last one's answer.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..instances import Instance
from . import Peer

_DENSE = "the cone of order 2K makes a dense block of order 2 K^2"


def _nuclear(cp: Any, instance: Instance):
    K = instance.K
    Z, weights, budget = cp.Variable((K, K)), cp.Parameter(K, nonneg=True), cp.Parameter(nonneg=True)
    loss = sum(weights[k] * (cp.log_sum_exp(Z[:, k]) - Z[k, k]) for k in range(K))
    program = cp.Problem(cp.Minimize(loss), [cp.normNuc(Z) <= budget])
    return program, {weights: instance.weights, budget: instance.budget}, lambda: Z.value


def _semidefinite(cp: Any, instance: Instance):
    K = instance.K
    X, weights, budget = cp.Variable((2 * K, 2 * K), PSD=True), cp.Parameter(K, nonneg=True), cp.Parameter(nonneg=True)
    Z = X[:K, K:]
    loss = sum(weights[k] * (cp.log_sum_exp(Z[:, k]) - Z[k, k]) for k in range(K))
    program = cp.Problem(cp.Minimize(loss), [cp.trace(X) <= 2 * budget])
    return program, {weights: instance.weights, budget: instance.budget}, lambda: X.value[:K, K:]


def _four_scalars(cp: Any, instance: Instance):
    """In-group margins a, e and the rank-one part (x, y): all that the symmetry of two groups leaves."""
    if instance.two_group is None:
        raise ValueError("four scalars describe two groups: give a two-group instance.")
    K_A, K_B, _ = instance.two_group
    K = K_A + K_B
    a, e = cp.Variable(nonneg=True), cp.Variable(nonneg=True)
    rank_one, weights, budget = cp.Variable(2), cp.Parameter(2, nonneg=True), cp.Parameter(nonneg=True)
    m_A = a * (1 - 1 / K_A) + rank_one[0] * np.sqrt(K / K_B) / K_A
    m_B = e * (1 - 1 / K_B) + rank_one[1] * np.sqrt(K / K_A) / K_B

    def loss(own, across, others, rivals):
        terms = [0.0, *([np.log(others) - own] if others else []), np.log(rivals) - across]
        return cp.log_sum_exp(cp.hstack(terms))

    objective = weights[0] * loss(a, m_A, K_A - 1, K_B) + weights[1] * loss(e, m_B, K_B - 1, K_A)
    cost = (K_A - 1) * a + (K_B - 1) * e + cp.norm(rank_one)
    program = cp.Problem(cp.Minimize(objective), [cost <= budget])
    pi = instance.weights

    def logits():
        first, second = rank_one.value
        u = np.r_[np.full(K_A, np.sqrt(K_B / K_A)), np.full(K_B, -np.sqrt(K_A / K_B))] / np.sqrt(K)
        v = np.r_[np.full(K_A, first / np.sqrt(K_A)), np.full(K_B, -second / np.sqrt(K_B))]
        Z = np.outer(u, v)
        Z[:K_A, :K_A] += a.value * (np.eye(K_A) - 1 / K_A)
        Z[K_A:, K_A:] += e.value * (np.eye(K_B) - 1 / K_B)
        return Z

    return program, {weights: np.array([K_A * pi[0], K_B * pi[-1]]), budget: instance.budget}, logits


def _prepare(form: Callable[..., Any], solver: str, options: Callable[[float, float], dict[str, Any]]):
    def prepare(instances: Sequence[Instance], seconds: float):
        import cvxpy as cp

        if solver not in cp.installed_solvers():
            raise ImportError(f"{solver.lower()} is not installed")
        program, values, logits = form(cp, instances[0])

        def solve(tol: float):
            for parameter, value in values.items():
                parameter.value = value
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "may be inaccurate": the judge decides
                program.solve(solver=solver, **options(tol, seconds))
            return logits()

        return solve, lambda Z: [Z]

    return prepare


def _clarabel(tol: float, seconds: float) -> dict[str, Any]:
    return {"tol_gap_abs": tol, "tol_gap_rel": tol, "tol_feas": tol, "time_limit": seconds, "warm_start": True}


def _scs(tol: float, seconds: float) -> dict[str, Any]:
    return {"eps_abs": tol, "eps_rel": tol, "max_iters": 10**7, "time_limit_secs": seconds, "warm_start": False}


def _moreau(tol: float, seconds: float) -> dict[str, Any]:
    return {
        "ipm_settings": {"tol_gap_abs": tol, "tol_gap_rel": tol, "tol_feas": tol},
        "time_limit": seconds,
        "warm_start": False,
    }


_TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)

PEERS = tuple(
    Peer(f"CVXPY + {title}, {name}", _prepare(form, solver, options), _TOLERANCES, most, _DENSE, False, reduced)
    for title, solver, options, most_dense in (
        ("Clarabel", "CLARABEL", _clarabel, 40),
        ("SCS", "SCS", _scs, 100),
        ("Moreau", "MOREAU", _moreau, 40),
    )
    for name, form, most, reduced in (
        ("nuclear norm", _nuclear, most_dense, False),
        ("semidefinite", _semidefinite, most_dense, False),
        ("four scalars", _four_scalars, 10**6, True),
    )
)
