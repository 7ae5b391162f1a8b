"""The curve R_0(s): from there on the minority is merged (Minority Collapse at finite imbalance)."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import merging, one_scalar
from proofs.domain import above, between
from proofs.one_scalar import INVERSE_T_A, MAJORITY, U_OF_C, A, c_hat, u
from proofs.symbols import ALPHA_A, ALPHA_B, K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, TWO_GROUPS
from proofs.theorem import Theorem, Uses
from proofs.two_group import LOSS, a, e, pi_B, sigma, y
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

q = sp.Symbol("q", positive=True)
_DECAY_B = sp.exp(-ALPHA_B * y)
SINE = K_A * K_B * ALPHA_B * _DECAY_B / (K_B + K_A * _DECAY_B)


def odds(alpha: sp.Expr, cosine: sp.Expr) -> sp.Expr:
    """rho_A/p_A at the direction cosine of A."""
    return K_A * cosine / (K_B * (K_A * alpha - cosine))


def weight_ratio(within: sp.Expr, margin: sp.Expr) -> sp.Expr:
    """pi_A/pi_B at which a majority of these margins has the multiplier pi_B."""
    wrong = K_A * sp.exp(-within) + K_B * sp.exp(-margin)
    return (1 + wrong - sp.exp(-within)) / wrong


def curve(alpha: sp.Expr, sigma: sp.Expr, cosine: sp.Expr) -> dict[str, sp.Expr]:
    """sigma, x, a, m_A, R_0 and s of a point of the curve."""
    across = sigma * cosine
    within = K_A * (alpha * across + sp.log(odds(alpha, cosine)))
    margin = within * (1 - 1 / K_A) + alpha * across
    return {
        "sigma": sigma,
        "x": across,
        "a": within,
        "m_A": margin,
        "R_0": weight_ratio(within, margin),
        "s": ((K_A - 1) * within + sigma) / K_SUM,
    }


@cache
def theorem(alpha: sp.Expr = ALPHA_A, beta: sp.Expr = ALPHA_B) -> Theorem:
    """The boundary e = 0, lambda = pi_B of the merged phase, explicit in y > 0.

    The arguments are the claimed alpha and beta.
    """
    decay = sp.exp(-beta * y)
    sine = K_A * K_B * beta * decay / (K_B + K_A * decay)
    domain = TWO_GROUPS | {y: above(0)}
    # sigma and c_hat = cos(theta)/kappa_A are kept as independent symbols: the conditions of A hold for all of them.
    at = curve(alpha, sigma, KAPPA_A * c_hat)
    ratio = odds(alpha, KAPPA_A * c_hat)
    steps = (
        Uses(r"the minority is merged iff $\pi_B \le \lambda$: on the boundary $e = 0$ and $\lambda = \pi_B$",
             merging.theorem()),
        Derivative(r"stationarity in $y$ at $e = 0$, $\lambda = \pi_B$ gives $\sin\theta = q$", LOSS, (y,),
                   -pi_B * sine,
                   domain | {pi_B: above(0)}, at={e: sp.Integer(0)}),
        Sign(r"$q$ decreases in $y$", sp.diff(sine, y), "<", domain),
        Identity(r"from $\sqrt{K_A/K}$ at $y = 0$: $q < \sqrt{K_A/K} < 1$ always", sine.subs(y, 0), KAPPA_B,
                 TWO_GROUPS),
        Identity(r"the logarithm in $a$ is $u = -q_A$ of `lpm.one_scalar`: their exponentials agree", ratio,
                 sp.exp(U_OF_C), MAJORITY),
        Identity(r"so with $\sigma = y/q$, $x = \sigma\cos\theta$ the stated $a$ is $\hat c\sigma + K_Au$, as there",
                 at["a"] - K_A * sp.log(ratio), A - K_A * u, MAJORITY | {u: above(0)}),
        Identity(r"the budget $(K_A-1)a+\sigma = Ks$ (with $e = 0$) gives the stated $s$", (K_A - 1) * at["a"] + sigma,
                 K_SUM * at["s"], MAJORITY),
        Identity(r"and the stated $R_0 = 1/t_A$ (with $m_A = a - u$): $a$ and $x$ are stationary at "
                 r"$\lambda = \pi_At_A = \pi_B$",
                 weight_ratio(a, a - u).subs(u, U_OF_C), INVERSE_T_A.subs(u, U_OF_C), MAJORITY | {a: above(0)}),
        Identity(r"$m_A$ is the margin of `lpm.two_group`", at["a"] * (1 - 1 / K_A) + ALPHA_A * at["x"], at["m_A"],
                 MAJORITY),
        Sign(r"$\cos\theta > \kappa_A$, so the logarithm in $a$ is positive and $a > 0$", (1 - q**2) - KAPPA_A**2, ">",
             TWO_GROUPS | {q: between(0, KAPPA_B)}),
        Identity(r"(the logarithm vanishes at $\cos\theta = \kappa_A = 1/(K_A\alpha)$)", odds(alpha, KAPPA_A),
                 sp.Integer(1), TWO_GROUPS),
        Uses(r"for each budget exactly one $R_0$ separates the phases, separated below and merged above: the curve is "
             r"a graph "
             r"over $s$", one_scalar.theorem()),
        Identity(r"$R_0 \to 1$ as $s \to 0$: at $y = 0$, $q = \kappa_B$, $\cos\theta = \kappa_A$, $\sigma = x = 0$, so "
                 r"$u = 0$, "
                 r"$a = 0$ and", weight_ratio(a, a - u).subs({a: 0, u: 0}), sp.Integer(1), TWO_GROUPS),
    )  # fmt: skip
    forms = curve(alpha, y / sine, sp.sqrt(1 - sine**2))
    symbolic = curve(alpha, y / q, sp.sqrt(1 - q**2))
    return Theorem(
        id="lpm.merged_boundary",
        title="Minority collapse at finite imbalance: the curve R₀(s)",
        source="derived here",
        prior="finite thresholds in other models: weight decay Hong & Ling 2023 (arXiv 2309.09725); ReLU "
        "features Dang et al. 2024 (arXiv 2401.02058); squared error Dang et al. 2023 (arXiv "
        "2301.00437); contrastive arXiv 2605.11291",
        domain=domain,
        assumptions=("ω = 1, K_B ≥ 2 (a single class cannot merge), R = n_A/n_B = π_A/π_B ≥ 1", "s = √(E_W E_H)"),
        statement=tuple(sp.Eq(sp.Symbol(name), value, evaluate=False) for name, value in {"q": sine,
                                                                                          **symbolic}.items()),
        steps=steps,
        uniqueness="y ↦ s is an increasing bijection of (0, ∞); at R = R₀ exactly the group is already merged.",
        closed_forms={"q": sp.Lambda((K_A, K_B, y), sine)}
        | {name: sp.Lambda((K_A, K_B, y), value) for name, value in forms.items()},
    )  # fmt: skip
