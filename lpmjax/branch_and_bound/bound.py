"""A lower bound on a simplex from any multipliers, and its allowance for rounding.

Let V_0..V_m be the vertices, in units of the radius r of :mod:`.program`: Q = r X, X = sum w_i V_i with barycentric w.

The concave part. psi_eta(x) = x^s for x >= eta, eta^(s-1) x below, is concave: it is continuous, its slope is
eta^(s-1) below eta and at most s eta^(s-1) above. And psi_eta(x) <= x^s for x >= 0, as x^(s-1) >= eta^(s-1) below eta.
So tr psi_eta is concave on all symmetric matrices, indefinite ones included, and for X >= 0 and any shares theta of
several eta

    tr X^s >= sum_j theta_j tr psi_j(X) >= sum_i w_i sum_j theta_j tr psi_j(V_i).

The bound. With any probabilities P, any shares theta and any real vectors a_r (rows of N = sum a_r a_r' >= 0),

    Phi(Q) + kappa tr Q^s >= sum_i w_i b_i >= min_i b_i    for every Q = r X >= 0 of the simplex,
    b_i = kappa r^s sum_j theta_j tr psi_j(V_i) + h(P; r V_i) - sum_r a_r' V_i a_r,

as h is affine in Q and <N, X> >= 0. Nothing is asked of P, theta, a and eta: bad ones give a bad bound, not a wrong
one.

Rounding. Barycentric coordinates are exact; entries of the V_i are sums of at most 11 products of absolute value at
most K, so that each has an error below ``_ULPS`` K. Every other term is a sum of at most a few hundred products, with
an error below ``_ULPS`` times the sum of their absolute values, bounded here from |V_i| <= K in every entry. An
eigenvalue moves by no more than the norm of the matrix's error, LAPACK's backward error (a small multiple of the norm)
included, and psi_eta by eta^(s-1) times that. What is returned is the bound less all of these. ``_ULPS`` is 256 units
in the last place.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .program import Program, centred_basis

_ULPS = 256 * np.finfo(float).eps
_CHORDS = 8  #: values of eta


class Relaxation(NamedTuple):
    """The numbers of a program in units of the radius."""

    weights: Float[np.ndarray, " K"]
    cost: float  #: kappa r^s
    stiffness: Float[np.ndarray, " K"]  #: lambda omega_k^2 / r: Phi has half of it times z' X^+ z
    power: float  #: s
    basis: Float[np.ndarray, "K d"]

    @classmethod
    def of(cls, program: Program, radius: float) -> "Relaxation":
        """Of a program, with Q = radius X."""
        return cls(
            program.weights,
            (program.L - 1) / 2 * program.price * radius**program.power,
            program.price * program.omega**2 / radius,
            program.power,
            centred_basis(len(program.weights)),
        )


class Multipliers(NamedTuple):
    """Of each simplex of a batch; any will do."""

    probabilities: Float[np.ndarray, "B K K"]  #: row k those of class k, not negative
    shares: Float[np.ndarray, "B eta"]  #: of the eta, not negative
    rows: Float[np.ndarray, "B d d"]  #: the vectors a_r


def concave_part(relaxation: Relaxation, V: Float[np.ndarray, "B m d d"]) -> Float[np.ndarray, "B eta m"]:
    """:func:`chords` for eta between the size of the simplex and the largest eigenvalue."""
    size = spread(V)
    top = np.maximum(np.linalg.eigvalsh(V).max((-1, -2)), size)
    low = np.maximum(0.03 * size, 1e-12)
    return chords(relaxation, V, low[:, None] * (top / low)[:, None] ** np.linspace(0, 1, _CHORDS))


def chords(
    relaxation: Relaxation, V: Float[np.ndarray, "B m d d"], eta: Float[np.ndarray, "B eta"]
) -> Float[np.ndarray, "B eta m"]:
    """kappa r^s tr psi_eta(V_i), rounded down."""
    values, d, s = np.linalg.eigvalsh(V)[:, None], V.shape[-1], relaxation.power
    eta = eta[:, :, None, None]
    terms = np.where(values >= eta, np.maximum(values, eta) ** s, eta ** (s - 1) * np.minimum(values, eta))
    moved = d * (d + 1) ** 2 * eta[..., 0] ** (s - 1)
    return relaxation.cost * (terms.sum(-1) - _ULPS * (np.abs(terms).sum(-1) + moved))


def safe_bound(
    relaxation: Relaxation,
    V: Float[np.ndarray, "B m d d"],
    costs: Float[np.ndarray, "B eta m"],
    at: Multipliers,
) -> Float[np.ndarray, " B"]:
    """min_i b_i, rounded down; ``costs`` are those of :func:`concave_part`."""
    K = len(relaxation.weights)
    P = at.probabilities / at.probabilities.sum(-1, keepdims=True)
    shares = at.shares / at.shares.sum(-1, keepdims=True)
    concave = np.einsum("bj,bjm->bm", shares, costs)
    entropy = -(P * np.log(np.maximum(P, np.finfo(float).tiny))).sum(-1) @ relaxation.weights
    u = (P - np.eye(K)) @ relaxation.basis
    pull = relaxation.weights**2 / (2 * relaxation.stiffness)
    vectors = np.concatenate([u * np.sqrt(pull)[:, None], at.rows], -2)
    taken = np.einsum("bmde,bde->bm", V, vectors.swapaxes(-1, -2) @ vectors)
    length = np.abs(u).sum(-1)
    size = K * ((pull * length * (length + 1)).sum(-1) + (np.abs(at.rows).sum(-1) ** 2).sum(-1)) + entropy
    size = size + np.abs(costs).max((-1, -2))
    return (concave - taken).min(-1) + entropy - _ULPS * size


def holds_none(V: Float[np.ndarray, "B m d d"]) -> Bool[np.ndarray, " B"]:
    """Simplices proved to hold no Q >= 0: there is a v with v' V_i v < 0 at every vertex."""
    K = V.shape[-1] + 1
    _, vectors = np.linalg.eigh(V.mean(1))
    v = vectors[:, :, 0]
    return np.einsum("bmde,bd,be->bm", V, v, v).max(-1) < -_ULPS * K**2


def spread(V: Float[np.ndarray, "B m d d"]) -> Float[np.ndarray, " B"]:
    """Largest distance of a vertex from the mean."""
    return np.linalg.norm(V - V.mean(1, keepdims=True), axis=(-1, -2)).max(-1)
