"""Two groups at a given multiplier: monotone coordinates, one root in the angle, a budget falling with lambda."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import probabilities, two_group
from proofs.domain import REAL, Domain, above, at_least, between
from proofs.theorem import Theorem, Uses
from proofs.two_group import COST, WEIGHTED, a, e, omega_A, omega_B, x, y
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

t, c, kappa, K_g, ratio = sp.symbols("t c kappa K_g k", positive=True)

# x of group A as a function of c = cos(theta), of group B as a function of sin(theta); ratio = K_other/K_g.
OWN_SHARE = (1 - kappa * c) / K_g
WITHIN = sp.log(1 + (1 - t) / (t * OWN_SHARE))
LOG_RATIO = sp.log(ratio * (1 / (kappa * c) - 1))
COORDINATE = kappa * (WITHIN + K_g * LOG_RATIO)
COORDINATE_MERGED = K_g * kappa * sp.log(ratio * (1 / (t * kappa * c) - 1))


@cache
def theorem(coordinate: sp.Expr = COORDINATE) -> Theorem:
    """Given lambda, omega_B y cos(theta) = omega_A x sin(theta) has one root; the cost decreases in lambda.

    `coordinate` is the claimed x of an active group.
    """
    active = Domain({K_g: at_least(1), ratio: above(0), kappa: between(0, 1), t: between(0, 1), c: between(0, 1)})
    merged = active | {t: at_least(1), c: between(0, 1 / (t * kappa))}
    theta, dx, dy, tau = sp.symbols("theta x' y' tau", positive=True)
    X, Y = sp.Function("x")(theta), sp.Function("y")(theta)
    plain = {sp.Derivative(X, theta): dx, sp.Derivative(Y, theta): -dy, X: x, Y: y}
    equation = omega_A * X * sp.sin(theta) - omega_B * Y * sp.cos(theta)
    cosine, sine = sp.symbols("cos sin", positive=True)
    slope = sp.diff(equation, theta).subs(plain).subs({sp.sin(theta): sine, sp.cos(theta): cosine})
    line = Domain({symbol: above(0) for symbol in (omega_A, omega_B, x, y, dx, dy, cosine, sine)})
    F1, F2, c1, c2, l1, l2 = sp.symbols("F_1 F_2 c_1 c_2 lambda_1 lambda_2", real=True)
    exchange = Domain({F1: REAL, F2: REAL, c1: REAL, c2: REAL, l1: REAL, l2: REAL})
    p = t * OWN_SHARE
    rho = t * kappa * c / (ratio * K_g)
    steps = (
        Uses(r"the loss is strictly convex and the cost a norm, so for each $\lambda > 0$ there is exactly one "
             r"minimiser (it "
             r"exists: the cost grows to infinity, the loss is positive), and for each budget exactly one",
             two_group.theorem()),
        Uses(r"given $\lambda$, it is explicit in $\theta$", probabilities.theorem()),
        Identity(r"there $x = (m - a(1-1/K_g))K_g\kappa$ is $\kappa(a + K_g q)$, $q = \log(p/\rho)$, $a = "
                 r"\log(1+(1-t)/p)$",
                 K_g * kappa * (sp.log((p + 1 - t) / rho) - sp.log((p + 1 - t) / p) * (1 - 1 / K_g)), coordinate,
                 active),
        Sign(r"$x$ decreases in $\cos\theta$, so it increases in $\theta$; $y$, the same function of $\sin\theta$, "
             r"decreases",
             sp.diff(coordinate, c), "<", active),
        Sign(r"the same for a merged group (defined while $t\kappa\cos\theta < 1$)", sp.diff(COORDINATE_MERGED, c), "<",
             merged),
        Limit(r"$x \to +\infty$ as $\theta \to \pi/2$ (and $y \to +\infty$ as $\theta \to 0$)", coordinate, c,
              sp.Integer(0), sp.oo,
              active),
        Limit(r"also when merged", COORDINATE_MERGED, c, sp.Integer(0), sp.oo,
              Domain({K_g: at_least(1), ratio: above(0), kappa: between(0, 1), t: at_least(1), c: above(0)})),
        Sign(r"where $x, y > 0$, $g(\theta) = \omega_Ax\sin\theta - \omega_By\cos\theta$ increases ($x' > 0 > y' $, "
             r"written $-y'$ "
             r"below): one root at most there", slope, ">", line),
        Sign(r"at the end of that interval where $x = 0$, $g < 0$; where $y = 0$, $g > 0$", -omega_B * y * cosine, "<",
             line),
        Sign(r"so if $x, y > 0$ somewhere there is exactly one root there, and none where $x$ and $y$ differ in sign",
             omega_A * x * sine + omega_B * y * cosine, ">", line),
        Identity(r"(if $x, y > 0$ nowhere, no point with $\sigma > 0$ is stationary: the optimum has $\sigma = 0$, "
                 r"annihilated). "
                 r"For minimisers $z_i$ at $\lambda_i$ with loss $F_i$ and cost $c_i$, the two optimality inequalities "
                 r"add up to",
                 (F2 + l1 * c2 - F1 - l1 * c1) + (F1 + l2 * c1 - F2 - l2 * c2), (l1 - l2) * (c2 - c1), exchange),
        Identity(r"which is $\ge 0$: the cost does not increase with $\lambda$. The cost is homogeneous,",
                 COST.subs({v: tau * v for v in (a, e, x, y)}, simultaneous=True), tau * COST,
                 WEIGHTED | {tau: above(0)}),
        Derivative(r"so at a minimiser $z \ne 0$ the loss along $\tau z$ has slope $-\lambda\,\mathrm{cost}(z)$, which "
                   r"fixes "
                   r"$\lambda$: equal costs would mean equal minimisers (each would be optimal for the other), hence "
                   r"equal "
                   r"$\lambda$; the cost decreases strictly until it is 0", tau * COST, (tau,), COST,
                   WEIGHTED | {tau: above(0)}),
    )  # fmt: skip
    arguments = (K_g, ratio, kappa, t, c)
    return Theorem(
        id="lpm.unique",
        title="Two groups: the optimum is unique and found by bracketed roots",
        source="derived here",
        domain=active,
        assumptions=(
            "written for one group g: κ = κ_g, k = K_other/K_g, t = λω_g/π_g, c its direction cosine (cos θ for A, sin "
            "θ for B)",
            "the root is claimed where x, y > 0; a root with x, y < 0 (σ < 0) is spurious: the optimum is annihilated",
        ),
        statement=(sp.Eq(x, coordinate, evaluate=False), sp.Eq(omega_B * y * sp.cos(theta), omega_A * x * sp.sin(theta),
                   evaluate=False)),
        steps=steps,
        uniqueness="One minimiser per λ and per budget; λ and the budget are in strictly decreasing one-to-one "
                   "correspondence.",
        closed_forms={
            "within": sp.Lambda(arguments, WITHIN),
            "coordinate": sp.Lambda(arguments, coordinate),
            "coordinate_merged": sp.Lambda(arguments, COORDINATE_MERGED),
        },
    )  # fmt: skip
