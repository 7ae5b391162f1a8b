"""Balanced squared error with a decayed last-layer bias: from a simplex ETF to an orthogonal frame."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import schatten, squared_error, threshold
from proofs.deep.symbols import DEPTH, L, M, P, sigma
from proofs.domain import REAL, Domain, above, between, integers
from proofs.symbols import K, N, lambda_H, lambda_W, n
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Identity, Limit
from proofs.verifiers.sign import Sign

lambda_b, lam, a_star, z = sp.symbols("lambda_b lambda a z", positive=True)
WEIGHT = lambda_b / (1 + lambda_b)
TRANSITION = K * sp.sqrt(n * lambda_W * lambda_H)
SIGMA = sp.sqrt(n) - K * n * lam
MEAN = sp.sqrt(n) - K * n * lam / a_star


def _loss(A: Blocks) -> sp.Expr:
    """||(A - sqrt(n) I)(S + sqrt(a) J/K)||^2/(2N): the loss with the best bias."""
    residual = A - Blocks.of((K,), [sp.sqrt(n)], [[0]])
    weighted = residual @ Blocks.of((K,), [1], [[(sp.sqrt(a_star) - 1) / K]])
    return weighted.inner(weighted) / (2 * K * n)


def _certificate(mean: sp.Expr, norm: sp.Expr, domain: Domain, where: str) -> tuple[Step, ...]:
    """A = sigma S + mean J/K satisfies the optimality conditions with the gradient -lambda S - norm J/K."""
    A = Blocks.of((K,), [SIGMA], [[(mean - SIGMA) / K]])
    minus_G = Blocks.of((K,), [lam], [[(norm - lam) / K]])
    return (
        BlockIdentity(rf"{where}: the gradient", gradient(_loss, A), minus_G * -1,
                      rf"\nabla f(\sigma S + zJ/K) = -\lambda S - ({sp.latex(norm)})\,J/K", domain),
        Identity(r"and $-\langle G, A\rangle = \lambda\|A\|_* = \lambda((K-1)\sigma + z)$", minus_G.inner(A),
                 lam * ((K - 1) * SIGMA + mean), domain),
    )  # fmt: skip


@cache
def theorem(weight: sp.Expr = WEIGHT, transition: sp.Expr = TRANSITION) -> Theorem:
    """Minimise (1/(2N)) ||W H + b 1^T - Y||^2 plus the decays of W, H and b, n samples in each of K classes.

    `weight` is the claimed weight of the mean direction once b is minimised out, `transition` the largest weight at
    which the simplex ETF is optimal.
    """
    r, shift, entry, other = sp.symbols("r beta x y", real=True)
    out = Domain({r: REAL, shift: REAL, N: above(0), lambda_b: above(0)})
    classes = Domain({K: integers(2), n: above(0), lam: between(0, 1 / (K * sp.sqrt(n)))})
    scales = Domain({K: integers(2), n: above(0), lambda_W: above(0), lambda_H: above(0)})
    limit = K * sp.sqrt(n) * lam
    # a between the transition and 1, and a up to the transition.
    frame, etf = classes | {a_star: between(limit, 1)}, classes | {a_star: between(0, limit)}
    deep = DEPTH | {N: above(0), P: above(0), n: above(0), z: above(0), a_star: above(0)}
    direct = a_star * (z - sp.sqrt(n)) ** 2 / (2 * N) + schatten.COST.subs(sigma, z)
    whole = (z - sp.sqrt(n)) ** 2 / (2 * N / a_star) + schatten.COST.subs(sigma, z)
    steps = (
        Identity(r"$A\mathbf 1/\sqrt K$ is the only part of $A = \sqrt n\bar Z$ that the bias can help: with $r$ a "
                 r"coordinate of $(A-\sqrt nI)\mathbf 1/\sqrt K$, minimised at $b = -r/(\sqrt N(1+\lambda_b))$, it "
                 r"keeps the weight $a^* = \lambda_b/(1+\lambda_b)$",
                 (r + sp.sqrt(N) * shift) ** 2 / (2 * N) + lambda_b * shift**2 / 2,
                 weight * r**2 / (2 * N)
                 + (1 + lambda_b) / 2 * (shift + r / (sp.sqrt(N) * (1 + lambda_b))) ** 2, out),
        Uses(r"$M = 1$: the decays of $W$ and $H$ cost $\lambda\|A\|_*$, $\lambda = \sqrt{\lambda_W\lambda_H}$: a "
             r"convex problem in $A$", schatten.theorem()),
        Cited(r"(features replaced by class means)", JENSEN),
        Identity(r"$f(A') - f(A) - \langle\nabla f(A), A'-A\rangle$ is a sum of squares",
                 (other - sp.sqrt(n)) ** 2 - (entry - sp.sqrt(n)) ** 2
                 - 2 * (entry - sp.sqrt(n)) * (other - entry), (other - entry) ** 2,
                 Domain({n: above(0), entry: REAL, other: REAL})),
        Cited(r"so $f(A') + \lambda\|A'\|_* \ge f(A) - \langle G, A\rangle$ if $\|G\|_2 \le \lambda$: an $A$ with that "
              r"and $-\langle G,A\rangle = \lambda\|A\|_*$ is a global minimiser", VON_NEUMANN),
        *_certificate(sp.Integer(0), a_star / (K * sp.sqrt(n)), etf, r"simplex ETF, $A = \sigma S$, "
                      r"$\sigma = \sqrt n - N\lambda > 0$"),
        Sign(r"with $\|G\|_2 \le \lambda$ iff $a^*\sqrt n/N \le \lambda$", lam - a_star / (K * sp.sqrt(n)), ">", etf),
        *_certificate(MEAN, lam, frame, r"otherwise $z = \sqrt n - N\lambda/a^*$"),
        Sign(r"which is then positive, $\|G\|_2 = \lambda$", MEAN, ">", frame),
        Identity(r"the transition $a^* = N\lambda/\sqrt n$ in the decays, $N = Kn$",
                 (K * n * lam / sp.sqrt(n)).subs(lam, sp.sqrt(lambda_W * lambda_H)), transition, scales),
        Limit(r"$\lambda_b \to \infty$: $a^* \to 1$,", WEIGHT, lambda_b, sp.oo, sp.Integer(1),
              Domain({lambda_b: above(0)})),
        Identity(r"and $z = \sigma$: the orthogonal frame", MEAN.subs(a_star, 1), SIGMA, frame),
        Sign(r"(from $z = 0$ up as $a^*$ grows)", sp.diff(MEAN, a_star), ">", frame),
        Identity(r"any $M$, for logits of the form $\sigma S + zJ/K$ only: $z$ solves the scalar problem with $N/a^*$ "
                 r"in place of $N$,", direct, whole, deep),
        Uses(r"alive below the same threshold", threshold.theorem()),
        Identity(r"on $b\,{a^*}^{-(M+1)/M}/n$: the transition is $a^* = (b/(n\,t_{\mathrm{alive}}))^{M/(M+1)}$",
                 squared_error.B.subs(N, N / a_star), squared_error.B * a_star ** (-1 - 1 / M), deep),
    )  # fmt: skip
    ratio, alive = sp.symbols("b_n t_alive", positive=True)
    return Theorem(
        id="deep_mse.bias_transition",
        title="Balanced squared error with a decayed bias: simplex ETF, then towards an orthogonal frame",
        source="derived here (cf. arXiv 2606.00344); the two ends, free and no bias, are in Dang et al. 2023",
        domain=Domain({K: integers(2), n: above(0), lambda_b: above(0), lambda_W: above(0), lambda_H: above(0)}),
        assumptions=("n samples in every class, a* = λ_b/(1 + λ_b)", "√n > Nλ: below that A = 0",
                     "M = 1: a global statement; M ≥ 2: among logits σS + zJ/K only, an upper bound"),
        statement=(sp.Eq(sp.Symbol("a^*"), weight, evaluate=False), sp.Le(weight, transition, evaluate=False)),
        steps=steps,
        uniqueness="M = 1: A is unique, f being strictly convex (a* > 0). M ≥ 2: that no other logits do better is "
                   "open here.",
        closed_forms={
            "weight": sp.Lambda((lambda_b,), weight),
            "transition": sp.Lambda((K, n, lambda_W, lambda_H), transition),
            "deep_transition": sp.Lambda((M, ratio, alive), (ratio / alive) ** (1 - 1 / L)),
        },
    )  # fmt: skip
