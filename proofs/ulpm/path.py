"""Regularisation path: cross-entropy at a vanishing price of the norm tends to minimum-norm separation."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.domain import REAL, Domain, above, at_least, between, integers
from proofs.symbols import K_A, K_B, K_SUM, SIZES, TWO_GROUPS, K, R
from proofs.theorem import Theorem, Uses
from proofs.ulpm import seli
from proofs.ulpm.seli import COUNTS, n_A, n_B
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

#: rate of the Layer-Peeled Model, class-averaged norms, counts in the ratio R: the spread of log pi
SPREAD = sp.sqrt(K_A * K_B) / K_SUM * sp.log(R)


def of_margins(own: tuple[sp.Expr, sp.Expr], other: tuple[sp.Expr, sp.Expr]) -> Blocks:
    """Centred logits of two groups; `other[g]` is the margin of a class of group g over one of the other group."""
    ones = [[-own[0], -other[1]], [-other[0], -own[1]]]
    Z = Blocks.of(SIZES, own, ones)
    average = Blocks.of(SIZES, (0, 0), [[1 / K_SUM] * 2] * 2)
    return Z - average @ Z


def squared_rate(first: Blocks, last: Blocks) -> sp.Expr:
    """Squared length of what `first` has across `last`, over that of `last`."""
    length = last.inner(last)
    return (first.inner(first) - first.inner(last) ** 2 / length) / length


def _rate() -> sp.Expr:
    beta = seli.theorem().closed_forms
    dual = {name: beta[f"beta_{name}"].expr for name in ("AA", "AB", "BA", "BB")}
    # pi is proportional to n; a common factor moves margins along the limit.
    first = of_margins(
        (sp.log(n_A / dual["AA"]), sp.log(n_B / dual["BB"])), (sp.log(n_A / dual["BA"]), sp.log(n_B / dual["AB"]))
    )
    omega = Blocks.of(SIZES, (sp.sqrt(n_A), sp.sqrt(n_B)), [[0, 0], [0, 0]])
    one = sp.Integer(1)
    return sp.sqrt(squared_rate(first @ omega, of_margins((one, one), (one, one)) @ omega))


@cache
def theorem(spread: sp.Expr = SPREAD) -> Theorem:
    """min sum_k pi_k CE(z_k, k) + lambda ||Z Omega||_* has Z = log(1/lambda) Z_inf + Z_1 + o(1) as lambda -> 0.

    `spread` is the claimed rate at which the direction arrives, for the class-averaged norm.
    """
    pi, P, p, beta, lam, T, x, level, value, k = sp.symbols("pi P p beta lambda T x L V k", positive=True)
    m, along, across = sp.symbols("m p_1 q_1", real=True)
    u = sp.Symbol("u", positive=True)
    one = sp.Integer(1)
    small = (value * level + k) * sp.exp(-level) / pi
    cosine = (level * u + along) / sp.sqrt((level * u + along) ** 2 + across**2)
    averaged = of_margins((sp.log(R), sp.Integer(0)), (sp.log(R), sp.Integer(0)))
    scaled = Domain({level: above(0), value: above(0), k: above(0), pi: between(0, 1)})
    line = Domain({u: above(0), along: REAL, across: REAL, level: above(0)})
    steps = (
        Uses(r"let $V$, $Z_\infty$, $\beta$ be value, optimum and dual point of minimum-norm separation,",
             seli.theorem()),
        Identity(r"and $L = \log(1/\lambda)$. All margins of $LZ_\infty$ are $L$: its loss is",
                 sp.log(1 + (K - 1) * sp.exp(-level)), sp.log(1 + (K - 1) * lam).subs(lam, sp.exp(-level)),
                 Domain({K: integers(2), level: above(0)})),
        Sign(r"at most $(K-1)\lambda$, so $f(Z) + \lambda\|Z\Omega\|_* \le \lambda(VL + K-1)$ at the optimum $Z$: "
             r"$\|Z\Omega\|_* \le VL + K-1$", x - sp.log(1 + x), ">=", Domain({x: above(0)})),
        Limit(r"and the least margin is at least $-\log(e^y-1)$, $y = \lambda(VL+K-1)/\min\pi_k$, which is $L(1+o(1))$",
              -sp.log(sp.exp(small) - 1) / level, level, sp.oo, one, scaled),
        Limit(r"so every limit point of $Z/L$ has margins at least 1 and a norm at most $V$: it is the unique optimum "
              r"$Z_\infty$, and $Z/L \to Z_\infty$", (value * level + k) / level, level, sp.oo, value, scaled),
        Derivative(r"the slope of the loss by a margin is $-\pi_kp_{jk}$, $p_{jk} = P_ke^{-m_{jk}}$ and $P_k$ the "
                   r"probability of the right class", pi * sp.log(1 + sp.exp(-m) + T), (m,),
                   -pi * sp.exp(-m) / (1 + sp.exp(-m) + T), Domain({pi: above(0), m: REAL, T: above(0)})),
        Identity(r"at the optimum it is $-\lambda\beta_{jk}(Z)$, with the multiplier of the polar factor of $Z\Omega$ "
                 r"(`ulpm.seli`): $m_{jk} = \log\frac{P_k\pi_k}{\lambda\beta_{jk}(Z)}$",
                 sp.log(P / p).subs(p, lam * beta / pi), sp.log(P * pi / (lam * beta)),
                 Domain({symbol: above(0) for symbol in (P, pi, lam, beta)})),
        Identity(r"polar factors of matrices of rank $K-1$ are continuous: $\beta_{jk}(Z) = \beta_{jk}(Z/L) \to "
                 r"\beta_{jk}$, and $P_k \to 1$: the margins are $L + \log\frac{\pi_k}{\beta_{jk}} + o(1)$, which is "
                 r"$Z = LZ_\infty + Z_1 + o(1)$", sp.log(pi / (lam * beta)).subs(lam, sp.exp(-level)),
                 level + sp.log(pi / beta), Domain({symbol: above(0) for symbol in (pi, beta, level)})),
        Limit(r"for $Lu + w$ with parts $p_1$ of $w$ along $u$ and $q_1$ across, $L^2$ times the squared distance $2 - "
              r"2\cos$ of directions tends to $q_1^2/u^2$: directions of $Z\Omega$ are $C/L$ apart, $C = "
              r"\|Z_1\Omega\|_\perp/\|Z_\infty\Omega\|$", level**2 * (2 - 2 * cosine), level, sp.oo, across**2 / u**2,
              line),
        BlockIdentity(r"$\omega = 1$: $Z_\infty = S$, $R = S$, $\beta = 1/K$, so up to a multiple of $S$ $Z_1 = "
                      r"S\,\mathrm{diag}(\log\pi)$", averaged, of_margins((one, one), (one, one))
                      @ Blocks.of(SIZES, (sp.log(R), 0), [[0, 0], [0, 0]]),
                      r"Z_1 = S\,\mathrm{diag}(\log\pi)", TWO_GROUPS | {R: above(1)}),
        Identity(r"and $C$ is the spread of $\log\pi$, for counts in the ratio $R$", squared_rate(averaged, of_margins(
            (one, one), (one, one))), spread**2, TWO_GROUPS | {R: above(1)}),
    )  # fmt: skip
    return Theorem(
        id="ulpm.path",
        title="The regularisation path: minimum-norm separation, approached at the rate C/log(1/λ)",
        source="Ji et al. 2022 and Thrampoulidis et al. 2022 (the limit); the next order derived here",
        domain=COUNTS | {R: at_least(1)},
        assumptions=("cross-entropy without a bias, λ = √(λ_W λ_H)", "feature dimension d ≥ K − 1",
                     "closed forms: two groups, weights π ∝ n"),
        statement=(sp.Eq(sp.Symbol("m_{jk}"), sp.log(1 / lam) + sp.log(pi / beta) + sp.Symbol("o(1)"), evaluate=False),
                   sp.Eq(sp.Symbol("C"), spread, evaluate=False)),
        steps=steps,
        uniqueness="The optimum is unique at every λ (`lpm.relaxation`), and so is its limit.",
        closed_forms={
            "rate": sp.Lambda((K_A, K_B, n_A, n_B), _rate()),
            "rate_class_average": sp.Lambda((K_A, K_B, R), spread),
        },
    )  # fmt: skip
