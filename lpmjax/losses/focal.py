"""The focal loss: cross-entropy that fades where the class is right already."""

from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from ..arguments import scalars
from ..fields import check_ranges, parameter
from .loss import GroupLoss, Loss
from .softmax import CrossEntropy


class Focal(Loss):
    """Focal loss ``-(1 - p_k)^gamma log p_k`` of the softmax p, ``gamma >= 0``, in nats; 0 is cross-entropy.

    It is a function of ``log((1 - p_k) / p_k)``, which is convex in the logits, and convex itself exactly where that
    function is: where ``p_k`` is at least some ``p(gamma)``, whatever the number of classes (``p(gamma)`` = 0.0432,
    0.0578, 0.0575 for ``gamma`` = 1, 2, 3). Below, it is not convex for any ``gamma > 0``.

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

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Cross-entropy times ``(1 - p_k)^gamma``, and the slopes of that by the chain rule."""
        nx = margins.__array_namespace__()
        plain = CrossEntropy().on_groups(margins, rival_counts)
        missed = nx.sum(rival_counts * plain.softmax, axis=-2)  # 1 - p_k, without the difference
        safe = nx.where(missed > 0, missed, 1.0)
        gamma = self.gamma[..., None]
        faded = nx.where(missed > 0, safe**gamma, 0.0)
        slope = faded * (1 + gamma * nx.exp(plain.log_right) * plain.value / safe)
        return plain._replace(value=faded * plain.value, wrong=slope[..., None, :] * plain.wrong)
