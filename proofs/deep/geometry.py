"""Norms of features and classifier rows of a deep linear network with squared error: a general orthogonal frame."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import squared_error
from proofs.deep import schatten
from proofs.deep import squared_error as deep_squared_error
from proofs.deep.symbols import DEPTH, SCALES, L, M, P, lambda_j, n_k, sigma
from proofs.domain import Domain, above
from proofs.symbols import N, lambda_H, lambda_W
from proofs.theorem import Theorem, Uses
from proofs.verifiers.identity import Identity

Q = sp.Symbol("Q", positive=True)
H_NORM2 = P ** (1 / L) * sigma ** (2 / L) / (lambda_H * n_k)
W_NORM2 = P ** (1 - 1 / L) * sigma ** (2 - 2 / L) / Q


@cache
def theorem(h_norm2: sp.Expr = H_NORM2, w_norm2: sp.Expr = W_NORM2) -> Theorem:
    """||h_k||^2 and the diagonal of W W^T, W = W_M ... W_1, at the singular value sigma of a class that lives.

    The arguments are the claimed norms; Q is the product of the decays of the weight matrices.
    """
    domain = DEPTH | SCALES | {sigma: above(0), lambda_H: above(0), Q: above(0)}
    product = {P: Q * lambda_H}
    shallow = {M: 1, P: lambda_W * lambda_H, Q: lambda_W, sigma: squared_error.SIGMA}
    alive = {squared_error.lam: squared_error.PENALTY}
    scales = Domain({n_k: above(0), N: above(0), lambda_W: above(0), lambda_H: above(0)})
    share = schatten.FACTOR2 * lambda_j / 2
    steps = (
        Uses(r"the optimum is $A = \mathrm{diag}(\sigma_k)$, $\sigma_k$ the scalar minimisers: both orthonormal bases "
             r"are the classes themselves", deep_squared_error.theorem()),
        Uses(r"and balanced factors are diagonal in them with $\sigma_i(A_j)^2 = P^{1/L}\sigma^{2/L}/\lambda_j$: "
             r"$WW^\top$ and $H^\top H$ are diagonal, classes orthogonal to one another", schatten.theorem()),
        Identity(r"$n_k\|h_k\|^2$ is the square of the factor $\bar H\,\mathrm{diag}\sqrt{n_k}$",
                 schatten.FACTOR2.subs(lambda_j, lambda_H), n_k * h_norm2, domain),
        Identity(r"$(WW^\top)_{kk}$ is the product of the squares of the other $M$ factors",
                 (schatten.FACTOR2 * lambda_j) ** M / Q, w_norm2, domain),
        Identity(r"$w_k \parallel h_k$: $\|w_k\|^2\,n_k\|h_k\|^2 = \sigma^2$, the square of their inner product "
                 r"times $n_k$", (w_norm2 * n_k * h_norm2).subs(product), sigma**2, domain),
        Identity(r"$(\lambda_j/2)\|A_j\|^2$ is the same for every factor, $\frac1{M+1}$ of the decay",
                 share, schatten.COST / L, domain | {lambda_j: above(0)}),
        Identity(r"$M = 1$ gives the norms of one weight matrix: $\|w_k\|^2$", w_norm2.subs(shallow).subs(alive),
                 squared_error.W_NORM2, scales),
        Identity(r"and $\|h_k\|^2$", h_norm2.subs(shallow).subs(alive), squared_error.H_NORM2, scales),
    )  # fmt: skip
    return Theorem(
        id="deep_mse.geometry",
        title="Deep squared error: a general orthogonal frame and its norms",
        source="Dang et al. 2023 (general orthogonal frames); the norms at unequal decays derived here",
        domain=domain,
        assumptions=("no bias; σ > 0 is the global scalar minimiser of `deep_mse.separable`",
                     "W = W_M ⋯ W_1, Q = Π λ_{W_j}, P = Q λ_H"),
        statement=(sp.Eq(sp.Symbol(r"{\|h_k\|^2}"), h_norm2, evaluate=False),
                   sp.Eq(sp.Symbol(r"(W W^\top)_{kk}"), w_norm2, evaluate=False)),
        steps=steps,
        uniqueness="WWᵀ and HᵀH are unique where A is (`deep_mse.separable`); the factors up to rotations between "
                   "consecutive ones.",
        closed_forms={
            "h_norm2": sp.Lambda((M, P, lambda_H, n_k, sigma), h_norm2),
            "w_norm2": sp.Lambda((M, P, Q, sigma), w_norm2),
        },
    )  # fmt: skip
