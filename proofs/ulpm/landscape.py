"""Balanced unconstrained features on a sphere: what is critical and not neural collapse is a strict saddle."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy, unconstrained
from proofs.domain import REAL, Domain, above, integers
from proofs.symbols import K, alpha, n
from proofs.theorem import Theorem, Uses
from proofs.ulpm import lower_bound
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import CONVEX_KKT, SCHATTEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

mu, gamma, rho, x = sp.symbols("mu gamma rho x", positive=True)  # rho = |W|^2 + |H|^2, x = delta^2
RATE = gamma - mu
TIED = 1 / (K * sp.sqrt(n))
COLLAPSED = 1 / (sp.sqrt(n) * (sp.exp(alpha) + K - 1))


@cache
def theorem(rate: sp.Expr = RATE) -> Theorem:
    """Critical points of the mean cross-entropy of Kn samples on |W|^2 + |H|^2 = rho, with multiplier mu.

    G is the gradient by the K x Kn logits. `rate` is the claimed decrease, for the step delta, over delta^2.
    """
    w, h, a, u, v, p = sp.symbols("w h a u v p", real=True)
    delta = sp.Symbol("delta", positive=True)
    line = Domain({mu: above(0), gamma: above(0), rho: above(0), x: above(0)})
    frame = Domain({K: integers(2), n: integers(1), alpha: above(0)})
    reals = Domain({symbol: REAL for symbol in (w, h, a, u, v)} | {delta: above(0)})
    shrink = rho / (rho + 2 * x)
    centring = Blocks.centring((K,), 0)
    of_classes = gradient(cross_entropy.block_loss((1 / K,)), centring * alpha)
    steps = (
        Identity(r"critical with multiplier $\mu$ means $GH^\top = -\mu W$, $W^\top G = -\mu H$, so $2\langle G, "
                 r"Z\rangle = -\mu\rho$, $\rho = \|W\|^2+\|H\|^2$", -mu * u**2 - mu * v**2, -mu * (u**2 + v**2),
                 Domain({mu: above(0), u: REAL, v: REAL})),
        Cited(r"where $\rho \ge 2\|Z\|_*$", SCHATTEN),
        Cited(r"so if $\|G\|_2 \le \mu$: $\mu\|Z\|_* \le \mu\rho/2 = \langle -G, Z\rangle \le \|G\|_2\|Z\|_* \le "
              r"\mu\|Z\|_*$, all equal", VON_NEUMANN),
        Cited(r"which is KKT for the convex problem $\min f(Z) + \mu\|Z\|_*$: $Z$ is its global minimum",
              CONVEX_KKT),
        Uses(r"which is a simplex ETF, and $\rho = 2\|Z\|_*$ makes $W$, $H$ balanced: neural collapse (or zero)",
             unconstrained.theorem()),
        BlockIdentity(r"(at neural collapse $G$ is $-\frac gnS$ in each sample's column, $g = 1/(e^\alpha+K-1)$: so it "
                      r"is for the class means)", of_classes, centring * (-sp.sqrt(n) * COLLAPSED),
                      r"\nabla f(\alpha S) = -gS", frame),
        Identity(r"($W = \sqrt n\bar H^\top$ gives $\mu = \frac gn\sqrt n$, and $\|G\|_2 = \frac gn\sqrt n$ as well)",
                 sp.sqrt(n) * COLLAPSED / n * sp.sqrt(n), COLLAPSED, frame),
        Uses(r"else $\gamma = \|G\|_2 > \mu$. $\mathbf 1^\top G = 0$ gives $\mathbf 1^\top W = 0$, and rows of $W$ and "
             r"columns of $H$ span the same space, of less than $K$ dimensions: some unit $a$ has $Wa = 0 = H^\top a$",
             cross_entropy.theorem()),
        Identity(r"with top singular vectors $u$, $v$ of $G$, $(W+\delta ua^\top)(H-\delta av^\top)$ is, summed "
                 r"over feature dimensions, $Z - \delta^2uv^\top$", (w + delta * u * a) * (h - delta * a * v),
                 w * h + delta * u * (a * h) - delta * v * (w * a) - delta**2 * u * v * a**2, reals),
        Identity(r"the direction is tangent, and adds $2\delta^2$ to $\rho$", (w + delta * u * a) ** 2, w**2
                 + 2 * delta * u * (w * a) + delta**2 * u**2 * a**2, reals),
        Derivative(r"back on the sphere the logits are $\frac{\rho}{\rho+2x}(Z - xuv^\top)$, $x = \delta^2$: with "
                   r"$\langle G,Z\rangle = -\mu\rho/2$, $\langle G,uv^\top\rangle = \gamma$ the loss changes at the "
                   r"rate", shrink * (-mu * rho / 2 - x * gamma), (x,), -rate, line, at={x: sp.Integer(0)}),
        Sign(r"it falls by $\delta^2(\gamma-\mu) + O(\delta^4)$: a strict saddle", RATE.subs(gamma, mu + x), ">",
             line),
        Identity(r"if two classes $j$, $k$ are tied (equal rows, equal features), $p_j = p_k$ in every column and "
                 r"columns of both are alike: $G(e_j-e_k)$ has, per sample, the entry $-\frac{1}{Kn}$ at $j$",
                 ((p - 1) - p) / (K * n), -1 / (K * n), Domain({K: integers(2), n: integers(1), p: REAL})),
        Identity(r"so (over $n$ samples each) it has $\|G\|_2 \ge \frac{1}{K\sqrt n}$", sp.sqrt(2 * n**2 * (1 / (K * n))
                 ** 2) / sp.sqrt(2 * n), TIED, Domain({K: integers(2), n: integers(1)})),
        Sign(r"more than at neural collapse of any size", TIED - COLLAPSED, ">", frame),
        Uses(r"and neural collapse is the least loss on the sphere", lower_bound.theorem()),
    )  # fmt: skip
    return Theorem(
        id="ulpm.landscape",
        title="Balanced unconstrained features on a sphere: neural collapse or a strict saddle",
        source="Ji et al. 2022 (landscape); the explicit direction and its rate derived here",
        prior="with weight decay: Zhu et al. 2021; squared error: Zhou et al. 2022 (arXiv 2203.01238)",
        domain=line | frame,
        assumptions=("n samples in every class, cross-entropy averaged over all Kn samples", "μ > 0",
                     "feature dimension d ≥ K (some a with Wa = 0 = Hᵀa)"),
        statement=(sp.Eq(sp.Symbol("df"), -rate * x, evaluate=False), sp.Gt(gamma, mu, evaluate=False)),
        steps=steps,
        uniqueness="Every local minimum on the sphere is neural collapse, which is global.",
        closed_forms={
            "rate": sp.Lambda((gamma, mu), rate),
            "tied": sp.Lambda((K, n), TIED),
            "collapsed": sp.Lambda((K, n, alpha), COLLAPSED),
        },
    )  # fmt: skip
