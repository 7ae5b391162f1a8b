"""Deep linear networks with cross-entropy: pairs of classes beat the simplex ETF, whatever the decay."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import two_group
from proofs.deep import schatten
from proofs.deep.symbols import DEPTH, L, M
from proofs.domain import Domain, above, between, integers
from proofs.symbols import K_A, K_B, K_SUM, SIZES, K, alpha
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.refutation import Refutation
from proofs.verifiers.sign import Sign

m, b, c = sp.symbols("m b c", positive=True)
POWER = 2 / L
CRITERION = 2 - 1 / m - 2**POWER
ETF = sp.log(1 + (K - 1) * sp.exp(-alpha)) + c * (K - 1) * alpha**POWER
PAIRS = sp.log(1 + sp.exp(-b) + (K - 2) * sp.exp(-b / 2)) + c * K / 2 * b**POWER
# The decay at which the ETF of margin alpha is stationary.
STATIONARY = alpha ** (1 - POWER) / (POWER * (sp.exp(alpha) + K - 1))
CLASSES = Domain({K: integers(2), M: DEPTH[M], alpha: above(0), c: above(0)})
HALVES = Domain({m: integers(1), M: DEPTH[M], alpha: above(0), c: above(0)})


def _logit_steps() -> tuple[Step, ...]:
    groups = Domain({K_A: integers(2), K_B: integers(1)})
    whole = Blocks.of(SIZES, (1, 1), [[-1 / K_SUM] * 2] * 2)
    one = {K_A: 2 * m, K_B: 1}
    pair = Blocks.centring((sp.Integer(2),), 0)
    ones = Blocks.of((sp.Integer(2),), [0], [[1]])
    own = alpha * (1 - 1 / (2 * m))
    return (
        Uses(r"equal counts: the mean cross-entropy of $Z$ plus $c\sum_i\sigma_i(Z)^{2/(M+1)}$ is minimised, $c = "
             r"\frac{M+1}2(nP)^{1/(M+1)}$", schatten.theorem()),
        BlockIdentity(r"split off $A$, $2m = 2\lfloor K/2\rfloor$ of the classes: in the ETF $\alpha S$ they hold "
                      r"$2m-1$ of the singular values $\alpha$", whole, two_group.spectral(*(sp.Integer(1),) * 3),
                      r"S = S_A \oplus S_B + uu^\top", groups),
        Identity(r"($S_B = 0$ for a single class $B$, odd $K$; for even $K$ there is no $B$)",
                 Blocks.centring(SIZES, 1).trace().subs(one), sp.Integer(0), Domain({m: integers(1)})),
        BlockIdentity(r"replace $\alpha S_A$ by $m$ blocks $\alpha\begin{pmatrix}1&-1\\-1&1\end{pmatrix} = 2\alpha "
                      r"S_2$: singular values $2\alpha$ ($S_2$ is a projection", pair @ pair, pair, r"S_2S_2 = S_2",
                      Domain({m: integers(1)})),
        BlockIdentity(r"orthogonal to $\mathbf 1$, so to $u$ and to everything else", pair @ ones, ones * 0,
                      r"S_2\mathbf 1 = 0", Domain({m: integers(1)})),
        Identity(r"of rank 1)", pair.trace(), sp.Integer(1), Domain({m: integers(1)})),
        Identity(r"margins of a class of $A$ over the other classes of $A$: before, $\alpha$", own - (-alpha / (2 * m)),
                 alpha, HALVES),
        Identity(r"after, $2\alpha$ over its partner and $\alpha$ over the rest; over $B$ the margin grows by "
                 r"$\alpha/(2m)$, and columns of $B$ are as before", alpha - own, alpha / (2 * m), HALVES),
    )  # fmt: skip


def _comparison_steps(criterion: sp.Expr) -> tuple[Step, ...]:
    rest = sp.Symbol("T", positive=True)
    etf = 1 + (2 * m - 1) * sp.exp(-alpha) + rest
    pairs = 1 + sp.exp(-2 * alpha) + (2 * m - 2) * sp.exp(-alpha) + rest * sp.exp(-alpha / (2 * m))
    return (
        Sign(r"so the loss of every class of $A$ falls ($T$: the exponential over $B$, 0 or one term)", etf - pairs,
             ">", HALVES | {rest: above(0)}),
        Identity(r"and the cost of $A$ falls by $c\,m\,\alpha^{2/(M+1)}$ times $2 - 1/m - 2^{2/(M+1)}$",
                 c * (2 * m - 1) * alpha**POWER - c * m * (2 * alpha) ** POWER, c * m * alpha**POWER * criterion,
                 HALVES),
        Sign(r"no ETF $\alpha S$, $\alpha > 0$, is optimal at any decay if $2^{2/(M+1)} \le 2 - 1/\lfloor K/2\rfloor$. "
             r"The left side falls with $M$,", sp.diff(POWER * sp.log(2), M), "<", DEPTH),
        Sign(r"the right side grows with $\lfloor K/2\rfloor$", sp.diff(2 - 1 / m, m), ">", Domain({m: integers(1)})),
        Sign(r"it holds at $M = 3$, $\lfloor K/2\rfloor = 2$ ($\sqrt2 < 3/2$, squared): for all $K \ge 4$, $M \ge 3$",
             (2 - 1 / m).subs(m, 2) ** 2 - 2, ">", DEPTH),
        Sign(r"and at $M = 2$, $\lfloor K/2\rfloor = 3$ ($2^{2/3} < 5/3$, cubed): for all $K \ge 6$, $M \ge 2$",
             (2 - 1 / m).subs(m, 3) ** 3 - 2**2, ">", DEPTH),
        Sign(r"but not at $M = 2$, $\lfloor K/2\rfloor = 2$ ($2^{2/3} > 3/2$)", (2 - 1 / m).subs(m, 2) ** 3 - 2**2, "<",
             DEPTH),
        Sign(r"nor at $M = 1$ for any $K$ (there the ETF is optimal, `ufm.balanced`)", criterion.subs(M, 1), "<",
             Domain({m: integers(1)})),
    )  # fmt: skip


def _global_claim(depth: int, classes: int) -> Refutation:
    """The ETF of margin log 4, stationary at its decay, against pairs of twice the margin."""
    margin = {M: sp.Integer(depth), K: sp.Integer(classes), alpha: sp.log(4)}
    return Refutation(
        rf"$K = {classes}$, $M = {depth}$, at the decay where the ETF of margin $\alpha = \log 4$ is stationary: the "
        r"pairs of $b = 2\alpha$ have the lower objective",
        f"the simplex ETF is a global minimiser of deep cross-entropy at K = {classes}, M = {depth}",
        (PAIRS.subs(b, 2 * alpha) - ETF).subs(c, STATIONARY), ">=", margin,
        Domain({M: DEPTH[M], K: integers(4), alpha: above(0)}),
    )  # fmt: skip


def _converse_steps() -> tuple[Step, ...]:
    t, p, delta = sp.symbols("t p delta", positive=True)
    sharp = Domain({K: integers(4), t: above(0), p: between(0, 1)})
    few = Domain({K: integers(4), t: above(0), delta: between(0, 1)})
    y = sp.Symbol("y", positive=True)
    wrong = (K - 2) * sp.exp(-(1 - delta) * t)
    return (
        Derivative(r"conversely, even $K$, $c = e^{-t} \to 0$, $p = 2/(M+1)$. (The ETF is stationary at this $c$)", ETF,
                   (alpha,), sp.Integer(0), CLASSES, at={c: STATIONARY}),
        Limit(r"over $e^{-t}t^p$, the ETF of margin $\alpha = t$ costs $K-1$ and its loss, at most $(K-1)e^{-t}$, "
              r"nothing", (K - 1) * (t**p + 1) / t**p, t, sp.oo, K - 1, sharp),
        Sign(r"pairs of $b \ge 2(1-\delta)t$ cost at least $\frac K2(2-2\delta)^p$ of it (the cost grows with $b$);",
             sp.diff(PAIRS - PAIRS.subs(c, 0), b), ">", CLASSES | {b: above(0)}),
        Sign(r"pairs of smaller $b$ have at least the loss $\log(1+y) \ge y/(1+y)$, $y = (K-2)e^{-(1-\delta)t}$,",
             sp.log(1 + y) - y / (1 + y), ">", Domain({y: above(0)})),
        Limit(r"which is infinitely many $e^{-t}t^p$ ($t^p \le t$). So if $2^p\frac K2 > K-1$, the criterion failing, "
              r"the ETF beats all pairs as the decay tends to 0: it is sharp there",
              wrong / (1 + wrong) * sp.exp(t) / t, t, sp.oo, sp.oo, few),
    )  # fmt: skip


@cache
def theorem(criterion: sp.Expr = CRITERION) -> Theorem:
    """Minimise (1/(Kn)) sum CE(W_M ... W_1 h_ki, k) plus decays: when no simplex ETF is a global minimiser.

    `criterion` is the claimed expression in m = floor(K/2) and M whose sign is that of what pairs save.
    """
    return Theorem(
        id="deep_ce.pairs",
        title="Deep cross-entropy: pairs of classes beat the simplex ETF",
        source="Garrod & Keating 2024 (arXiv 2410.23169: no ETF solution is global for K ≥ 4, M ≥ 3 or K ≥ 6, M = 2; "
        "their appendix has the objection to the global-ETF statement for deep cross-entropy in Dang et al. 2023); "
        "criterion derived here",
        prior="Garrod & Keating 2024 (arXiv 2410.23169)",
        domain=Domain({K: integers(4), M: DEPTH[M], alpha: above(0), c: above(0)}),
        assumptions=("n samples in every class, no bias, widths ≥ ⌈K/2⌉", "c = ((M + 1)/2)(nP)^{1/(M+1)}, P the "
                     "product of the decays; equal decays λ: c = (M + 1)λn^{1/(M+1)}/2",
                     "an ETF solution has a margin α > 0"),
        statement=(sp.Le(2**POWER, 2 - 1 / sp.floor(K / 2), evaluate=False),
                   sp.Eq(sp.Symbol(r"f_{\mathrm{ETF}}"), ETF, evaluate=False),
                   sp.Eq(sp.Symbol(r"f_{\mathrm{pairs}}"), PAIRS, evaluate=False)),
        steps=(*_logit_steps(), *_comparison_steps(criterion), *(_global_claim(*at) for at in ((3, 4), (2, 6))),
               *_converse_steps()),
        uniqueness="Sufficient at every decay, for odd K too (a class is left over). Necessary for beating the ETF by "
                   "pairs as the decay tends to 0, even K. Pairs need not be optimal themselves.",
        closed_forms={
            "criterion": sp.Lambda((M, m), criterion),
            "etf": sp.Lambda((K, M, c, alpha), ETF),
            "pairs": sp.Lambda((K, M, c, b), PAIRS),
            "etf_decay": sp.Lambda((K, M, alpha), STATIONARY),
        },
    )  # fmt: skip
