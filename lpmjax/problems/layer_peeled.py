"""The Layer-Peeled Model: cross-entropy under norm budgets on classifier and features."""

from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from ..fields import parameter
from ..groups import ClassGroups
from ..losses.loss import Loss
from .grouped import GroupedProblem, as_loss, common_dtype
from .problem import as_dim


class LayerPeeled(GroupedProblem):
    r"""Layer-Peeled Model:

    .. math:: \min_{W, H} \sum_k \pi_k\, \frac{1}{n_k} \sum_i \ell(W h_{k,i}, k) \quad\text{s.t.}\quad
        \frac1K \sum_k \|w_k\|^2 \le E_W,\quad \frac1K \sum_k \frac1{n_k} \sum_i \|h_{k,i}\|^2 \le E_H.

    Features of a class coincide at an optimum, and the two budgets are one nuclear-norm ball:
    ``||Z||_* <= K sqrt(E_W E_H)`` for the logits ``Z = W H`` (Schatten variational form), which is convex. Since
    ``1ᵀ Z = 0`` at cross-entropy optima, ``dim >= K - 1`` loses nothing.

    Parameters
    ----------
    groups : ClassGroups with G groups.
    E_W, E_H : budgets, mean squared norm of a classifier row and of a feature. Positive, differentiable.
    loss : a Loss, by default CrossEntropy; one that is not convex, as Focal, may leave the gap open.
    dim : feature dimension, static; None means as large as useful.

    Raises
    ------
    ValueError
        If a budget is not finite and positive, ``loss`` is unknown or ``dim`` is not a positive integer.

    Source: Fang, He, Long and Su (2021), "Exploring deep neural networks via layer-peeled model" (PNAS).
    """

    groups: ClassGroups
    E_W: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("budget: mean squared norm of a classifier row", "It is a mean squared norm.")
    )
    E_H: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("budget: mean squared norm of a feature", "It is a mean squared norm.")
    )
    loss: Loss
    dim: int | None = eqx.field(static=True)
    bias_decay: ClassVar[None] = None
    free_bias: ClassVar[bool] = False

    def __init__(self, groups: ClassGroups, E_W: Any, E_H: Any, loss: Loss | None = None, dim: int | None = None):
        self.dim = as_dim(dim)
        self.groups, budgets = common_dtype(groups, E_W=E_W, E_H=E_H)
        self.loss = as_loss(loss, self.groups)
        self.E_W, self.E_H = budgets["E_W"], budgets["E_H"]
        self.check()

    @staticmethod
    def two_group(
        K_A: Any, K_B: Any, R: Any, E_W: Any, E_H: Any, loss: Loss | None = None, dim: int | None = None
    ) -> "LayerPeeled":
        """K_A classes of R samples and K_B of one: ``LayerPeeled(ClassGroups.two_group(K_A, K_B, R), E_W, E_H)``."""
        return LayerPeeled(ClassGroups.two_group(K_A, K_B, R), E_W, E_H, loss, dim)

    @property
    def omega(self) -> Float[Array, "*batch G"]:
        """Ones: both budgets average over classes."""
        weights = self.groups.weights
        return weights.__array_namespace__().ones_like(weights)

    @property
    def budget(self) -> Float[Array, "*batch"]:
        """K sqrt(E_W E_H)."""
        # The product of the roots does not underflow where the root of the product would.
        nx = self.E_W.__array_namespace__()
        return self.groups.num_classes * nx.sqrt(self.E_W) * nx.sqrt(self.E_H)

    @property
    def classifier_scale(self) -> Float[Array, "*batch"]:
        """sqrt(E_W / E_H)."""
        nx = self.E_W.__array_namespace__()
        return nx.sqrt(self.E_W) / nx.sqrt(self.E_H)
