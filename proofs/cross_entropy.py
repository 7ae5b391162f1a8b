"""Cross-entropy: convexity for every K, gradient, invariance; its value on permutation-invariant logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import sympy as sp

from proofs.domain import REAL, Domain, above, at_least
from proofs.theorem import Theorem
from proofs.verifiers.blocks import Blocks
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign


def block_loss(weights: Sequence[sp.Expr]) -> Callable[[Blocks], sp.Expr]:
    """sum_k pi_k CE(z_k, k) of invariant logits; CE(z, k) = log sum_j exp(z_j - z_k).

    Column k of the matrix is z_k; `weights[g]` is pi of one class of group g.
    """

    def loss(Z: Blocks) -> sp.Expr:
        total = sp.Integer(0)
        for g, (size, weight) in enumerate(zip(Z.sizes, weights, strict=True)):
            others = sum(Z.sizes[h] * sp.exp(Z.entry(h, g) - Z.entry(g)) for h in range(len(Z.sizes)) if h != g)
            total += size * weight * sp.log(1 + (size - 1) * sp.exp(Z.entry(g, g) - Z.entry(g)) + others)
        return total

    return loss


@cache
def theorem() -> Theorem:
    """z -> log sum_j exp(z_j) - z_k is convex, strictly so across the direction 1, and invariant along it."""
    x, y, c, t, v, z = sp.symbols("x y c t v z", real=True)
    T, p = sp.symbols("T p", positive=True)
    u = sp.Function("u")(t)
    plane = Domain({x: REAL, y: REAL})
    pair = sp.log(sp.exp(x) + sp.exp(y))
    along = sp.log(sp.exp(u) + sp.exp(y + v * t))
    share = sp.exp(u) / (sp.exp(u) + sp.exp(y + v * t))
    slope, curvature = sp.symbols("u' u''", real=True)
    plain = {sp.Derivative(u, (t, 2)): curvature, sp.Derivative(u, t): slope, u: x}
    line = Domain({x: REAL, y: REAL, v: REAL, t: REAL, slope: REAL, curvature: REAL})
    steps = (
        Convex(r"$\mathrm{LSE}_2$ is convex", pair, (x, y), plane),
        Sign(r"and increasing in each argument", sp.diff(pair, x), ">", plane),
        Identity(r"$\mathrm{LSE}_K = \mathrm{LSE}_2(\mathrm{LSE}_{K-1}, z_K)$, so induct over $K$: along a line, with "
                 r"$u(t) = \mathrm{LSE}_{K-1}$ and $z_K = y + vt$, the second "
                 r"derivative is $p\,u'' + p(1-p)(u'-v)^2$ where $p$ is the share of the first $K-1$ logits",
                 sp.diff(along, t, 2).doit().subs(plain),
                 (share * sp.diff(u, t, 2) + share * (1 - share) * (sp.diff(u, t) - v) ** 2).subs(plain), line),
        Sign(r"so $u'' \ge 0$ gives convexity for every $K$; it vanishes only if $u''=0$ and $v=u'$, that is, by "
             r"induction, "
             r"along $\mathbf 1$: strict convexity on $\mathbf 1^\top z = 0$",
             p / (1 + p) * curvature + p / (1 + p) ** 2 * (slope - v) ** 2, ">=",
             Domain({p: above(0), slope: REAL, v: REAL, curvature: at_least(0)})),
        Derivative(r"the gradient is softmax minus $e_k$ ($T$: the other exponentials)", sp.log(sp.exp(z) + T), (z,),
                   sp.exp(z) / (sp.exp(z) + T), Domain({z: REAL, T: above(0)})),
        Identity(r"adding $c$ to every logit changes nothing", sp.log(sp.exp(z + c) + sp.exp(c) * T) - (z + c),
                 sp.log(sp.exp(z) + T) - z, Domain({z: REAL, c: REAL, T: above(0)})),
        Sign(r"the loss is positive, and tends to its infimum 0 only as margins grow: it has no minimiser",
             sp.log(1 + T), ">", Domain({T: above(0)})),
    )  # fmt: skip
    return Theorem(
        id="ce.convex",
        title="Cross-entropy is convex for every number of classes",
        source="derived here (standard)",
        domain=plane,
        assumptions=("K ≥ 2 logits; the weights π_k are positive",),
        statement=(sp.Eq(sp.Symbol(r"\ell(z,k)"), sp.log(sp.exp(z) + T) - z, evaluate=False),),
        steps=steps,
        uniqueness="Strictly convex on the logits with 1ᵀz = 0; constant along 1.",
    )
