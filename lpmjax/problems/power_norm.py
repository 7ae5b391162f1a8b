"""The Layer-Peeled Model with another norm for its features."""

from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..fields import parameter
from ..groups import ClassGroups
from ..objectives.power_norm import PowerNormObjective
from ..results.pair import PairSolution
from ..results.result import Result
from ..solvers.power_norm import PowerNormDescent
from ..solvers.solver import AbstractSolver
from .grouped import common_dtype
from .problem import Problem, as_dim


class PowerNormPeeled(Problem):
    r"""Layer-Peeled Model whose features pay by the q-th powers of their entries:

    .. math:: \min_{W, H} \sum_k \pi_k \ell(W h_k, k) \quad\text{s.t.}\quad
        \frac1K \sum_k \|w_k\|_2^2 \le E_W,\quad \frac1K \sum_k \|h_k\|_q^q \le E_H.

    For q other than 2 and K >= 3 no minimiser is a simplex ETF with h_k along w_k (Fang et al. 2021). Not rotation
    invariant, so not a convex problem in the logits: solved by descents from random starts, the best of which is
    ``converged``. ``lower_bound`` is that of the Layer-Peeled Model with a Euclidean budget that holds all such
    features. For q > 2 the value depends on ``dim``.

    Parameters
    ----------
    groups : ClassGroups of single classes (:meth:`ClassGroups.per_class`).
    E_W, E_H : budgets, means over classes. Positive, differentiable.
    q : exponent, above 1, differentiable.
    dim : feature dimension, static; None means K.

    Raises
    ------
    ValueError
        If a number is out of range, a group has more than one class, or ``dim`` is not a positive integer.
    """

    groups: ClassGroups
    E_W: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("budget: mean squared norm of a classifier row", "It is a mean squared norm.")
    )
    E_H: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("budget: mean sum of the q-th powers of a feature", "It is a mean of |h|^q.")
    )
    q: Float[Array, "*batch"] = eqx.field(
        metadata=parameter(
            "exponent of the features' budget",
            "It is the exponent of the entries of a feature.",
            allowed="finite and > 1",
            accepts=lambda q: (q > 1) & (q < float("inf")),
        )
    )
    dim: int | None = eqx.field(static=True)
    result: ClassVar[type[Result]] = PairSolution

    def __init__(self, groups: ClassGroups, E_W: Any, E_H: Any, q: Any, dim: int | None = None):
        self.dim = as_dim(dim)
        self.groups, numbers = common_dtype(groups, E_W=E_W, E_H=E_H, q=q)
        self.E_W, self.E_H, self.q = numbers["E_W"], numbers["E_H"], numbers["q"]
        classes = self.groups.classes
        if not isinstance(classes, Tracer) and (np.asarray(classes) != 1).any():
            raise ValueError(f"groups have classes = {np.asarray(classes)}: use ClassGroups.per_class, one of each.")
        self.check()

    @property
    def size(self) -> int:
        """K."""
        return self.groups.num_groups

    def is_valid(self):
        """Ranges, and one class in each group."""
        nx = self.groups.classes.__array_namespace__()
        return super().is_valid() & nx.all(self.groups.classes == 1, axis=-1)

    def objective(self) -> Any:
        """On the sums over classes."""
        K = self.size
        return PowerNormObjective(self.groups.weights, K * self.E_W, K * self.E_H, self.q)

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """Descents from random starts."""
        return (PowerNormDescent(),)
