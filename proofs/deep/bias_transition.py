"""Balanced squared error with a decayed last-layer bias: from a simplex ETF to an orthogonal frame."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import schatten, squared_error, threshold
from proofs.deep.symbols import DEPTH, L, M, P, sigma
from proofs.domain import REAL, Domain, above, at_least, between, integers
from proofs.symbols import K, N, lambda_H, lambda_W, n
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, WEYL, Cited
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

lambda_b, lam, a_star, z, ratio, alive = sp.symbols("lambda_b lambda a z b_n t_alive", positive=True)
WEIGHT = lambda_b / (1 + lambda_b)
TRANSITION = K * sp.sqrt(n * lambda_W * lambda_H)
DEEP_TRANSITION = (ratio / alive) ** (1 - 1 / L)
MEAN = sp.sqrt(n) - N * lam / a_star


def _reduction_steps(weight: sp.Expr) -> tuple[Step, ...]:
    """Minimise out b, then bound the loss from below by one scalar problem per singular value."""
    r, shift = sp.symbols("r beta", real=True)
    many, one = sp.symbols("X y", positive=True)
    out = Domain({r: REAL, shift: REAL, N: above(0), lambda_b: above(0)})
    classes = Domain({K: integers(2), n: above(0), a_star: between(0, 1), sigma: above(0), z: above(0)})
    centring, identity = Blocks.centring((K,), 0), Blocks.of((K,), [1], [[0]])
    square = Blocks.of((K,), [1], [[(a_star - 1) / K]])
    residual = Blocks.of((K,), [sigma], [[(z - sigma) / K]]) - identity * sp.sqrt(n)
    return (
        Identity(r"with $A = \sqrt n\bar Z$ and $r$ a coordinate of $(A-\sqrt nI)\mathbf 1/\sqrt K$, the only part "
                 r"that the bias can help: minimised at $b = -r/(\sqrt N(1+\lambda_b))$, it keeps the weight $a = "
                 r"\lambda_b/(1+\lambda_b)$", (r + sp.sqrt(N) * shift) ** 2 / (2 * N) + lambda_b * shift**2 / 2,
                 weight * r**2 / (2 * N)
                 + (1 + lambda_b) / 2 * (shift + r / (sp.sqrt(N) * (1 + lambda_b))) ** 2, out),
        Cited(r"(features replaced by class means)", JENSEN),
        Uses(r"the decays of $W_j$ and $H$ cost $\sum_i\frac{M+1}2P^{1/(M+1)}\sigma_i(A)^{2/(M+1)}$",
             schatten.theorem()),
        BlockIdentity(r"the loss is $\|(A-\sqrt nI)T\|^2/(2N)$ with $T^2 = S + aJ/K$, that is $(1-a)\|(A-\sqrt "
                      r"nI)S\|^2 + a\|A-\sqrt nI\|^2$ over $2N$", square, centring * (1 - a_star) + identity * a_star,
                      r"S + aJ/K = (1-a)S + aI", classes),
        Cited(r"$\|A-\sqrt nI\|^2 \ge \sum_{i\le K}(\sqrt n-\sigma_i)^2$, $\sigma_i = \sigma_i(A)$ in decreasing "
              r"order,", VON_NEUMANN),
        Cited(r"$\|AS-\sqrt nS\|^2 \ge \sum_{i<K}(\sqrt n-\sigma_i(AS))^2$ likewise,", VON_NEUMANN),
        Cited(r"and $\sigma_i(AS) \le \sigma_i$ ($AS(AS)^\top + AJA^\top/K = AA^\top$): at least "
              r"$\sum_{i<K}(\sqrt n-\sigma_i)_+^2$", WEYL),
        Identity(r"together $\sum_{i<K}(\sqrt n-\sigma_i)_+^2 + a(\sqrt n-\sigma_K)_+^2$ over $2N$, the sum over $i<K$ "
                 r"being $X$ and the last term $y$", (1 - a_star) * many + a_star * (many + one), many + a_star * one,
                 classes | {many: above(0), one: above(0)}),
        Sign(r"where no $\sigma_i$ above $\sqrt n$ is better than $\sqrt n$, since the decay increases:",
             sp.diff(schatten.COST, sigma), ">", DEPTH | {P: above(0), sigma: above(0)}),
        Identity(r"a lower bound by $K-1$ scalar problems in $\sigma$ and one in $z$, attained at $A = \sigma S + "
                 r"zJ/K$", (residual @ square).inner(residual), (K - 1) * (sp.sqrt(n) - sigma) ** 2
                 + a_star * (sp.sqrt(n) - z) ** 2, classes),
    )  # fmt: skip


def _transition_steps(transition: sp.Expr, deep_transition: sp.Expr) -> tuple[Step, ...]:
    """When the scalar problem of the mean direction is solved by z = 0."""
    deep = DEPTH | {N: above(0), P: above(0), n: above(0), z: above(0), a_star: above(0)}
    shallow = Domain({n: above(0), N: above(0), lam: above(0), a_star: above(0)})
    direct = a_star * (z - sp.sqrt(n)) ** 2 / (2 * N) + schatten.COST.subs(sigma, z)
    one = a_star * (z - sp.sqrt(n)) ** 2 / (2 * N) + lam * z
    whole = (z - sp.sqrt(n)) ** 2 / (2 * N / a_star) + schatten.COST.subs(sigma, z)
    scales = Domain({K: integers(2), n: above(0), lambda_W: above(0), lambda_H: above(0)})
    return (
        Uses(r"the $K-1$ problems are those of the bias-free model; $z = 0$ gives $Z = (\sigma/\sqrt n)S$, a simplex "
             r"ETF", squared_error.theorem()),
        Identity(r"that of $z$ is the same with $N/a$ in place of $N$,", direct, whole, deep),
        Identity(r"so $b$ becomes $b\,a^{-(M+1)/M}$", squared_error.B.subs(N, N / a_star),
                 squared_error.B * a_star ** (-1 - 1 / M), deep),
        Uses(r"$M \ge 2$: $z = 0$ is optimal iff that is at least $n\,t_{\mathrm{alive}}$; beyond, $z$ jumps to "
             r"$\sqrt n(M-1)/M$ or more", threshold.theorem()),
        Identity(r"the transition, $a = (b/(n\,t_{\mathrm{alive}}))^{M/(M+1)}$",
                 ratio * deep_transition ** (-1 - 1 / M), alive, DEPTH | {ratio: above(0), alive: above(0)}),
        Derivative(r"$M = 1$, $\lambda = \sqrt{\lambda_W\lambda_H}$: convex, stationary at $z = \sqrt n - N\lambda/a$",
                   one, (z,), sp.Integer(0), shallow, at={z: MEAN}),
        Sign(r"if that is positive;", MEAN, ">", shallow | {a_star: above(N * lam / sp.sqrt(n))}),
        Sign(r"else the slope at $z = 0$ is not negative and $z = 0$", sp.diff(one, z).subs(z, 0), ">=",
             Domain({n: above(0), N: above(0), a_star: above(0), lam: at_least(a_star * sp.sqrt(n) / N)})),
        Identity(r"the transition $a = N\lambda/\sqrt n$, $N = Kn$",
                 (N * lam / sp.sqrt(n)).subs({N: K * n, lam: sp.sqrt(lambda_W * lambda_H)}), transition, scales),
        Limit(r"$\lambda_b \to \infty$: $a \to 1$,", WEIGHT, lambda_b, sp.oo, sp.Integer(1),
              Domain({lambda_b: above(0)})),
        Identity(r"and $z$ solves the problem of $\sigma$: the orthogonal frame of the bias-free model",
                 direct.subs(a_star, 1), squared_error.COST.subs({squared_error.n_k: n, sigma: z}), deep),
    )  # fmt: skip


@cache
def theorem(
    weight: sp.Expr = WEIGHT, transition: sp.Expr = TRANSITION, deep_transition: sp.Expr = DEEP_TRANSITION
) -> Theorem:
    """Minimise (1/(2N)) ||W_M ... W_1 H + b 1^T - Y||^2 plus the decays of W_j, H and b, n samples in each class.

    `weight` is the claimed weight of the mean direction once b is minimised out; the others are the largest weights
    at which the simplex ETF is optimal, for M = 1 and M >= 2.
    """
    return Theorem(
        id="deep_mse.bias_transition",
        title="Balanced squared error with a decayed bias: simplex ETF, then towards an orthogonal frame",
        source="derived here (cf. arXiv 2606.00344); the two ends, free bias and no bias, are in Dang et al. 2023",
        prior="arXiv 2606.00344",
        domain=Domain({K: integers(2), n: above(0), lambda_b: above(0), lambda_W: above(0), lambda_H: above(0)}),
        assumptions=("n samples in every class, N = Kn, a = λ_b/(1 + λ_b)", "σ > 0: else everything is 0",
                     "b_n = b/n of `deep_mse.separable`, t_alive of `deep_mse.threshold`"),
        statement=(sp.Eq(sp.Symbol("a"), weight, evaluate=False),
                   sp.Implies(sp.Eq(M, 1), sp.Le(sp.Symbol("a_{ETF}"), transition)),
                   sp.Implies(sp.Ge(M, 2), sp.Le(sp.Symbol("a_{ETF}"), deep_transition))),
        steps=(*_reduction_steps(weight), *_transition_steps(transition, deep_transition)),
        uniqueness="σ and z are unique off the transitions. Global for every M: the bound holds for all logits.",
        closed_forms={
            "weight": sp.Lambda((lambda_b,), weight),
            "mean": sp.Lambda((n, N, lam, a_star), MEAN),
            "transition": sp.Lambda((K, n, lambda_W, lambda_H), transition),
            "deep_transition": sp.Lambda((M, ratio, alive), deep_transition),
        },
    )  # fmt: skip
