"""Deep linear networks with squared error and no bias: one scalar problem per class."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import squared_error
from proofs.deep import schatten
from proofs.deep.symbols import DEPTH, SCALES, L, M, P, n_k, sigma
from proofs.domain import REAL, Domain, above, between
from proofs.symbols import N, lambda_H, lambda_W
from proofs.theorem import Theorem, Uses
from proofs.verifiers.cited import JENSEN, VON_NEUMANN, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

x = sp.Symbol("x", positive=True)
B = M * N * (N * P) ** (1 / M)
COST = (sp.sqrt(n_k) - sigma) ** 2 / (2 * N) + schatten.COST


def scaled(t: sp.Expr) -> sp.Expr:
    """2N/n_k times the cost at sigma = x sqrt(n_k), as a function of x and t = b/n_k."""
    return (1 - x) ** 2 + L * (t / M) ** (1 - 1 / L) * x ** (2 / L)


@cache
def theorem(b: sp.Expr = B) -> Theorem:
    """Minimise (1/(2N)) ||W_M ... W_1 H - Y||^2 + sum_j (lambda_j/2) ||W_j||^2 + (lambda_H/2) ||H||^2, any counts.

    `b` is the claimed constant whose ratio to n_k is all that the scalar problem of class k depends on.
    """
    domain = DEPTH | SCALES
    own, other = sp.symbols("a_kk a_jk", real=True)
    shallow = {M: 1, P: lambda_W * lambda_H}
    shrink = squared_error.lam
    steps = (
        Cited(r"features of a class may be replaced by their mean: the network is linear in them, the loss convex",
              JENSEN),
        Uses(r"with $A = \bar Z\,\mathrm{diag}\sqrt{n_k}$, a product of $W_M, \dots, W_1$ and "
             r"$\bar H\,\mathrm{diag}\sqrt{n_k}$, the decays cost $\sum_i\frac{M+1}2P^{1/(M+1)}\sigma_i(A)^{2/(M+1)}$",
             schatten.theorem()),
        Identity(r"the loss is $\|A-D\|^2/(2N)$, $D = \mathrm{diag}\sqrt{n_k}$ (entry by entry, $z = a/\sqrt{n_k}$)",
                 n_k * (own / sp.sqrt(n_k) - 1) ** 2 + n_k * (other / sp.sqrt(n_k)) ** 2,
                 (own - sp.sqrt(n_k)) ** 2 + other**2, Domain({n_k: above(0), own: REAL, other: REAL})),
        Cited(r"$\|A-D\|^2 \ge \sum_i(\sigma_i(A)-\sigma_i(D))^2$: bounded below by one scalar problem per class, "
              r"attained at $A = \mathrm{diag}(\sigma_k)$, which balanced factors realise", VON_NEUMANN),
        Identity(r"at $\sigma = x\sqrt{n_k}$, $2N/n_k$ times the scalar cost depends on $b/n_k$ only",
                 2 * N / n_k * COST.subs(sigma, x * sp.sqrt(n_k)), scaled(b / n_k), domain | {x: above(0)}),
        Derivative(r"with width $R < K$ the classes left out cost $n_k/(2N)$; the cost over that falls with $n_k$ at "
                   r"every $\sigma > 0$, so larger classes gain more,", COST - n_k / (2 * N), (n_k,),
                   -sigma / (2 * N * sp.sqrt(n_k)), domain | {sigma: above(0)}),
        Cited(r"and the largest $\sigma_i(D)$ are paired with the $R$ that are not 0: the $R$ largest classes are "
              r"kept (equal counts at the cut: any of them, or any $R$-dimensional part of their subspace)",
              VON_NEUMANN),
        Identity(r"$M = 1$ is the soft threshold: the cost is the one of one weight matrix, $\lambda = "
                 r"\sqrt{\lambda_W\lambda_H}$", COST.subs(shallow),
                 (sp.sqrt(n_k) - sigma) ** 2 / (2 * N) + sp.sqrt(lambda_W * lambda_H) * sigma,
                 Domain({n_k: above(0), N: above(0), sigma: above(0), lambda_W: above(0), lambda_H: above(0)})),
        Uses(r"so $\sigma_k = \max(\sqrt{n_k} - N\lambda, 0)$", squared_error.theorem()),
        Identity(r"where, $b$ being $N^2\lambda_W\lambda_H$, a class lives iff $b/n_k < 1$", b.subs(shallow),
                 squared_error.THRESHOLD, Domain({N: above(0), lambda_W: above(0), lambda_H: above(0)})),
        Sign(r"(and $\sigma_k$ is then positive)", squared_error.SIGMA, ">",
             Domain({n_k: above(0), N: above(0), shrink: between(0, sp.sqrt(n_k) / N)})),
    )  # fmt: skip
    return Theorem(
        id="deep_mse.separable",
        title="Deep linear networks with squared error: one scalar problem per class",
        source="Dang et al. 2023 (deep linear networks, any M, no bias); the reduction is derived here",
        prior="Dang et al. 2023 (arXiv 2301.00437); M = 2, balanced: Tirer & Bruna 2022 (arXiv 2202.08087)",
        domain=domain,
        assumptions=("no bias", "M weight matrices above the features, P the product of all M + 1 decays",
                     "one-hot targets, any class counts; widths ≥ K unless R is named"),
        statement=(sp.Eq(sp.Symbol("f^*"), sp.Function(r"\sum_k \min_{\sigma \ge 0}")(COST), evaluate=False),
                   sp.Eq(sp.Symbol("b"), b, evaluate=False)),
        steps=steps,
        uniqueness="A is unique where every scalar minimiser is. Of equal counts of which a narrow layer keeps only "
                   "some, any subspace of that dimension is optimal.",
        closed_forms={
            "b": sp.Lambda((M, N, P), b),
            "cost": sp.Lambda((M, N, P, n_k, sigma), COST),
        },
    )  # fmt: skip
