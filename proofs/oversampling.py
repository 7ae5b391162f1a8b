"""Oversampling the minority: what it does to the weights, and the least remedy."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import merged_boundary
from proofs.domain import Domain, above
from proofs.symbols import K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, TWO_GROUPS, R, m
from proofs.theorem import Theorem, Uses
from proofs.two_group import LOSS, SIGMA, a, e, omega_A, omega_B, pi_A, pi_B, x, y
from proofs.verifiers.cited import CONVEX_KKT, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

w, n_A, n_B, N, R_0 = sp.symbols("w n_A n_B N R_0", positive=True)


@cache
def theorem(full_remedy: sp.Expr = R, least_remedy: sp.Expr = R / R_0) -> Theorem:
    """Each minority sample is drawn w times as often.

    The arguments are the claimed w that restores the ETF, and the infimum of those that avoid the collapse.
    """
    domain = TWO_GROUPS | {R: above(1), m: above(0), pi_B: above(0)}
    counts = Domain({n_A: above(0), n_B: above(0), N: above(0), w: above(0), R: above(0), R_0: above(0)})
    # The ETF Z = mS in the four scalars, and the weights after oversampling by full_remedy.
    etf = {a: m, e: m, x: KAPPA_A * m, y: KAPPA_B * m, pi_A: R / full_remedy * pi_B}
    lam = pi_B * K_SUM / (K_SUM - 1 + sp.exp(m))
    steps = (
        Identity(r"the class-averaged norms do not see $w$ ($\omega = 1$); the weights have ratio $R/w$, $R = n_A/n_B$",
                 (n_A / N) / (w * n_B / N), n_A / n_B / w, counts),
        Derivative(r"with $w = R$ the ETF ($a=e=m$, $x=\kappa_Am$, $y=\kappa_Bm$) is stationary in $a$", LOSS, (a,),
                   -lam * (K_A - 1),
                   domain, at=etf),
        Derivative(r"in $e$", LOSS, (e,), -lam * (K_B - 1), domain, at=etf),
        Derivative(r"in $x$, with $x/\sigma = \kappa_A$", LOSS, (x,), -lam * KAPPA_A, domain, at=etf),
        Derivative(r"in $y$", LOSS, (y,), -lam * KAPPA_B, domain, at=etf),
        Identity(r"($\sigma = m$)", SIGMA.subs({omega_A: 1, omega_B: 1}).subs(etf), m, domain),
        Cited(r"so it is optimal", CONVEX_KKT),
        Uses(r"the minority is merged iff $R/w \ge R_0$", merged_boundary.theorem()),
        Sign(r"which falls with $w$", sp.diff(R / w, w), "<", counts),
        Identity(r"and is attained at $w = R/R_0$: collapse is avoided iff $w > R/R_0$", (R / w).subs(w, least_remedy),
                 R_0, counts),
    )  # fmt: skip
    return Theorem(
        id="lpm.oversampling",
        title="Oversampling: w = R restores the ETF, w > R/R₀ avoids collapse",
        source="Fang, He, Long & Su 2021 (PNAS), oversampling restores the balanced optimum; the least remedy derived "
               "here",
        domain=Domain({**TWO_GROUPS, **counts}),
        assumptions=("class-averaged feature norms (ω = 1): oversampling changes only the loss weights", "K_B ≥ 2"),
        statement=(sp.Eq(sp.Symbol("w_ETF"), full_remedy, evaluate=False), sp.Gt(w, least_remedy, evaluate=False)),
        steps=steps,
        uniqueness="R/R₀ is an infimum: at equality the minority is still merged.",
        closed_forms={
            "effective_ratio": sp.Lambda((R, w), R / w),
            "least_remedy": sp.Lambda((R, R_0), least_remedy),
        },
    )  # fmt: skip
