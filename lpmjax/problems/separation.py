"""Minimum-norm separation of unconstrained features: where gradient flow of the model without decay tends."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..arguments import leaves
from ..fields import parameter
from ..groups import ClassGroups
from ..objectives.separation import SeparationObjective
from ..results.result import Result
from ..results.separation import SeparationSolution
from ..solvers.separation import SimplexEncoding
from ..solvers.solver import AbstractSolver
from ..written import half_ulp
from .grouped import common_dtype
from .problem import Problem, as_dim

#: power of the samples of a class that weighs its logits: all that a norm means
_POWERS = {"per_sample": 0.5, "class_average": 0.0}


class Separation(Problem):
    r"""Minimum-norm separation, the hard-margin problem of unconstrained features (unconstrained layer-peeled model):

    .. math:: \min_{W, H} \tfrac12 \|W\|_F^2 + \tfrac12 \sum_k \tfrac{\omega_k^2}{n_k} \sum_i \|h_{k,i}\|^2
        \quad\text{s.t.}\quad \delta_k w_k^\top h_{k,i} - \delta_j w_j^\top h_{k,i} \ge 1 \quad (j \ne k).

    Gradient flow of cross-entropy over (W, H) without decay tends in direction to a KKT point of it, with
    ``omega_k^2 = n_k``: every sample pays for its own feature. In the logits Z it is convex, the least
    ``||Z diag(omega)||_*`` with all margins at least 1, and solved for any counts by
    ``Z = (I - v vᵀ / |v|^2) diag(v)``, ``v_k = 1 / delta_k``, at which every margin is 1: with ``delta = 1`` the
    simplex-encoded labels (SELI), balanced the simplex ETF, of value ``sqrt(n) (K - 1)``. The dual is positive
    (``proofs``: ``ulpm.seli``), so the optimum is unique.

    Parameters
    ----------
    groups : ClassGroups; ``samples`` are absolute counts here. Loss weights change no hard margin.
    dim : feature dimension, static; None means as large as useful. At least K - 1.
    delta : (G,) factor of the logit of a class in every margin, one for each group (the hard margin of
        :class:`lpmjax.VectorScaling`, whose additive terms have no part in it); None is ones. Positive, differentiable.
    norm : "per_sample", ``omega_k^2 = n_k``, or "class_average", ``omega_k = 1``: the norms of the Layer-Peeled Model,
        with which the solution is the simplex ETF at every imbalance. Static.

    Raises
    ------
    ValueError
        If ``delta`` is not finite and positive or not of shape (G,), ``norm`` is unknown, or ``dim`` is not a positive
        integer; from :func:`lpmjax.solve`, if ``dim`` is below K - 1.

    Source: Ji et al. (2022), "An unconstrained layer-peeled perspective on neural collapse"; unequal counts:
    Thrampoulidis et al. (2022), "Imbalance trouble: revisiting neural-collapse geometry"; ``delta``: Kini et al.
    (2021), as in :class:`lpmjax.VectorScaling`.
    """

    groups: ClassGroups
    delta: Float[Array, "*batch G"] = eqx.field(
        metadata=parameter("factor of the logit of a class in the margins", "It scales a logit.", dims=("group",))
    )
    norm: str = eqx.field(static=True)
    dim: int | None = eqx.field(static=True)
    result: ClassVar[type[Result]] = SeparationSolution

    def __init__(self, groups: ClassGroups, dim: int | None = None, delta: Any = None, norm: str = "per_sample"):
        self.dim = as_dim(dim)
        groups, _ = common_dtype(groups)
        weights = groups.weights
        self.delta = leaves(groups=weights, delta=jnp.ones_like(weights) if delta is None else delta)["delta"]
        self.groups = jax.tree.map(lambda leaf: jnp.asarray(leaf, self.delta.dtype), groups)
        if self.delta.shape != weights.shape:
            raise ValueError(f"delta has shape {self.delta.shape} for {weights.size} groups: give one entry per group.")
        if not isinstance(norm, str) or norm not in _POWERS:
            raise ValueError(f"norm = {norm!r} is out of range: it must be one of {', '.join(_POWERS)}.")
        self.norm = norm
        self.check()

    @property
    def omega(self) -> Float[Array, "*batch G"]:
        """Weight of the logits of a class in the norm."""
        return self.groups.samples ** _POWERS[self.norm]

    @property
    def is_limit_of_flow(self) -> bool:
        """Whether the gradient flow of cross-entropy tends to it: every feature pays, and all margins count alike."""
        return self.norm == "per_sample" and bool(np.all(np.asarray(self.delta) == 1))

    def objective(self) -> SeparationObjective:
        """The convex program in the logits."""
        return SeparationObjective(self.groups.classes, self.omega, self.delta)

    @property
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """The closed form, of any counts."""
        return (SimplexEncoding(),)

    @property
    def size(self) -> int:
        """G."""
        return self.groups.num_groups

    def as_written(self) -> tuple["Separation", Any]:
        """In float64 on the host, and the largest relative rounding of omega / delta (None if it was float64)."""
        double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), self)
        if self.dtype == np.float64:
            return double, None
        eps = float(np.finfo(self.dtype).eps)
        counted = _POWERS[self.norm] * half_ulp(double.groups.samples, eps)
        return double, np.max(counted + half_ulp(double.delta, eps), axis=-1)

    @property
    def unordered(self) -> "Separation":
        """The same without the order of the classes."""
        return eqx.tree_at(lambda p: p.groups, self, self.groups.with_order(None))
