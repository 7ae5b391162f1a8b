"""Cross-entropy and what is made of it: logit adjustment, label smoothing."""

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..arguments import scalars
from ..fields import check_ranges, parameter
from .loss import ConvexLoss, GroupLoss, row_sums


class CrossEntropy(ConvexLoss):
    """Softmax cross-entropy, ``-log softmax(z)[k]`` in nats. Convex, with entropy as its conjugate."""

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Softmax and its logarithm; relative accuracy holds down to a loss of 1e-300."""
        # The largest rival is taken out first, so that margins of -1000 do not overflow. A rival that counts 0 times
        # stays in, as the derivative by its count is not zero, but must not be the one: then the sum would cancel.
        nx = margins.__array_namespace__()
        lowest = nx.minimum(nx.min(nx.where(rival_counts > 0, margins, 0.0), axis=-2), 0.0)
        if nx is jnp:  # it cancels from the result, so also from every derivative
            lowest = jax.lax.stop_gradient(lowest)
        bottom = lowest[..., None, :]
        rivals = nx.exp(bottom - nx.where(margins < bottom, bottom, margins))
        mass = nx.sum(rival_counts * rivals, axis=-2)
        shifted = nx.log1p(mass + nx.expm1(lowest))
        # 1 + sum exp(-m) = exp(-lowest) (exp(lowest) + mass)
        total = mass + nx.exp(lowest)
        softmax, log_right = rivals / total[..., None, :], lowest - shifted
        logs = log_right[..., None, :] - margins
        return GroupLoss(shifted - lowest, softmax, nx.zeros_like(mass), log_right, softmax, logs)

    def log_scale(self, margins, rival_counts):
        """Past the point from which ``log(1 + x)`` is x, and before the least float."""
        nx = margins.__array_namespace__()
        far = -0.85 * math.log(float(nx.finfo(margins.dtype).tiny))
        least = nx.min(nx.where(rival_counts > 0, margins, nx.inf), axis=(-2, -1))
        least = jax.lax.stop_gradient(least) if nx is jnp else least
        return nx.where(nx.isfinite(least), nx.maximum(least - far, 0.0), 0.0)

    def fenchel_gap(self, at, rival_counts, wrong, total):
        """Kullback-Leibler divergence of the softmax from the probabilities that belong to ``wrong``."""
        return _divergence(at, rival_counts, wrong)

    def largest_scale(self, at, rival_counts):
        """As long as the right class's probability stays positive."""
        nx = at.value.__array_namespace__()
        wrong = nx.sum(rival_counts * at.softmax, axis=-2)
        return nx.maximum((1 - 16 * nx.finfo(wrong.dtype).eps) / nx.where(wrong > 0, wrong, 1.0), 1.0)

    def without_row_sums(self, at, rival_counts, classes, weights):
        """Round the softmax to the class marginals: rows with too much are scaled down, the rest gets what is left."""
        return _transport(at, rival_counts, classes, weights), at.total


class LogitAdjusted(CrossEntropy):
    """Logit-adjusted cross-entropy: ``-log softmax(z + tau log n)[k]`` with the samples n of each class.

    ``tau`` = 1 makes the balanced error consistent. Margins, norms and cosines of a Solution are those of the plain
    logits z, with which one predicts.

    Source: Menon et al. (2021), "Long-tail learning via logit adjustment".
    """

    tau: Float[Array, "*batch"] = eqx.field(
        metadata=parameter(
            "logit adjustment: multiplies log n_k",
            "It multiplies log n_k; 0 is no adjustment.",
            allowed="finite",
            accepts=lambda t: abs(t) < float("inf"),
        )
    )

    def __init__(self, tau: Any = 1.0):
        self.tau = scalars(tau=tau)["tau"]
        check_ranges(self)

    def offsets(self, samples):
        """``tau log n``, relative to the mean."""
        nx = samples.__array_namespace__()
        logs = nx.log(samples)
        return self.tau[..., None] * (logs - nx.mean(logs, axis=-1, keepdims=True))


class LabelSmoothing(ConvexLoss):
    """Cross-entropy with the target ``(1 - epsilon) e_k + epsilon / K``, 0 <= epsilon < 1, in nats.

    Source: Szegedy et al. (2016); its neural collapse: Zhou et al. (2022), "Are all losses created equal".
    """

    epsilon: Float[Array, "*batch"] = eqx.field(
        metadata=parameter(
            "label smoothing: mass given to all classes",
            "It is the mass given to all classes.",
            allowed="in [0, 1)",
            accepts=lambda e: (e >= 0) & (e < 1),
        )
    )
    coercive: ClassVar[bool] = True

    def __init__(self, epsilon: Any = 0.1):
        self.epsilon = scalars(epsilon=epsilon)["epsilon"]
        check_ranges(self)

    def _floor(self, rival_counts):
        """(G,) target of one wrong class."""
        nx = rival_counts.__array_namespace__()
        return self.epsilon[..., None] / (1 + nx.sum(rival_counts, axis=-2))

    @property
    def contrast(self):
        """The targets differ by ``1 - epsilon``."""
        return 1 - self.epsilon[..., None]

    def least_at(self, num_classes):
        """Where the softmax is the target; infinite without smoothing."""
        nx = num_classes.__array_namespace__()
        smoothed = self.epsilon > 0
        odds = (1 - self.epsilon) * num_classes / nx.where(smoothed, self.epsilon, 1.0)
        return nx.where(smoothed, nx.log1p(odds), nx.inf)

    def margin_of(self, wrong, at, own, rival_counts):
        """As for cross-entropy, above the floor."""
        return super().margin_of(wrong + self._floor(rival_counts), at, own, rival_counts)

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Cross-entropy plus ``epsilon / K`` times every margin."""
        nx = margins.__array_namespace__()
        plain = CrossEntropy().on_groups(margins, rival_counts)
        floor = self._floor(rival_counts)
        value = plain.value + floor * nx.sum(rival_counts * margins, axis=-2)
        return plain._replace(value=value, wrong=plain.wrong - floor[..., None, :])

    def fenchel_gap(self, at, rival_counts, wrong, total):
        """As for cross-entropy: the target is linear in the logits. Infinite where a probability would be negative."""
        nx = at.value.__array_namespace__()
        floor = self._floor(rival_counts)[..., None, :]
        other = wrong + floor
        ulps = 4 * nx.finfo(other.dtype).eps
        good = nx.all((rival_counts == 0) | (other >= -ulps * floor), axis=-2) & (
            nx.sum(rival_counts * other, axis=-2) <= 1 + ulps
        )
        return nx.where(good, _divergence(at, rival_counts, other), nx.inf)

    def largest_scale(self, at, rival_counts):
        """As long as every probability stays positive."""
        nx = at.value.__array_namespace__()
        eps, floor = 16 * nx.finfo(at.wrong.dtype).eps, self._floor(rival_counts)
        falls = (at.wrong < 0) & (rival_counts > 0)
        wrong = nx.sum(rival_counts * at.wrong, axis=-2)
        of_wrong = nx.min(nx.where(falls, -floor[..., None, :] / nx.where(falls, at.wrong, -1.0), nx.inf), axis=-2)
        left = 1 - nx.sum(rival_counts, axis=-2) * floor
        of_right = nx.where(wrong > 0, left / nx.where(wrong > 0, wrong, 1.0), nx.inf)
        return nx.maximum((1 - eps) * nx.minimum(of_wrong, of_right), 1.0)

    def without_row_sums(self, at, rival_counts, classes, weights):
        """Round the softmax to the marginals of the targets."""
        floor = self._floor(rival_counts)[..., None, :]
        return _transport(at, rival_counts, classes, weights) - floor, at.total


def _divergence(at, rival_counts, other_wrong):
    """Kullback-Leibler divergence from the softmax to ``other_wrong``; the rest is the right class's."""
    nx = at.value.__array_namespace__()
    wrong, log_right = at.softmax, at.log_right
    positive = (wrong > 0) & (other_wrong > 0)
    change = nx.where(positive, (other_wrong - wrong) / nx.where(positive, wrong, 1.0), 0.0)
    # log1p where the two are close, so that nothing cancels
    close = positive & (nx.abs(change) < 0.5)
    far = nx.log(nx.where(other_wrong > 0, other_wrong, 1.0)) - nx.where(other_wrong > 0, at.log_softmax, 0.0)
    logs = nx.where(close, nx.log1p(nx.where(close, change, 0.0)), far)
    of_wrong = nx.sum(
        nx.where(rival_counts > 0, rival_counts * other_wrong, 0.0) * nx.where(rival_counts > 0, logs, 0.0), axis=-2
    )
    right = nx.exp(log_right)
    gained = nx.sum(rival_counts * (wrong - other_wrong), axis=-2)
    left = nx.maximum(right + gained, nx.finfo(right.dtype).tiny)
    close = nx.abs(gained) < 0.5 * right
    change = nx.where(close, gained / nx.where(close, right, 1.0), 0.0)
    return of_wrong + left * nx.where(close, nx.log1p(change), nx.log(left) - log_right)


def _transport(at: GroupLoss, rival_counts, classes, weights):
    """Probabilities of wrong classes near the softmax whose weighted sums over samples are those of the targets.

    Rows above their target are scaled down; what rows and columns then lack is added as a matrix of rank one
    (Altschuler, Weed and Rigollet 2017). Only wrong classes' masses are added up: next to a right class's, which is
    close to 1, theirs would be lost.
    """
    nx = at.value.__array_namespace__()
    wrong, right = at.softmax, nx.exp(at.log_right)
    excess = row_sums(at.wrong, rival_counts, weights, at.total)
    mass = weights * right + nx.sum(nx.swapaxes(rival_counts, -1, -2) * weights[..., None, :] * wrong, axis=-1)
    cut = nx.maximum(excess, 0.0) / nx.where(mass > 0, mass, 1.0)
    row = nx.maximum(-excess, 0.0)
    removed = wrong * cut[..., :, None]
    column = right * cut + nx.sum(rival_counts * removed, axis=-2)
    lacking = nx.sum(classes * row, axis=-1)[..., None, None]
    return wrong - removed + row[..., :, None] * column[..., None, :] / nx.where(lacking > 0, lacking, 1.0)
