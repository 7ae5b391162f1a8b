"""Balanced unconstrained features with the focal loss: two stationary points at most, the larger against zero."""

from __future__ import annotations

import sympy as sp

from proofs.domain import Domain, above, at_least, between, integers
from proofs.symbols import K, alpha
from proofs.theorem import Theorem
from proofs.unconstrained import c
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, WEYL, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

gamma, q, u = sp.symbols("gamma q u", positive=True)
LOSS = -((1 - q) ** gamma) * sp.log(q)
SLOPE = (1 - q) ** (gamma + 1) - gamma * q * (1 - q) ** gamma * sp.log(q)
PROBABILITY = sp.exp(alpha) / (sp.exp(alpha) + K - 1)
ALPHA = sp.log((K - 1) * q / (1 - q))


def theorem(slope: sp.Expr = SLOPE) -> Theorem:
    """Minimise the mean of -(1 - p_k)^gamma log p_k plus c ||Z||_*, c = sqrt(n lambda_W lambda_H) as in `ufm.balanced`.

    `slope` is the claimed h(q), to be equated to (K - 1) c.
    """
    unit = Domain({gamma: above(0), q: between(0, 1)})
    classes = Domain({K: integers(2), gamma: above(0), c: above(0), alpha: above(0)})
    objective = LOSS.subs(q, PROBABILITY) + c * (K - 1) * alpha
    # The sign of h'(q) is the sign of this factor.
    factor = gamma * ((1 + gamma) * q - 1) * sp.log(q) - (2 * gamma + 1) * (1 - q)
    bracket = 1 - q - gamma * q * sp.log(q)
    mean, z, x = sp.symbols("mean z x", real=True)
    centring, half = Blocks.centring((K,), 0), sp.Symbol("K_0", positive=True)
    groups = (half, K)
    total = half + K
    whole = Blocks.of(groups, [1, 1], [[-1 / total, -1 / total], [-1 / total, -1 / total]])
    some = Blocks.of(groups, [1, 0], [[0, 0], [0, 0]])
    steps = (
        Cited(r"$\sum_{j\ne k} e^{z_j-z_k} \ge (K-1)e^{-\bar m_k}$ with $\bar m_k$ the mean margin, equality iff all "
              r"margins of "
              r"the sample agree", JENSEN),
        Sign(r"the focal loss $u(1-e^{-u})^\gamma$, through its logarithm, increases with the cross-entropy $u = -\log "
             r"p_k$",
             sp.diff(sp.log(u) + gamma * sp.log(1 - sp.exp(-u)), u), ">", Domain({gamma: above(0), u: above(0)})),
        Sign(r"and $u = \log(1+(K-1)e^{-\bar m})$ decreases in $\bar m$: the loss is at least $\psi(\bar m_k)$, $\psi$ "
             r"the "
             r"decreasing focal loss of $\bar m S$", sp.diff(sp.log(1 + (K - 1) * sp.exp(-x)), x), "<",
             Domain({K: integers(2), x: at_least(0)})),
        Identity(r"$\bar m_k = \frac{K}{K-1}(SZ)_{kk}$, with $z$ the own logit and `mean` the mean of the others",
                 z - mean, K / (K - 1) * (z - (z + (K - 1) * mean) / K),
                 Domain({K: integers(2), z: at_least(0), mean: at_least(0)})),
        BlockIdentity(r"for $D$ selecting any $K_0$ of the classes, $(DS)(DS)^\top = D - \mathbf 1_0\mathbf "
                      r"1_0^\top/K$, so",
                      (some @ whole) @ (some @ whole).T, some - Blocks.outer(groups, (1 / total, 0), (1, 0)),
                      r"D S D = D - \mathbf 1_0\mathbf 1_0^\top/K", Domain({half: integers(1), K: integers(1)})),
        Cited(r"$\|DS\|_2 \le 1$ (adding $\mathbf 1_0\mathbf 1_0^\top/K$ to $(DS)(DS)^\top$ gives $D$)", WEYL),
        Cited(r"and $\|Z\|_* \ge \langle DS, Z\rangle = \frac{K-1}{K}\sum_k \max(\bar m_k, 0)$ for $D$ selecting $\bar "
              r"m_k>0$, "
              r"whence the objective is at least $\frac1K\sum_k[\psi(\bar m_k)+c(K-1)\max(\bar m_k,0)] \ge "
              r"\min_{\alpha\ge0}\psi(\alpha)+c(K-1)\alpha$", VON_NEUMANN),
        BlockIdentity(r"which $\alpha S$ attains: $\|\alpha S\|_* = (K-1)\alpha$", centring @ centring.T, centring,
                      r"S S^\top = S", classes),
        Derivative(r"one variable is left; with $q = e^\alpha/(e^\alpha+K-1)$ its derivative is $c(K-1) - h(q)$",
                   objective, (alpha,), (c * (K - 1) - slope.subs(q, PROBABILITY)), classes),
        Identity(r"$\alpha$ in terms of $q$", PROBABILITY.subs(alpha, ALPHA), q, Domain({K: integers(2), q: between(0,
                                                                                                                    1)})),
        Identity(r"$h'(q) = (1-q)^{\gamma-1} j(q)$", sp.diff(slope, q), (1 - q) ** (gamma - 1) * factor, unit),
        Convex(r"$j$ is strictly convex on $(0,1)$", factor, (q,), unit, strict=True),
        Limit(r"$j(0^+) = \infty$", factor, q, sp.Integer(0), sp.oo, unit),
        Identity(r"$j(1) = 0$", factor.subs(q, 1), sp.Integer(0), unit),
        Sign(r"$j'(1) > 0$: so $j$ has exactly one root in $(0,1)$, $h$ rises and then falls, $h(q) = (K-1)c$ has at "
             r"most two "
             r"roots, the larger a local minimum and the smaller a local maximum of the objective",
             sp.diff(factor, q).subs(q, 1), ">", Domain({gamma: above(0)})),
        Identity(r"$h(q) = (1-q)^\gamma b(q)$ where $(1-q)^\gamma \le 1$", slope, (1 - q) ** gamma * bracket, unit),
        Limit(r"and $b(1^-) = 0$, so $h(1^-) = 0 < (K-1)c$: the objective increases beyond the larger root; the "
              r"minimum is "
              r"there (if the root lies in $(1/K, 1)$) or at $\alpha = 0$, whichever value is less", bracket, q,
              sp.Integer(1),
              sp.Integer(0), unit, "-"),
        Identity(r"the value at $\alpha = 0$", objective.subs(alpha, 0), (1 - 1 / K) ** gamma * sp.log(K), classes),
    )  # fmt: skip
    value = LOSS + c * (K - 1) * ALPHA
    return Theorem(
        id="ufm.focal",
        title="Balanced unconstrained features with the focal loss",
        source="derived here",
        prior="the simplex ETF with this loss: Zhou et al. 2022 (arXiv 2210.02192)",
        domain=Domain({K: integers(2), gamma: above(0), c: above(0), q: between(1 / K, 1)}),
        assumptions=("n samples in every class", "no bias", "d ≥ K − 1", "c = √(nλ_Wλ_H)",
                     "q is the larger root in (1/K, 1); α = 0 wins if there is none or `value` ≥ `value_at_zero`"),
        statement=(sp.Eq(slope, (K - 1) * c, evaluate=False), sp.Eq(alpha, ALPHA, evaluate=False),
                   sp.Lt(value, (1 - 1 / K) ** gamma * sp.log(K), evaluate=False)),
        steps=steps,
        uniqueness="Z = αS is the only minimiser unless the two values tie: equality in Jensen makes all margins of a "
                   "sample "
        "agree, and off the tie one scalar minimises.",
        closed_forms={
            "slope": sp.Lambda((gamma, q), slope),
            "alpha": sp.Lambda((K, q), ALPHA),
            "value": sp.Lambda((K, gamma, c, q), value),
            "value_at_zero": sp.Lambda((K, gamma), (1 - 1 / K) ** gamma * sp.log(K)),
        },
    )  # fmt: skip
