"""Phase boundaries: the imbalance ratios at which the minority of a Layer-Peeled Model collapses, and the number of
samples from which a class is alive in a deep linear network with squared error."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from .arguments import (
    is_class_count,
    is_positive,
    leaves,
    require,
    require_class_counts,
    require_flag,
    require_positive,
)
from .solvers.two_group import TwoGroupProgram, annihilated_log_ratio, merged_log_ratio

_MAX_STEPS = 60


def merged(K_A: Any, K_B: Any, s: Any, log: bool = False) -> Float[Array, "*batch"]:
    """R0(s): from this imbalance ratio on, the K_B minority classifiers of the Layer-Peeled Model coincide.

    The minority has cosine 1 exactly when ``R >= R0`` (Minority Collapse), with ``s = sqrt(E_W E_H)``. R0 grows
    exponentially in s and tends to 1 as s tends to 0.

    Parameters
    ----------
    K_A, K_B, s : broadcastable; K_A, K_B >= 1 (reals allowed), s > 0. Differentiable in all three.
    log : return log R0 (in float64 R0 itself overflows above log R0 = 709).

    Returns
    -------
    Array of the broadcast shape; inf where K_B < 2 (a single class cannot merge).

    Raises
    ------
    ValueError
        For a K below 1 or s that is not finite and positive. Traced bad values give NaN.

    Source: ``proofs``, ``lpm.merged_boundary``.
    """
    return _boundary(K_A, K_B, s, log, "merged")


def annihilated(K_A: Any, K_B: Any, s: Any, log: bool = False) -> Float[Array, "*batch"]:
    """R1(s): from this imbalance ratio on, minority classifiers and features are exactly zero.

    Arguments as in :func:`merged`; explicit, no root. inf where K_A < 2 or past its end: there is no annihilation
    once ``K s >= K_A (K_A - 1) log(K_A / (sqrt(K K_B) - K_B))``.

    Source: ``proofs``, ``lpm.annihilated_boundary``.
    """
    return _boundary(K_A, K_B, s, log, "annihilated")


def deep_mse(M: Any, N: Any, decay: Any, stationary: bool = False) -> Float[Array, "*batch"]:
    """Number of samples above which a class is not zero in :class:`DeepLinear` with squared error and no bias.

    ``n = b M / (M-1)^((M-1)/M)`` with ``b = M N (N decay^(M+1))^(1/M)``, and ``(N decay)^2`` for one weight matrix. At
    n itself, for M >= 2, zero and a logit of (M-1)/M are both optimal. With a free bias it holds for balanced classes.

    Parameters
    ----------
    M : number of weight matrices, from 1 (reals allowed).
    N : number of samples in all.
    decay : geometric mean of the decays of the M weight matrices and of the features.
    stationary : instead, the number of samples below which nothing but zero is stationary. Between the two the largest
        root of the first-order condition is a local minimum and not the optimum.

    Broadcastable and differentiable. Raises ValueError for a value out of range; traced bad values give NaN.

    Source: Dang et al. (2023); the threshold, which is not where stationary points end: ``proofs``,
    ``deep_mse.threshold``.
    """
    stationary = require_flag("stationary", stationary)
    values = _arguments(M=M, N=N, decay=decay)
    require("M", values["M"], "from 1", lambda m: (m >= 1) & is_positive(m), "It is the number of weight matrices.")
    require_positive("It is the number of samples.", N=values["N"])
    require_positive("It is a weight decay.", decay=values["decay"])
    M, N, decay = values.values()
    log_b = jnp.log(M * N) + (jnp.log(N) + (M + 1) * jnp.log(decay)) / M
    share = xlogy(M - 1, M - 1) / M
    if stationary:
        share = share - (M - 1) / M * jnp.log(M + 1) + 2 * jnp.log(0.5 * (M + 1))
    return jnp.where(M >= 1, jnp.exp(log_b + jnp.log(M) - share), jnp.nan)


def annihilation_end(K_A: Any, K_B: Any) -> Float[Array, "*batch"]:
    """The budget s from which on no imbalance ratio annihilates the minority: the vertical asymptote of R1.

    ``K_A (K_A - 1) / K log(K_A / (sqrt(K K_B) - K_B))``; 0 for K_A = 1. Arguments as in :func:`merged`.
    """
    values = _arguments(K_A=K_A, K_B=K_B)
    require_class_counts(**values)
    K_A, K_B = values["K_A"], values["K_B"]
    K = K_A + K_B
    # K_A / (sqrt(K K_B) - K_B) = 1 + sqrt(K / K_B), without the difference
    return K_A * (K_A - 1) / K * jnp.log1p(jnp.sqrt(K / K_B))


def _arguments(**values):
    """Arrays that broadcast against one another."""
    arrays = leaves(**values)
    try:
        jnp.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        listed = ", ".join(f"{name} of shape {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{listed} do not broadcast: give numbers, or arrays of one shape.") from None
    return arrays


def _boundary(K_A, K_B, s, log, kind):
    log = require_flag("log", log)
    values = _arguments(K_A=K_A, K_B=K_B, s=s)
    require_class_counts(K_A=values["K_A"], K_B=values["K_B"])
    require_positive("s = sqrt(E_W E_H) is the norm budget.", s=values["s"])
    log_ratio = _log_ratio(*jnp.broadcast_arrays(*values.values()), kind=kind)
    return log_ratio if log else jnp.exp(log_ratio)


@partial(jax.jit, static_argnames="kind")
@partial(jnp.vectorize, excluded={"kind"})
def _log_ratio(K_A, K_B, s, kind):
    valid = is_class_count(K_A) & is_class_count(K_B) & is_positive(s)
    exists = valid & ((K_B >= 2) if kind == "merged" else (K_A >= 2))
    # Where there is no boundary the lane solves a harmless problem, so that its derivative stays clean.
    K_A, K_B, s = (jnp.where(exists, x, 2.0).astype(x.dtype) for x in (K_A, K_B, s))
    lane = TwoGroupProgram(K_A, K_B, jnp.zeros_like(s), jnp.ones_like(s), (K_A + K_B) * s)
    found = merged_log_ratio(lane, _MAX_STEPS) if kind == "merged" else annihilated_log_ratio(lane)
    return jnp.where(valid, jnp.where(exists, found, jnp.inf), jnp.nan)
