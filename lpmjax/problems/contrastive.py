"""Supervised contrastive learning of unconstrained features."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..arguments import require
from ..fields import parameter
from ..groups import ClassGroups
from ..objectives.contrastive import ContrastiveObjective
from ..results.features import FeatureSolution
from ..results.result import Result
from ..solvers.contrastive import BalancedFeatures, FeatureDescent
from ..solvers.solver import AbstractSolver
from .grouped import common_dtype
from .problem import Problem, as_dim


class SupervisedContrastive(Problem):
    r"""Supervised contrastive loss of features, no classifier:

    .. math:: \min_H \sum_k \pi_k \frac{1}{n_k^2} \sum_{i, j} -\log
        \frac{\exp(h_{k,i}^\top h_{k,j} / t)}{\sum_{l, m} \exp(h_{k,i}^\top h_{l,m} / t)}
        \quad\text{s.t.}\quad \frac1K \sum_k \frac1{n_k} \sum_i \|h_{k,i}\|^2 \le E_H.

    Every sum is over all samples, the anchor itself included (as in Fang et al. 2021). Features of a class coincide at
    an optimum, and in the inner products of the class features the problem is convex: any class counts are certified.
    Balanced, the features are a simplex ETF, of value ``log n + log(1 + (K - 1) exp(-K E_H / ((K - 1) t)))``.

    Parameters
    ----------
    groups : ClassGroups with G groups; ``samples`` are numbers of features here, at least 1 each.
    E_H : budget, mean squared norm of a feature. Positive, differentiable.
    temperature : t, divides every inner product. Positive, differentiable.
    dim : feature dimension, static; None means as large as useful.

    Raises
    ------
    ValueError
        If a number is not finite and positive, ``samples`` are below 1, or ``dim`` is not a positive integer.

    Source: Khosla et al. (2020), "Supervised contrastive learning"; its neural collapse: Graf et al. (2021),
    "Dissecting supervised contrastive learning", and Fang et al. (2021).
    """

    groups: ClassGroups
    E_H: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("budget: mean squared norm of a feature", "It is a mean squared norm.")
    )
    temperature: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("temperature that divides inner products", "It divides inner products.")
    )
    dim: int | None = eqx.field(static=True)
    result: ClassVar[type[Result]] = FeatureSolution

    def __init__(self, groups: ClassGroups, E_H: Any, temperature: Any = 1.0, dim: int | None = None):
        self.dim = as_dim(dim)
        self.groups, numbers = common_dtype(groups, E_H=E_H, temperature=temperature)
        self.E_H, self.temperature = numbers["E_H"], numbers["temperature"]
        self.check()

    def check(self) -> None:
        """Raise ValueError for the first bad entry of concrete (also batched) leaves."""
        super().check()
        require("samples", self.groups.samples, ">= 1", lambda n: n >= 1, "They count the features of a class.")

    def is_valid(self) -> Bool[Array, "*batch"]:
        """The same conditions as a traced flag."""
        return super().is_valid() & jnp.all(self.groups.samples >= 1, -1)

    @property
    def size(self) -> int:
        """G."""
        return self.groups.num_groups

    @property
    def unordered(self) -> "SupervisedContrastive":
        """The same without the order of the classes."""
        return eqx.tree_at(lambda p: p.groups, self, self.groups.with_order(None))

    def objective(self) -> ContrastiveObjective:
        """The convex program in the inner products."""
        groups = self.groups
        budget = groups.num_classes * self.E_H
        return ContrastiveObjective(groups.classes, groups.weights, groups.samples, self.temperature, budget)

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """The closed form of one group; a descent for all."""
        return ((BalancedFeatures(),) if self.groups.num_groups == 1 else ()) + (FeatureDescent(),)
