"""Powers of the softmax's own errors."""

from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from ..arguments import scalars
from ..fields import check_ranges, parameter
from .loss import GroupLoss, Loss
from .softmax import CrossEntropy


class PowerSoftmax(Loss):
    """``(1 - p_k)^q + sum_(j != k) p_j^q`` of the softmax p, ``q >= 1``: the loss g1(p_k) + sum g2(p_j) with
    ``g1(x) = (1 - x)^q`` and ``g2(x) = x^q``. ``q = 2`` is the squared distance of the softmax from its target.

    It is bounded, and so not convex in the logits. At small norm budgets the simplex ETF is not its optimum: there it
    pays to drop classes altogether (:func:`lpmjax.boundary.dropped_class`).
    """

    q: Float[Array, "*batch"] = eqx.field(
        metadata=parameter(
            "exponent of the softmax's errors",
            "It is the exponent of 1 - p_k and of every wrong p_j; below 1 slopes are infinite.",
            allowed="finite and >= 1",
            accepts=lambda q: (q >= 1) & (q < float("inf")),
        )
    )
    sigmoidal: ClassVar[bool] = True

    def __init__(self, q: Any = 2.0):
        self.q = scalars(q=q)["q"]
        check_ranges(self)

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """The slope by a logit is its probability times what its own error weighs more than the mean one."""
        nx = margins.__array_namespace__()
        plain = CrossEntropy().on_groups(margins, rival_counts)
        wrong, q = plain.softmax, self.q[..., None]
        missed = nx.sum(rival_counts * wrong, axis=-2)  # 1 - p_k, without the difference
        of_right, of_wrong = self._power(missed, q), self._power(wrong, q[..., None, :])
        value = of_right + nx.sum(rival_counts * of_wrong, axis=-2)
        # q (p_j^(q-1) - mean), mean = sum_i p_i (slope by p_i): that of the right class is -(1 - p_k)^(q-1).
        of_right = self._power(missed, q - 1)
        mean = nx.sum(rival_counts * of_wrong, axis=-2) - nx.exp(plain.log_right) * of_right
        slope = q[..., None, :] * (self._power(wrong, q[..., None, :] - 1) - mean[..., None, :])
        return plain._replace(value=value, wrong=slope * wrong)

    @staticmethod
    def _power(x, exponent):
        """``x^exponent``, with clean derivatives where x has underflowed to zero."""
        nx = x.__array_namespace__()
        return nx.where(x > 0, nx.where(x > 0, x, 1.0) ** exponent, nx.where(exponent > 0, 0.0, 1.0))
