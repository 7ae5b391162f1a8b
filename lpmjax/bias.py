"""Kinds of last-layer bias: none, a free one, one with weight decay."""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float


class Bias(eqx.Module):
    """What a bias of one number a class may be, and what it costs."""

    #: whether there is one
    present: ClassVar[bool] = True
    #: whether logits may be shifted by it at no cost: dual points then sum to zero over samples
    free: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def decay(self) -> Any:
        """(...,) lambda_b, zero for a free one."""

    def paid(self, bias: Any, classes: Any) -> Any:
        """What the objective pays for it."""
        return 0.0


class NoBias(Bias):
    """Logits are W H."""

    present = False

    @property
    def decay(self):
        """There is nothing to pay for."""
        return 0.0


class FreeBias(Bias):
    """A bias that costs nothing."""

    free = True

    @property
    def decay(self):
        """Zero."""
        return 0.0


class DecayedBias(Bias):
    """A bias that pays ``lambda_b |b|^2 / 2``."""

    rate: Float[Array, "*batch"]

    @property
    def decay(self):
        """lambda_b."""
        return self.rate

    def paid(self, bias, classes):
        """Half the squared norm, times the decay."""
        nx = bias.__array_namespace__()
        return 0.5 * self.rate * nx.sum(classes * bias * bias, axis=-1)
