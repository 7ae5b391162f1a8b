"""Balanced unconstrained-feature model with weight decay and cross-entropy."""

from __future__ import annotations

import sympy as sp

from proofs import cross_entropy
from proofs.domain import Domain, above, at_least, between, integers
from proofs.symbols import K, alpha, lambda_H, lambda_W, n
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import JENSEN, SCHATTEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

c = sp.Symbol("c", positive=True)
PENALTY = sp.sqrt(n * lambda_W * lambda_H)
THRESHOLD = 1 / K
ALPHA = sp.log(1 / c - (K - 1))
W_NORM2 = (K - 1) / K * alpha * sp.sqrt(n * lambda_H / lambda_W)
H_NORM2 = (K - 1) / K * alpha * sp.sqrt(lambda_W / (n * lambda_H))


def theorem(alpha_claim: sp.Expr = ALPHA, threshold: sp.Expr = THRESHOLD) -> Theorem:
    """Minimise (1/(Kn)) sum CE(W h_ki, k) + (lambda_W/2) ||W||^2 + (lambda_H/2) ||H||^2.

    The arguments are the claimed alpha (for c < threshold) and threshold on c = sqrt(n lambda_W lambda_H).
    """
    alive = Domain({K: integers(2), c: between(0, threshold)})
    dead = Domain({K: integers(2), c: at_least(threshold)})
    scales = Domain({K: integers(2), n: integers(1), lambda_W: above(0), lambda_H: above(0), alpha: above(0)})
    line = Domain({K: integers(2), c: above(0), alpha: above(0)})
    loss = cross_entropy.block_loss((1 / K,))
    centring = Blocks.centring((K,), 0)
    G = gradient(loss, centring * alpha)
    objective = loss(centring * alpha) + c * (K - 1) * alpha
    norm = 1 / (sp.exp(alpha) + K - 1)
    share = PENALTY * (K - 1) * alpha
    steps = (
        Cited(r"the $n$ features of a class may be replaced by their mean", JENSEN),
        Cited(r"$\min_{W\bar H = Z} \frac{\lambda_W}2\|W\|^2 + \frac{n\lambda_H}2\|\bar H\|^2 = c\|Z\|_*$ with "
              r"$c = \sqrt{n\lambda_W\lambda_H}$, both halves equal", SCHATTEN),
        BlockIdentity(r"the gradient at $\alpha S$ is $-gS$, $g = 1/(e^\alpha+K-1)$", G, centring * -norm,
                      r"\nabla f(\alpha S) = -g S", line),
        BlockIdentity(r"$S$ has singular values 1 ($K-1$ times) and 0, so $\|\alpha S\|_* = (K-1)\alpha$, $\|G\|_2 = "
                      r"g$",
                      centring @ centring.T, centring, r"S S^\top = S", line),
        Derivative(r"the objective along $\alpha S$ is stationary", objective, (alpha,), sp.Integer(0), alive,
                   at={alpha: alpha_claim}),
        Sign(r"at a positive $\alpha$ for every $c$ below the threshold", sp.exp(alpha_claim) - 1, ">", alive),
        Identity(r"where $\|G\|_2 = c$", norm.subs(alpha, alpha_claim), c, alive),
        Uses(r"$f(Z') \ge f(Z) + \langle G, Z'-Z\rangle$", cross_entropy.theorem()),
        Cited(r"$\langle G, Z'\rangle \ge -\|G\|_2\|Z'\|_* \ge -c\|Z'\|_*$, so $f(Z') + c\|Z'\|_* \ge f(Z) - \langle "
              r"G,Z\rangle$",
              VON_NEUMANN),
        Identity(r"and $-\langle G, Z\rangle = c\|Z\|_*$: $\alpha S$ is a global minimiser",
                 (-G.inner(centring * alpha)).subs(alpha, alpha_claim), c * (K - 1) * alpha_claim, alive),
        Sign(r"from the threshold on $\|G\|_2 = 1/K \le c$ at $Z = 0$, and the same inequality makes $Z = 0$ the "
             r"minimiser",
             c - norm.subs(alpha, 0), ">=", dead),
        Identity(r"$\lambda_W\|W\|^2 = c\|Z\|_*$ gives $\|w_k\|^2$", share / (K * lambda_W), W_NORM2, scales),
        Identity(r"$n\lambda_H\|\bar H\|^2 = c\|Z\|_*$ gives $\|h_k\|^2$", share / (K * n * lambda_H), H_NORM2, scales),
    )  # fmt: skip
    at_optimum = {alpha: alpha_claim.subs(c, PENALTY)}
    arguments = (K, n, lambda_W, lambda_H)
    value = (objective.subs(alpha, alpha_claim)).subs(c, PENALTY)
    return Theorem(
        id="ufm.balanced",
        title="Balanced unconstrained features with weight decay: a simplex ETF or zero",
        source="Zhu et al. 2021, global optimality of the simplex ETF; threshold and norms derived here",
        domain=alive,
        assumptions=("n samples in every class", "no bias", "feature dimension d ≥ K − 1",
                     "closed forms other than `penalty` hold below the threshold; from it on W = H = 0 and the value "
                     "is log K"),
        statement=(sp.Eq(sp.Symbol("c"), PENALTY, evaluate=False),
                   sp.Lt(c, threshold, evaluate=False),
                   sp.Eq(alpha, alpha_claim, evaluate=False),
                   sp.Eq(sp.Symbol(r"{\|w_k\|^2}"), W_NORM2, evaluate=False),
                   sp.Eq(sp.Symbol(r"{\|h_k\|^2}"), H_NORM2, evaluate=False)),
        steps=steps,
        uniqueness="Z is unique by strict convexity on 1ᵀZ = 0; W and H up to one orthogonal matrix.",
        closed_forms={
            "penalty": sp.Lambda((n, lambda_W, lambda_H), PENALTY),
            "threshold": sp.Lambda((K,), threshold),
            "alpha": sp.Lambda(arguments, at_optimum[alpha]),
            "value": sp.Lambda(arguments, value),
            "w_norm2": sp.Lambda(arguments, W_NORM2.subs(at_optimum)),
            "h_norm2": sp.Lambda(arguments, H_NORM2.subs(at_optimum)),
        },
    )  # fmt: skip
