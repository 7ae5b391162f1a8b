"""Minority Collapse in the limit of large imbalance, and how fast the threshold grows with the norm budget."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import merged_boundary, two_group
from proofs.domain import REAL, Domain, above, at_least, between
from proofs.merged_boundary import SINE
from proofs.one_scalar import MAJORITY, U_OF_C, c_hat, u
from proofs.symbols import ALPHA_B, K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, TWO_GROUPS, m, s
from proofs.theorem import Theorem, Uses
from proofs.two_group import a, e, sigma, y
from proofs.verifiers.identity import Identity, Limit
from proofs.verifiers.sign import Sign

RATE = K_SUM / (K_A - 1 + KAPPA_A)


@cache
def theorem(rate: sp.Expr = RATE) -> Theorem:
    """For every budget the minority is merged once R >= R_0(s) < oo; log R_0 ~ rate * s as s grows."""
    q, kappa = sp.symbols("q kappa", positive=True)
    offset, remainder = sp.symbols("A_0 B_0", real=True)
    height = -sp.log(K_B * q / (K_A * (K_B * ALPHA_B - q))) / ALPHA_B
    angle = TWO_GROUPS | {q: between(0, KAPPA_B)}
    flat = Domain({kappa: between(0, 1), K_A: TWO_GROUPS[K_A], offset: REAL, remainder: REAL, sigma: above(0)})
    wrong = K_A * sp.exp(-a) + K_B * sp.exp(u - a)
    within = sigma / kappa + offset
    margins = TWO_GROUPS | {a: at_least(0), m: at_least(0)}
    bracket = 1 + (K_A - 1) * sp.exp(-a) + K_B * sp.exp(-m)
    # y up to a positive factor, with kappa for kappa_B = 1/(K_B beta) and log(K_A/K_B) for the constant.
    generic = sp.log((1 / kappa - q) / q) + offset
    near_zero = Domain({kappa: between(0, 1), offset: REAL, q: above(0)})
    gram = two_group.spectral(a, e, sigma)
    steps = (
        Uses(r"for $K_B \ge 2$ and every $s$ the threshold $R_0(s)$ is finite, and the minority is merged for all $R "
             r"\ge R_0(s)$: the "
             r"rows $w_k$ of the minority are equal, hence so are their limits as $R \to \infty$",
             merged_boundary.theorem()),
        Identity(r"(merged means $e = 0$, and in units of the Gram matrix $\|w_k - w_{k'}\|^2$ is)",
                 2 * (gram.entry(1) - gram.entry(1, 1)), 2 * e, TWO_GROUPS | {a: above(0), e: at_least(0),
                                                                              sigma: above(0)}),
        Uses(r"on the curve, in the scalars of", two_group.theorem()),
        Identity(r"$R_0 = e^a\,(1+(K_A-1)e^{-a}+K_Be^{-m_A})\,(K-K_B\hat c)/(K_AK)$, $m_A = a-u$",
                 ((1 + wrong - sp.exp(-a)) / wrong).subs(u, U_OF_C),
                 sp.exp(a) * (1 + wrong - sp.exp(-a)).subs(u, U_OF_C) * (K_SUM - K_B * c_hat) / (K_A * K_SUM),
                 MAJORITY | {a: above(0)}),
        Sign(r"the bracket is at least 1", bracket - 1, ">", margins),
        Sign(r"and at most $K$", K_SUM - bracket, ">=", margins),
        Sign(r"and $K - K_B\hat c > K(1-\kappa_A)$ is bounded away from 0 ($K_B = \kappa_A^2K$): $\log R_0 = a + O(1)$",
             (1 - kappa**2 * c_hat) - (1 - kappa), ">", Domain({kappa: between(0, 1), c_hat: between(1, 1 / kappa,
                                                                                                     closed=True)})),
        Identity(r"along the curve $y$ is explicit in $q = \sin\theta$", SINE.subs(y, height), q, angle),
        Identity(r"which is $\log((1/\kappa_B - q)/q) + \log(K_A/K_B)$, divided by $\beta$", height,
                 (sp.log((1 / KAPPA_B - q) / q) + sp.log(K_A / K_B)) / ALPHA_B, angle),
        Limit(r"as $y \to \infty$, $q \to 0$", SINE, y, sp.oo, sp.Integer(0), TWO_GROUPS | {y: above(0)}),
        Limit(r"$\sigma = y/q \to \infty$ ($y$ grows like $\log(1/q)$)", generic / q, q, sp.Integer(0), sp.oo,
              near_zero),
        Limit(r"and $\sigma(1-\cos\theta) = y(1-\sqrt{1-q^2})/q \to 0$", generic * (1 - sp.sqrt(1 - q**2)) / q, q,
              sp.Integer(0),
              sp.Integer(0), near_zero),
        Limit(r"so $a = \sigma\cos\theta/\kappa_A + K_Au = \sigma/\kappa_A + A_0 + o(1)$ with $A_0 = K_Au$ at $\hat c "
              r"= 1/\kappa_A$, finite, and "
              r"$\log R_0/S \to$", (within + remainder) / ((K_A - 1) * within + sigma), sigma, sp.oo,
              (1 / kappa) / ((K_A - 1) / kappa + 1), flat),
        Identity(r"that is, with $S = sK$, $\log R_0 \sim sK/(K_A-1+\kappa_A)$",
                 K_SUM * (1 / KAPPA_A) / ((K_A - 1) / KAPPA_A + 1),
                 rate, TWO_GROUPS),
    )  # fmt: skip
    return Theorem(
        id="lpm.minority_collapse",
        title="Minority Collapse: exact at finite imbalance, exponential in the norm budget",
        source="Fang, He, Long & Su 2021 (PNAS), Theorem 5 (the limit R → ∞); finite threshold and rate derived here",
        prior="finite thresholds in other models: weight decay Hong & Ling 2023 (arXiv 2309.09725); ReLU "
        "features Dang et al. 2024 (arXiv 2401.02058); squared error Dang et al. 2023 (arXiv "
        "2301.00437); contrastive arXiv 2605.11291",
        domain=TWO_GROUPS | {s: above(0)},
        assumptions=("ω = 1, K_A, K_B ≥ 2",),
        statement=(sp.Eq(sp.Limit(sp.Symbol(r"\|w_k - w_{k'}\|"), sp.Symbol("R"), sp.oo), 0, evaluate=False),
                   sp.Eq(sp.Limit(sp.Function("log R_0")(s) / s, s, sp.oo), rate, evaluate=False)),
        steps=steps,
        uniqueness="The optimum is unique (`lpm.unique`), so the statement is about it, not about some optimum.",
        closed_forms={"growth_rate": sp.Lambda((K_A, K_B), rate)},
    )  # fmt: skip
