"""Balanced unconstrained features: how low the loss can be at a given norm, on every iterate."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.domain import REAL, Domain, above, integers
from proofs.symbols import K, alpha, n
from proofs.theorem import Theorem
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import JENSEN, SCHATTEN, VON_NEUMANN, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

rho = sp.Symbol("rho", positive=True)  # |W|^2 + |H|^2, all samples
REACH = rho / (2 * sp.sqrt(n) * (K - 1))
BOUND = sp.log(1 + (K - 1) * sp.exp(-REACH))
#: least norm with all margins 1, as half a sum of squares, and so the largest normalised margin
SEPARATION = sp.sqrt(n) * (K - 1)


@cache
def theorem(reach: sp.Expr = REACH) -> Theorem:
    """(1/(Kn)) sum CE(W h_ki, k) >= log(1 + (K-1) exp(-(|W|^2+|H|^2)/(2 sqrt(n) (K-1)))) for every W and H.

    `reach` is the claimed largest mean margin.
    """
    domain = Domain({K: integers(2), n: integers(1), rho: above(0)})
    m, trace, total = sp.symbols("m T J", real=True)
    psi = sp.log(1 + (K - 1) * sp.exp(-m))
    line = Domain({K: integers(2), m: REAL})
    frame = Domain({K: integers(2), n: integers(1), alpha: above(0)})
    centring = Blocks.centring((K,), 0)
    bound = sp.log(1 + (K - 1) * sp.exp(-reach))
    gram_W, gram_H = centring * (sp.sqrt(n) * alpha), centring * (alpha / sp.sqrt(n))
    steps = (
        Cited(r"for a sample of margins $m_j$ over the $K-1$ other classes $\sum_je^{-m_j} \ge (K-1)e^{-\bar m}$: its "
              r"loss is at least $\psi(\bar m) = \log(1+(K-1)e^{-\bar m})$, equality iff they are equal", JENSEN),
        Convex(r"$\psi$ is strictly convex", psi, (m,), line, strict=True),
        Sign(r"and decreasing", sp.diff(psi, m), "<", line),
        Cited(r"so the mean loss is at least $\psi$ of the mean margin of all samples, equality iff those are equal",
              JENSEN),
        Identity(r"in the mean logits $Z$ of the classes ($T = \mathrm{tr}\,Z$, $J = \mathbf 1^\top Z\mathbf 1$) that "
                 r"is $\frac{KT-J}{K(K-1)} = \frac{\langle S,Z\rangle}{K-1}$, $S = I - \mathbf{11}^\top/K$",
                 (K * trace - total) / (K * (K - 1)), (trace - total / K) / (K - 1),
                 Domain({K: integers(2), trace: REAL, total: REAL})),
        BlockIdentity(r"$S$ is a projection, of norm 1", centring @ centring.T, centring, "SS^\\top = S", frame),
        Cited(r"so $\langle S,Z\rangle \le \|Z\|_*$, equality iff $Z$ is symmetric, $\succeq 0$, of $\mathbf 1^\top Z "
              r"= 0$", VON_NEUMANN),
        Cited(r"$\|H\|^2 \ge n\|\bar H\|^2$, the class means, equality iff features of a class coincide", JENSEN),
        Cited(r"and $\sqrt n\|Z\|_* \le \frac12(\|W\|^2 + n\|\bar H\|^2)$, equality iff balanced", SCHATTEN),
        Identity(r"together the mean margin is at most $\rho/(2\sqrt n(K-1))$, $\rho = \|W\|^2+\|H\|^2$",
                 rho / 2 / sp.sqrt(n) / (K - 1), reach, domain),
        Identity(r"neural collapse $WW^\top = \sqrt n\,\alpha S$, $\bar H^\top\bar H = \alpha S/\sqrt n$ has $\rho = "
                 r"2\sqrt n(K-1)\alpha$,", gram_W.trace() + n * gram_H.trace(), 2 * sp.sqrt(n) * (K - 1) * alpha,
                 frame),
        Identity(r"so it attains the bound", bound.subs(rho, 2 * sp.sqrt(n) * (K - 1) * alpha),
                 psi.subs(m, alpha), frame),
        Sign(r"the bound falls with the norm: it is the least loss on each sphere", sp.diff(bound, rho), "<", domain),
        Identity(r"and margins of at least 1 need $\frac12\rho \ge \sqrt n(K-1)$, the value of `ulpm.seli`",
                 reach.subs(rho, 2 * SEPARATION), sp.Integer(1), domain),
    )  # fmt: skip
    return Theorem(
        id="ulpm.lower_bound",
        title="Balanced unconstrained features: a lower bound of the loss on every iterate",
        source="derived here; on a sphere: Ji et al. 2022 (landscape)",
        domain=domain,
        assumptions=("n samples in every class, cross-entropy averaged over all Kn samples", "any feature dimension"),
        statement=(sp.Ge(sp.Symbol("L"), bound, evaluate=False),
                   sp.Le(sp.Symbol(r"m_{\min}") / rho, 1 / (2 * SEPARATION), evaluate=False)),
        steps=steps,
        uniqueness="Equality iff neural collapse with balanced norms; it needs d ≥ K − 1.",
        closed_forms={
            "reach": sp.Lambda((K, n, rho), reach),
            "bound": sp.Lambda((K, n, rho), bound),
            "separation": sp.Lambda((K, n), SEPARATION),
        },
    )  # fmt: skip
