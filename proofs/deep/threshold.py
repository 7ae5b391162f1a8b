"""The scalar problem of deep squared error, solved globally: where a class lives, and why a root is not enough."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import squared_error
from proofs.deep.squared_error import scaled, x
from proofs.deep.symbols import DEEP, L, M, P, n_k
from proofs.domain import above, at_least, between
from proofs.symbols import N
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.refutation import Refutation
from proofs.verifiers.sign import Sign

t, s, decay = sp.symbols("t s decay", positive=True)
OBJECTIVE = scaled(t)
# s = (t/M)^(M/(M+1)) at a stationary x, and t itself.
S_OF_X = (1 - x) * x ** (1 - 2 / L)
T_OF_X = M * x ** (1 - 1 / M) * (1 - x) ** (1 + 1 / M)
VALUE = (1 - x) * (1 + M * x)
JUMP = (M - 1) / M
LAST_ROOT = (M - 1) / (2 * M)
THRESHOLD = (M - 1) ** ((M - 1) / M) / M
LAST = (M + 1) ** 2 / (4 * M) * ((M - 1) / (M + 1)) ** ((M - 1) / M)

# M -> threshold^M and last^M.
AT_DEPTH = {
    2: ("1/4", "27/64"),
    3: ("4/27", "16/27"),
    4: ("27/256", "84375/65536"),
    5: ("256/3125", "11664/3125"),
    6: ("3125/46656", "2573571875/191102976"),
}

SCALED = {t: above(0), N: above(0), n_k: above(0)}
SMALLER = DEEP | {x: between(0, LAST_ROOT)}
LARGER = DEEP | {x: between(LAST_ROOT, 1)}


def _stationary_steps() -> tuple[Step, ...]:
    unit = DEEP | {x: between(0, 1)}
    rooted = OBJECTIVE.subs(t, M * s ** (1 + 1 / M))
    return (
        Uses(r"with $\sigma = x\sqrt{n_k}$, $t = b/n_k$, $2N/n_k$ times the cost is $(1-x)^2 + "
             r"(M+1)(t/M)^{M/(M+1)}x^{2/(M+1)}$, and 1 at $x = 0$", squared_error.theorem()),
        Derivative(r"with $s = (t/M)^{M/(M+1)}$ its slope is $2x^{-(M-1)/(M+1)}(s - s(x))$, $s(x) = "
                   r"(1-x)x^{(M-1)/(M+1)}$", rooted, (x,), 2 * x ** (2 / L - 1) * (s - S_OF_X),
                   unit | {s: above(0)}),
        Identity(r"and $s \lessgtr s(x)$ as $t \lessgtr t(x)$, $t(x) = M s(x)^{(M+1)/M}$", sp.log(T_OF_X),
                 sp.log(M) + (1 + 1 / M) * sp.log(S_OF_X), unit),
        Sign(r"from $x = 1$ on the cost increases", x - 1 + s * x ** (2 / L - 1), ">",
             DEEP | {x: at_least(1), s: above(0)}),
        Sign(r"$t(x)$ increases up to $x = (M-1)/(2M)$", sp.diff(sp.log(T_OF_X), x), ">", SMALLER),
        Sign(r"and decreases from there to $x = 1$", sp.diff(sp.log(T_OF_X), x), "<", LARGER),
        Identity(r"from 0", T_OF_X.subs(x, 0), sp.Integer(0), DEEP),
        Identity(r"to 0: below its maximum there are two stationary points; the cost rises to the smaller one, falls "
                 r"to the larger one, and rises for good. From the maximum on it rises from $x = 0$ on",
                 T_OF_X.subs(x, 1), sp.Integer(0), DEEP),
    )  # fmt: skip


def _global_steps(threshold: sp.Expr, jump: sp.Expr, last: sp.Expr) -> tuple[Step, ...]:
    better, worse = DEEP | {x: between(jump, 1)}, DEEP | {x: between(LAST_ROOT, jump)}
    at_root = OBJECTIVE.subs(t, M * S_OF_X ** (1 + 1 / M))
    return (
        Identity(r"the maximum, where the last stationary point vanishes", T_OF_X.subs(x, LAST_ROOT), last,
                 DEEP),
        Identity(r"the value at a stationary point is $(1-x)(1+Mx)$", at_root, VALUE, DEEP | {x: between(0, 1)}),
        Sign(r"less than the 1 of $x = 0$ where $x > (M-1)/M$:", VALUE - 1, "<", better),
        Sign(r"more where $x < (M-1)/M$,", VALUE - 1, ">", worse),
        Identity(r"and equal at $x = (M-1)/M$: there both $\sigma = 0$ and the root are optimal", VALUE.subs(x, jump),
                 sp.Integer(1), DEEP),
        Sign(r"which is a larger root,", jump - LAST_ROOT, ">", DEEP),
        Identity(r"that of $t = (M-1)^{(M-1)/M}/M$; the larger root decreases as $t$ grows, so the class lives iff "
                 r"$t$ is below it, with $\sigma/\sqrt{n_k} > (M-1)/M$, and else $\sigma = 0$: a jump",
                 T_OF_X.subs(x, jump), threshold, DEEP),
        *(Identity(rf"$M = {m}$: ${name}^{{{m}}}$", claim.subs(M, m) ** m, sp.Rational(power), DEEP)
          for m, powers in AT_DEPTH.items()
          for name, claim, power in zip((r"t_{\mathrm{alive}}", r"t_{\mathrm{last}}"), (threshold, last), powers,
                                        strict=True)),
        Identity(r"in samples: $b/n_k = t$ at the product $P = (tn_k/(MN))^M/N$ of the decays",
                 squared_error.B.subs(P, (t * n_k / (M * N)) ** M / N), t * n_k, DEEP | SCALED),
        Refutation(r"so the largest stationary point need not be global: at $M = 2$, $b/n_k = 4\sqrt2/9 = .6285$, "
                   r"between $1/2$ and $3\sqrt3/8 = .6495$, it is $x = 1/3$ with the value $10/9$, against 1 at 0",
                   "the largest stationary point is a global minimiser whenever there is one (deep squared error)",
                   1 - VALUE, ">=", {M: sp.Integer(2), x: sp.Rational(1, 3)}, LARGER),
        Identity(r"(where $t = 4\sqrt2/9$)", T_OF_X.subs({M: 2, x: sp.Rational(1, 3)}), 4 * sp.sqrt(2) / 9, DEEP),
    )  # fmt: skip


@cache
def theorem(threshold: sp.Expr = THRESHOLD, jump: sp.Expr = JUMP, last: sp.Expr = LAST) -> Theorem:
    """The global minimiser of the scalar problem of `deep_mse.separable`, M >= 2.

    The arguments are the claimed largest b/n_k of a living class, its sigma/sqrt(n_k) there, and the b/n_k beyond
    which no stationary point is left.
    """
    b_of_decay = squared_error.B.subs(P, decay ** (M + 1))
    return Theorem(
        id="deep_mse.threshold",
        title="Deep squared error: the global threshold, the jump, and stationary points that are not optimal",
        source="Dang et al. 2023 (deep linear networks with squared error); derived here from the scalar problem",
        prior="Dang et al. 2023 (arXiv 2301.00437)",
        domain=DEEP | {x: between(0, 1)},
        assumptions=("M ≥ 2 (M = 1 is a soft threshold without a jump, `ufm.squared_error`)", "t = b/n_k, "
                     "x = σ/√n_k; values are in units of n_k/(2N), the value of a class that is not learned"),
        statement=(sp.Eq(sp.Symbol("t(x)"), T_OF_X, evaluate=False),
                   sp.Eq(sp.Symbol(r"t_{\mathrm{alive}}"), threshold, evaluate=False),
                   sp.Eq(sp.Symbol(r"x_{\mathrm{alive}}"), jump, evaluate=False),
                   sp.Eq(sp.Symbol(r"t_{\mathrm{last}}"), last, evaluate=False)),
        steps=(*_stationary_steps(), *_global_steps(threshold, jump, last)),
        uniqueness="The minimiser is unique except at t = t_alive, where σ = 0 and σ = √n_k (M − 1)/M tie.",
        closed_forms={
            "threshold": sp.Lambda((M,), threshold),
            "jump": sp.Lambda((M,), jump),
            "last": sp.Lambda((M,), last),
            "t": sp.Lambda((M, x), T_OF_X),
            "product": sp.Lambda((M, N, n_k, x), (T_OF_X * n_k / (M * N)) ** M / N),
            "least_count": sp.Lambda((M, N, decay), b_of_decay / threshold),
            "stationary_count": sp.Lambda((M, N, decay), b_of_decay / last),
            "value": sp.Lambda((M, x), VALUE),
            "objective": sp.Lambda((M, t, x), OBJECTIVE),
        },
    )  # fmt: skip
