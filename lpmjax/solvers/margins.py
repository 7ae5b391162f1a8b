"""The in-group margin of an active group at a multiplier, and its inverse: what the exact solvers share."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def margin_at(log_inv_t: Array, log_k: Array) -> Array:
    """In-group margin ``log(1 + (1/t - 1) / k)`` of an active group, t = multiplier omega / weight < 1."""
    return jax.nn.softplus(log_inv_t + jnp.log(-jnp.expm1(-log_inv_t)) - log_k)


def log_partition(a: Array, k: Array) -> Array:
    """log(1/t) = log(1 + k (exp(a) - 1)) of an in-group margin, the inverse of :func:`margin_at`."""
    bulk = jnp.minimum(a, 50.0)  # beyond it the logarithm is linear to rounding, and exp(a) may overflow
    return jnp.log1p(k * jnp.expm1(bulk)) + (a - bulk)
