"""A lower bound on the optimum of a loss that is not convex, from the margins of the classes alone.

Let ``m_k`` be the margin of logit k of class k over the mean of its rivals. A ``sigmoidal`` loss is at least what it is
with equal rivals, ``g(m_k)``; and for any signs D and S = I - J/K, of spectral norm 1 at most,

    sum_k omega_k |m_k| = K/(K-1) trace(D S Z Omega) <= K/(K-1) ||Z Omega||_*.

So the spectral cost pays for every class by itself, and at a price per unit of it the optimum is at least the sum of
``min_(m >= 0) weight g(m) + price (K-1)/K omega m``. Of one group of equal classes at a price that minimum is attained
by logits ``m (I - J/K)``: the simplex ETF or zero is the global optimum. On a budget any price gives a bound.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..charge import Price
from ..duality import Program

_POINTS, _ROUNDS = 33, 8  #: of a search by ever finer grids: a bracket of 1 ends as one of 16^-8
_PRICES, _ROUNDS_OF_PRICE, _FACTOR = 17, 6, 30.0  #: prices tried for a budget: around that of the gradient


class Least(NamedTuple):
    """Of ``g(m) + rate m`` over ``m >= 0``, for each group."""

    bound: Any  #: no larger than the minimum
    margin: Any  #: of the best point found: 0, or where it is stationary
    convex_from: Any  #: margin from which g is convex


def profile(loss: Any, margin, num_classes):
    """``g`` and its slope at ``margin`` (..., G) over equal rivals."""
    at = loss.on_groups(margin[..., None, :], num_classes[..., None, None] - 1 + 0 * margin[..., None, :])
    return at.value, -(num_classes[..., None] - 1) * at.wrong[..., 0, :]


def least(loss: Any, num_classes, rate) -> Least:
    """Minimum of ``g(m) + rate m`` of a sigmoidal loss at every rate (..., G) > 0, traced or on the host."""
    nx = rate.__array_namespace__()
    zero = nx.zeros_like(rate)
    start, steepest = profile(loss, zero, num_classes)
    # Beyond it the price alone is more than the loss at zero, or the loss has underflowed.
    far = nx.minimum(start / rate, -nx.log(nx.finfo(rate.dtype).tiny))

    def slope(margin):
        return profile(loss, margin, num_classes)[1]

    def objective(margin):
        return profile(loss, margin, num_classes)[0] + rate * margin

    low, high = _narrowed(slope, zero, far)
    # g is concave below ``low``, convex beyond ``high``, and falls no faster in between than where it is steepest.
    steepest = nx.minimum(steepest, nx.minimum(slope(low), slope(high)))
    concave = nx.minimum(start, objective(low) - nx.maximum(-steepest - rate, 0.0) * (high - low))
    left, right = _narrowed(objective, high, far)
    middle = 0.5 * (left + right)
    value, fall = profile(loss, middle, num_classes)
    value = value + rate * middle
    convex = value - nx.abs(fall + rate) * (right - left)  # no lower than its tangent
    best = nx.where(value < start, middle, zero)
    return Least(nx.minimum(nx.minimum(concave, convex), rate * far), best, high)


def margin_bound(program: Program, price):
    """(...,) a lower bound on the optimum of a sigmoidal loss without a bias; on a budget the best of prices near
    ``price``."""
    nx = program.weights.__array_namespace__()
    if isinstance(program.charge, Price):
        return _bound(program, nx.asarray(program.charge.amount))
    found, log_price = _bound(program, price), nx.log(price)
    spread = nx.log(nx.asarray(_FACTOR, dtype=price.dtype))
    low, high = _narrowed(
        lambda x: -_bound(program, nx.exp(x)), log_price - spread, log_price + spread, _PRICES, _ROUNDS_OF_PRICE
    )
    return nx.fmax(found, _bound(program, nx.exp(0.5 * (low + high))))


def _bound(program: Program, price):
    """At one price; leading axes of ``price`` beyond the batch are prices of their own."""
    nx = program.weights.__array_namespace__()
    classes, weights, omega = program.classes, program.weights, program.omega
    K = nx.sum(classes, axis=-1)
    rate = price[..., None] * omega * (1 - 1 / K)[..., None] / weights
    total = nx.sum(nx.where(classes > 0, classes * weights * least(program.loss, K, rate).bound, 0.0), axis=-1)
    return total + program.charge.unused(-price, 0.0)


def _narrowed(function, low, high, points: int = _POINTS, rounds: int = _ROUNDS):
    """A bracket within [low, high] of the minimum of a function that falls and then rises, element by element."""
    nx = low.__array_namespace__()
    steps = nx.linspace(0.0, 1.0, points, dtype=low.dtype).reshape((points,) + (1,) * low.ndim)

    def closer(bracket):
        low, high = bracket
        x = low + steps * (high - low)
        best = nx.argmin(function(x), axis=0)[None]
        ends = (nx.maximum(best - 1, 0), nx.minimum(best + 1, points - 1))
        return tuple(nx.take_along_axis(x, end, axis=0)[0] for end in ends)

    if nx is jnp:
        return jax.lax.fori_loop(0, rounds, lambda _, bracket: closer(bracket), (low, high))
    bracket = (low, high)
    for _ in range(rounds):
        bracket = closer(bracket)
    return bracket
