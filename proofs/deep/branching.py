"""The identity that branch and bound for deep cross-entropy rests on: a convex function plus a concave trace."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import certificate, relaxation
from proofs.deep import schatten
from proofs.deep.symbols import DEPTH, L, M, P, sigma
from proofs.domain import REAL, Domain, above, at_least, between
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.cited import VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

q, lam, ceiling, pi_k, omega_k, Q, U, eta, x = sp.symbols("q lambda C pi_k omega_k Q U eta x", positive=True)
z, e = sp.symbols("z e", real=True)
EXPONENT = 1 / M
KAPPA = M * lam / 2
BEST_Q = sigma ** (2 * M / L)
SPLIT = lam * sigma**2 / (2 * q) + KAPPA * q**EXPONENT
ROW = pi_k * e * z + lam * omega_k**2 * z**2 / (2 * Q)
BOUND = 2 * U / (L * lam)


def _split_steps(best_q: sp.Expr, kappa: sp.Expr) -> tuple[Step, ...]:
    """(L lambda/2) sum sigma^(2/L) as a minimum over Q."""
    line = DEPTH | {lam: above(0), sigma: above(0), q: above(0)}
    split = SPLIT.subs(KAPPA, kappa)
    cost = schatten.COST.subs(P, lam**L)
    return (
        Uses(r"equal decays $\lambda = P^{1/L}$ (scaling the factors), $L = M+1$: the decays of $A = Z\,\mathrm{diag}\,"
             r"\omega$ cost $\frac{L\lambda}2\sum_i\sigma_i^{2/L}$", schatten.theorem()),
        Derivative(r"one singular value: $\frac{\lambda\sigma^2}{2q} + \kappa q^s$, $\kappa = \frac{(L-1)\lambda}2$, "
                   r"$s = \frac1{L-1}$, is stationary at $q = \sigma^{2(L-1)/L}$", split, (q,), sp.Integer(0), line,
                   at={q: best_q}),
        Identity(r"where its slope is $\frac\lambda2q^{-2}$ times $q^{1+s} - \sigma^2$, increasing: the minimum over "
                 r"$q > 0$,", sp.diff(split, q), lam / (2 * q**2) * (q ** (1 + EXPONENT) - sigma**2), line),
        Identity(r"equal to the cost of $\sigma$", split.subs(q, best_q), cost, line),
        Cited(r"matrices, $Q \succ 0$ with eigenvalues $q_i$: $\langle CI-Q^{-1}, AA^\top\rangle \le "
              r"\sum_i(C-1/q_i)\sigma_i^2$ for $C \ge \max 1/q_i$, both in decreasing order,", VON_NEUMANN),
        Identity(r"that is $\mathrm{tr}(A^\top Q^{-1}A) \ge \sum_i\sigma_i^2/q_i$, equality for $Q = "
                 r"(AA^\top)^{(L-1)/L}$: the decays are $\min_Q\frac\lambda2\mathrm{tr}(A^\top Q^{-1}A) + "
                 r"\kappa\,\mathrm{tr}\,Q^s$",
                 ceiling * sigma**2 - (ceiling - 1 / q) * sigma**2, sigma**2 / q, line | {ceiling: above(0)}),
    )  # fmt: skip


def _dual_steps(best_z: sp.Expr, weight: sp.Expr) -> tuple[Step, ...]:
    """The minimum over Z at fixed Q, as a maximum over probabilities; Q stands for an eigenvalue."""
    row = Domain({pi_k: above(0), omega_k: above(0), lam: above(0), Q: above(0), e: REAL})
    return (
        Uses(r"$CE(z,k) \ge \langle p-e_k, z\rangle + \mathrm{Ent}(p)$ for every probability vector $p$, equality at "
             r"$p = \mathrm{softmax}(z)$", certificate.penalty_theorem()),
        Derivative(r"$\pi_k\langle p-e_k,z\rangle + \frac{\lambda\omega_k^2}2z^\top Q^{-1}z$ (in the eigenbasis of "
                   r"$Q$; $e$ is a coordinate of $p - e_k$) is convex and stationary at $z = "
                   r"-\frac{\pi_k}{\lambda\omega_k^2}Q(p-e_k)$", ROW, (z,), sp.Integer(0), row, at={z: best_z}),
        Identity(r"with the minimum $-\frac{\pi_k^2}{2\lambda\omega_k^2}(p-e_k)^\top Q(p-e_k)$: so any probabilities "
                 r"give a lower bound, linear in $Q$", ROW.subs(z, best_z), -weight * Q * e**2, row),
        Derivative(r"the minimiser $z$ over logits of all $\sum_k\pi_kCE + \frac{\lambda\omega_k^2}2z_k^\top "
                   r"Q^{-1}z_k$ satisfies that equation with $p = \mathrm{softmax}(z)$ (the slope of the loss is "
                   r"$\pi_k(p-e_k)$): at this $p$ both inequalities are equalities, and the maximum over $P$ is the "
                   r"minimum over $Z$, $\Phi(Q)$", ROW, (z,), pi_k * e + lam * omega_k**2 * z / Q, row | {z: REAL}),
        Uses(r"every minimiser has $\mathbf 1^\top Z = 0$: $Q \succeq 0$ on $\mathbf 1^\perp$ suffices (singular $Q$: "
             r"$z$ in its range)", relaxation.theorem()),
        Sign(r"$\Phi$ is convex, a maximum of functions linear in $Q$, and falls as $Q$ grows;", weight, ">", row),
    )  # fmt: skip


def _cover_steps(bound: sp.Expr) -> tuple[Step, ...]:
    """The set to be covered, and the concave minorant of x^s at indefinite vertices."""
    line = DEPTH | {lam: above(0), sigma: above(0)}
    tangent = Domain({M: DEPTH[M], eta: above(0), x: at_least(0)})
    cost = schatten.COST.subs(P, lam**L)
    return (
        Sign(r"$\kappa\,\mathrm{tr}\,Q^s$ is concave, $q^s$ being so,", sp.diff(q**EXPONENT, q, 2), "<=",
             DEPTH | {q: above(0)}),
        Identity(r"$\mathrm{tr}\,Q^s = \sum_i\sigma_i^{2/L}$ at the best $Q$ is $\frac2{L\lambda}$ times the decays: "
                 r"no more than $\frac{2U}{L\lambda}$ at a point no worse than $U$", BEST_Q**EXPONENT,
                 cost * bound / U, line | {U: above(0)}),
        Identity(r"the minorant $\psi_\eta(x) = \eta^{s-1}x$ below $\eta$, $x^s$ above: at $x = \eta e^{-y}$, $\log "
                 r"x^s - \log\psi_\eta = (1-s)y$", sp.log((eta * sp.exp(-x)) ** EXPONENT)
                 - sp.log(eta ** (EXPONENT - 1) * eta * sp.exp(-x)), (1 - EXPONENT) * x, tangent),
        Sign(r"which is not negative: $\psi_\eta(x) \le x^s$ for $x \ge 0$,", (1 - EXPONENT) * x, ">=", tangent),
        Sign(r"and concave: at $\eta$ the slope falls from $\eta^{s-1}$ to $s\eta^{s-1}$. So "
             r"$\mathrm{tr}\,\psi_\eta(Q)$ is concave in every symmetric $Q$, least at the vertices of a simplex",
             1 - EXPONENT, ">=", DEPTH),
    )  # fmt: skip


@cache
def theorem(
    best_q: sp.Expr = BEST_Q,
    kappa: sp.Expr = KAPPA,
    best_z: sp.Expr = -pi_k * Q * e / (lam * omega_k**2),
    weight: sp.Expr = pi_k**2 / (2 * lam * omega_k**2),
    bound: sp.Expr = BOUND,
) -> Theorem:
    """min f(Z) + (L lambda/2) sum sigma_i(Z diag omega)^(2/L) = min over Q >= 0 of Phi(Q) + kappa tr Q^s.

    The arguments are the claimed minimisers q and z (per eigenvalue), kappa, the weight of the quadratic form in Phi,
    and the bound of tr Q^s.
    """
    form = sp.Symbol(r"{(p_k-e_k)^\top Q(p_k-e_k)}")
    trace = sp.Symbol(r"{\mathrm{tr}\,Q^s}")
    phi = sp.Function(r"\max_{P}\sum_k")(pi_k * sp.Symbol(r"\mathrm{Ent}(p_k)") - weight * form)
    return Theorem(
        id="deep_ce.branching",
        title="Deep cross-entropy as a convex function plus a concave trace: the identity of branch and bound",
        source="derived here",
        prior="low-rank structures: Garrod & Keating 2024 (arXiv 2410.23169) with cross-entropy, Súkeník, "
        "Lampert & Mondelli 2024 with ReLU and squared error; depth alone: arXiv 2605.23087",
        domain=Domain({M: DEPTH[M], lam: above(0), pi_k: above(0), omega_k: above(0), eta: above(0),
                       x: between(0, sp.oo, closed=True)}),
        assumptions=("cross-entropy, any weights π and cost weights ω, no bias, widths ≥ K − 1",
                     "L = M + 1, λ = P^{1/L}, s = 1/(L − 1), κ = (L − 1)λ/2"),
        statement=(sp.Eq(sp.Symbol("F^*"), sp.Function(r"\min_{Q\succeq0}")(sp.Symbol(r"\Phi(Q)") + kappa * trace),
                         evaluate=False),
                   sp.Eq(sp.Symbol(r"\Phi(Q)"), phi, evaluate=False),
                   sp.Le(trace, bound, evaluate=False)),
        steps=(*_split_steps(best_q, kappa), *_dual_steps(best_z, weight), *_cover_steps(bound)),
        uniqueness="An identity; Q = (AAᵀ)^{(L−1)/L} at the optimum. Lower bounds need no optimal P: any will do.",
        closed_forms={
            "best_q": sp.Lambda((M, sigma), best_q),
            "kappa": sp.Lambda((M, lam), kappa),
            "weight": sp.Lambda((lam, pi_k, omega_k), weight),
            "bound": sp.Lambda((M, lam, U), bound),
        },
    )  # fmt: skip
