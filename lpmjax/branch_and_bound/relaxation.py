"""A lower bound on a simplex from any multipliers, and its allowance for rounding.

Let V_0..V_m be the vertices, in units of the radius r of :mod:`.program`: Q = r X, X = sum w_i V_i with barycentric w.

The concave part. psi_eta(x) = x^s for x >= eta, eta^(s-1) x below, is concave: continuous, slope eta^(s-1) below eta and
at most s eta^(s-1) above; and psi_eta(x) <= x^s for x >= 0, as x^(s-1) >= eta^(s-1) below eta. So tr psi_eta is concave
on all symmetric matrices, indefinite vertices included, and for X >= 0

    tr X^s >= tr psi_eta(X) >= sum w_i tr psi_eta(V_i).

The bound. With any probabilities P, any real vectors a_r (rows of N = sum a_r a_r' >= 0) and any eta > 0,

    Phi(Q) + kappa tr Q^s >= sum w_i b_i >= min_i b_i    for every Q = r X >= 0 of the simplex,
    b_i = kappa r^s tr psi_eta(V_i) + h(P; r V_i) - sum_r a_r' V_i a_r,

as h is affine in Q and <N, X> >= 0. Nothing is asked of P, N and eta: bad ones give a bad bound, not a wrong one.

Rounding. Every term is a sum of at most some hundred products; the error of each is below ``_ROUNDINGS`` units in the
last place of the sum of absolute values. Vertices have entries of at most K, each with an error below ``_ROUNDINGS``
units of K. An eigenvalue moves by no more than the norm of the error, LAPACK's backward error (a small multiple of the
norm) included, and psi_eta by eta^(s-1) times that. What is returned is the bound less all of these.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .program import Program, centred_basis

_ROUNDINGS = 256 * np.finfo(float).eps
_CHORDS = 8  #: values of eta tried


class Relaxation(NamedTuple):
    """The numbers of a program in units of the radius."""

    weights: Float[np.ndarray, "K"]
    cost: float  #: kappa r^s
    stiffness: Float[np.ndarray, "K"]  #: lambda omega_k^2 / r: Phi has half of it times z' X^+ z
    power: float
    basis: Float[np.ndarray, "K K-1"]

    @classmethod
    def of(cls, program: Program, radius: float) -> "Relaxation":
        """Of a program, with Q = radius X."""
        return cls(
            program.weights,
            (program.L - 1) / 2 * program.price * radius**program.power,
            program.price * program.omega**2 / radius**2,
            program.power,
            centred_basis(len(program.weights)),
        )


def spectra(V: Float[np.ndarray, "*batch d d"]) -> Float[np.ndarray, "*batch d"]:
    """Eigenvalues."""
    return np.linalg.eigvalsh(V)


def chord(relaxation: Relaxation, eigenvalues, eta):
    """tr psi_eta and the sum of absolute values in it."""
    eta = eta[..., None]
    low = np.minimum(eigenvalues, eta)
    terms = np.where(eigenvalues >= eta, np.maximum(eigenvalues, eta) ** relaxation.power, 0.0)
    terms = np.where(eigenvalues >= eta, terms, eta ** (relaxation.power - 1) * low)
    return terms.sum(-1), np.abs(terms).sum(-1)


def concave_parts(relaxation: Relaxation, eigenvalues, size) -> np.ndarray:
    """kappa r^s tr psi_eta of every vertex (B, m, d), rounded down, for every eta: (B, eta, m)."""
    d = eigenvalues.shape[-1]
    top = np.maximum(eigenvalues.max((-1, -2)), size)
    low = np.maximum(0.03 * size, 1e-12)
    count = 1 if relaxation.power == 1 else _CHORDS
    eta = low[:, None] * (top / low)[:, None] ** np.linspace(0, 1, count)
    value, total = chord(relaxation, eigenvalues[:, None], eta[..., None] * np.ones(eigenvalues.shape[1]))
    moved = _ROUNDINGS * d * (d + 1) * eta ** (relaxation.power - 1)
    return relaxation.cost * (value - _ROUNDINGS * total - moved[..., None]), eta


def safe_bound(relaxation: Relaxation, V, costs, P, rows):
    """b_i of every vertex (B, m), rounded down.

    V (B, m, d, d) vertices; costs (B, m) of :func:`concave_part`; P (B, K, K), row k the probabilities of class k (they
    are normalised here); rows (B, R, d) the vectors a_r.
    """
    K = len(relaxation.weights)
    P = P / P.sum(-1, keepdims=True)
    entropy = -(P * np.log(np.maximum(P, np.finfo(float).tiny))).sum(-1) @ relaxation.weights
    u = (P - np.eye(K)) @ relaxation.basis
    pull = relaxation.weights**2 / (2 * relaxation.stiffness)
    taken = (rows[:, None] @ V * rows[:, None]).sum((-1, -2))
    lost = (((u @ V.swapaxes(0,1)) ** 2).sum(-1) @ pull).T
    size = K * (np.abs(rows).sum(-1) ** 2).sum(-1) + K**2 * (pull * np.abs(u).sum(-1) * (np.abs(u).sum(-1) + 1)).sum(-1)
    return costs + entropy[:, None] - lost - taken - (_ROUNDINGS * (entropy + size))[:, None]
