"""Unconstrained features with weight decay: the form that trained networks have."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ..arguments import require_flag, require_positive, scalars
from ..duality import Program
from ..fields import parameter
from ..groups import ClassGroups
from ..losses.loss import Loss
from ..losses.softmax import CrossEntropy
from ..losses.squared_error import SquaredError
from ..objectives.of_groups import GroupObjective
from ..objectives.orthogonal import OrthogonalObjective
from ..solvers.factored import Factored
from ..solvers.orthogonal import Orthogonal
from ..solvers.soft_threshold import SoftThreshold
from ..solvers.solver import AbstractSolver
from .grouped import BIAS_DECAY, GroupedProblem, as_loss, common_dtype, is_free
from .problem import as_dim


class UnconstrainedFeatures(GroupedProblem):
    r"""Unconstrained features model with weight decay on classifier and features:

    .. math:: \min_{W, H, b} \sum_k \pi_k\, \frac{1}{n_k} \sum_i \ell(W h_{k,i} + b, k)
        + \frac{\lambda_W}{2} \|W\|_F^2 + \frac{\lambda_H}{2} \|H\|_F^2 + \frac{\lambda_b}{2} \|b\|^2

    over all ``N = sum n_k`` features. In the logits ``Z`` (one column per class) this is the convex program
    ``sum_k pi_k loss(z_k + b, k) + sqrt(lambda_W lambda_H) ||Z diag(sqrt n)||_* + lambda_b |b|^2 / 2``. A group of two
    or more equal classes is merged exactly when ``slack <= 0``, for default weights when
    ``n_k <= N² lambda_W lambda_H``.

    With ``nonnegative=True`` features are constrained to ``H >= 0``, as behind a ReLU, and classes decouple: the
    features are orthogonal, and class k is zero exactly when ``n_k <= N² lambda_W lambda_H K / (K - 1)``.

    Parameters
    ----------
    groups : ClassGroups; ``samples`` are absolute counts here, not only ratios.
    lambda_W, lambda_H : weight decays, positive, differentiable.
    loss : a Loss, by default CrossEntropy; one that is not convex, as Focal, may leave the gap open.
    bias_decay : lambda_b of a last-layer bias b: None for no bias, 0.0 for a free one (static choices), else positive
        and differentiable.
    nonnegative : ReLU features, static; cross-entropy without a bias only.
    dim : feature dimension, static; None means as large as useful.

    Raises
    ------
    ValueError
        If a decay is not finite and positive, ``loss`` is unknown, ``dim`` is not a positive integer, or
        ``nonnegative`` is combined with a bias or another loss.

    Source: Zhu et al. (2021); the imbalanced threshold is Hong and Ling (2023), ReLU features Dang et al. (2024).
    """

    groups: ClassGroups
    lambda_W: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("weight decay of the classifier", "It is a weight decay.")
    )
    lambda_H: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("weight decay of the features", "It is a weight decay.")
    )
    loss: Loss
    bias_decay: Float[Array, "*batch"] | None = eqx.field(metadata=BIAS_DECAY)
    free_bias: bool = eqx.field(static=True)
    nonnegative: bool = eqx.field(static=True)
    dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        groups: ClassGroups,
        lambda_W: Any,
        lambda_H: Any,
        loss: Loss | None = None,
        bias_decay: Any = None,
        nonnegative: bool = False,
        dim: int | None = None,
    ):
        self.dim = as_dim(dim)
        biased = {} if bias_decay is None else {"bias_decay": bias_decay}
        self.groups, decays = common_dtype(groups, lambda_W=lambda_W, lambda_H=lambda_H, **biased)
        self.lambda_W, self.lambda_H = decays["lambda_W"], decays["lambda_H"]
        self.free_bias = is_free(bias_decay)
        self.bias_decay = None if self.free_bias else decays.get("bias_decay")
        self.loss = as_loss(loss, self.groups)
        self.nonnegative = require_flag("nonnegative", nonnegative)
        if self.nonnegative and (type(self.loss) is not CrossEntropy or bias_decay is not None):
            raise ValueError(
                "nonnegative = True is out of range: ReLU features need loss=CrossEntropy() and bias_decay=None."
            )
        self.check()

    @staticmethod
    def two_group(
        K_A: Any,
        K_B: Any,
        R: Any,
        lambda_W: Any,
        lambda_H: Any,
        n_B: Any = 1.0,
        loss: Loss | None = None,
        bias_decay: Any = None,
        dim: int | None = None,
    ) -> "UnconstrainedFeatures":
        """K_A classes of R n_B samples and K_B of n_B."""
        n_B = scalars(n_B=n_B)["n_B"]
        require_positive("It counts the samples of a class.", n_B=n_B)
        groups = ClassGroups.two_group(K_A, K_B, R)
        groups = ClassGroups(groups.classes, groups.samples * n_B)
        return UnconstrainedFeatures(groups, lambda_W, lambda_H, loss=loss, bias_decay=bias_decay, dim=dim)

    @property
    def omega(self) -> Float[Array, "*batch G"]:
        """Square roots of the samples per class: every sample has its own decayed feature."""
        samples = self.groups.samples
        return samples.__array_namespace__().sqrt(samples)

    @property
    def penalty(self) -> Float[Array, "*batch"]:
        """sqrt(lambda_W lambda_H)."""
        nx = self.lambda_W.__array_namespace__()
        return nx.sqrt(self.lambda_W) * nx.sqrt(self.lambda_H)

    @property
    def classifier_scale(self) -> Float[Array, "*batch"]:
        """sqrt(lambda_H / lambda_W)."""
        nx = self.lambda_W.__array_namespace__()
        return nx.sqrt(self.lambda_H) / nx.sqrt(self.lambda_W)

    @property
    def is_linear(self) -> bool:
        """Without a bias, and features are not kept >= 0."""
        return not (self.has_bias or self.nonnegative)

    def objective(self) -> GroupObjective:
        """As for every problem of groups, or with orthogonal non-negative features."""
        if self.nonnegative:
            return OrthogonalObjective(Program.of(self), self.classifier_scale)
        return super().objective()

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """As for every problem of groups; ReLU features have a closed form, and a bias under squared error can have."""
        if self.nonnegative:
            return Orthogonal(), Factored()
        known = self.groups.default_weights if self.free_bias else self.groups.num_groups == 1
        if type(self.loss) is SquaredError and self.has_bias and known:
            return SoftThreshold(), *super().solvers
        return super().solvers
