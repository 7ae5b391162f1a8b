"""Balanced layer-peeled model with cross-entropy: the simplex ETF is the global optimum."""

from __future__ import annotations

import sympy as sp

from proofs import cross_entropy
from proofs.domain import integers
from proofs.symbols import BUDGETS, E_H, E_W, K
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import JENSEN, SCHATTEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

BUDGET = K * sp.sqrt(E_W * E_H)
MARGIN = BUDGET / (K - 1)
VALUE = sp.log(1 + (K - 1) * sp.exp(-MARGIN))
MULTIPLIER = 1 / (K - 1 + sp.exp(MARGIN))
COSINE = -1 / (K - 1)


def theorem(
    margin: sp.Expr = MARGIN, value: sp.Expr = VALUE, multiplier: sp.Expr = MULTIPLIER, cosine: sp.Expr = COSINE
) -> Theorem:
    """Minimise the mean cross-entropy of W H subject to mean ||w_k||^2 <= E_W and mean ||h_k||^2 <= E_H.

    The arguments are the claimed margin, value, multiplier of ||Z||_* <= K sqrt(E_W E_H), and cosine.
    """
    domain = BUDGETS | {K: integers(2)}
    loss = cross_entropy.block_loss((1 / K,))
    centring = Blocks.centring((K,), 0)
    Z = centring * margin
    G = gradient(loss, Z)
    gram = Z * sp.sqrt(E_W / E_H)
    gram_h = Z * sp.sqrt(E_H / E_W)
    steps = (
        Cited(r"the class mean of the features has the same logits on average, a loss at most as large and a norm at "
              r"most "
              r"as large: one feature per class suffices", JENSEN),
        Cited(r"$Z = WH$ is feasible for some $W, H$ iff $\|Z\|_* \le \sqrt{K E_W \cdot K E_H}$", SCHATTEN),
        Identity(r"the loss of $Z = mS$, $S = I - J/K$", loss(Z), value, domain),
        BlockIdentity(r"its gradient is $G = -\lambda S$", G, centring * -multiplier, r"\nabla f(mS) = -\lambda S",
                      domain),
        BlockIdentity(r"$S$ is a symmetric projection: singular values 1 and 0", centring @ centring.T, centring,
                      r"S S^\top = S", domain),
        Identity(r"of rank $K-1$, so $\|Z\|_* = (K-1)m$ and $\|G\|_2 = \lambda$", centring.trace(), K - 1, domain),
        Identity(r"the budget is used up", (K - 1) * margin, BUDGET, domain),
        Sign(r"the multiplier is positive", multiplier, ">", domain),
        Uses(r"$f(Z') \ge f(Z) + \langle G, Z' - Z\rangle$", cross_entropy.theorem()),
        Cited(r"$\langle -G, Z'\rangle \le \|G\|_2 \|Z'\|_* \le \lambda K\sqrt{E_WE_H}$ for every feasible $Z'$",
              VON_NEUMANN),
        Identity(r"so $f(Z') \ge f(Z) - (\langle G, Z\rangle + \lambda K\sqrt{E_WE_H})$, and the bracket, the duality "
                 r"gap, is "
                 r"zero: $Z$ is a global minimiser", G.inner(Z) + multiplier * BUDGET, sp.Integer(0), domain),
        Identity(r"balanced factors $WW^\top = \sqrt{E_W/E_H}\,(ZZ^\top)^{1/2}$: $\|w_k\|^2 = E_W$", gram.entry(0), E_W,
                 domain),
        Identity(r"$\|h_k\|^2 = E_H$", gram_h.entry(0), E_H, domain),
        Identity(r"the cosine between classes", gram.entry(0, 0) / gram.entry(0), cosine, domain),
        Identity(r"$w_k \parallel h_k$: their cosine $Z_{kk}/(\|w_k\|\|h_k\|)$ is 1", Z.entry(0) / sp.sqrt(E_W * E_H),
                 sp.Integer(1), domain),
    )  # fmt: skip
    arguments = (K, E_W, E_H)
    return Theorem(
        id="lpm.balanced",
        title="Balanced layer-peeled model: the simplex ETF is optimal",
        source="Fang, He, Long & Su 2021 (PNAS), the balanced cross-entropy theorem; value and multiplier derived here",
        domain=domain,
        assumptions=("every class has n samples", "feature dimension d ≥ K − 1"),
        statement=(
            sp.Eq(sp.Symbol("m"), margin, evaluate=False),
            sp.Eq(sp.Symbol("f^*"), value, evaluate=False),
            sp.Eq(sp.Symbol("lambda"), multiplier, evaluate=False),
            sp.Eq(sp.Symbol(r"\cos{(w_j, w_k)}"), cosine, evaluate=False),
        ),
        steps=steps,
        uniqueness="Z is unique: f is strictly convex on 1ᵀZ = 0, where every minimiser lies (`lpm.relaxation`). "
        "W and H are unique up to one orthogonal matrix acting on both.",
        closed_forms={
            "margin": sp.Lambda(arguments, margin),
            "value": sp.Lambda(arguments, value),
            "multiplier": sp.Lambda(arguments, multiplier),
            "cosine": sp.Lambda((K,), cosine),
        },
    )
