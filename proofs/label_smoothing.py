"""Balanced unconstrained features with label smoothing: smoothing adds epsilon/K to the decay."""

from __future__ import annotations

import sympy as sp

from proofs import cross_entropy
from proofs.domain import Domain, at_least, between, integers
from proofs.symbols import K, alpha
from proofs.theorem import Theorem, Uses
from proofs.unconstrained import c
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

epsilon = sp.Symbol("epsilon", positive=True)
ALPHA = sp.log((1 - (K - 1) * (epsilon / K + c)) / (epsilon / K + c))


def _loss(Z: Blocks) -> sp.Expr:
    """Mean cross-entropy against (1 - epsilon) e_k + epsilon/K: the plain loss plus epsilon times the mean deficit."""
    mean_logit = (Z.entry(0) + (K - 1) * Z.entry(0, 0)) / K
    return cross_entropy.block_loss((1 / K,))(Z) + epsilon * (Z.entry(0) - mean_logit)


def theorem(alpha_claim: sp.Expr = ALPHA) -> Theorem:
    """Minimise label-smoothed cross-entropy + c ||Z||_*, c = sqrt(n lambda_W lambda_H) as in `ufm.balanced`."""
    alive = Domain({K: integers(2), epsilon: between(0, 1), c: between(0, (1 - epsilon) / K)})
    dead = Domain({K: integers(2), epsilon: between(0, 1), c: at_least((1 - epsilon) / K)})
    centring = Blocks.centring((K,), 0)
    G = gradient(_loss, centring * alpha)
    norm = 1 / (sp.exp(alpha) + K - 1) - epsilon / K
    objective = _loss(centring * alpha) + c * (K - 1) * alpha
    steps = (
        Identity(r"smoothing adds a linear term: along $\alpha S$ the objective is that of `ufm.balanced` with "
                 r"$c+\epsilon/K$ "
                 r"for $c$", objective, sp.log(1 + (K - 1) * sp.exp(-alpha)) + (c + epsilon / K) * (K - 1) * alpha,
                 alive
                 | {alpha: at_least(0)}),
        BlockIdentity(r"the gradient is $-gS$, $g = 1/(e^\alpha+K-1) - \epsilon/K$", G, centring * -norm,
                      r"\nabla f(\alpha S) = -g S", alive | {alpha: at_least(0)}),
        Derivative(r"stationary at $\alpha$", objective, (alpha,), sp.Integer(0), alive, at={alpha: alpha_claim}),
        Sign(r"positive when $\epsilon + cK < 1$", sp.exp(alpha_claim) - 1, ">", alive),
        Identity(r"where $\|G\|_2 = c$", norm.subs(alpha, alpha_claim), c, alive),
        Identity(r"and $-\langle G,Z\rangle = c\|Z\|_*$", (-G.inner(centring * alpha)).subs(alpha, alpha_claim),
                 c * (K - 1) * alpha_claim, alive),
        Uses(r"a linear term keeps the loss convex: $f(Z') \ge f(Z)+\langle G,Z'-Z\rangle$", cross_entropy.theorem()),
        Cited(r"$\langle G,Z'\rangle \ge -c\|Z'\|_*$, so $\alpha S$ is a global minimiser", VON_NEUMANN),
        Sign(r"otherwise $\|G\|_2 = (1-\epsilon)/K \le c$ at $Z = 0$, which is then the minimiser",
             c - norm.subs(alpha, 0), ">=", dead),
    )  # fmt: skip
    arguments = (K, epsilon, c)
    return Theorem(
        id="ufm.label_smoothing",
        title="Balanced unconstrained features with label smoothing",
        source="derived here",
        prior="the simplex ETF with this loss: Zhou et al. 2022 (arXiv 2210.02192)",
        domain=alive,
        assumptions=("n samples in every class", "no bias", "d ≥ K − 1", "c = √(nλ_Wλ_H)",
                     "nontrivial iff ε + cK < 1; otherwise W = H = 0"),
        statement=(sp.Eq(alpha, alpha_claim, evaluate=False), sp.Lt(epsilon + c * K, 1, evaluate=False)),
        steps=steps,
        uniqueness="Z is unique by strict convexity on 1ᵀZ = 0.",
        closed_forms={
            "alpha": sp.Lambda(arguments, alpha_claim),
            "value": sp.Lambda(arguments, objective.subs(alpha, alpha_claim)),
        },
    )  # fmt: skip
