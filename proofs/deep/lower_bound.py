"""A global lower bound of deep models from one convex two-factor problem."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy
from proofs.deep import schatten
from proofs.deep.symbols import DEPTH, L, M, P, sigma
from proofs.domain import Domain, above, at_least, between
from proofs.theorem import Theorem, Uses
from proofs.verifiers.cited import VON_NEUMANN, Cited
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

U, c, x = sp.symbols("U c x", positive=True)
LARGEST = (U / c) ** (L / 2)
DECAY = c * LARGEST ** (2 / L - 1)


@cache
def theorem(largest: sp.Expr = LARGEST, decay: sp.Expr = DECAY) -> Theorem:
    """min f(Z) + c sum_i sigma_i(Z diag omega)^(2/L) >= min(U, min f(Z) + decay ||Z diag omega||_*), any U > 0.

    The arguments are the claimed largest singular value of points no worse than U, and the decay of the bound.
    """
    domain = DEPTH | {U: above(0), c: above(0)}
    steps = (
        Uses(r"with $A = Z\,\mathrm{diag}\,\omega$ the decays cost $c\sum_i\sigma_i(A)^{2/L}$, $c = \frac L2P^{1/L}$, "
             r"$L = M+1$", schatten.theorem()),
        Identity(r"($c$)", schatten.COST, L / 2 * P ** (1 / L) * sigma ** (2 / L), DEPTH | {P: above(0),
                                                                                         sigma: above(0)}),
        Uses(r"the loss is not negative: a point no worse than $U$ has $c\,\sigma_1^{2/L} \le U$,",
             cross_entropy.theorem()),
        Identity(r"so $\sigma_1 \le B = (U/c)^{L/2}$", c * largest ** (2 / L), U, domain),
        Identity(r"for $\sigma = e^{-x}B$, $x \ge 0$, $\log(c\,\sigma^{2/L}) - \log(c\,B^{2/L-1}\sigma) = "
                 r"(1-\frac2L)x$,", sp.log(c * (sp.exp(-x) * largest) ** (2 / L))
                 - sp.log(decay * sp.exp(-x) * largest), (1 - 2 / L) * x, domain | {x: at_least(0)}),
        Sign(r"which is not negative: $c\,\sigma^{2/L} \ge c\,B^{2/L-1}\,\sigma$ for $0 \le \sigma \le B$",
             (1 - 2 / L) * x, ">=", DEPTH | {x: at_least(0)}),
        Cited(r"summed: such a point has the value $f + c\sum\sigma_i^{2/L} \ge f + cB^{2/L-1}\|A\|_*$, a convex "
              r"two-factor problem, whose certified lower bound (`certificate.penalty`) serves: by duality of "
              r"$\|\cdot\|_*$ and $\|\cdot\|_2$", VON_NEUMANN),
        Identity(r"$M = 1$: the decay is $c$ itself and the bound is the optimum", decay.subs(M, 1), c,
                 Domain({U: above(0), c: above(0)})),
        Sign(r"a better $U$ gives a larger decay: the bound tightens", sp.diff(sp.log(1 / decay), U), ">=", domain),
        Identity(r"in closed form the decay is $c^{L/2}U^{1-L/2}$", decay, c ** (L / 2) * U ** (1 - L / 2), domain),
    )  # fmt: skip
    return Theorem(
        id="deep_ce.lower_bound",
        title="A global lower bound of deep models: one convex two-factor problem",
        source="derived here",
        prior="low-rank structures: Garrod & Keating 2024 (arXiv 2410.23169) with cross-entropy, Súkeník, "
        "Lampert & Mondelli 2024 with ReLU and squared error; depth alone: arXiv 2605.23087",
        domain=domain | {sigma: between(0, largest)},
        assumptions=("a non-negative loss, convex in Z for the two-factor problem to be convex",
                     "any weights π and ω; L = M + 1 factors, c = (L/2)P^{1/L}", "U is the value of any point"),
        statement=(sp.Eq(sp.Symbol("B"), largest, evaluate=False),
                   sp.Ge(c * sigma ** (2 / L), decay * sigma, evaluate=False)),
        steps=steps,
        uniqueness="A bound, tight for M = 1 only (or where all singular values are 0 or B).",
        closed_forms={
            "largest": sp.Lambda((M, U, c), largest),
            "decay": sp.Lambda((M, U, c), decay),
        },
    )  # fmt: skip
