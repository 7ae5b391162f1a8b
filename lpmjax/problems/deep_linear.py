"""Deep linear networks on unconstrained features, every layer with a weight decay of its own."""

from typing import Any

import equinox as eqx
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from ..arguments import require_flag
from ..duality import Program
from ..fields import parameter
from ..groups import ClassGroups, ClassOrder
from ..losses.loss import Loss
from ..losses.softmax import CrossEntropy
from ..losses.squared_error import SquaredError
from ..objectives.relu import ReluObjective
from ..objectives.schatten import SchattenObjective
from ..objectives.separable import SeparableObjective
from ..results.deep import DeepSolution
from ..results.kept import KeptSolution, NetworkSolution
from ..results.result import Result
from ..results.solution import Solution
from ..solvers.branch_and_bound import BranchAndBound
from ..solvers.multi_start import MultiStart
from ..solvers.named import Named
from ..solvers.separable import Constructions, Separable
from ..solvers.solver import AbstractSolver
from .grouped import BIAS_DECAY, GroupedProblem, as_loss, common_dtype, is_free
from .problem import as_dim


class DeepLinear(GroupedProblem):
    r"""Deep linear network on unconstrained features, M weight matrices above the features:

    .. math:: \min_{W_M, \dots, W_1, H, b} \sum_k \pi_k\, \frac{1}{n_k} \sum_i \ell(W_M \cdots W_1 h_{k,i} + b, k)
        + \sum_j \frac{\lambda_{W_j}}{2} \|W_j\|_F^2 + \frac{\lambda_H}{2} \|H\|_F^2 + \frac{\lambda_b}{2} \|b\|^2.

    With ``L = M + 1`` factors and P the product of all their decays this is, in the logits ``Z`` (one column per
    class) with singular values sigma of ``Z diag(sqrt n)``, loss plus ``(L/2) P^(1/L) sum sigma^(2/L)``: convex for
    L = 2 only. With squared error, default weights and no bias or a free one it separates over singular
    values, and the global optimum has a closed form and a certificate for every L and ``dim``. Any other model of three
    or more factors has a :class:`lpmjax.DeepSolution`: the best of named structures ("named") or of descents over all
    factors from random starts ("factored"), ``converged``, with a proven lower bound of the global optimum; with
    cross-entropy, no bias and few classes "branch_and_bound" closes the gap.

    Parameters
    ----------
    groups : ClassGroups; ``samples`` are absolute counts here, not only ratios.
    lambda_W : M weight decays, a tuple, list or one-dimensional array, last layer first. Positive, differentiable.
    lambda_H : weight decay of the features. Positive, differentiable.
    loss : CrossEntropy (the default), LogitAdjusted, LabelSmoothing (nats) or SquaredError.
    bias_decay : lambda_b of a last-layer bias b: None for no bias, 0.0 for a free one (static choices), else positive
        and differentiable.
    relu : a ReLU after every weight matrix but the last, static; squared error without a bias only, M >= 2. The result
        is the better of two constructions, ``converged`` (:mod:`lpmjax.objectives.relu`).
    dim : least inner width, static; None means as large as useful.

    Raises
    ------
    ValueError
        If a decay is not finite and positive, ``lambda_W`` is no sequence or empty, ``loss`` is unknown, ``dim`` is not
        a positive integer, or ``relu`` is combined with a bias, another loss, given weights or M = 1.

    Source: Dang et al. (2023), "Neural collapse in deep linear networks"; two layers: Tirer and Bruna (2022);
    ReLU: Súkeník, Lampert and Mondelli (2024); cross-entropy, where the simplex ETF need not be optimal: Garrod and
    Keating (2024).
    """

    groups: ClassGroups
    lambda_W: Float[Array, "*batch M"] = eqx.field(
        metadata=parameter(
            "weight decays of the matrices, last layer first", "They are weight decays.", dims=("layer",)
        )
    )
    lambda_H: Float[Array, "*batch"] = eqx.field(
        metadata=parameter("weight decay of the features", "It is a weight decay.")
    )
    loss: Loss
    bias_decay: Float[Array, "*batch"] | None = eqx.field(metadata=BIAS_DECAY)
    free_bias: bool = eqx.field(static=True)
    relu: bool = eqx.field(static=True)
    dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        groups: ClassGroups,
        lambda_W: Any,
        lambda_H: Any,
        loss: Loss | None = None,
        bias_decay: Any = None,
        relu: bool = False,
        dim: int | None = None,
    ):
        self.dim = as_dim(dim)
        layers = {f"lambda_W[{j}]": decay for j, decay in enumerate(_as_sequence(lambda_W))}
        biased = {} if bias_decay is None else {"bias_decay": bias_decay}
        self.groups, decays = common_dtype(groups, lambda_H=lambda_H, **layers, **biased)
        nx = self.groups.weights.__array_namespace__()
        self.lambda_W, self.lambda_H = nx.stack([decays[name] for name in layers]), decays["lambda_H"]
        self.free_bias = is_free(bias_decay)
        self.bias_decay = None if self.free_bias else decays.get("bias_decay")
        self.loss = as_loss(loss, self.groups)
        self.relu = require_flag("relu", relu)
        if self.relu and not (self.separable and not self.free_bias and len(layers) >= 2):
            raise ValueError(
                "relu = True is out of range: it needs loss=SquaredError(), bias_decay=None, groups without weights of "
                "their own, and at least two decays in lambda_W."
            )
        if self.result is DeepSolution and self.groups.order is None:
            self.groups = self.groups.with_order(_order_of(self.groups))
        self.check()

    @property
    def num_factors(self) -> int:
        """L = M + 1, static."""
        return self.lambda_W.shape[-1] + 1

    @property
    def price(self) -> Float[Array, "*batch"]:
        """c = (L/2) P^(1/L), of the sum of ``sigma_i^(2/L)`` of ``Z diag(omega)``."""
        nx, L = self.lambda_W.__array_namespace__(), self.num_factors
        # The product of the roots does not underflow where the root of the product would.
        return 0.5 * L * nx.prod(self.lambda_W ** (1 / L), axis=-1) * self.lambda_H ** (1 / L)

    @property
    def penalty(self) -> Float[Array, "*batch"]:
        """The price."""
        return self.price

    @property
    def omega(self) -> Float[Array, "*batch G"]:
        """Square roots of the samples per class: every sample has its own decayed feature."""
        samples = self.groups.samples
        return samples.__array_namespace__().sqrt(samples)

    @property
    def classifier_scale(self) -> Float[Array, "*batch"]:
        """Squared singular values of the product of the weight matrices over sigma^(2M/L)."""
        return self.lambda_W.__array_namespace__().prod(self.sizes[..., :-1], axis=-1)

    @property
    def sizes(self) -> Float[Array, "*batch L"]:
        """P^(1/L) over each decay: squared singular values of the factors over sigma^(2/L), last layer first."""
        nx = self.lambda_W.__array_namespace__()
        decays = nx.concatenate([self.lambda_W, self.lambda_H[..., None]], axis=-1)
        return (2 / self.num_factors) * self.price[..., None] / decays

    @property
    def separable(self) -> bool:
        """Whether singular values decide one by one: squared error, weights by default, no bias or a free one."""
        return type(self.loss) is SquaredError and self.bias_decay is None and self.groups.default_weights

    @property
    def result(self) -> type[Result]:  # pyright: ignore[reportIncompatibleVariableOverride] (by the objective)
        """Kind of its solutions."""
        if self.relu:
            return NetworkSolution
        if self.separable:
            return KeptSolution
        return Solution if self.num_factors == 2 else DeepSolution

    @property
    def unordered(self) -> GroupedProblem:
        """With the order where results are class by class: how many classes there are is a shape then."""
        return self if self.result is DeepSolution else super().unordered

    def is_valid(self) -> Bool[Array, "*batch"]:
        """Also whether a trace takes groups for single classes that are more."""
        if self.result is not DeepSolution:
            return super().is_valid()
        classes = self.groups.classes
        members = np.bincount(self.groups.class_index, minlength=classes.shape[-1])
        return super().is_valid() & (classes == members).all(-1)

    @property
    def is_linear(self) -> bool:
        """Without a bias or ReLUs."""
        return not (self.has_bias or self.relu)

    def objective(self) -> Any:
        """Separable over singular values, or convex, or as it is."""
        if self.relu:
            return ReluObjective(Program.of(self), self.classifier_scale, self.sizes, self.dim)
        if self.separable:
            return SeparableObjective(Program.of(self), self.classifier_scale, self.sizes, self.dim)
        if self.num_factors == 2:
            return super().objective()
        depth = self.price.__array_namespace__().full_like(self.price, self.num_factors)
        scale = self.price.__array_namespace__().sqrt(self.classifier_scale)
        order = self.groups.order or ClassOrder(self.groups.class_index)
        return SchattenObjective(Program.of(self), depth, scale, self.dim, order)

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """A closed form where singular values separate; as for every problem of groups with two factors."""
        if self.relu:
            return (Constructions(),)
        if self.separable:
            return (Separable(),)
        if self.num_factors == 2:
            return super().solvers
        if not self.loss.shift_invariant:  # the named structures have logits that sum to zero
            return (MultiStart(),)
        named = (Named(), MultiStart()) if self.groups.num_groups == 1 else (MultiStart(), Named())
        K = self.groups.class_index.size
        wide = 2 <= K <= 5 and (self.dim is None or self.dim >= K - 1)
        plain = type(self.loss) is CrossEntropy and not self.has_bias
        return (*named, BranchAndBound()) if plain and wide else named


def _order_of(groups: ClassGroups) -> ClassOrder:
    """Group of each class, group after group; traced groups are taken for single classes."""
    if not isinstance(groups.classes, Tracer):
        counts = np.asarray(groups.classes)
        if not np.array_equal(np.rint(counts), counts):
            raise ValueError(f"deep models need whole numbers of classes, got classes = {counts}.")
        return ClassOrder(groups.class_index)
    if groups.num_groups == 1:
        raise ValueError("classes is traced, but here is a shape: make the groups outside, or by per_class.")
    return ClassOrder(np.arange(groups.num_groups))


def _as_sequence(lambda_W: Any) -> list[Any]:
    """One decay for each weight matrix."""
    if not isinstance(lambda_W, (tuple, list)) and getattr(lambda_W, "ndim", 0) != 1:
        raise ValueError(
            "lambda_W must hold one decay for each of the M weight matrices, last layer first, as (1e-3, 1e-3) for "
            f"two or (1e-3,) for one, got {lambda_W!r}."
        )
    if len(lambda_W) == 0:
        raise ValueError("lambda_W is empty: a network has at least one weight matrix, as lambda_W=(1e-3,).")
    return list(lambda_W)
