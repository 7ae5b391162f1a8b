"""Gradient flow of balanced unconstrained features on the ray of neural collapse: exact, at a logarithmic rate."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy
from proofs.domain import REAL, Domain, above, integers
from proofs.symbols import K, alpha, n
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

RATE = 2 * alpha / (sp.sqrt(n) * (sp.exp(alpha) + K - 1))
CLOCK = sp.Ei(alpha) + (K - 1) * sp.log(alpha)
LOSS = sp.log(1 + (K - 1) * sp.exp(-alpha))


@cache
def theorem(rate: sp.Expr = RATE, clock: sp.Expr = CLOCK) -> Theorem:
    """dW/dt = -dL/dW, dH/dt = -dL/dH from W = sqrt(n) H^T with logits alpha S, L the mean cross-entropy of Kn samples.

    `rate` is the claimed speed of alpha, `clock` the claimed function of alpha that grows by 2/sqrt(n) a unit of time.
    """
    domain = Domain({K: integers(2), n: integers(1), alpha: above(0)})
    centring = Blocks.centring((K,), 0)
    push = 1 / (sp.exp(alpha) + K - 1)
    Z = centring * alpha
    G = gradient(cross_entropy.block_loss((1 / K,)), Z)
    gram_W, gram_H = centring * (sp.sqrt(n) * alpha), centring * (alpha / sp.sqrt(n))
    w, g, h, w2, h2 = sp.symbols("w g h w' h'", real=True)
    # e^alpha/alpha is the leading part of sqrt(n)/2 times the time; with its rest, e/alpha + C, of lower order.
    remainder = sp.Symbol("C", real=True)
    growth = sp.exp(alpha) / alpha
    upper = growth * (1 + 2 / alpha)
    later = Domain({K: integers(2), n: integers(1), alpha: above(4)})
    far = Domain({K: integers(2), n: integers(1), remainder: REAL, alpha: above(0)})
    early, late = (sp.sqrt(n) / 2 * (g + (K - 1) * sp.log(alpha) + remainder) for g in (growth, upper))
    limit = (K - 1) * sp.sqrt(n)
    steps = (
        BlockIdentity(r"the gradient by the logits of the classes at $\alpha S$ is $-gS$, $g = 1/(e^\alpha+K-1)$", G,
                      centring * -push, r"\nabla f(\alpha S) = -gS", domain),
        BlockIdentity(r"so $\dot W = gS\bar H^\top$, $\dot{\bar H} = \frac gnW^\top S$ (each of the $n$ samples has "
                      r"$1/n$ of the gradient), and the logits move by", (gram_H * push) @ centring
                      + (gram_W @ centring) * (push / n), centring * rate,
                      r"\dot WH + W\dot H = g\,S\bar H^\top\bar H + \tfrac gn WW^\top S = \dot\alpha S", domain),
        Identity(r"$W = \sqrt n\bar H^\top$ stays so: both move along themselves, at the relative rate $g/\sqrt n$, "
                 r"half that of $\alpha$", push / sp.sqrt(n), rate / alpha / 2, domain),
        Derivative(r"$\Phi(\alpha) = \mathrm{Ei}(\alpha) + (K-1)\log\alpha$ has the slope", clock, (alpha,),
                   (sp.exp(alpha) + K - 1) / alpha, domain),
        Identity(r"so $\dot\Phi = \Phi'(\alpha)\dot\alpha = 2/\sqrt n$: $\Phi(\alpha(t)) = \Phi(\alpha(0)) + 2t/\sqrt "
                 r"n$ determines $\alpha(t)$", sp.diff(clock, alpha) * rate, 2 / sp.sqrt(n), domain),
        Sign(r"($\Phi$ increases)", sp.diff(clock, alpha), ">", domain),
        Sign(r"the slope $e^\alpha/\alpha$ of $\mathrm{Ei}$ is above that of $e^\alpha/\alpha$", growth
             - sp.diff(growth, alpha), ">", domain),
        Sign(r"and, from $\alpha = 4$ on, below that of $\frac{e^\alpha}\alpha(1+\frac2\alpha)$: up to constants $t$ "
             r"lies between $\frac{\sqrt n}2(\frac{e^\alpha}\alpha + (K-1)\log\alpha)$ and the same with that,",
             sp.simplify((sp.diff(upper, alpha) - growth) * alpha**3 * sp.exp(-alpha)), ">", later),
        Limit(r"so $\log t \sim \alpha$,", sp.log(early) / alpha, alpha, sp.oo, sp.Integer(1), far),
        Limit(r"at either end,", sp.log(late) / alpha, alpha, sp.oo, sp.Integer(1), far),
        Limit(r"and $L\cdot2t\log t \to (K-1)\sqrt n$ with $\log t = \alpha(1+o(1))$,", LOSS * 2 * early * alpha, alpha,
              sp.oo, limit, far),
        Limit(r"at either end: the loss falls like $\frac{(K-1)\sqrt n}{2t\log t}$", LOSS * 2 * late * alpha, alpha,
              sp.oo, limit, far),
        Identity(r"in general, $\dot W = -GH^\top$ and $\dot H = -W^\top G$ for any loss of $WH$: each summand of "
                 r"$\frac d{dt}(W^\top W)_{ab}$ is one of $\frac d{dt}(HH^\top)_{ab}$, so $W^\top W - HH^\top$ is "
                 r"conserved", (-g * h) * w2 + w * (-g * h2), (-w * g) * h2 + h * (-w2 * g),
                 Domain({symbol: REAL for symbol in (w, g, h, w2, h2)})),
        Uses(r"and $\mathbf 1^\top G = 0$, as the loss is invariant along $\mathbf 1$: $\mathbf 1^\top W$ is conserved",
             cross_entropy.theorem()),
    )  # fmt: skip
    return Theorem(
        id="ulpm.ray",
        title="Gradient flow on the ray of neural collapse: an implicit formula and the rate 1/(t log t)",
        source="derived here; the flow: Ji et al. 2022",
        domain=domain,
        assumptions=("n samples in every class, cross-entropy averaged over all Kn samples, no decay",
                     "W = √n H̄ᵀ at the start, with logits αS (balanced norms, neural collapse)"),
        statement=(sp.Eq(sp.Derivative(sp.Function("alpha")(sp.Symbol("t")), sp.Symbol("t")), rate, evaluate=False),
                   sp.Eq(sp.Symbol("Phi"), clock, evaluate=False)),
        steps=steps,
        uniqueness="The flow is smooth: one solution from each start. The ray is reached only in direction, from "
                   "general starts.",
        closed_forms={
            "rate": sp.Lambda((K, n, alpha), rate),
            "clock": sp.Lambda((K, alpha), clock),
            "loss": sp.Lambda((K, alpha), LOSS),
        },
    )  # fmt: skip
