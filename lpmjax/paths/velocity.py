"""Loss and downhill velocity of a product of factors, to full relative accuracy at any time."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .setting import Setting


class Landscape(NamedTuple):
    """What loss and velocity need of a :class:`Setting`, as arrays."""

    own: Bool[Array, "K N"]  #: whether a row is a sample's own class
    log_weights: Float[Array, "1 N"]  #: of a sample
    decays: tuple[Float[Array, ""], ...] | None

    @staticmethod
    def of(setting: Setting) -> "Landscape":
        """In float64."""
        own = jnp.arange(setting.K)[:, None] == jnp.asarray(setting.labels)[None]
        decays = None if setting.decays is None else tuple(jnp.asarray(x, jnp.float64) for x in setting.decays)
        return Landscape(own, jnp.asarray(setting.log_weights, jnp.float64)[None], decays)


def _log_odds(factors: Any, at: Landscape) -> tuple[Float[Array, "K N"], Float[Array, "1 N"]]:
    """Minus the margins (-inf in the own class), and the log of the sum of their exponentials."""
    logits = reduce(jnp.matmul, factors)
    right = jnp.sum(jnp.where(at.own, logits, 0.0), axis=0, keepdims=True)
    against = jnp.where(at.own, -jnp.inf, logits - right)
    return against, jax.nn.logsumexp(against, axis=0, keepdims=True)


def log_loss(factors: Any, at: Landscape) -> Float[Array, ""]:
    """log of the weighted cross-entropy, without decay; finite also where the loss underflows."""
    odds = _log_odds(factors, at)[1]
    # log log(1 + e^x) is x to rounding below x = -37, and the inner logarithm underflows at -745.
    far = odds < -40.0
    each = jnp.where(far, odds, jnp.log(jnp.logaddexp(0.0, jnp.where(far, 0.0, odds))))
    return jax.nn.logsumexp(at.log_weights + each)


def velocity(factors: Any, log_time: Any, at: Landscape) -> tuple[Float[Array, "..."], ...]:
    """Minus the gradient by every factor, times ``exp(log_time)``.

    The time is in the exponent of the softmax, and the entry of the own class is minus the sum of the others: its own
    formula, 1 - p, would lose all digits once the loss is below 1e-16.
    """
    against, odds = _log_odds(factors, at)
    push = jnp.exp(against - jnp.logaddexp(0.0, odds) + at.log_weights + log_time)
    downhill = jnp.where(at.own, jnp.sum(push, axis=0, keepdims=True), -push)
    before = [None, *_running(factors[:-1])]
    after = [*(_running([factor.T for factor in factors[:0:-1]])[::-1]), None]
    moves = []
    for j, (left, right) in enumerate(zip(before, after, strict=True)):
        move = downhill if left is None else left.T @ downhill
        move = move if right is None else move @ right
        moves.append(move if at.decays is None else move - at.decays[j] * jnp.exp(log_time) * factors[j])
    return tuple(moves)


def _running(factors: Any) -> list[Array]:
    """Products of the first one, two, ... of the factors."""
    products = [factors[0]]
    for factor in factors[1:]:
        products.append(products[-1] @ factor)
    return products
