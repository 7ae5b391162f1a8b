"""Phase boundaries: where a minority collapses, where optima of deep linear networks change or vanish, and below which
norm budget a loss that is not convex drops classes."""

import math
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
    require_integer,
    require_positive,
    require_type,
    scalars,
)
from .compiling import quick_jit
from .losses.loss import Loss
from .solvers.crossing import crossing, known, pairs
from .solvers.scalar import increasing_root
from .solvers.two_group import TwoGroupProgram, annihilated_log_ratio, merged_log_ratio

_MAX_STEPS = 60
#: decays between which a crossing is looked for: beyond the largest every deep model is zero
_LEAST_DECAY, _LARGEST_DECAY = 1e-7, 1.0


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


def pairs_beat_etf(K: int, M: float) -> float:
    """Decay from which on pairs beat the simplex ETF in a balanced deep linear model with cross-entropy.

    Pairs are two opposite classifiers for every two classes, at a right angle to all others; of an odd number of
    classes one is left over, zero for K = 3. The decay is ``lambda n^(1/(M+1))``, lambda of each of the M weight
    matrices and of the features, n the samples of a class. Where ``2^(2/(M+1)) < 2 - 1/floor(K/2)`` pairs win at
    every decay, and the answer is 0; with M = 1 they never do, and it is inf. Up to the answer the ETF need not be
    the global optimum either: other structures can win earlier.

    Parameters
    ----------
    K : number of classes, an integer of at least 3.
    M : number of weight matrices, real, at least 1.

    Returns
    -------
    float, by root finding on the host; not differentiable.

    Raises
    ------
    ValueError
        For arguments out of range.

    Source: the criterion is that of Garrod and Keating (2024), "The persistence of neural collapse despite low-rank
    bias"; the crossings are this library's.
    """
    K = require_integer("K", K, 3)
    M = float(scalars(M=M)["M"])
    require("M", M, "at least 1 and finite", lambda m: (m >= 1) & (m < float("inf")), "It counts weight matrices.")
    if M == 1:
        return math.inf
    if K > 3 and 2 ** (2 / (M + 1)) < 2 - 1 / (K // 2):
        return 0.0
    return crossing(K, M, "ETF", pairs(K), _LEAST_DECAY, _LARGEST_DECAY)


def deep_crossing(K: int, M: float, first: str, second: str, low: float = 1e-7, high: float = 1.0) -> float:
    """Least decay in [low, high] from which on structure ``second`` of a balanced deep linear model has a lower value
    than ``first``; NaN if it never has.

    Arguments as in :func:`pairs_beat_etf`; names as :func:`lpmjax.phases` gives them. On the host.
    """
    K, M = require_integer("K", K, 3), float(scalars(M=M)["M"])
    require("M", M, "above 1 and finite", lambda m: (m > 1) & (m < float("inf")), "It counts weight matrices.")
    for name, value in (("first", first), ("second", second)):
        if not isinstance(value, str) or value not in known(K):
            raise ValueError(f"{name} = {value!r} is no structure of {K} classes: use one of {', '.join(known(K))}.")
    ends = scalars(low=low, high=high)
    require_positive("It is a decay.", **ends)
    return crossing(K, M, first, second, float(ends["low"]), float(ends["high"]))


def deep_annihilated(K_A: Any, K_B: Any, M: Any, lambda_: Any) -> Float[Array, "*batch"]:
    """Imbalance ratio from which on decoupled pairs of a minority are zero, deep linear model with cross-entropy.

    K_A classes of R samples and K_B of one, M weight matrices, all decays ``lambda_``. A pair of the minority dies
    (a first-order change) where ``2 weight kappa < c``, ``c = (M + 1) lambda_ / 2``, with
    ``kappa = max_b (log K - log(1 + e^(-b) + (K - 2) e^(-b/2))) / b^(2/(M+1))``; so
    ``R = (2 kappa / c - K_B) / K_A``, which is finite, and below 1 where no minority lives. Optima in which pairs are
    decoupled are those of strong imbalance; up to which ratio others win is for :func:`lpmjax.phases`.

    Broadcastable, differentiable in all (K_A, K_B >= 2, M > 1 reals). Raises ValueError for values out of range; traced
    ones give NaN.
    """
    values = _arguments(K_A=K_A, K_B=K_B, M=M, lambda_=lambda_)
    for name in ("K_A", "K_B"):
        require(name, values[name], "at least 2", lambda k: k >= 2, "A pair has two classes.")
    require(
        "M", values["M"], "above 1 and finite", lambda m: (m > 1) & (m < float("inf")), "It counts weight matrices."
    )
    require_positive("It is a weight decay.", lambda_=values["lambda_"])
    return _pair_threshold(*jnp.broadcast_arrays(*values.values()))


@quick_jit
@jnp.vectorize
def _pair_threshold(K_A, K_B, M, decay):
    valid = (K_A >= 2) & (K_B >= 2) & (M > 1) & is_positive(M) & is_positive(decay)
    K_A, K_B, M, decay = (jnp.where(valid, x, 3.0).astype(x.dtype) for x in (K_A, K_B, M, decay))
    K, power = K_A + K_B, 2 / (M + 1)

    def gain(b, K):
        return jnp.log(K) - jnp.log(1 + jnp.exp(-b) + (K - 2) * jnp.exp(-b / 2))

    def stationary(b, given):  # of log(gain / b^power): falls through zero once
        K, power = given
        value, slope = jax.jvp(lambda b: gain(b, K), (b,), (jnp.ones_like(b),))
        return power * value - b * slope, jnp.abs(power * value) + jnp.abs(b * slope)

    b = increasing_root(stationary, (K, power), 4 * jnp.log(K), jnp.full_like(K, jnp.inf), _MAX_STEPS).x
    kappa = gain(b, K) / b**power
    return jnp.where(valid, (4 * kappa / ((M + 1) * decay) - K_B) / K_A, jnp.nan)


def dropped_class(K: Any, loss: Loss) -> Float[Array, "*batch"]:
    """s*: the norm budget ``sqrt(E_W E_H)`` of the balanced Layer-Peeled Model from which on the simplex ETF of all K
    classes has no larger loss than that of K - 1 classes with zero logits for the last.

    Below it the ETF is not the optimum (and dropping more classes can be better still); above it is the best known, and
    where :func:`lpmjax.solve` certifies the closed form the global one.

    Parameters
    ----------
    K : number of classes, 4 or more (reals allowed); differentiable.
    loss : :class:`PowerSoftmax`, :class:`Focal` or another loss that is shift-invariant, with parameters of one number;
        differentiable in them.

    Returns
    -------
    Array of the shape of K; 0 where dropping a class never pays, as with convex losses.

    Raises
    ------
    ValueError
        For K below 4, or what is no such loss. Traced bad values give NaN.
    """
    require_type("loss", loss, Loss, "a lpmjax loss such as PowerSoftmax(q) or Focal(gamma)")
    if not loss.shift_invariant or any(leaf.ndim for leaf in jax.tree.leaves(loss)):
        raise ValueError(f"loss = {loss!r} is out of range: it must be shift-invariant, with parameters of one number.")
    K = leaves(K=K)["K"]
    require("K", K, "from 4 to 2^53", lambda k: (k >= 4) & is_class_count(k), "It counts classes.")
    return _crossing(K, loss)


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


@partial(quick_jit, static_argnames="kind")
@partial(jnp.vectorize, excluded={"kind"})
def _log_ratio(K_A, K_B, s, kind):
    valid = is_class_count(K_A) & is_class_count(K_B) & is_positive(s)
    exists = valid & ((K_B >= 2) if kind == "merged" else (K_A >= 2))
    # Where there is no boundary the lane solves a harmless problem, so that its derivative stays clean.
    K_A, K_B, s = (jnp.where(exists, x, 2.0).astype(x.dtype) for x in (K_A, K_B, s))
    lane = TwoGroupProgram(K_A, K_B, jnp.zeros_like(s), jnp.ones_like(s), (K_A + K_B) * s)
    found = merged_log_ratio(lane, _MAX_STEPS) if kind == "merged" else annihilated_log_ratio(lane)
    return jnp.where(valid, jnp.where(exists, found, jnp.inf), jnp.nan)


@quick_jit
@partial(jnp.vectorize, excluded={1})
def _crossing(K, loss):
    valid = (K >= 4) & is_class_count(K)
    K = jnp.where(valid, K, 4.0).astype(K.dtype)

    def losses(s, numbers):
        """Of one class dropped, and of the ETF."""
        K, loss = numbers
        own = K * s / (K - 2)  # margin in the ETF of the others, whose cost is (K - 2) times that
        dropped = _mean_loss(loss, [own, own * (K - 2) / (K - 1)], [K - 2, jnp.ones_like(K)]) * (1 - 1 / K)
        dropped = dropped + _mean_loss(loss, [jnp.zeros_like(s)], [K - 1]) / K
        return jnp.stack([dropped, _mean_loss(loss, [K * s / (K - 1)], [K - 1])])

    # Both fall alike from s = 0 on; how they curve there says which is the less at first.
    curvature = jax.jacfwd(jax.jacfwd(lambda s: losses(s, (K, loss))))(jnp.zeros_like(K))
    noise = jnp.sqrt(jnp.finfo(K.dtype).eps) * jnp.abs(curvature[1])
    exists = valid & (curvature[0] < curvature[1] - noise)

    def residual(s, numbers):
        dropped, whole = losses(s, numbers) / (s * s)
        return dropped - whole, dropped

    root = increasing_root(residual, (K, loss), jnp.log(K), jnp.inf + K, _MAX_STEPS, ~exists)
    return jnp.where(valid, jnp.where(exists, root.x, 0.0), jnp.nan)


def _mean_loss(loss, margins, rival_counts):
    """Of one sample with these margins over so many rivals each."""
    return loss.on_groups(jnp.stack(margins)[:, None], jnp.stack(rival_counts)[:, None]).value[0]
