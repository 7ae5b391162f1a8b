"""Convex programs: the loss, the relaxation of a product of factors, and what a duality gap certifies."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ..duality import Certificate, Program, duality_gap
from ..groups import ClassGroups
from ..losses.softmax import CrossEntropy
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.solution import Solution
from ..solve import solve
from . import dense_gap
from .comparison import Comparison, Forms, claimed, decayed, grid, layer_peeled, perturbed, relative, report
from .formula import closed_form
from .two_group import four_scalars


def cross_entropy(forms: Forms) -> Comparison:
    """Segments and tangents of the loss."""
    rng = np.random.default_rng(0)
    rival_counts: Any = np.tile([[1.0, 3.0], [4.0, 2.0]], (512, 1, 1))
    near, far = rng.normal(scale=5.0, size=(2, 512, 2, 2))
    losses = [CrossEntropy().on_groups(m, rival_counts) for m in (near, (near + far) / 2, far)]
    low, middle, high = (loss.value for loss in losses)
    slope = -np.sum(rival_counts * losses[0].wrong * (far - near), axis=-2)
    beyond = np.maximum(middle - (low + high) / 2, low + slope - high)
    return Comparison("random segments and tangents", np.maximum(beyond, 0) / (low + high), 512, 512)


def relaxation(forms: Forms) -> Comparison:
    """Factors of dimension K - 1, and an SVD of the logits."""
    K_A, K_B, R, E_W, E_H = np.transpose([(3, 2, 1, 1, 1), (2, 3, 4, 0.5, 3), (4, 1, 10, 2, 2), (2, 3, 1e3, 0.2, 0.6)])
    s = layer_peeled(K_A, K_B, R, E_W, E_H)
    errors = []
    for i, budget in enumerate(closed_form(forms["budget"], K_A + K_B, E_W, E_H)):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], s)
        W, H = (np.asarray(x) for x in one.factors())
        Z, K = np.asarray(one.logits()), len(W)
        errors += [
            relative(np.linalg.svd(Z, compute_uv=False).sum(), budget),
            relative([(W**2).sum() / K, (H**2).sum() / K], [E_W[i], E_H[i]]),
            relative(W @ H, Z, np.abs(Z).max()),
            claimed(W.shape == (K, K - 1)),
        ]
    return report("factors of dimension K - 1, SVD", [s], *errors)


def _bounded(s: Solution) -> tuple[np.ndarray, Certificate]:
    """By how much a point near the optimum falls below what its certificate claims, and the certificate.

    A gap below the rounding of the value it belongs to counts as false.
    """
    off = perturbed(s)
    with jax.enable_x64(True):
        program = jax.tree.map(np.asarray, Program.of(s.problem))
    proof = duality_gap(program, off.within, off.between)
    below = np.maximum(proof.value - s.value - proof.gap, 0) / s.value
    return np.maximum(below, claimed(s.gap >= np.finfo(float).eps * s.value)), proof


def budget_gap(forms: Forms) -> Comparison:
    """The gap of perturbed optima on a budget, and whether it bounds."""
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e4], [0.2, 2, 10])
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    violated, proof = _bounded(s)
    a, e, x, y = four_scalars(dataclasses.replace(s, within=proof.within, between=proof.between))
    pi_A, pi_B = s.problem.groups.weights.T
    slopes = [closed_form(forms[name], K_A, K_B, pi_A, a, x) for name in ("gamma_A", "g_x")]
    gamma_A, g_x, gamma_B, g_y = slopes + [closed_form(forms[n], K_A, K_B, pi_B, e, y) for n in ("gamma_B", "g_y")]
    norm = np.maximum(np.maximum(gamma_A, gamma_B), closed_form(forms["rank_one_norm"], 1.0, 1.0, g_x, g_y))
    exact = closed_form(forms["gap"], K_A, K_B, 1.0, 1.0, a, e, x, y, gamma_A, gamma_B, g_x, g_y, norm)
    cost = (K_A - 1) * np.abs(a) + (K_B - 1) * np.abs(e) + np.hypot(x, y)
    # The certificate also charges for the unused part of the budget, and knows that no objective is negative.
    exact = np.minimum(exact + norm * (s.problem.groups.num_classes * np.sqrt(E_H) - cost), proof.value)
    return report("perturbed optima", [s], violated, relative(proof.gap, exact, s.value))


def penalty_gap(forms: Forms) -> Comparison:
    """Whether the gap of perturbed penalised optima bounds, and what it is at any point, loss and bias."""
    K_A, K_B, n_A, decay = grid([2, 5, 50], [2, 20], [3, 100, 5000], np.geomspace(1e-5, 0.1, 9))
    s = decayed((K_A, K_B), (n_A, 1.0), (decay, 2 * decay))
    priced = [_paid_by_factors(lambda_) for lambda_ in (1e-3, 1e-2)]
    return report("perturbed optima, K x K matrices", [s], _bounded(s)[0], dense_gap.errors(), *priced)


def _paid_by_factors(lambda_: float) -> np.ndarray:
    """Value of features H >= 0 against the objective of the factors W and H themselves."""
    s = solve(UnconstrainedFeatures(ClassGroups([3, 4], [40.0, 2.0]), 2 * lambda_, lambda_, nonnegative=True))
    W, H = (np.asarray(x) for x in s.factors())
    n = np.repeat([40.0, 2.0], [3, 4])
    Z = W @ H
    losses = np.log(np.sum(np.exp(Z), axis=0)) - np.diag(Z)
    paid = lambda_ * np.sum(W * W) + lambda_ / 2 * np.sum(n * np.sum(H * H, axis=0))
    return relative([s.value], [n @ losses / n.sum() + paid])
