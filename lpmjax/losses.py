"""Losses of the logits, written on groups: margins of one class over the others and how many others there are."""

from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float


class GroupLoss(NamedTuple):
    """Loss and probabilities of one sample of each group."""

    value: Float[Array, "*batch G"]  #: nats, of one sample of each group
    wrong: Float[Array, "*batch G G"]  #: [j, g] probability of one wrong class of group j
    log_right: Float[Array, "*batch G"]  #: log-probability of the right class


class CrossEntropy(eqx.Module):
    """Softmax cross-entropy, ``-log softmax(z)[k]`` in nats. Convex, with entropy as its conjugate."""

    def on_groups(self, margins: Float[Array, "*batch G G"], others: Float[Array, "*batch G G"], xp) -> GroupLoss:
        """Evaluate at ``margins[j, g]``, the margin of a class of group g over each of ``others[j, g]`` in group j.

        ``xp`` is ``jax.numpy`` or ``numpy``. Relative accuracy holds down to a loss of 1e-300.
        """
        # The largest rival is taken out first, so that margins of -1000 do not overflow. A rival that counts 0 times
        # stays in: the derivative by its count is not zero.
        lowest = xp.minimum(xp.min(margins, axis=-2), 0.0)
        rivals = xp.exp(lowest[..., None, :] - margins)
        mass = xp.sum(others * rivals, axis=-2)
        shifted = xp.log1p(mass + xp.expm1(lowest))
        # 1 + sum exp(-m) = exp(-lowest) (exp(lowest) + mass)
        total = mass + xp.exp(lowest)
        return GroupLoss(shifted - lowest, rivals / total[..., None, :], lowest - shifted)

    def shrunk_divergence(self, at: GroupLoss, others, shrink, xp) -> Float[Array, "*batch G"]:
        """Fenchel gap ``loss + conjugate(shrink * gradient) - shrink <gradient, z>``, >= 0 and 0 at ``shrink = 1``.

        It is the Kullback-Leibler divergence from the softmax p of ``shrink p + (1 - shrink) e_right``.
        """
        lost = 1 - shrink
        wrong = xp.sum(others * at.wrong, axis=-2)
        right = xp.exp(at.log_right)
        return shrink * wrong * xp.log1p(-lost) + (right + lost * wrong) * xp.log1p(lost * wrong / right)
