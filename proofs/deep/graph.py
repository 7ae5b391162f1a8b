"""Deep ReLU features with squared error: the triangular-graph construction against the orthogonal frame."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import schatten
from proofs.deep.symbols import L, M, P, sigma
from proofs.domain import Domain, above, integers
from proofs.symbols import K
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import AM_GM, Cited
from proofs.verifiers.identity import Identity
from proofs.verifiers.refutation import Refutation
from proofs.verifiers.sign import Sign

r = sp.Symbol("r", positive=True)
CLASSES = r * (r - 1) / 2
TAU = sp.sqrt(2 * (r - 1)) + (r - 1) * sp.sqrt(r - 2)
# Product of the squared norms of the factors, over that of the frame's (K each).
RATIO = TAU**2 * r ** (M - 2) / (4 * CLASSES ** (M - 1))
VERTICES = Domain({r: integers(4)})
LAYERS = VERTICES | {M: integers(3)}


def _construction_steps(tau: sp.Expr) -> tuple[Step, ...]:
    centring = Blocks.centring((r,), 0)
    mean = Blocks.of((r,), [0], [[1 / r]])
    gram = Blocks.of((r,), [r - 2], [[1]])
    common = sp.Symbol("m", positive=True)
    half = sp.Rational(1, 2)
    return (
        BlockIdentity(r"classes are the $K = r(r-1)/2$ edges of the complete graph on $r$ vertices, $X \ge 0$ ($r "
                      r"\times K$) is the incidence matrix. Vertices have degree $r-1$, two of them share one edge: "
                      r"$XX^\top = (r-2)I + J$", gram, centring * (r - 2) + mean * (2 * (r - 1)),
                      r"XX^\top = (r-2)(I - J/r) + 2(r-1)J/r", VERTICES),
        Identity(r"so $\|X\|_* = \sqrt{2(r-1)} + (r-1)\sqrt{r-2} = \tau$",
                 sp.sqrt(2 * (r - 1)) + centring.trace() * sp.sqrt(r - 2), tau, VERTICES),
        Identity(r"$V = X^\top - \frac12\mathbf 1\mathbf 1^\top$: entry $(e,f)$ of $VX$ is $|e\cap f| - 1$, 1 if $e=f$ "
                 r"and 0 or $-1$ if not. So $\mathrm{ReLU}(VX) = I$ (entry of two edges with $m$ common vertices)",
                 common * half - (2 - common) * half, common - 1, Domain({common: above(0)})),
        Identity(r"where $\|V\|^2 = Kr/4$", CLASSES * (2 * half**2 + (r - 2) * half**2), CLASSES * r / 4, VERTICES),
    )  # fmt: skip


def _comparison_steps(ratio: sp.Expr) -> tuple[Step, ...]:
    q = sp.Symbol("q", positive=True)
    pair = TAU**2 * r ** (M - 3) * (CLASSES * r / 4) * CLASSES
    cost = L / 2 * P ** (1 / L)
    three = 4 * CLASSES**2 - TAU**2 * r
    root = sp.sqrt(2 * (r - 1) * (r - 2))
    return (
        Uses(r"the network $W_M\,\mathrm{ReLU}(\cdots\mathrm{ReLU}(W_1H))$ with $H, W_1$ the balanced factors of $X$, "
             r"$W_2, \dots, W_{M-2} \propto I_r$ (ReLU leaves $X \ge 0$ as it is), $W_{M-1} \propto V$, $W_M \propto "
             r"I_K$ has output $\propto I_K$; its squared norms multiply to $\tau^2\,r^{M-3}\,(Kr/4)\,K$",
             schatten.theorem()),
        Identity(r"the frame's to $K^{M+1}$: the ratio is $q = \tau^2r^{M-2}/(4K^{M-1})$", pair / CLASSES ** (M + 1),
                 ratio, LAYERS),
        Cited(r"ReLU is positively homogeneous, so scales may be exchanged between factors, and the least decay at a "
              r"given product is $\frac{M+1}2(P\cdot\text{product})^{1/(M+1)}$", AM_GM),
        Identity(r"so at the same output $\sigma I_K$, and the same loss, the graph pays $q^{1/(M+1)}$ times the decay "
                 r"of the frame: it has the lower minimum iff $q < 1$ (if the frame is not 0)",
                 cost * (q * K**L) ** (1 / L) * sigma ** (2 / L), q ** (1 / L) * K * cost * sigma ** (2 / L),
                 LAYERS | {K: above(0), q: above(0), P: above(0), sigma: above(0)}),
        Identity(r"$M = 3$: the sign of $1-q$ is that of $4K^2 - \tau^2r$, of $r - 2 - \sqrt{2(r-1)(r-2)}$,", three,
                 r * (r - 1) * (2 * (r - 2) - 2 * root), VERTICES),
        Identity(r"of the difference of the squares,", root**2 - (r - 2) ** 2, (r - 2) * (2 * (r - 1) - (r - 2)),
                 VERTICES),
        Sign(r"that is, of $(r-2) - 2(r-1)$: $q < 1$ iff $2(r-1) < r-2$, false for every $r$: at $M = 3$ the graph "
             r"never beats the frame", 2 * (r - 1) - (r - 2), ">", VERTICES),
        Sign(r"$M = 4$: $q < 1$ for every $r \ge 4$, $\tau^2 = (r-1)(2+(r-1)(r-2)+2\sqrt{2(r-1)(r-2)})$ with the root "
             r"at most half of $2(r-1)+(r-2)$", 4 * CLASSES**3
             - r**2 * (r - 1) * (2 + (r - 1) * (r - 2) + 2 * (r - 1) + (r - 2)), ">", VERTICES),
        Identity(r"(the square of $\tau$,", TAU**2, (r - 1) * (2 + (r - 1) * (r - 2) + 2 * root), VERTICES),
        Sign(r"that mean above the root, squared)", (2 * (r - 1) + (r - 2)) ** 2 - 4 * root**2, ">=", VERTICES),
        Identity(r"one more layer multiplies $q$ by $r/K = 2/(r-1)$", ratio.subs(M, M + 1) / ratio, 2 / (r - 1),
                 LAYERS),
        Sign(r"less than 1: the graph beats the frame for every $M \ge 4$ and $r \ge 4$, from $K = 6$ on",
             1 - 2 / (r - 1), ">", VERTICES),
        Refutation(r"at $r = 4$, $K = 6$, $M = 4$ the frame is beaten",
                   "the deep orthogonal frame is a global minimiser with ReLU and squared error at K = 6, M = 4",
                   RATIO - 1, ">=", {r: sp.Integer(4), M: sp.Integer(4)}, LAYERS),
        Refutation(r"at $r = 4$, $K = 6$, $M = 3$ this construction does not do it",
                   "the triangular graph beats the orthogonal frame at K = 6, M = 3", 1 - RATIO, ">",
                   {r: sp.Integer(4), M: sp.Integer(3)}, LAYERS),
    )  # fmt: skip


@cache
def theorem(tau: sp.Expr = TAU, ratio: sp.Expr = RATIO) -> Theorem:
    """Two explicit solutions of M weight matrices with ReLU between them, K = r(r - 1)/2 classes, squared error.

    The arguments are the claimed nuclear norm of the incidence matrix and the claimed ratio of products of norms.
    """
    return Theorem(
        id="deep_relu.graph",
        title="Deep ReLU features with squared error: a strongly regular graph against the orthogonal frame",
        source="Súkeník, Lampert & Mondelli 2024 (construction and low-rank bias); criterion derived here",
        prior="Súkeník, Lampert & Mondelli 2024",
        domain=LAYERS,
        assumptions=("r ≥ 4 vertices, K = r(r − 1)/2 classes, M ≥ 3 weight matrices, no bias",
                     "ReLU after W_1, …, W_{M−1}; H_1 is not constrained", "equal counts"),
        statement=(sp.Eq(sp.Symbol("q"), ratio, evaluate=False),
                   sp.Equivalent(sp.Symbol(r"\text{graph better}"), sp.Lt(sp.Symbol("q"), 1))),
        steps=(*_construction_steps(tau), *_comparison_steps(ratio)),
        uniqueness="Both constructions are upper bounds of the minimum: neither is claimed to be optimal.",
        closed_forms={"tau": sp.Lambda((r,), tau), "ratio": sp.Lambda((r, M), ratio),
                      "cost_ratio": sp.Lambda((r, M), ratio ** (1 / L))},
    )  # fmt: skip
