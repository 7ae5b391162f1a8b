"""Squared error with a decayed last-layer bias at any counts, one weight matrix: a closed form and its domain."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import schatten
from proofs.deep.symbols import n_k
from proofs.domain import Domain, above, between, integers
from proofs.symbols import K, N
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

lam, lambda_b, n_j = sp.symbols("lambda lambda_b n_j", positive=True)
DIAGONAL = sp.sqrt(n_k) - N * lam
OWN = DIAGONAL - lam / lambda_b * n_k
BIAS = lam / lambda_b * sp.sqrt(n_k)
LEAST_SHARE = lam * n_k / DIAGONAL
VALUE_SHARE = lam * sp.sqrt(n_k) - N * lam**2 / 2 - lam**2 * n_k / (2 * lambda_b)
COUNTS = Domain({n_k: above(0), N: above(0), lam: between(0, sp.sqrt(n_k) / N), lambda_b: above(0)})


def _stationary_steps(bias: sp.Expr) -> tuple[Step, ...]:
    """The claimed A and b satisfy the optimality conditions if A is positive semidefinite."""
    n_other = Domain({n_k: above(0), n_j: above(0), N: above(0), lam: above(0), lambda_b: above(0)})
    across = -lam / lambda_b * sp.sqrt(n_j * n_k)
    root_jk = sp.sqrt(n_j) * (lam / lambda_b * sp.sqrt(n_k))
    return (
        Uses(r"with $A = \bar Z\,\mathrm{diag}\sqrt n$ the problem is $\frac1{2N}\|A + b\sqrt n^\top - D\|^2 + "
             r"\lambda\|A\|_* + \frac{\lambda_b}2\|b\|^2$, convex in $(A,b)$", schatten.theorem()),
        Cited(r"(features replaced by class means)", JENSEN),
        Identity(r"at the claim the residual over $N$, the gradient in $A$, is $-\lambda I$: the diagonal",
                 (OWN + sp.sqrt(n_k) * bias - sp.sqrt(n_k)) / N, -lam, COUNTS),
        Identity(r"and the other entries", across + root_jk, sp.Integer(0), n_other),
        Identity(r"stationary in $b$: the residual over $N$ times $\sqrt n$, that is $-\lambda\sqrt{n_k}$, against "
                 r"$\lambda_bb$", -lam * sp.sqrt(n_k) + lambda_b * bias, sp.Integer(0), COUNTS),
        Cited(r"$\langle \lambda I, A'\rangle \le \lambda\|A'\|_*$ for every $A'$, with equality at $A$ iff $A \succeq "
              r"0$: the claim is the optimum iff $A \succeq 0$", VON_NEUMANN),
    )  # fmt: skip


def _domain_steps(least_share: sp.Expr) -> tuple[Step, ...]:
    """When A = diag(a_k) - c sqrt(n) sqrt(n)^T is positive semidefinite."""
    v, total = sp.symbols("v s", positive=True)
    return (
        Cited(r"$A = \mathrm{diag}(a_k) - c\sqrt n\sqrt n^\top$ with $a_k = \sqrt{n_k}-N\lambda$, $c = "
              r"\lambda/\lambda_b$: if some $a_k \le 0$, $A$ is not $\succeq 0$ (its diagonal is less still); else "
              r"$(\sum_k\sqrt{n_k}v_k)^2 \le s\sum_ka_kv_k^2$ with $s = \sum_kn_k/a_k$ (a convex square of a mean with "
              r"weights $n_k/(sa_k)$)", JENSEN),
        Identity(r"(term by term: $\frac{n_k}{a_k}\left(a_kv_k/\sqrt{n_k}\right)^2$)",
                 n_k / DIAGONAL * (DIAGONAL * v / sp.sqrt(n_k)) ** 2, DIAGONAL * v**2, COUNTS | {v: above(0)}),
        Sign(r"so $v^\top Av \ge (1-cs)\sum_ka_kv_k^2 \ge 0$ if $cs \le 1$,",
             (1 - lam * total / lambda_b) * DIAGONAL * v**2, ">",
             Domain({n_k: above(0), N: above(0), lam: between(0, sp.sqrt(n_k) / N), total: above(0),
                     lambda_b: above(lam * total), v: above(0)})),
        Identity(r"and at $v_k = \sqrt{n_k}/a_k$ it is $s(1-cs)$, $s$ being both sums (this is its share,",
                 DIAGONAL * (sp.sqrt(n_k) / DIAGONAL) ** 2, n_k / DIAGONAL, COUNTS),
        Identity(r"and $\sum_k\sqrt{n_k}v_k = s$): $A \succeq 0$ iff $\lambda_b \ge \lambda s$", lam * n_k / DIAGONAL,
                 least_share, COUNTS),
        Sign(r"(negative below)", total * (1 - lam * total / lambda_b), "<",
             Domain({lam: above(0), total: above(0), lambda_b: between(0, lam * total)})),
    )  # fmt: skip


def _value_steps(bias: sp.Expr, least_share: sp.Expr, value_share: sp.Expr) -> tuple[Step, ...]:
    return (
        Identity(r"the value: $\frac{N}{2}\lambda^2$ from the residual of each class, $\lambda a_{kk}$ and "
                 r"$\frac{\lambda_b}2b_k^2$", N * lam**2 / 2 + lam * OWN + lambda_b * bias**2 / 2, value_share, COUNTS),
        Derivative(r"which grows with $\lambda_b$ as $\|b\|^2/2$ (the envelope of the objective)", value_share,
                   (lambda_b,), bias**2 / 2, COUNTS),
        Identity(r"balanced, $K$ classes: the least $\lambda_b = \lambda Kn/(\sqrt n-N\lambda)$ makes "
                 r"$\lambda_b/(1+\lambda_b)$ the transition $K\sqrt n\,\lambda$ of `deep_mse.bias_transition`",
                 (K * least_share / (1 + K * least_share)).subs(N, K * n_k), K * sp.sqrt(n_k) * lam,
                 Domain({K: integers(2), n_k: above(0), lam: between(0, 1 / (K * sp.sqrt(n_k)))})),
    )  # fmt: skip


@cache
def theorem(bias: sp.Expr = BIAS, least_share: sp.Expr = LEAST_SHARE, value_share: sp.Expr = VALUE_SHARE) -> Theorem:
    """Minimise (1/(2N)) ||W H + b 1^T - Y||^2 + (lambda_W/2) ||W||^2 + (lambda_H/2) ||H||^2 + (lambda_b/2) ||b||^2.

    The arguments are the claimed bias, the share of class k in the least lambda_b, and in the optimal value.
    """
    return Theorem(
        id="deep_mse.decayed_bias",
        title="Squared error with a decayed bias at any counts, M = 1",
        source="derived here",
        domain=COUNTS,
        assumptions=("one weight matrix, λ = √(λ_Wλ_H)", "√n_k > Nλ for every class",
                     "λ_b ≥ λ Σ_k n_k/(√n_k − Nλ), the sum of `least_share`; otherwise the optimum has another form"),
        statement=(sp.Eq(sp.Symbol(r"{Z\,\mathrm{diag}\sqrt n}"),
                         sp.Symbol(r"\mathrm{diag}(\sqrt{n_k} - N\lambda)")
                         - lam / lambda_b * sp.Symbol(r"{\sqrt n\sqrt n^\top}"), evaluate=False),
                   sp.Eq(sp.Symbol("b_k"), bias, evaluate=False),
                   sp.Ge(lambda_b, sp.Function(r"\sum_k")(least_share), evaluate=False),
                   sp.Eq(sp.Symbol("f^*"), sp.Function(r"\sum_k")(value_share), evaluate=False)),
        steps=(*_stationary_steps(bias), *_domain_steps(least_share), *_value_steps(bias, least_share, value_share)),
        uniqueness="An equivalence: the form is optimal iff λ_b is at least the sum. A + b√nᵀ is unique (strict "
                   "convexity in it), b by λ_b > 0.",
        closed_forms={
            "bias": sp.Lambda((n_k, lam, lambda_b), bias),
            "least_share": sp.Lambda((N, n_k, lam), least_share),
            "value_share": sp.Lambda((N, n_k, lam, lambda_b), value_share),
        },
    )  # fmt: skip
