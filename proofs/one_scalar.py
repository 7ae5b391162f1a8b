"""Two groups on a budget: one equation in one scalar, monotone in the log ratio of the weights."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import uniqueness
from proofs.domain import Domain, above, at_least, between, integers
from proofs.symbols import K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, S
from proofs.theorem import Step, Theorem, Uses
from proofs.two_group import LOSS, M_A, M_B, a, e, pi_A, pi_B, sigma, x, y
from proofs.verifiers.cited import CONTINUITY, CONVEX_KKT, Cited
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

# c_hat = cos(theta)/kappa_A, s_hat = sin(theta)/kappa_B, u = -q_A; the balanced optimum has c_hat = s_hat = 1.
c_hat, s_hat, u, q_B, h, kappa = sp.symbols("c_hat s_hat u q_B h kappa", positive=True)

U_OF_C = -sp.log((K_SUM / c_hat - K_B) / K_A)
Q_OF_S = sp.log((K_SUM / s_hat - K_A) / K_B)
N = S - K_A * (K_A - 1) * u
D_A = 1 + (K_A - 1) * c_hat
E_ACTIVE = (s_hat * N - K_B * q_B * D_A) / (D_A + (K_B - 1) * s_hat)
SIGMA = (N - (K_B - 1) * e) / D_A
A = c_hat * sigma + K_A * u
MARGIN_A = a - u
MARGIN_B = e * (1 - 1 / K_B) + s_hat * sigma / K_B
INVERSE_T_A = c_hat * (K_B + sp.exp(MARGIN_A) + (K_A - 1) * sp.exp(MARGIN_A - a)) / K_SUM
INVERSE_T_B = s_hat * (K_A + sp.exp(MARGIN_B) + (K_B - 1) * sp.exp(MARGIN_B - e)) / K_SUM

# The coordinate h = 1 - exp(-u) in [0, 1/(1 + kappa_A)).
C_OF_H = 1 / (1 - KAPPA_B**2 * h)
S2_OF_H = (1 - h * (1 + KAPPA_A)) * (1 - h * (1 - KAPPA_A)) / (1 - KAPPA_B**2 * h) ** 2
CO_S2_OF_H = KAPPA_A**2 * h * (2 - KAPPA_B**2 * h) / (1 - KAPPA_B**2 * h) ** 2

# A group of one class has no a (or e): its formula then only multiplies zeros.
GROUPS = Domain({K_A: integers(1), K_B: integers(1)})
ANGLE = GROUPS | {h: between(0, 1 / (1 + KAPPA_A), closed=True)}
MAJORITY = GROUPS | {c_hat: between(1, 1 / KAPPA_A, closed=True), sigma: at_least(0), pi_A: above(0)}
MINORITY = GROUPS | {s_hat: between(0, 1), sigma: at_least(0), pi_B: above(0)}


def along_h(expr: sp.Expr) -> sp.Expr:
    """Express a formula in c_hat, s_hat, u, q_B through h."""
    return expr.subs(q_B, Q_OF_S).subs({c_hat: C_OF_H, s_hat: sp.sqrt(S2_OF_H), u: -sp.log(1 - h)})


def _reduction_steps(e_active: sp.Expr) -> tuple[Step, ...]:
    free = GROUPS | {c_hat: at_least(1), s_hat: between(0, 1), u: at_least(0), q_B: at_least(0), S: above(0),
                         sigma: at_least(0),
                         e: at_least(0), a: above(0)}  # fmt: skip
    at_A = {a: A.subs(u, U_OF_C), x: sigma * KAPPA_A * c_hat}
    t_A = 1 / INVERSE_T_A.subs(a, A).subs(u, U_OF_C)
    at_B = {e: s_hat * sigma - K_B * Q_OF_S, y: sigma * KAPPA_B * s_hat}
    t_B = 1 / INVERSE_T_B.subs(e, at_B[e])
    merged = {e: sp.Integer(0), y: at_B[y]}
    t_merged = 1 / INVERSE_T_B.subs(e, 0)
    active_sigma = SIGMA.subs(e, e_active)
    return (
        Identity(r"margins: with $a = \hat c\sigma + K_Au$ and $x = \sigma\cos\theta$, $m_A = a - u$",
                 M_A.subs({a: A, x: sigma * KAPPA_A * c_hat}), MARGIN_A.subs(a, A), free),
        Identity(r"with $y = \sigma\sin\theta$, $m_B = e(1-1/K_B) + \hat s\sigma/K_B$", M_B.subs(y, at_B[y]), MARGIN_B,
                 free),
        Derivative(r"stationary in $a$ at $\lambda = \pi_At_A$, where $1/t_A$ is the formula in the statement and "
                   r"$e^{-u} = (K/\hat c - K_B)/K_A$", LOSS, (a,), -pi_A * t_A * (K_A - 1), MAJORITY, at=at_A),
        Derivative(r"in $x$", LOSS, (x,), -pi_A * t_A * KAPPA_A * c_hat, MAJORITY, at=at_A),
        Derivative(r"for an active minority $e = \hat s\sigma - K_Bq_B$, $e^{q_B} = (K/\hat s - K_A)/K_B$: stationary "
                   r"in $e$ at "
                   r"$\lambda = \pi_Bt_B$", LOSS, (e,), -pi_B * t_B * (K_B - 1), MINORITY, at=at_B),
        Derivative(r"in $y$", LOSS, (y,), -pi_B * t_B * KAPPA_B * s_hat, MINORITY, at=at_B),
        Derivative(r"for a merged one ($e = 0$): in $y$", LOSS, (y,), -pi_B * t_merged * KAPPA_B * s_hat, MINORITY,
                   at=merged),
        Identity(r"the budget $(K_A-1)a + (K_B-1)e + \sigma = S$ is linear and gives $\sigma$",
                 ((K_A - 1) * A + (K_B - 1) * e + sigma).subs(sigma, SIGMA), S, free),
        Identity(r"and, with $e = \hat s\sigma - K_Bq_B$, it gives $e$", s_hat * active_sigma - K_B * q_B, e_active,
                 free),
        Identity(r"if $e$ so obtained is not positive the group is merged: there $m_B - q_B$ has the sign of $e$,",
                 MARGIN_B.subs(e, 0).subs(sigma, N / D_A) - q_B,
                 e_active * (D_A + (K_B - 1) * s_hat) / (K_B * D_A), free),
        Identity(r"and $1/t_B - 1$ that of $m_B - q_B$, so $t_B \ge 1$, which is the condition for $e = 0$ (`lpm.kkt`)",
                 1 / t_merged - 1, s_hat * K_B / K_SUM * (sp.exp(MARGIN_B.subs(e, 0)) - sp.exp(Q_OF_S)), MINORITY),
    )  # fmt: skip


def _coordinate_steps() -> tuple[Step, ...]:
    return (
        Identity(r"the coordinate $h = 1-e^{-u}$: $\hat c$", U_OF_C.subs(c_hat, C_OF_H), -sp.log(1 - h), ANGLE),
        Identity(r"$\hat s^2 = (1-\kappa_A^2\hat c^2)/\kappa_B^2$", (1 - KAPPA_A**2 * C_OF_H**2) / KAPPA_B**2, S2_OF_H,
                 ANGLE),
        Identity(r"$1 - \hat s^2$ without cancellation", 1 - S2_OF_H, CO_S2_OF_H, ANGLE),
        Sign(r"$\hat c$ increases with $h$", sp.diff(C_OF_H, h), ">", ANGLE),
        Sign(r"and $\hat c \ge 1$, so $u \ge 0$ and $a = \hat c\sigma+K_Au \ge 0$", C_OF_H - 1, ">=", ANGLE),
        Sign(r"$\hat s \le 1$", CO_S2_OF_H, ">=", ANGLE),
        Identity(r"$\hat s^2$ through $K_A$, $K_B$", S2_OF_H,
                 ((1 - h) ** 2 - K_B * h**2 / K_SUM) / (1 - K_A * h / K_SUM) ** 2, ANGLE),
        Sign(r"$\hat s$ decreases", sp.diff(((1 - h) ** 2 - K_B * h**2 / K_SUM) / (1 - K_A * h / K_SUM) ** 2, h), "<",
             GROUPS | {h: between(0, K_SUM / (K_SUM + K_B), closed=True)}),
        Sign(r"(that domain, $h < 1/(1+\kappa_A^2)$, contains $h < 1/(1+\kappa_A)$)",
             1 / (1 + kappa**2) - 1 / (1 + kappa), ">",
             Domain({kappa: between(0, 1)})),
        Sign(r"$q_B \ge 0$", (K_SUM / s_hat - K_A) / K_B - 1, ">", MINORITY),
        Sign(r"$q_B$ increases as $\hat s$ falls; so $e \ge 0$ and $\sigma = (e + K_Bq_B)/\hat s \ge 0$ if active, "
             r"$\sigma = N/D_A$ "
             r"if merged: each $h$ with $N \ge 0$ gives a KKT point of the budget problem with $\pi_A/\pi_B = t_B/t_A$",
             sp.diff(Q_OF_S, s_hat), "<", MINORITY),
    )  # fmt: skip


def _monotone_steps() -> tuple[Step, ...]:
    budget = GROUPS | {S: above(0)}
    start = {c_hat: 1, s_hat: 1, u: 0, q_B: 0}
    e0 = E_ACTIVE.subs(start)
    sigma0 = SIGMA.subs(start).subs(e, e0)
    a0 = A.subs(start).subs(sigma, sigma0)
    r0 = sp.log(INVERSE_T_A.subs(a, a0).subs(start)) - sp.log(INVERSE_T_B.subs({e: e0, sigma: sigma0, s_hat: 1}))
    ds, dN, dq, dD, n_, s_, q_, D_ = sp.symbols("ds dN dq dD n s q D", positive=True)
    w, extra = sp.symbols("w delta", positive=True)
    return (
        Cited(r"each is a global minimiser", CONVEX_KKT),
        Uses(r"and the minimiser is unique: $h$ and $h'$ with the same ratio $r$ would give the same $(x,y) = "
             r"\sigma(\cos\theta,\sin\theta)$, so the same $h$, while $\sigma > 0$ ($N > 0$): $r$ is injective",
             uniqueness.theorem()),
        Cited(r"$h \mapsto r$ is continuous, hence strictly monotone", CONTINUITY),
        Identity(r"at $h = 0$: $e = S/(K-1)$", e0, S / (K_SUM - 1), budget),
        Identity(r"$a = S/(K-1)$", a0, S / (K_SUM - 1), budget),
        Identity(r"and $r = 0$, the ETF", r0, sp.Integer(0), budget),
        Sign(r"$1/t_A \ge 1$ throughout: $\hat c \ge 1$, and with $w = a/K_A$, $m_A = (K_A-1)w+\delta$ the bracket is "
             r"at least "
             r"$K$", sp.exp((K_A - 1) * w + extra) + (K_A - 1) * sp.exp(extra - w) - K_A, ">=",
             Domain({K_A: GROUPS[K_A], w: at_least(0), extra: at_least(0)})),
        Identity(r"where $N = 0$: $e = 0$, $\sigma = 0$ and $1/t_B = \hat s < 1$, so $r_1 > 0$",
                 INVERSE_T_B.subs({e: 0, sigma: 0}), s_hat, MINORITY),
        Limit(r"if $N > 0$ up to the end of the range, $\hat s \to 0$ and $1/t_B \to 0$, so $r \to \infty$: in both "
              r"cases $r$ "
              r"increases, from 0", INVERSE_T_B.subs(e, 0), s_hat, sp.Integer(0), sp.Integer(0), MINORITY),
        Sign(r"$\hat sN - K_Bq_BD_A$, whose sign is that of $e$, decreases in $h$ ($ds, dN < 0 < dq, dD$ written "
             r"positive): "
             r"separated below one $h$, merged above", -ds * n_ - s_ * dN - K_B * (dq * D_ + q_ * dD), "<",
             GROUPS | {v: above(0) for v in (ds, dN, dq, dD, n_, s_, q_, D_)}),
        Identity(r"it is $S > 0$ at $h = 0$, and negative at the end (there $N = 0$, or $\hat s \to 0$ and $q_B \to "
                 r"\infty$)",
                 (s_hat * N - K_B * q_B * D_A).subs(start), S, budget),
    )  # fmt: skip


@cache
def theorem(e_active: sp.Expr = E_ACTIVE) -> Theorem:
    """Minimise the two-group loss on the budget S = (K_A - 1) a + (K_B - 1) e + sigma, omega = 1, pi_A >= pi_B.

    `e_active` is the claimed in-group margin of an active minority.
    """
    of_h, on_budget = (K_A, K_B, h), (K_A, K_B, S, h)
    e_h = sp.Max(0, along_h(e_active))
    sigma_h = along_h(SIGMA).subs(e, e_h)
    a_h = along_h(A).subs(sigma, sigma_h)
    log_A = sp.log(along_h(INVERSE_T_A)).subs(a, a_h)
    log_B = sp.log(along_h(INVERSE_T_B)).subs({e: e_h, sigma: sigma_h})
    r = sp.Symbol("r")
    return Theorem(
        id="lpm.one_scalar",
        title="Two groups on a budget: one scalar, monotone in the imbalance",
        source="derived here",
        domain=ANGLE | {S: above(0)},
        assumptions=("ω = 1; roles ordered so that π_A ≥ π_B", "S = K√(E_W E_H) is the budget",
                     "a group of one class has no a (or e), and the formula for it is without effect",
                     "N ≥ 0; where it ends the optimum is annihilated (`lpm.annihilated_boundary`)"),
        statement=(sp.Eq(sp.Symbol(r"\hat c"), C_OF_H, evaluate=False), sp.Eq(sp.Symbol(r"\hat s^2"), S2_OF_H,
                                                                              evaluate=False),
                   sp.Eq(sp.Symbol("D_A"), D_A, evaluate=False), sp.Eq(sp.Symbol("N"), N, evaluate=False),
                   sp.Eq(e, sp.Max(0, e_active), evaluate=False), sp.Eq(sigma, SIGMA, evaluate=False),
                   sp.Eq(a, A, evaluate=False), sp.Eq(1 / sp.Symbol("t_A"), INVERSE_T_A, evaluate=False),
                   sp.Eq(1 / sp.Symbol("t_B"), INVERSE_T_B, evaluate=False),
                   sp.Eq(r, sp.log(sp.Symbol("t_B") / sp.Symbol("t_A")), evaluate=False)),
        steps=(*_reduction_steps(e_active), *_coordinate_steps(), *_monotone_steps()),
        uniqueness="h ↦ r = log(π_A/π_B) is a strictly increasing bijection from [0, end) onto [0, r_1) or [0, ∞); "
                   "merged from "
        "one h on.",
        closed_forms={
            "c_hat": sp.Lambda(of_h, C_OF_H),
            "s_hat2": sp.Lambda(of_h, S2_OF_H),
            "one_minus_s_hat2": sp.Lambda(of_h, CO_S2_OF_H),
            "q_B": sp.Lambda(of_h, along_h(Q_OF_S)),
            "N": sp.Lambda(on_budget, along_h(N)),
            "D_A": sp.Lambda(of_h, along_h(D_A)),
            "e_active": sp.Lambda(on_budget, along_h(e_active)),
            "e": sp.Lambda(on_budget, e_h),
            "sigma": sp.Lambda(on_budget, sigma_h),
            "a": sp.Lambda(on_budget, a_h),
            "log_inverse_t_A": sp.Lambda(on_budget, log_A),
            "log_inverse_t_B": sp.Lambda(on_budget, log_B),
            "r": sp.Lambda(on_budget, log_A - log_B),
        },
    )  # fmt: skip
