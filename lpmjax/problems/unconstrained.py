"""Unconstrained features with weight decay: the form that trained networks have."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..arguments import is_positive, require_positive
from ..groups import ClassGroups
from ..losses import CrossEntropy
from .problem import Problem, check_static, common_dtype


class UnconstrainedFeatures(Problem):
    r"""Unconstrained features model with weight decay on classifier and features:

    .. math:: \min_{W, H} \sum_k \pi_k\, \frac{1}{n_k} \sum_i \ell(W h_{k,i}, k)
        + \frac{\lambda_W}{2} \|W\|_F^2 + \frac{\lambda_H}{2} \|H\|_F^2

    over all ``N = sum n_k`` features. In the logits ``Z`` (one column per class) this is the convex program
    ``sum_k pi_k loss(z_k, k) + sqrt(lambda_W lambda_H) ||Z diag(sqrt n)||_*``. A group of two or more equal classes is
    merged exactly when ``slack <= 0``, for default weights when ``n_k <= N² lambda_W lambda_H``.

    Parameters
    ----------
    groups : ClassGroups; ``samples`` are absolute counts here, not only ratios.
    lambda_W, lambda_H : weight decays, positive, differentiable.
    loss : CrossEntropy (nats).    dim : feature dimension, static; None means as large as useful.

    Raises
    ------
    ValueError
        If a decay is not finite and positive, ``loss`` is unknown or ``dim`` is not a positive integer.

    Source: Zhu et al. (2021); the imbalanced threshold is Hong and Ling (2023).
    """

    groups: ClassGroups
    lambda_W: Float[Array, ""]
    lambda_H: Float[Array, ""]
    loss: CrossEntropy
    dim: int | None

    def __init__(
        self,
        groups: ClassGroups,
        lambda_W: Any,
        lambda_H: Any,
        loss: CrossEntropy | None = None,
        dim: int | None = None,
    ):
        self.loss = CrossEntropy() if loss is None else loss
        self.dim = check_static(self.loss, dim)
        self.groups, decays = common_dtype(groups, lambda_W=lambda_W, lambda_H=lambda_H)
        self.lambda_W, self.lambda_H = decays["lambda_W"], decays["lambda_H"]
        self.check()

    @property
    def omega(self) -> Float[Array, " G"]:
        """Square roots of the samples per class: every sample has its own decayed feature."""
        return jnp.sqrt(self.groups.samples)

    @property
    def penalty(self) -> Float[Array, ""]:
        """sqrt(lambda_W lambda_H)."""
        return jnp.sqrt(self.lambda_W) * jnp.sqrt(self.lambda_H)

    @property
    def classifier_scale(self) -> Float[Array, ""]:
        """sqrt(lambda_H / lambda_W)."""
        return jnp.sqrt(self.lambda_H) / jnp.sqrt(self.lambda_W)

    def check(self) -> None:
        """Raise ValueError for the first bad entry of concrete (also batched) leaves."""
        self.groups.check()
        require_positive("It is a weight decay.", lambda_W=self.lambda_W, lambda_H=self.lambda_H)

    def is_valid(self) -> Bool[Array, ""]:
        """The same conditions as a traced flag."""
        return self.groups.is_valid() & is_positive(self.lambda_W) & is_positive(self.lambda_H)
