"""Two groups of equal classes: logits and geometry in four scalars, optimality, uniqueness, one unknown."""

from typing import Any

import numpy as np

from ..results.solution import Solution
from .comparison import Comparison, Forms, claimed, decayed, full_logits, grid, layer_peeled, relative, report
from .formula import closed_form


def four_scalars(s: Solution) -> tuple[Any, ...]:
    """(a, e, x, y) of ``lpm.two_group``."""
    K_A, K_B = s.problem.groups.classes.T
    K = K_A + K_B
    x, y = s.between[:, 0, 0] * np.sqrt(K / K_B), s.between[:, 1, 1] * np.sqrt(K / K_A)
    return s.within[:, 0], s.within[:, 1], x, y


def logits(forms: Forms) -> Comparison:
    """An SVD of the full logits."""
    errors, solved = [], []
    for K_A, K_B in ((2, 3), (3, 2), (4, 1)):
        R, E_W, E_H = grid([1.5, 10, 1e4], [0.5, 2], [0.3, 4])
        s = layer_peeled(K_A, K_B, R, E_W, E_H)
        a, e, x, y = four_scalars(s)
        sizes, pi = (float(K_A), float(K_B)), s.problem.groups.weights.T
        full = full_logits((K_A, K_B), s)
        left, singular, _ = np.linalg.svd(full)
        gram = (left * singular[:, None, :]) @ np.swapaxes(left, 1, 2)
        own = np.einsum("bkk->bk", full)
        losses = np.log(np.exp(full - own[:, None, :]).sum(axis=1))
        pi_k = np.repeat(pi.T, (K_A, K_B), axis=1)
        sigma = np.hypot(x, y)
        errors += [
            relative(singular.sum(axis=-1), closed_form(forms["nuclear_norm"], *sizes, 1.0, 1.0, a, e, x, y)),
            relative((pi_k * losses).sum(axis=-1), closed_form(forms["loss"], *sizes, *pi, a, e, x, y)),
            relative(gram[:, 0, 0], closed_form(forms["w_norm2_A"], *sizes, a, e, sigma)),
            relative(gram[:, -1, -1], closed_form(forms["w_norm2_B"], *sizes, a, e, sigma)),
            relative(gram[:, 0, 1] / gram[:, 0, 0], closed_form(forms["cos_A"], *sizes, a, e, sigma), 1.0),
            relative(gram[:, 0, -1], closed_form(forms["w_inner"], *sizes, sigma), gram[:, 0, 0]),
        ]
        here = (sigma > 0) & (K_B > 1)
        exact = closed_form(forms["cos_B"], *sizes, a[here], e[here], sigma[here])
        errors.append(relative(gram[here, -1, -2], exact * gram[here, -1, -1], gram[here, 0, 0]))
        solved.append(s)
    return report("SVD of the full logit matrix", solved, *errors)


def kkt(forms: Forms) -> Comparison:
    """The direction of the optimum and its multiplier."""
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e6], [0.2, 2, 40])
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    a, e, x, y = four_scalars(s)
    t_A, t_B = np.exp(-s.slack).T
    length = np.hypot(x, y)
    errors = []
    for name, t, share, within, coordinate in (("A", t_A, x, a, x), ("B", t_B, y, e, y)):
        active, here = (t < 1) & (length > 0), (t >= 1) & (length > 0)
        for cells, forms_of in ((active, ("within", "coordinate")), (here, ("coordinate_merged",))):
            at = [v[cells] for v in (K_A, K_B, t)] + [(share[cells] / length[cells])]
            for form in forms_of:
                prefix, _, merged = form.partition("_")
                full = f"{prefix}{'_merged' if merged else ''}_{name}"
                found = within if form == "within" else coordinate
                # Near t = 1 both sides are small differences of a and of K_g log(p/rho).
                errors.append(relative(found[cells], closed_form(forms[full], *at), 1 + a[cells]))
    return report("budget solver's multiplier and direction", [s], *errors, outside=int((length == 0).sum()))


def unique(forms: Forms) -> Comparison:
    """The budget solver against the penalty solver."""
    K_A, K_B, R, E_H = grid([2, 5, 300], [1, 20], [1.5, 30, 1e4], np.geomspace(0.1, 10, 8))
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    # At the multiplier of the budget as the price the other solver must find the same optimum.
    priced = decayed((K_A, K_B), (1.0, 1.0), (s.multiplier, s.multiplier), weights=(R, 1.0))
    a, _, x, y = four_scalars(s)
    alive = np.hypot(x, y) > 0
    share = np.sqrt(K_B / (K_A + K_B))
    at = (K_A, K_B / K_A, share, np.exp(-s.slack[:, 0]), np.where(alive, x / np.where(alive, np.hypot(x, y), 1), share))
    falling = np.diff(s.multiplier.reshape(-1, 8), axis=1) < 0
    return report(
        "budget solver against penalty solver",
        [s, priced],
        relative(priced.within, s.within, 1 + a[:, None]),
        relative(priced.between, s.between, 1 + a[:, None, None]),
        relative(x, closed_form(forms["coordinate"], *at), 1 + a)[alive],
        claimed(falling),
    )


def one_scalar(forms: Forms) -> Comparison:
    """The angle h, from the solution at R = exp(r(h))."""
    K_A, K_B, S, share = grid([2, 5, 300], [2, 20], [0.05, 1, 10], np.linspace(0.02, 0.98, 13))
    S = S * (K_A + K_B)
    end = 1 / (1 + np.sqrt(K_B / (K_A + K_B)))
    h = share * np.minimum(end, -np.expm1(-S / (K_A * (K_A - 1))))
    r = closed_form(forms["r"], K_A, K_B, S, h)
    s = layer_peeled(K_A, K_B, np.exp(r), S / (K_A + K_B), S / (K_A + K_B))
    a, e, x, y = four_scalars(s)
    return report(
        "solution at R = exp(r(h)) against h",
        [s],
        *(
            relative(found, closed_form(forms[name], K_A, K_B, S, h), S / (K_A + K_B))
            for name, found in (("a", a), ("e", e), ("sigma", np.hypot(x, y)))
        ),
        claimed(np.diff(r.reshape(-1, 13), axis=1) > 0),
    )
