"""The geometries of collapsed classifiers, as arrays."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .arguments import leaves, require_integer, require_positive


def simplex_etf(K: int, d: int | None = None) -> Float[Array, "K d"]:
    """Simplex equiangular tight frame: K unit rows in R^d with pairwise cosine -1/(K-1).

    ``M Mᵀ = (K I - 1 1ᵀ)/(K-1)`` and the rows sum to zero. Rows are those of an orthonormal (Helmert) basis of
    the complement of the ones vector, so the frame is exact to rounding and deterministic.

    Parameters
    ----------
    K : number of classes, static, at least 2.
    d : dimension, static, at least K - 1 (the default).

    Raises
    ------
    ValueError
        If K < 2 or d < K - 1: no simplex ETF exists there.

    Source: Papyan, Han and Donoho (2020), "Prevalence of neural collapse during the terminal phase of training".
    """
    K = require_integer("K", K, 2)
    d = require_integer("d", K - 1 if d is None else d, K - 1)
    return jnp.pad(_helmert(K) * jnp.sqrt(K / (K - 1)), ((0, 0), (0, d - (K - 1))))


def seli(counts: Any, d: int | None = None) -> tuple[Float[Array, "K d"], Float[Array, "d K"]]:
    """Simplex-encoded-labels interpolation (SELI): classifier rows W and class features H of minimum-norm separation.

    ``W @ H = I - 1 1ᵀ / K``, the columns of a class repeated for each of its ``counts`` samples, with the least
    ``|W|^2 + sum_k counts_k |h_k|^2`` of all W and H that separate every class from every other by a margin of 1. Equal
    counts n give ``W = n^(1/4) sqrt((K-1)/K)`` times :func:`simplex_etf`, and H along it. In closed form, with
    ``A = (S diag(counts) S)^(1/2)``, S = I - 1 1ᵀ / K, and B the basis of :func:`simplex_etf`: ``W = A^(1/2) B``.

    Parameters
    ----------
    counts : (K,) samples of each class, positive reals, K >= 2.
    d : dimension, static, at least K - 1 (the default).

    Raises
    ------
    ValueError
        If K < 2, a count is not finite and positive, or d < K - 1.

    For classes in groups, certificates, factors in the margins and derivatives: :class:`lpmjax.Separation`.
    Source: Thrampoulidis, Kini, Vakilian and Behnia (2022), "Imbalance trouble: revisiting neural-collapse geometry".
    """
    counts = leaves(counts=counts)["counts"]
    if counts.ndim != 1 or counts.size < 2:
        raise ValueError(f"counts has shape {counts.shape}: it must be one-dimensional, one entry for each of K >= 2.")
    require_positive("Leave classes without samples out.", counts=counts)
    K = counts.size
    d = require_integer("d", K - 1 if d is None else d, K - 1)
    omega, basis = jnp.sqrt(counts), _helmert(K).astype(counts.dtype)
    # In the basis no singular value is zero.
    left, singular, right = jnp.linalg.svd(basis.T * omega, full_matrices=False)
    root = jnp.sqrt(singular)
    W, H = basis @ (left * root) @ left.T, (left * root) @ right / omega
    return jnp.pad(W, ((0, 0), (0, d - (K - 1)))), jnp.pad(H, ((0, d - (K - 1)), (0, 0)))


def _helmert(K: int):
    """(K, K - 1) orthonormal basis of the complement of the ones vector."""
    row, column = jnp.arange(0.0, K)[:, None], jnp.arange(1.0, K)[None, :]
    return jnp.where(row < column, 1.0, jnp.where(row == column, -column, 0.0)) / jnp.sqrt(column * (column + 1))
