"""The deep cross-entropy problem in the Gram matrix of its logits: the numbers, and what they make of a point.

The problem. Least over Z (K, K), column k the logits of class k,

    F(Z) = sum_k pi_k CE(z_k, k) + (L/2) lambda sum_i sigma_i(Z diag omega)^(2/L),       L >= 3 factors.

In Q. Write A = Z diag(omega), kappa = (L-1) lambda / 2, s = 1/(L-1). Two facts make

    F* = min over Q >= 0 on the complement of 1 of  Phi(Q) + kappa tr Q^s,
    Phi(Q) = min over Z in the range of Q of  sum_k pi_k CE(z_k, k) + (lambda/2) sum_k omega_k^2 z_k' Q^+ z_k :

1. Centring the columns of Z leaves the cross-entropy and does not raise a singular value, so that 1'Z = 0 loses
   nothing.
2. For x >= 0 the least of (lambda/2) x^2/q + kappa q^s over q > 0 is (L/2) lambda x^(2/L), at q = x^(2(L-1)/L): there
   both terms have the same derivative in log q. At Q = (AA')^((L-1)/L) this is an equality for every singular value,
   so the least over Q is not above F*: **this direction alone makes a lower bound on the right side one on F***. (That
   it is not below either is the Schatten form of Hoelder's inequality: Q need not commute with AA'.)

Cuts. log sum exp z >= p'z + Ent(p) for probabilities p, with Ent(p) = -sum p log p. Put it into Phi with u_k = p_k -
e_k and minimise the quadratic over z_k: for **any** P and every Q >= 0

    Phi(Q) >= h(P; Q) = sum_k pi_k Ent(p_k) - sum_k pi_k^2 / (2 lambda omega_k^2) u_k' Q u_k,

affine in Q. The best P is the softmax at the minimiser, and there the two are equal.

Where the minimisers are. (L/2) lambda tr Q^s <= F(Z) <= U at Q = (AA')^((L-1)/L), as the cross-entropy is not
negative; and (tr Q)^s <= tr Q^s, as s < 1. So tr Q <= radius = (2U / (L lambda))^(L-1).

Source: Garrod and Keating (2024, arXiv 2410.23169) for the model; the relaxation was derived for this package.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Program(NamedTuple):
    """Numbers of the problem. Matrices act on coordinates of the complement of 1, by :func:`centred_basis`."""

    weights: Float[np.ndarray, " K"]  #: pi
    omega: Float[np.ndarray, " K"]
    price: float  #: lambda, the geometric mean of the L decays
    L: int

    @property
    def power(self) -> float:
        """s = 1/(L-1): the cost of Q is tr Q^s."""
        return 1 / (self.L - 1)

    def radius(self, upper: float) -> float:
        """Trace that no Q of a minimiser exceeds, ``upper`` being at least the optimum; rounded up."""
        return (2 * upper / (self.L * self.price) * (1 + 1e-9)) ** (self.L - 1)

    def value(self, Z: Float[np.ndarray, "*batch K K"]) -> Float[np.ndarray, "*batch"]:
        """F(Z)."""
        shifted = Z - Z.max(-2, keepdims=True)
        loss = np.log(np.exp(shifted).sum(-2)) - np.diagonal(shifted, axis1=-2, axis2=-1)
        sigma = np.linalg.svd(Z * self.omega, compute_uv=False)
        return loss @ self.weights + self.L / 2 * self.price * (sigma ** (2 / self.L)).sum(-1)

    def gram(self, Z: Float[np.ndarray, "K K"]) -> Float[np.ndarray, "d d"]:
        """The Q at which the relaxation has the value F(Z), on :func:`centred_basis`; the columns of Z sum to zero."""
        values, vectors = np.linalg.eigh(centred_basis(len(Z)).T @ (Z * self.omega**2) @ Z.T @ centred_basis(len(Z)))
        return vectors * np.maximum(values, 0) ** ((self.L - 1) / self.L) @ vectors.T


def centred_basis(K: int) -> Float[np.ndarray, "K K-1"]:
    """Orthonormal columns that span the complement of 1."""
    rows = np.tril(np.ones((K, K)), -1)[1:] - np.diag(np.arange(1.0, K), 1)[:-1]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
