"""The layer-peeled model is a convex problem in the logits, and d >= K - 1 makes the two equal."""

from __future__ import annotations

import sympy as sp

from proofs import cross_entropy
from proofs.domain import Domain, above, at_least, integers
from proofs.symbols import BUDGETS, E_H, E_W, K
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import JENSEN, SCHATTEN, WEYL, Cited
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

BUDGET = K * sp.sqrt(E_W * E_H)


def theorem(budget: sp.Expr = BUDGET) -> Theorem:
    """min f(WH) with mean ||w_k||^2 <= E_W, mean ||h_k||^2 <= E_H equals min f(Z) over ||Z||_* <= K sqrt(E_W E_H)."""
    domain = BUDGETS | {K: integers(2)}
    t, P, Q, nu, sigma, delta = sp.symbols("t P Q nu sigma delta", positive=True)
    scaled = (t**2 * P + Q / t**2) / 2
    scales = Domain({t: above(0), P: above(0), Q: above(0)})
    best = (Q / P) ** sp.Rational(1, 4)
    centring, average = Blocks.centring((K,), 0), Blocks.of((K,), [0], [[1 / K]])
    identity = Blocks.of((K,), [1], [[0]])
    steps = (
        Cited(r"replacing the features of a class by their mean keeps $\frac1K\sum_k\frac1{n_k}\sum_i\|h_{k,i}\|^2 \le "
              r"E_H$ "
              r"and does not raise a convex loss", JENSEN),
        Cited(r"$\|Z\|_* = \min_{WH=Z} \frac12(\|W\|^2 + \|H\|^2)$", SCHATTEN),
        Derivative(r"the rescaling $(tW, H/t)$ with $P = \|W\|^2$, $Q = \|H\|^2$ is stationary at $t = (Q/P)^{1/4}$",
                   scaled, (t,), sp.Integer(0), scales, at={t: best}),
        Sign(r"which is its minimum: the derivative by $\log t$ increases", sp.diff(t * sp.diff(scaled, t), t), ">",
             scales),
        Identity(r"so $\|Z\|_* = \min_{WH=Z} \|W\|\,\|H\|$", scaled.subs(t, best), sp.sqrt(P * Q), scales),
        Identity(r"and the two budgets $\|W\|^2 \le KE_W$, $\|H\|^2 \le KE_H$ admit $Z$ iff $\|Z\|_* \le "
                 r"K\sqrt{E_WE_H}$",
                 sp.sqrt(K * E_W * K * E_H), budget, domain),
        BlockIdentity(r"$(SZ)^\top(SZ) = Z^\top Z - Z^\top \mathbf{11}^\top Z/K$", centring.T @ centring,
                      identity - average,
                      r"S^\top S = I - \mathbf{11}^\top/K", domain),
        Cited(r"hence no singular value of $SZ$ exceeds the same one of $Z$, and $\|SZ\|_* \le \|Z\|_*$", WEYL),
        Sign(r"while their squares sum to $\|Z^\top\mathbf 1\|^2/K$ less: if $\mathbf 1^\top Z \ne 0$ some singular "
             r"value drops "
             r"strictly (from $\sqrt{\sigma^2+\delta}$ to $\sigma$) and $\|SZ\|_* < \|Z\|_*$",
             sp.sqrt(sigma**2 + delta) - sigma, ">", Domain({sigma: at_least(0), delta: above(0)})),
        Uses(r"the loss of $SZ$ is that of $Z$, and a minimiser inside the budget would be an unconstrained one, which "
             r"does not "
             r"exist: $\mathbf 1^\top Z = 0$ at every optimum, and the optimum is unique", cross_entropy.theorem()),
        Limit(r"(indeed the loss of $\nu S$ tends to 0, and the loss is positive)", sp.log(1 + (K - 1) * sp.exp(-nu)),
              nu,
              sp.oo, sp.Integer(0), domain | {nu: above(0)}),
        Identity(r"so $\mathrm{rank}\,Z \le K-1$, and $Z = (U\Sigma^{1/2})(\Sigma^{1/2}V^\top)$ fits into $d = K-1$ "
                 r"dimensions",
                 centring.trace(), K - 1, domain),
    )  # fmt: skip
    return Theorem(
        id="lpm.relaxation",
        title="The layer-peeled model is its nuclear-norm relaxation when d ≥ K − 1",
        source="convex relaxation: Fang, He, Long & Su 2021 (PNAS); the dimension K − 1 derived here",
        domain=domain,
        assumptions=("cross-entropy with positive class weights", "feature dimension d ≥ K − 1"),
        statement=(sp.Le(sp.Symbol(r"\|Z\|_*"), budget, evaluate=False),
                   sp.Ge(sp.Symbol("d"), K - 1, evaluate=False)),
        steps=steps,
        uniqueness="The optimal Z is unique. For d < K − 1 the relaxation is only a lower bound.",
        closed_forms={"budget": sp.Lambda((K, E_W, E_H), budget)},
    )  # fmt: skip
