"""Unconstrained features with squared error (one weight matrix): orthogonal frames."""

from __future__ import annotations

import sympy as sp

from proofs.domain import Domain, above, at_least, between
from proofs.symbols import N, lambda_H, lambda_W
from proofs.theorem import Theorem
from proofs.verifiers.cited import JENSEN, SCHATTEN, VON_NEUMANN, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

n_k, sigma, lam = sp.symbols("n_k sigma lambda", positive=True)
PENALTY = sp.sqrt(lambda_W * lambda_H)
SIGMA = sp.sqrt(n_k) - N * lam
THRESHOLD = N**2 * lambda_W * lambda_H
W_NORM2 = sp.sqrt(n_k * lambda_H / lambda_W) - N * lambda_H
H_NORM2 = sp.sqrt(lambda_W / (n_k * lambda_H)) - N * lambda_W / n_k
VALUE = lam * sp.sqrt(n_k) - N * lam**2 / 2


def theorem(sigma_claim: sp.Expr = SIGMA) -> Theorem:
    """Minimise (1/(2N)) ||WH - Y||^2 + (lambda_W/2) ||W||^2 + (lambda_H/2) ||H||^2, Y one-hot, any class counts n_k.

    `sigma_claim` is the singular value of class k while the class is alive.
    """
    alive = Domain({n_k: above(0), N: above(0), lam: between(0, sp.sqrt(n_k) / N)})
    dead = Domain({n_k: above(0), N: above(0), lam: at_least(sp.sqrt(n_k) / N), sigma: at_least(0)})
    scales = Domain({n_k: above(0), N: above(0), lambda_W: above(0), lambda_H: above(0)})
    cost = (sp.sqrt(n_k) - sigma) ** 2 / (2 * N) + lam * sigma
    own, other = sp.symbols("a_kk a_jk", real=True)
    at_claim = sigma_claim.subs(lam, PENALTY)
    steps = (
        Cited(r"features of a class may be replaced by their mean (the loss is convex in them)", JENSEN),
        Cited(r"with $A = \bar Z\,\mathrm{diag}\sqrt{n_k}$ the decays cost $\lambda\|A\|_*$, "
              r"$\lambda=\sqrt{\lambda_W\lambda_H}$, both "
              r"halves equal", SCHATTEN),
        Identity(r"and the loss is $\|A - D\|^2/(2N)$, $D = \mathrm{diag}\sqrt{n_k}$: entry by entry, "
                 r"$n_k(z_{kk}-1)^2$ with "
                 r"$z = a/\sqrt{n_k}$", n_k * (own / sp.sqrt(n_k) - 1) ** 2 + n_k * (other / sp.sqrt(n_k)) ** 2,
                 (own - sp.sqrt(n_k)) ** 2 + other**2,
                 Domain({n_k: above(0), own: at_least(0), other: at_least(0)})),
        Cited(r"$\|A-D\|^2 = \|A\|^2+\|D\|^2-2\langle A,D\rangle \ge \sum_i(\sigma_i(A)-\sigma_i(D))^2$: the problem "
              r"is bounded "
              r"below by one scalar problem per class, attained at $A = \mathrm{diag}(\sigma_k)$", VON_NEUMANN),
        Convex(r"the scalar problem is strictly convex", cost, (sigma,), alive | {sigma: at_least(0)}, strict=True),
        Derivative(r"stationary at $\sigma_k = \sqrt{n_k} - N\lambda$", cost, (sigma,), sp.Integer(0), alive,
                   at={sigma: sigma_claim}),
        Sign(r"which is positive iff $n_k > N^2\lambda_W\lambda_H$", sigma_claim, ">", alive),
        Sign(r"otherwise the cost increases from $\sigma = 0$ on and the class dies", sp.diff(cost, sigma), ">=", dead),
        Identity(r"its share of the value while alive", cost.subs(sigma, sigma_claim), VALUE, alive),
        Identity(r"$\|w_k\|^2 = \sqrt{\lambda_H/\lambda_W}\,\sigma_k$", sp.sqrt(lambda_H / lambda_W) * at_claim,
                 W_NORM2, scales),
        Identity(r"$n_k\|h_k\|^2 = \sqrt{\lambda_W/\lambda_H}\,\sigma_k$",
                 sp.sqrt(lambda_W / lambda_H) * at_claim / n_k, H_NORM2,
                 scales),
        Identity(r"alive at the threshold with $\sigma = 0$", at_claim.subs(n_k, THRESHOLD), sp.Integer(0), scales),
    )  # fmt: skip
    arguments = (n_k, N, lambda_W, lambda_H)
    return Theorem(
        id="ufm.squared_error",
        title="Unconstrained features with squared error: orthogonal frames, class by class",
        source="Dang et al. 2023 (deep linear networks, M = 1, no bias); Tirer & Bruna 2022 for balanced classes",
        prior="balanced: Zhou et al. 2022 (arXiv 2203.01238)",
        domain=scales,
        assumptions=("no bias", "d ≥ the number of alive classes", "closed forms hold for n_k > N²λ_Wλ_H; below, "
                     "w_k = h_k = 0 and the class contributes n_k/(2N)"),
        statement=(sp.Eq(sp.Symbol("sigma_k"), at_claim, evaluate=False), sp.Gt(n_k, THRESHOLD, evaluate=False),
                   sp.Eq(sp.Symbol(r"{\|w_k\|^2}"), W_NORM2, evaluate=False),
                   sp.Eq(sp.Symbol(r"{\|h_k\|^2}"), H_NORM2, evaluate=False)),
        steps=steps,
        uniqueness="A is unique: it minimises a strictly convex function plus a norm. WWᵀ and HᵀH are diagonal: an "
                   "orthogonal "
        "frame for equal counts, a general orthogonal frame otherwise, up to rotation.",
        closed_forms={
            "sigma": sp.Lambda(arguments, at_claim),
            "threshold": sp.Lambda((N, lambda_W, lambda_H), THRESHOLD),
            "w_norm2": sp.Lambda(arguments, W_NORM2),
            "h_norm2": sp.Lambda(arguments, H_NORM2),
            "value_share": sp.Lambda(arguments, VALUE.subs(lam, PENALTY)),
        },
    )  # fmt: skip
