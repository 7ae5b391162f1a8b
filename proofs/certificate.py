"""Duality gaps: how far any logits are from the global optimum, for a budget and for a penalty."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy, two_group
from proofs.domain import REAL, Domain, above, at_least, between, integers
from proofs.symbols import K_A, K_B, SIZES, TWO_GROUPS
from proofs.theorem import Theorem, Uses
from proofs.two_group import COST, LOSS, SCALARS, SIGMA, VECTOR_U, WEIGHTED, a, e, omega_A, omega_B, pi_A, pi_B, x, y
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

gamma_A, gamma_B, g_x, g_y, tau, norm = sp.symbols("gamma_A gamma_B g_x g_y tau gamma", positive=True)
LENGTH = sp.sqrt(g_x**2 / omega_A**2 + g_y**2 / omega_B**2)
TERM_A = (K_A - 1) * a * (omega_A * norm - gamma_A)
TERM_B = (K_B - 1) * e * (omega_B * norm - gamma_B)
TERM_U = SIGMA * norm - g_x * x - g_y * y
GAP = TERM_A + TERM_B + TERM_U
DUALS = Domain({gamma_A: above(0), gamma_B: above(0), g_x: above(0), g_y: above(0)})


def _minus_gradient(on_A: sp.Expr, on_B: sp.Expr, by_x: sp.Expr, by_y: sp.Expr) -> Blocks:
    """-G = gamma_A S_A + gamma_B S_B + u g^T with g = (g_x 1_A/sqrt(K_A), -g_y 1_B/sqrt(K_B))."""
    line = Blocks.outer(SIZES, VECTOR_U, (by_x / sp.sqrt(K_A), -by_y / sp.sqrt(K_B)))
    return Blocks.centring(SIZES, 0) * on_A + Blocks.centring(SIZES, 1) * on_B + line


@cache
def budget_theorem(gap: sp.Expr = GAP) -> Theorem:
    """f(Z) - f* <= <G, Z> + tau ||G diag(1/omega)||_2 over ||Z diag(omega)||_* <= tau, G the gradient at Z.

    Any feasible logits, any feature dimension. `gap` is the claimed right side in the four scalars of two groups.
    """
    loss = cross_entropy.block_loss((pi_A, pi_B))
    slopes = (-sp.diff(LOSS, a) / (K_A - 1), -sp.diff(LOSS, e) / (K_B - 1), -sp.diff(LOSS, x), -sp.diff(LOSS, y))
    weighted = SCALARS | {pi_A: above(0), pi_B: above(0)}
    full = WEIGHTED | DUALS
    minus_G = _minus_gradient(gamma_A, gamma_B, g_x, g_y)
    inverse = Blocks.of(SIZES, (1 / omega_A, 1 / omega_B), [[0, 0], [0, 0]])
    scaled = minus_G @ inverse
    squares = two_group.spectral(gamma_A**2 / omega_A**2, gamma_B**2 / omega_B**2, LENGTH**2)
    above_ = sp.Symbol("delta", positive=True)
    steps = (
        Uses(r"$f(Z') \ge f(Z) + \langle G, Z'-Z\rangle$", cross_entropy.theorem()),
        Cited(r"$-\langle G, Z'\rangle = \langle -G\Omega^{-1}, Z'\Omega\rangle \le \|G\Omega^{-1}\|_2\,\tau$ for "
              r"every feasible $Z'$: the "
              r"bound. Feasible $W, H$ of any dimension $d$ give a feasible $Z$, so it bounds the non-convex problem "
              r"too",
              VON_NEUMANN),
        BlockIdentity(r"for two groups the gradient is $G = -(\gamma_AS_A + \gamma_BS_B + ug^\top)$ with $\gamma_A = "
                      r"-f_a/(K_A-1)$, "
                      r"$\gamma_B = -f_e/(K_B-1)$, $g_x = -f_x$, $g_y = -f_y$", gradient(loss, two_group.logits()),
                      _minus_gradient(*slopes) * -1,
                      r"\nabla f(Z) = -\left(\gamma_A S_A + \gamma_B S_B + u\,(g_x\mathbf 1_A/\sqrt{K_A}, -g_y\mathbf "
                      r"1_B/\sqrt{K_B})"
                      r"\right)", weighted),
        BlockIdentity(r"its singular values over $\Omega$ are $\gamma_A/\omega_A$, $\gamma_B/\omega_B$, "
                      r"$\sqrt{g_x^2/\omega_A^2+g_y^2/\omega_B^2}$ and 0; $\gamma$ is the largest", scaled @ scaled.T,
                      squares,
                      r"(G\Omega^{-1})(G\Omega^{-1})^\top = \tfrac{\gamma_A^2}{\omega_A^2}S_A + "
                      r"\tfrac{\gamma_B^2}{\omega_B^2}S_B + "
                      r"\left(\tfrac{g_x^2}{\omega_A^2}+\tfrac{g_y^2}{\omega_B^2}\right)uu^\top", full),
        Identity(r"with $\tau = \|Z\Omega\|_*$ the gap $\langle G,Z\rangle + \tau\gamma$ is a sum of three terms",
                 -minus_G.inner(two_group.logits()) + COST * norm, gap, full | {norm: above(0)}),
        Sign(r"the first (and second) is not negative, $\gamma \ge \gamma_A/\omega_A$",
             TERM_A.subs(norm, gamma_A / omega_A + above_), ">=", full | {above_: at_least(0)}),
        Identity(r"nor the third: $\sigma^2(g_x^2/\omega_A^2+g_y^2/\omega_B^2) - (g_xx+g_yy)^2$ is a square",
                 SIGMA**2 * LENGTH**2 - (g_x * x + g_y * y) ** 2,
                 (omega_A * x * g_y / omega_B - omega_B * y * g_x / omega_A) ** 2,
                 full),
    )  # fmt: skip
    return Theorem(
        id="certificate.budget",
        title="Duality gap on a budget",
        source="derived here (convex duality; Frank–Wolfe gap)",
        prior="the gap is that of Frank–Wolfe and Fenchel; the convexification is that of Fang, He, Long & "
        "Su 2021 (arXiv 2101.12699) and Hong & Ling 2023 (arXiv 2309.09725)",
        domain=full | {norm: above(0), tau: above(0)},
        assumptions=("a convex loss; cross-entropy for the group formulas",),
        statement=(sp.Le(sp.Symbol("f(Z)") - sp.Symbol("f^*"), sp.Symbol(r"\langle G, Z\rangle") + tau * norm,
                         evaluate=False),
                   sp.Eq(sp.Symbol("gap"), gap, evaluate=False)),
        steps=steps,
        uniqueness="The gap is 0 exactly at optima; every term is then 0 (γ_g = ω_g γ for each active group).",
        closed_forms={
            "gap": sp.Lambda((K_A, K_B, omega_A, omega_B, a, e, x, y, gamma_A, gamma_B, g_x, g_y, norm), gap),
            "rank_one_norm": sp.Lambda((omega_A, omega_B, g_x, g_y), LENGTH),
            "gamma_A": sp.Lambda((K_A, K_B, pi_A, a, x), slopes[0]),
            "gamma_B": sp.Lambda((K_A, K_B, pi_B, e, y), slopes[1]),
            "g_x": sp.Lambda((K_A, K_B, pi_A, a, x), slopes[2]),
            "g_y": sp.Lambda((K_A, K_B, pi_B, e, y), slopes[3]),
        },
    )  # fmt: skip


@cache
def penalty_theorem() -> Theorem:
    """sum_k pi_k entropy(p'_k) <= min f(Z) + lambda ||Z diag(omega)||_*, p' the shrunk probabilities."""
    z, own, same, other = sp.symbols("z z_k z_A z_B", real=True)
    p, c, lam, G = sp.symbols("p c lambda G", positive=True)
    total = sp.exp(own) + (K_A - 1) * sp.exp(same) + K_B * sp.exp(other)
    logits = ((1, own), (K_A - 1, same), (K_B, other))
    probabilities = [sp.exp(v) / total for _, v in logits]
    entropy = -sum(count * prob * sp.log(prob) for (count, _), prob in zip(logits, probabilities, strict=True))
    linear = sum(count * prob * v for (count, v), prob in zip(logits, probabilities, strict=True)) - own
    column = TWO_GROUPS | {own: REAL, same: REAL, other: REAL}
    steps = (
        Cited(r"$\log\sum_j e^{z_j} = \log\sum_j p'_j\,(e^{z_j}/p'_j) \ge \sum_j p'_jz_j + \mathrm{entropy}(p')$ for "
              r"every probability "
              r"vector $p'$", JENSEN),
        Identity(r"each term of the right side being", p * sp.log(sp.exp(z) / p), p * z - p * sp.log(p),
                 Domain({z: REAL, p: above(0)})),
        Identity(r"so $CE(z,k) \ge \langle p'-e_k, z\rangle + \mathrm{entropy}(p')$. With $p' = cp + (1-c)e_k$ the "
                 r"wrong classes have "
                 r"$p'_j = c\,p_j$ and $p'_k - 1$ is", c * p + (1 - c) - 1, c * (p - 1), Domain({p: between(0, 1),
                                                                                                 c: between(0, 1)})),
        Cited(r"hence $f(Z') + \lambda\|Z'\Omega\|_* \ge \sum_k\pi_k\,\mathrm{entropy}(p'_k) + (\lambda - "
              r"c\|G\Omega^{-1}\|_2)"
              r"\|Z'\Omega\|_*$", VON_NEUMANN),
        Sign(r"where $c = \min(1, \lambda/\|G\Omega^{-1}\|_2)$ leaves no negative factor: $c = 1$ if the norm is below "
             r"$\lambda$,",
             lam - G, ">", Domain({lam: above(0), G: between(0, lam)})),
        Identity(r"and exactly 0 if it is not", lam - lam / G * G, sp.Integer(0), Domain({lam: above(0),
                                                                                          G: at_least(lam)})),
        Identity(r"if $c = 1$ the entropy is the loss minus $\langle p-e_k, z\rangle$ (a column of A; for B exchange "
                 r"the groups)",
                 sp.log(total) - own, linear + entropy, column),
        Uses(r"so the gap is $\langle G,Z\rangle + \lambda\|Z\Omega\|_*$, the sum of non-negative terms of",
             budget_theorem()),
    )  # fmt: skip
    k = sp.Symbol("k", integer=True)
    probability = sp.IndexedBase("p")
    classes = sp.Symbol("K", integer=True, positive=True)
    entropy_sum = -sp.Sum(probability[k] * sp.log(probability[k]), (k, 1, classes))
    return Theorem(
        id="certificate.penalty",
        title="Duality gap with a penalty, cross-entropy",
        source="derived here (Fenchel duality)",
        prior="the gap is that of Frank–Wolfe and Fenchel; the convexification is that of Fang, He, Long & "
        "Su 2021 (arXiv 2101.12699) and Hong & Ling 2023 (arXiv 2309.09725)",
        domain=Domain({lam: above(0), c: between(0, 1), K_A: integers(2), K_B: integers(2)}),
        assumptions=("cross-entropy; G = Σ_k π_k(p_k − e_k)e_kᵀ", "c = min(1, λ/‖G diag(1/ω)‖₂): scaling down only"),
        statement=(sp.Ge(sp.Symbol("f^*"), sp.Symbol(r"\sum_k \pi_k \mathrm{entropy}(p'_k)"), evaluate=False),
                   sp.Eq(sp.Symbol(r"\mathrm{entropy}(p)"), entropy_sum, evaluate=False)),
        steps=steps,
        uniqueness="Tight at the optimum, where ‖G diag(1/ω)‖₂ ≤ λ and the gap vanishes.",
        closed_forms={"scale": sp.Lambda((lam, G), sp.Min(1, lam / G))},
    )  # fmt: skip
