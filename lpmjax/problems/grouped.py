"""Problems of classes in groups: a loss of the logits and a spectral cost of them, as a hard budget or at a price."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..arguments import require_precision, require_type, scalars
from ..duality import Program
from ..fields import parameter, words_of
from ..groups import ClassGroups
from ..losses.loss import ConvexLoss, Loss
from ..losses.softmax import CrossEntropy
from ..losses.squared_error import SquaredError
from ..objectives.nonconvex import NonconvexObjective
from ..objectives.nuclear import NuclearObjective
from ..objectives.of_groups import GroupObjective
from ..results.solution import Solution
from ..solvers.balanced import BalancedMargin
from ..solvers.closed_form import ClosedForm
from ..solvers.factored import Factored
from ..solvers.grouped import Grouped
from ..solvers.soft_threshold import SoftThreshold
from ..solvers.solver import AbstractSolver
from ..solvers.two_group import TwoGroup
from ..written import Rounding, as_written
from .problem import Problem

#: words of a ``bias_decay``, of which a free one is None in the field
BIAS_DECAY = parameter(
    "weight decay of the last-layer bias",
    "It is a weight decay; 0.0 is a free bias, None no bias.",
    allowed="finite and >= 0",
)


class GroupedProblem(Problem):
    """Minimise ``sum_k weights_k loss(z_k, k)`` with ``||Z diag(omega)||_*`` within a budget or at a price."""

    groups: eqx.AbstractVar[ClassGroups]
    loss: eqx.AbstractVar[Loss]
    #: decay of the last-layer bias, or None for a model without one that pays
    bias_decay: eqx.AbstractVar[Float[Array, "*batch"] | None]
    #: whether there is a last-layer bias that costs nothing (static)
    free_bias: eqx.AbstractVar[bool]
    result: ClassVar[type[Solution]] = Solution

    @property
    @abc.abstractmethod
    def omega(self) -> Float[Array, "*batch G"]:
        """(G,) weight of each class's logit column in the spectral cost."""

    @property
    def has_bias(self) -> bool:
        """Whether there is a last-layer bias, free or decayed."""
        return self.free_bias or self.bias_decay is not None

    @property
    def is_linear(self) -> bool:
        """Whether the logits are a product of free factors, without a bias or a ReLU."""
        return not self.has_bias

    @property
    def budget(self) -> Float[Array, "*batch"] | None:
        """Largest spectral cost allowed, or None for a penalised problem."""
        return None

    @property
    def on_budget(self) -> bool:
        """Whether the spectral cost is limited, not paid for; known without computing either."""
        return type(self).budget is not GroupedProblem.budget

    @property
    def penalty(self) -> Float[Array, "*batch"] | None:
        """Price of the spectral cost, or None for a constrained problem."""
        return None

    @property
    @abc.abstractmethod
    def classifier_scale(self) -> Float[Array, "*batch"]:
        """sqrt(E_W / E_H) or its like: W Wᵀ is this times (Z Omega² Zᵀ)^(1/2), and Hᵀ H that over this."""

    def objective(self) -> GroupObjective:
        """The program in the logits, convex if the loss is."""
        kind = NuclearObjective if isinstance(self.loss, ConvexLoss) else NonconvexObjective
        return kind(Program.of(self), self.classifier_scale)

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """Closed forms and a scalar root for cross-entropy and squared error without a bias; a descent for all.

        Of a loss that is not convex equal classes can differ: only a descent over W and H finds them on a budget.
        """
        groups, exact = self.groups.num_groups, ()
        if not isinstance(self.loss, ConvexLoss):
            one = groups == 1 and self.loss.sigmoidal and not self.has_bias
            descent, simplex = (Factored(),), (BalancedMargin(),) if one else ()
            return descent + simplex if self.on_budget else simplex + descent
        if type(self.loss) is CrossEntropy and not self.has_bias:
            exact = {1: (ClosedForm(),), 2: (TwoGroup(),)}.get(groups, ())
        if type(self.loss) is SquaredError and not self.has_bias:
            exact = (SoftThreshold(),)
        return (*exact, Grouped(), Factored())

    @property
    def scalars(self) -> dict[str, float]:
        """Budgets or decays, by name."""
        given = ((name, getattr(self, name)) for name in words_of(self))
        return {name: float(value) for name, value in given if value is not None}

    @property
    def size(self) -> int:
        """G."""
        return self.groups.num_groups

    def as_written(self) -> tuple["GroupedProblem", Rounding | None]:
        """With whole numbers and weights restored (:func:`lpmjax.written.as_written`)."""
        return as_written(self)

    @property
    def unordered(self) -> "GroupedProblem":
        """The same without the order of the classes: only logits and factors need it."""
        return eqx.tree_at(lambda p: p.groups, self, self.groups.with_order(None))


def as_loss(loss: Any, groups: Any) -> Loss:
    """The loss, by default cross-entropy, with its parameters in the dtype of the groups."""
    loss = CrossEntropy() if loss is None else loss
    require_type("loss", loss, Loss, "a lpmjax loss such as CrossEntropy(), LabelSmoothing(epsilon) or SquaredError()")
    loss.fit(groups.num_groups)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, groups.weights.dtype), loss)


def is_free(bias_decay: Any) -> bool:
    """Whether a decay stands for a free bias: 0.0, as the caller gave it. Under a trace arrays made of Python numbers
    are traced as well, so an array of the problem cannot tell."""
    return bias_decay is not None and not isinstance(bias_decay, Tracer) and bool(np.asarray(bias_decay) == 0)


def common_dtype(groups: Any, **values: Any) -> tuple[ClassGroups, dict[str, Array]]:
    """Groups and parameters as leaves of one dtype."""
    require_type("groups", groups, ClassGroups, "a lpmjax.ClassGroups")
    if groups.weights.ndim != 1:
        raise ValueError(f"groups are batched, of shape {groups.weights.shape}: build the problem inside jax.vmap.")
    require_precision(groups=groups)
    arrays = scalars(**values, groups=np.ones((), groups.weights.dtype))
    dtype = arrays.pop("groups").dtype
    if dtype != groups.weights.dtype:
        groups = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), groups)
    return groups, arrays
