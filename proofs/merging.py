"""When equal classes merge: pi_g <= lambda omega_g, for any number of groups."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy
from proofs.domain import REAL, Domain, above, at_least, integers
from proofs.symbols import N, lambda_H, lambda_W
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import CONVEX_KKT, GROUP_AVERAGING, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

K_g, T, pi_g, omega_g, lam, n_g = sp.symbols("K_g T pi_g omega_g lambda n_g", positive=True)
a, b = sp.symbols("a b", real=True)
SLACK = sp.log(pi_g / (lam * omega_g))


@cache
def theorem(slope: sp.Expr = -pi_g * (K_g - 1)) -> Theorem:
    """A group g of K_g >= 2 equal classes has equal classifier rows at the optimum iff pi_g <= lambda omega_g.

    `slope` is the claimed derivative of the loss by the in-group scalar a_g at a_g = 0.
    """
    # Column k of the group: own logit b + a(1 - 1/K_g), others of the group b - a/K_g, all other groups sum to T.
    own, other = b + a * (1 - 1 / K_g), b - a / K_g
    sample = sp.log(1 + (K_g - 1) * sp.exp(other - own) + T * sp.exp(-own))
    loss = K_g * pi_g * sample
    domain = Domain({K_g: integers(2), T: above(0), pi_g: above(0), b: REAL})
    multiplier = domain | {lam: above(0), omega_g: above(0)}
    sizes, size_o = (K_g, sp.Symbol("K_o", positive=True)), sp.Symbol("K_o", positive=True)
    c_gg, c_go, c_og, c_oo, d_o = sp.symbols("c_gg c_go c_og c_oo d_o", real=True)
    centring = Blocks.centring(sizes, 0)
    rest = Blocks.of(sizes, (0, d_o), [[c_gg, c_go], [c_og, c_oo]])
    blocks = Domain({K_g: integers(2), size_o: integers(1), c_gg: REAL, c_go: REAL, c_og: REAL, c_oo: REAL, d_o: REAL})
    zero = Blocks.of(sizes, (0, 0), [[0, 0], [0, 0]])
    steps = (
        Cited(r"the classes of a group are interchangeable: on its block the optimum is $a_g(I - J/K_g)$ plus a "
              r"multiple of $J$, "
              r"and its other rows and columns are constant over the group", GROUP_AVERAGING),
        BlockIdentity(r"the traceless part is orthogonal to everything else, from the left", centring @ rest, zero,
                      r"(I - J/K_g)\,M = 0", blocks),
        BlockIdentity(r"and the right: it adds $(K_g-1)\omega_g|a_g|$ to the nuclear norm of $Z\Omega$, independently "
                      r"of the rest",
                      rest @ centring, zero, r"M\,(I - J/K_g) = 0", blocks),
        Identity(r"($K_g - 1$ being the rank of $I - J/K_g$)", centring.trace(), K_g - 1, blocks),
        Derivative(r"at $a_g = 0$ the loss has slope $-\pi_g(K_g-1)$, whatever the other coordinates ($b$, $T$)", loss,
                   (a,), slope,
                   domain, at={a: sp.Integer(0)}),
        Identity(r"the cost has slope $\pm\lambda(K_g-1)\omega_g$ on either side: 0 is stationary iff the sum is $\ge "
                 r"0$ on the "
                 r"right, that is $\pi_g \le \lambda\omega_g$", slope + lam * (K_g - 1) * omega_g,
                 (K_g - 1) * (lam * omega_g - pi_g), multiplier),
        Cited(r"and then $a_g = 0$ with the rest at its optimum is a KKT point of the whole convex problem",
              CONVEX_KKT),
        Sign(r"(on the left the loss falls as well)", sp.diff(loss, a), "<", domain | {a: REAL}),
        Convex(r"conversely the loss is strictly convex in $a_g$, the rest fixed: if $a_g > 0$ is stationary, the "
               r"slope at 0 is "
               r"below $-\lambda(K_g-1)\omega_g$, so $\pi_g > \lambda\omega_g$", loss, (a,), domain | {a: REAL},
               strict=True),
        Uses(r"(the optimum is unique, so this decides)", cross_entropy.theorem()),
        Identity(r"for weight decay $\pi_g = n_g/N$, $\omega_g = \sqrt{n_g}$, $\lambda = \sqrt{\lambda_W\lambda_H}$: "
                 r"merged iff "
                 r"$n_g \le N^2\lambda_W\lambda_H$, where the slack is 0",
                 SLACK.subs({pi_g: n_g / N, omega_g: sp.sqrt(n_g), lam: sp.sqrt(lambda_W * lambda_H)}).subs(
                     n_g, N**2 * lambda_W * lambda_H), sp.Integer(0),
                 Domain({N: above(0), lambda_W: above(0), lambda_H: above(0)})),
        Sign(r"and the slack increases with $n_g$",
             sp.diff(sp.log(n_g / N / (lam * sp.sqrt(n_g))), n_g), ">", Domain({n_g: above(0), N: above(0),
                                                                                lam: above(0)})),
    )  # fmt: skip
    return Theorem(
        id="lpm.merging",
        title="Merging criterion: equal classes collapse iff π_g ≤ λ ω_g",
        source="derived here; the unconstrained-feature threshold is that of Hong & Ling 2023",
        prior="weight decay: Hong & Ling 2023 (arXiv 2309.09725); ReLU features: Dang et al. 2024 (arXiv 2401.02058)",
        domain=Domain({K_g: integers(2), pi_g: above(0), lam: above(0), omega_g: above(0), T: at_least(0)}),
        assumptions=("cross-entropy; convex problem with multiplier λ of ‖Z diag ω‖_*",
                     "a group of K_g ≥ 2 classes with equal "
                     "counts and weights, any number of other groups", "λ = ‖∇f(Z) diag(1/ω)‖₂ at the optimum"),
        statement=(sp.Equivalent(sp.Eq(sp.Symbol("a_g"), 0), sp.Le(pi_g, lam * omega_g)),
                   sp.Eq(sp.Symbol("slack_g"), SLACK, evaluate=False)),
        steps=steps,
        uniqueness="An equivalence; merged rows have cosine 1 if they are not zero.",
        closed_forms={
            "slack": sp.Lambda((pi_g, omega_g, lam), SLACK),
            "threshold_count": sp.Lambda((N, lambda_W, lambda_H), N**2 * lambda_W * lambda_H),
        },
    )  # fmt: skip
