"""The curve R_1(s): from there on the minority has zero classifier and features; where the curve ends."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import two_group
from proofs.domain import Domain, above, between, integers
from proofs.one_scalar import INVERSE_T_A, U_OF_C, c_hat, u
from proofs.symbols import K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, R
from proofs.theorem import Theorem, Uses
from proofs.two_group import LOSS, a, e, pi_A, pi_B, x, y
from proofs.verifiers.cited import CONVEX_KKT, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

MARGIN = a * (1 - 1 / K_A)
PARTITION = 1 + (K_A - 1) * sp.exp(-a) + K_B * sp.exp(-MARGIN)
P, RHO = sp.exp(-a) / PARTITION, sp.exp(-MARGIN) / PARTITION
Q = K_A * P + K_B * RHO
R_1 = sp.sqrt(K_A / K_SUM) / sp.sqrt(Q**2 - K_SUM * K_B * RHO**2)
A_END = K_A * sp.log(K_A / (sp.sqrt(K_SUM * K_B) - K_B))


@cache
def theorem(r_1: sp.Expr = R_1, a_end: sp.Expr = A_END) -> Theorem:
    """On a budget S = (K_A - 1) a the point e = x = y = 0 is optimal iff R >= R_1(a), which is real for a < a_end."""
    domain = Domain({K_A: integers(2), K_B: integers(1), a: above(0), pi_A: above(0), pi_B: above(0)})
    nothing = {e: sp.Integer(0), x: sp.Integer(0), y: sp.Integer(0)}
    q, rho, p, w = sp.symbols("q rho p w", positive=True)
    plain = Domain(
        {K_A: integers(2), K_B: integers(1), rho: above(0), q: above(sp.sqrt(K_SUM * K_B) * rho), R: above(0)}
    )
    r_plain = r_1.subs({Q: q, RHO: rho})
    norm2 = K_SUM * K_B * rho**2 + K_A / K_SUM / R**2
    sizes = Domain({K_A: integers(2), K_B: integers(1)})
    majority = sizes | {c_hat: between(1, 1 / KAPPA_A, closed=True)}
    u_end = {a: K_A * U_OF_C}
    steps = (
        Uses(r"the four-scalar problem", two_group.theorem()),
        Derivative(r"at $e=x=y=0$ stationarity in $a$ gives $\lambda = \pi_Aq$, $q = K_Ap+K_B\rho$", LOSS, (a,),
                   -pi_A * Q * (K_A - 1), domain, at=nothing),
        Derivative(r"the slope in $x$", LOSS, (x,), -pi_A * sp.sqrt(K_SUM * K_B) * RHO, domain, at=nothing),
        Derivative(r"the slope in $y$", LOSS, (y,), -pi_B * sp.sqrt(K_A / K_SUM), domain, at=nothing),
        Cited(r"the cost $\sigma = \|(x,y)\|$ has the unit disc as subdifferential at 0: the point is optimal iff the "
              r"two slopes "
              r"have norm at most $\lambda$ (and $\pi_B \le \lambda$ for $e$)", CONVEX_KKT),
        Identity(r"in units of $\pi_A$ that is $K K_B\rho^2 + K_A/(KR^2) \le q^2$, with equality at $R_1$",
                 norm2.subs(R, r_plain),
                 q**2, plain),
        Sign(r"the left side falls with $R$: optimal iff $R \ge R_1$ (never, if $q^2 \le KK_B\rho^2$)", sp.diff(norm2,
                                                                                                                R), "<",
             plain),
        Sign(r"$\rho \ge p$, as $m \le a$", MARGIN - a, "<", domain),
        Identity(r"so $\pi_B \le \lambda$, that is $Rq \ge 1$, holds from $R_1$ on: $R_1^2q^2 - 1$ has the sign of "
                 r"$K\rho - q$",
                 (r_plain**2 * q**2 - 1) * (q**2 - K_SUM * K_B * rho**2),
                 K_B / K_SUM * (K_SUM * rho - q) * (K_SUM * rho + q), plain),
        Identity(r"which is that of $\rho - p$", K_SUM * rho - (K_A * p + K_B * rho), K_A * (rho - p),
                 sizes | {rho: above(0), p: above(0)}),
        Identity(r"$q/\rho = K_Ae^{-a/K_A} + K_B$", Q / RHO, K_A * sp.exp(-a / K_A) + K_B, domain),
        Sign(r"falls with $w = a/K_A$", sp.diff(K_A * sp.exp(-w) + K_B, w), "<", sizes | {w: above(0)}),
        Identity(r"and reaches $\sqrt{KK_B}$, where $R_1$ becomes infinite, at $a_{end}$",
                 (K_A * sp.exp(-a / K_A) + K_B).subs(
            a, a_end), sp.sqrt(K_SUM * K_B), sizes),
        Sign(r"$a_{end}$ exists, $\sqrt{KK_B} > K_B$,", K_SUM * K_B - K_B**2, ">", sizes),
        Sign(r"and is positive, $\sqrt{KK_B} - K_B < K_A$", K_SUM**2 - K_SUM * K_B, ">", sizes),
        Identity(r"it is the end $N = 0$ of `lpm.one_scalar` ($a = K_Au$, $m_A = a-u$): there $q = t_A$,",
                 Q.subs(u_end), 1 / INVERSE_T_A.subs(u, U_OF_C).subs(u_end), majority),
        Identity(r"and $\sqrt{KK_B}\,\rho = q\cos\theta$, $\cos\theta = \kappa_A\hat c$, so $R_1 = 1/(q\hat s)$",
                 (sp.sqrt(K_SUM * K_B) * RHO / Q).subs(
            u_end), KAPPA_A * c_hat, majority),
        Identity(r"since $\kappa_B = \sqrt{K_A/K}$", KAPPA_B, sp.sqrt(K_A / K_SUM), sizes),
    )  # fmt: skip
    arguments = (K_A, K_B, a)
    return Theorem(
        id="lpm.annihilated_boundary",
        title="Annihilated minority: the curve R₁(s) and where it ends",
        source="derived here",
        prior="finite thresholds in other models: weight decay Hong & Ling 2023 (arXiv 2309.09725); ReLU "
        "features Dang et al. 2024 (arXiv 2401.02058); squared error Dang et al. 2023 (arXiv "
        "2301.00437); contrastive arXiv 2605.11291",
        domain=domain,
        assumptions=("ω = 1, K_A ≥ 2, R = π_A/π_B", "s = √(E_W E_H) = (K_A − 1)a/K; S = Ks"),
        statement=(sp.Eq(sp.Symbol("q"), Q, evaluate=False), sp.Eq(sp.Symbol("rho"), RHO, evaluate=False),
                   sp.Eq(sp.Symbol("R_1"), r_plain, evaluate=False), sp.Eq(sp.Symbol("a_end"), a_end, evaluate=False)),
        steps=steps,
        uniqueness="An equivalence. From S = (K_A − 1)a_end on no finite imbalance annihilates.",
        closed_forms={
            "p": sp.Lambda(arguments, P),
            "rho": sp.Lambda(arguments, RHO),
            "q": sp.Lambda(arguments, Q),
            "R_1": sp.Lambda(arguments, r_1),
            "s": sp.Lambda(arguments, (K_A - 1) * a / K_SUM),
            "S_end": sp.Lambda((K_A, K_B), (K_A - 1) * a_end),
        },
    )  # fmt: skip
