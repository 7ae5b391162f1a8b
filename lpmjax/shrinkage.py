"""One singular value under squared error: ``minimise (s - x)^2 / 2 + price x^(2/L)`` over x >= 0, globally.

``x = s t`` with ``t`` the largest root of ``t - 1 + w t^(q-1)``, q = 2/L and ``w = q price s^(q-2)``, where that is no
worse than zero. For L = 2 it is the soft threshold. From L = 3 on the minimiser jumps: at the threshold zero and
``s (L-2)/(L-1)`` are both optimal, and stationary points go on to exist below it, so that the largest root alone is
wrong there (``proofs``: ``deep_mse.threshold``). Elementwise, for NumPy and traced arrays.
"""

import math
from typing import NamedTuple

from jaxtyping import Array, Float

#: from 1 Newton's iteration comes down to the root; at the threshold, where it has the longest way, this is enough
_STEPS = 8


class Shrunk(NamedTuple):
    """The global minimiser for each singular value of the target."""

    ratio: Float[Array, "*batch"]  #: x / s, 0 where zero is better
    slope: Float[Array, "*batch"]  #: derivative of x by s
    slack: Float[Array, "*batch"]  #: log of s over the threshold; the minimiser is zero where it is <= 0
    least: Float[Array, "*batch"]  #: a lower bound of the minimum, tight to rounding


def jump(L: int) -> float:
    """x / s at the threshold, on the side where it is not zero: (L-2) / (L-1)."""
    return (L - 2) / (L - 1)


def last_stationary(L: int) -> float:
    """x / s where the last stationary point above zero disappears: (L-2) / (2 (L-1))."""
    return jump(L) / 2


def log_strength(L: int, t: float) -> float:
    """Logarithm of the ``w`` whose stationary point is ``t``: of ``(1 - t) t^(1-q)``."""
    q = 2 / L
    return math.log1p(-t) + ((1 - q) * math.log(t) if L > 2 else 0.0)


def log_size(log_price, L: int, t: float):
    """Logarithm of the singular value of the target whose stationary point is ``t`` times itself."""
    q = 2 / L
    return (log_price + math.log(q) - log_strength(L, t)) / (2 - q)


def shrunk(s, log_price, L: int) -> Shrunk:
    """Minimiser and minimum at each singular value ``s`` of the target."""
    nx, q = s.__array_namespace__(), 2 / L
    positive = s > 0
    slack = nx.where(positive, nx.log(nx.where(positive, s, 1.0)) - log_size(log_price, L, jump(L)), -nx.inf)
    alive = slack > 0
    distance = nx.where(alive, slack, 1.0)
    w = nx.exp(log_strength(L, jump(L)) - (2 - q) * distance)
    t = stationary(w, L, _STEPS)
    slope = t + (2 - q) * (1 - t) / (1 - (1 - q) * (1 - t) / t) if L > 2 else nx.ones_like(t)
    square = nx.where(positive, s * s, 0.0)
    least = square * nx.where(alive, nx.minimum(_lowest(w, t, L), 0.5), 0.5)
    return Shrunk(nx.where(alive, t, 0.0), nx.where(alive, slope, 0.0), slack, least)


def _lowest(w, t, L: int):
    """A lower bound of ``(1 - t)^2 / 2 + w t^q / q`` beyond its inflection, for any ``t`` there.

    It is convex there, so that it is no lower than at t by more than the slope times the distance of the minimiser:
    next to nothing where the slope changes sign next to t.
    """
    nx, q = t.__array_namespace__(), 2 / L
    near = float(nx.finfo(t.dtype).eps) ** 0.5

    def slope(t):
        return t - 1 + w * t ** (q - 1)

    bracketed = (slope(t * (1 - near)) < 0) & (slope(t * (1 + near)) > 0)
    distance = nx.where(bracketed, near, 1.0)
    return 0.5 * (1 - t) ** 2 + w * t**q / q - nx.abs(slope(t)) * distance


def stationary(w, L: int, steps: int):
    """The largest t <= 1 with ``t - 1 + w t^(q-1) = 0``, by Newton's iteration from 1, where the function is convex."""
    nx, q = w.__array_namespace__(), 2 / L
    t = nx.ones_like(w)
    for _ in range(steps):
        pull = w * t ** (q - 1)
        t = t - (t - 1 + pull) / (1 - (1 - q) * pull / t)
    return t
