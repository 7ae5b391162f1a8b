"""Focal loss, cross-entropy that fades where the class is right already, and the largest convex function below it."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..arguments import scalars
from ..fields import check_ranges, parameter
from .loss import ConvexLoss, GroupLoss, Loss
from .softmax import CrossEntropy


class Focal(Loss):
    """Focal loss ``-(1 - p_k)^gamma log p_k`` of the softmax p, ``gamma >= 0``, in nats; 0 is cross-entropy.

    It is an increasing function of ``s = log((1 - p_k) / p_k)``, which is convex in the logits, and convex itself
    exactly where that function is: where ``p_k`` is at least some p(gamma), whatever the number of classes (0.0432,
    0.0578, 0.0575 for ``gamma`` = 1, 2, 3). Below, it is not, for any ``gamma > 0``. An optimum with every ``p_k``
    above 0.118, 0.163, 0.167 is that of the largest convex function below the loss, and can be certified.

    Source: Lin et al. (2017), "Focal loss for dense object detection"; its neural collapse: Zhou et al. (2022), "Are
    all losses created equal".
    """

    gamma: Float[Array, "*batch"] = eqx.field(
        metadata=parameter(
            "focus: exponent of the probability of being wrong",
            "It is the exponent of 1 - p_k; 0 is cross-entropy.",
            allowed="finite and >= 0",
            accepts=lambda g: (g >= 0) & (g < float("inf")),
        )
    )
    sigmoidal: ClassVar[bool] = True

    def __init__(self, gamma: Any = 2.0):
        self.gamma = scalars(gamma=gamma)["gamma"]
        check_ranges(self)

    @property
    def minorant(self) -> ConvexLoss:
        """Linear in ``s`` where the loss falls below its own asymptote."""
        return FocalMinorant(self.gamma)

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Cross-entropy times ``(1 - p_k)^gamma``, and the slopes of that by the chain rule."""
        plain = CrossEntropy().on_groups(margins, rival_counts)
        nx = margins.__array_namespace__()
        missed = nx.sum(rival_counts * plain.softmax, axis=-2)  # 1 - p_k, without the difference
        value, slope = _focal(self.gamma[..., None], plain.value, missed)
        return plain._replace(value=value, wrong=slope[..., None, :] * plain.softmax)


class FocalMinorant(ConvexLoss):
    """The largest convex function below :class:`Focal`: the loss itself up to where it rises like ``s``, then a line.

    With ``g(s)`` the loss: ``g' < 1`` up to some s1, ``g' > 1`` beyond, and ``g - s`` tends to zero.
    """

    gamma: Float[Array, "*batch"]

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Value and slopes of either piece."""
        nx = margins.__array_namespace__()
        plain = CrossEntropy().on_groups(margins, rival_counts)
        missed = nx.sum(rival_counts * plain.softmax, axis=-2)
        value, slope = _focal(self.gamma[..., None], plain.value, missed)
        end = _end(self.gamma)
        line = end.value[..., None] + _log_odds(plain, missed) - end.log_odds[..., None]
        beyond = plain.value > end.entropy[..., None]
        slope = nx.where(beyond, 1 / nx.where(missed > 0, missed, 1.0), slope)
        return plain._replace(value=nx.where(beyond, line, value), wrong=slope[..., None, :] * plain.softmax)

    def fenchel_gap(self, at, rival_counts, wrong, total):
        """No less than the gap: the conjugate, convex in the mass that is moved, is taken along its chords.

        A gradient is ``theta (q - e_k)``, q a distribution over rivals; the conjugate is ``g*(theta)`` plus theta times
        minus the entropy of q. Known are ``g*`` at 0, where it is 0, at 1, and at the theta of ``at``.
        """
        nx = at.value.__array_namespace__()
        missed = nx.sum(rival_counts * at.softmax, axis=-2)
        mass, other = (nx.sum(rival_counts * x, axis=-2) for x in (at.wrong, wrong))
        end = _end(self.gamma)
        line = end.value[..., None] + _log_odds(at, missed) - end.log_odds[..., None]
        safe, rest = nx.where(mass > 0, mass, 1.0), nx.where(mass < 1, 1 - mass, 1.0)
        less = nx.maximum(1 - other / safe, 0.0) * at.value
        ulps = 4 * nx.finfo(mass.dtype).eps
        more = nx.where(mass < 1, (other - mass) / rest, nx.where(other > 1 + ulps, nx.inf, 0.0))
        more = nx.where(other > 1 + ulps, nx.inf, more) * nx.maximum(at.value - line, ulps * at.value)
        odds = at.softmax / nx.where(missed > 0, missed, 1.0)[..., None, :]
        expected = other[..., None, :] * odds
        ratio = nx.where(expected > 0, wrong / nx.where(expected > 0, expected, 1.0), 1.0)
        positive = nx.where(ratio > 0, ratio, 1.0)
        apart = expected * (nx.where(ratio > 0, positive * nx.log1p(positive - 1), 0.0) - (ratio - 1))
        return nx.where(other > mass, more, less) + nx.sum(rival_counts * nx.maximum(apart, 0.0), axis=-2)

    def without_row_sums(self, at, rival_counts, classes, weights):
        """As for cross-entropy, of the probabilities of which this is the gradient."""
        nx = at.value.__array_namespace__()
        left = nx.maximum(1 - nx.sum(rival_counts * at.wrong, axis=-2), nx.finfo(at.value.dtype).tiny)
        return CrossEntropy().without_row_sums(
            at._replace(softmax=at.wrong, log_right=nx.log(left)), rival_counts, classes, weights
        )


class _End(NamedTuple):
    """Where the focal loss has slope 1 by the log-odds, and its value there."""

    entropy: Any  #: -log p_k
    log_odds: Any
    value: Any


def _focal(gamma, entropy, missed):
    """The loss and its derivative by ``entropy = -log p_k``, with ``missed = 1 - p_k``."""
    nx = entropy.__array_namespace__()
    safe = nx.where(missed > 0, missed, 1.0)
    faded = nx.where(missed > 0, safe**gamma, 0.0)
    return faded * entropy, faded * (1 + gamma * nx.exp(-entropy) * entropy / safe)


def _log_odds(at: GroupLoss, missed):
    nx = missed.__array_namespace__()
    return nx.log(nx.where(missed > 0, missed, nx.finfo(missed.dtype).tiny)) - at.log_right


def _end(gamma) -> _End:
    """By bisection, from below: the line is then below the loss. It is tangent, so that no derivative is needed."""
    nx = gamma.__array_namespace__()
    gamma = jax.lax.stop_gradient(gamma) if nx is jnp else gamma
    safe = nx.where(gamma > 0, gamma, 1.0)

    def halved(bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        missed = -nx.expm1(-middle)
        above = _focal(safe, middle, missed)[1] * missed >= 1
        return nx.where(above, low, middle), nx.where(above, middle, high)

    bracket = (0 * safe, 2 + 2 / safe + 2 * nx.log1p(safe))
    if nx is jnp:
        low, _ = jax.lax.fori_loop(0, 60, lambda _, bracket: halved(bracket), bracket)
    else:
        for _ in range(60):
            bracket = halved(bracket)
        low, _ = bracket
    value = _focal(safe, low, -nx.expm1(-low))[0]
    never = gamma == 0  # cross-entropy is convex everywhere
    return _End(nx.where(never, nx.inf, low), nx.where(never, 0.0, nx.log(nx.expm1(low))), nx.where(never, 0.0, value))
