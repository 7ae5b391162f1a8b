"""Optimality of two groups in probabilities: everything is explicit given the multiplier and one angle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy as sp

from proofs import two_group
from proofs.domain import Domain, above, between, integers
from proofs.symbols import ALPHA_A, ALPHA_B, K_A, K_B, KAPPA_A, KAPPA_B, TWO_GROUPS
from proofs.theorem import Theorem, Uses
from proofs.two_group import COST, LOSS, a, e, omega_A, omega_B, pi_A, pi_B, sigma, x, y
from proofs.verifiers.cited import CONVEX_KKT, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

lam, t_A, t_B, c = sp.symbols("lambda t_A t_B c", positive=True)
SINE = sp.sqrt(1 - c**2)


@dataclass(frozen=True)
class GroupAtOptimum:
    """One group of `size` classes against `other`, t = lambda omega/pi, `share`: cos(theta) for A, sin(theta) for B."""

    size: sp.Expr
    other: sp.Expr
    kappa: sp.Expr
    t: sp.Expr
    share: sp.Expr

    @property
    def rho(self) -> sp.Expr:
        """Probability of each class of the other group."""
        return self.t * self.kappa * self.share / self.other

    @property
    def p(self) -> sp.Expr:
        """Probability of each wrong class of the own group, while it is active (t < 1)."""
        return self.t * (1 - self.kappa * self.share) / self.size

    @property
    def p_merged(self) -> sp.Expr:
        """Probability of every class of the own group when it is merged (t >= 1)."""
        return (1 - self.other * self.rho) / self.size

    @property
    def own(self) -> sp.Expr:
        """Probability of the right class of an active group."""
        return 1 - (self.size - 1) * self.p - self.other * self.rho

    @property
    def within(self) -> sp.Expr:
        """The in-group margin a (or e)."""
        return sp.log(self.own / self.p)

    @property
    def across(self) -> sp.Expr:
        """The margin over the other group."""
        return sp.log(self.own / self.rho)

    @property
    def across_merged(self) -> sp.Expr:
        """The margin over the other group when merged."""
        return sp.log(self.p_merged / self.rho)

    @property
    def coordinate(self) -> sp.Expr:
        """x (or y) of an active group."""
        return self.size * self.kappa * (self.across - self.within * (1 - 1 / self.size))

    @property
    def coordinate_merged(self) -> sp.Expr:
        """x (or y) of a merged group."""
        return self.size * self.kappa * self.across_merged


GROUP_B = GroupAtOptimum(K_B, K_A, KAPPA_B, t_B, SINE)


@cache
def theorem(kappa: sp.Expr = KAPPA_A) -> Theorem:
    """KKT conditions of  min loss(a, e, x, y) + lambda ||Z diag(omega)||_*  solved for everything but theta.

    `kappa` is the claimed kappa_A.
    """
    A = GroupAtOptimum(K_A, K_B, kappa, t_A, c)
    B = GROUP_B
    active = TWO_GROUPS | {lam: above(0), omega_A: above(0), omega_B: above(0), t_A: between(0, 1), t_B: between(0, 1),
                           c: between(0, 1)}  # fmt: skip
    # A group of one class has no e and follows the merged formulas for every t.
    merged = Domain({K_A: integers(1), K_B: integers(1), lam: above(0), omega_B: above(0), t_B: above(0)})
    weights = {pi_A: lam * omega_A / t_A, pi_B: lam * omega_B / t_B}
    at_A = {a: A.within, x: A.coordinate} | weights
    at_B = {e: B.within, y: B.coordinate} | weights
    polar = {x: sigma * c / omega_A, y: sigma * SINE / omega_B}
    in_share = sp.Symbol("v", positive=True)
    dead = GroupAtOptimum(K_B, K_A, KAPPA_B, t_B, in_share / (t_B * KAPPA_B))
    steps = (
        Uses(r"the four-scalar problem", two_group.theorem()),
        Identity(r"$\alpha = 1/(\kappa_A K_A)$", ALPHA_A, 1 / (kappa * K_A), TWO_GROUPS),
        Identity(r"$\beta = 1/(\kappa_B K_B)$", ALPHA_B, 1 / (KAPPA_B * K_B), TWO_GROUPS),
        Derivative(r"the cost by $x$, at $(\omega_Ax, \omega_By) = \sigma(c, s)$, $c = \cos\theta$, $s=\sin\theta$",
                   COST, (x,),
                   omega_A * c, active | {sigma: above(0)}, at=polar),
        Derivative(r"and by $y$", COST, (y,), omega_B * SINE, active | {sigma: above(0)}, at=polar),
        Derivative(r"with the probabilities below, $a = \log(P_A/p_A)$ and $x = (\log(P_A/\rho_A) - "
                   r"a(1-1/K_A))/\alpha$: "
                   r"stationary in $a$", LOSS, (a,), -lam * (K_A - 1) * omega_A, active, at=at_A),
        Derivative(r"in $x$", LOSS, (x,), -lam * omega_A * c, active, at=at_A),
        Derivative(r"in $e$", LOSS, (e,), -lam * (K_B - 1) * omega_B, active, at=at_B),
        Derivative(r"in $y$", LOSS, (y,), -lam * omega_B * SINE, active, at=at_B),
        Identity(r"$P_A = p_A + 1 - t_A$, hence $a > 0$ iff $t_A < 1$", A.own, A.p + 1 - t_A, active),
        Sign(r"the wrong-class probabilities are positive: $\kappa_A c < 1$", 1 - kappa**2 * c**2, ">", active),
        Derivative(r"at $e = 0$ the slope in $e$ does not depend on $y$: the merged group is optimal in $e$ iff "
                   r"$\pi_B \le \lambda\omega_B$", LOSS, (e,), -pi_B * (K_B - 1),
                   TWO_GROUPS | {pi_B: above(0), y: above(0)}, at={e: sp.Integer(0)}),
        Derivative(r"a merged group is stationary in $y$ with $p_B = P_B = (1-K_A\rho_B)/K_B$ (here $v = t_B\kappa_Bs "
                   r"< 1$ is the "
                   r"total probability of A)", LOSS, (y,), -lam * omega_B * in_share / (t_B * KAPPA_B),
                   merged | {in_share: between(0, 1)},
                   at={e: sp.Integer(0), y: dead.coordinate_merged, pi_B: lam * omega_B / t_B}),
        Cited(r"the loss plus $\lambda$ times a norm is convex: with $\omega_B y\cos\theta = \omega_A x\sin\theta$ (so "
              r"that "
              r"$x, y$ have direction $\theta$) these points are global minimisers", CONVEX_KKT),
    )  # fmt: skip
    s = sp.Symbol("s", positive=True)
    by_sine = GroupAtOptimum(K_B, K_A, KAPPA_B, t_B, s)
    forms = {}
    for name, group, arguments in (("A", A, (K_A, K_B, t_A, c)), ("B", by_sine, (K_A, K_B, t_B, s))):
        forms |= {
            f"rho_{name}": sp.Lambda(arguments, group.rho),
            f"p_{name}": sp.Lambda(arguments, group.p),
            f"P_{name}": sp.Lambda(arguments, group.own),
            f"within_{name}": sp.Lambda(arguments, group.within),
            f"across_{name}": sp.Lambda(arguments, group.across),
            f"coordinate_{name}": sp.Lambda(arguments, group.coordinate),
            f"p_merged_{name}": sp.Lambda(arguments, group.p_merged),
            f"across_merged_{name}": sp.Lambda(arguments, group.across_merged),
            f"coordinate_merged_{name}": sp.Lambda(arguments, group.coordinate_merged),
        }
    return Theorem(
        id="lpm.kkt",
        title="Two groups: optimality in probabilities",
        source="derived here",
        domain=active,
        assumptions=("t_g = λω_g/π_g; c = cos θ, s = sin θ", "active formulas for t_g < 1, merged ones "
                     "for t_g ≥ 1 (and for a group of one class)"),
        statement=(sp.Eq(sp.Symbol("rho_A"), A.rho, evaluate=False), sp.Eq(sp.Symbol("p_A"), A.p, evaluate=False),
                   sp.Eq(sp.Symbol("P_A"), A.own, evaluate=False), sp.Eq(a, sp.log(sp.Symbol("P_A") / sp.Symbol("p_A")),
                   evaluate=False), sp.Eq(sp.Symbol("m_A"), sp.log(sp.Symbol("P_A") / sp.Symbol("rho_A")),
                                          evaluate=False)),
        steps=steps,
        uniqueness="The minimiser is unique (`lpm.two_group`), so at most one θ satisfies the remaining equation with "
                   "x, y ≥ 0.",
        closed_forms=forms,
    )  # fmt: skip
