"""The geometries of collapsed classifiers, as arrays."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .arguments import require_integer


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
    j = jnp.arange(1.0, K)
    row, column = jnp.arange(0.0, K)[:, None], j[None, :]
    helmert = jnp.where(row < column, 1.0, jnp.where(row == column, -column, 0.0)) / jnp.sqrt(column * (column + 1))
    return jnp.pad(helmert * jnp.sqrt(K / (K - 1)), ((0, 0), (0, d - (K - 1))))
