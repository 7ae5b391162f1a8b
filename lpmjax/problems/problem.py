"""Problem: loss of the logits plus a spectral cost of the logits, as a hard budget or a penalty."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .. import symmetry
from ..arguments import require_integer, require_type, scalars
from ..groups import ClassGroups
from ..losses import CrossEntropy, Loss
from ..symmetry import Frame


class Problem(eqx.Module):
    """Minimise ``sum_k weights_k loss(z_k, k)`` with ``||Z diag(omega)||_*`` within a budget or at a price.

    Every array leaf is a parameter that can be swept and differentiated; ``loss`` and ``dim`` are static.
    """

    groups: eqx.AbstractVar[ClassGroups]
    loss: eqx.AbstractVar[Loss]
    dim: eqx.AbstractVar[int | None]
    #: decay of the last-layer bias, or None for a model without one that pays
    bias_decay: eqx.AbstractVar[Float[Array, ""] | None]
    #: whether there is a last-layer bias that costs nothing (static)
    free_bias: eqx.AbstractVar[bool]
    #: whether features are constrained to be >= 0, as behind a ReLU (static)
    nonnegative: eqx.AbstractVar[bool]

    @property
    @abc.abstractmethod
    def omega(self) -> Float[Array, " G"]:
        """(G,) weight of each class's logit column in the spectral cost."""

    @property
    def has_bias(self) -> bool:
        """Whether there is a last-layer bias, free or decayed."""
        return self.free_bias or self.bias_decay is not None

    @property
    def budget(self) -> Float[Array, ""] | None:
        """Largest spectral cost allowed, or None for a penalised problem."""
        return None

    @property
    def penalty(self) -> Float[Array, ""] | None:
        """Price of the spectral cost, or None for a constrained problem."""
        return None

    @property
    @abc.abstractmethod
    def classifier_scale(self) -> Float[Array, ""]:
        """sqrt(E_W / E_H) or its like: W Wᵀ is this times (Z Omega² Zᵀ)^(1/2), and Hᵀ H that over this."""

    @property
    def unordered(self) -> "Problem":
        """The same without the order of the classes: it is static, but only logits and factors need it, and it must
        not cost a compilation per data set."""
        # __init__ would refuse the batch axes of a batched solution; copy.copy would leave the groups for ever in
        # equinox's set of modules under construction.
        groups = object.__new__(ClassGroups)
        for name in self.groups.__dataclass_fields__:
            object.__setattr__(groups, name, None if name == "order" else getattr(self.groups, name))
        return eqx.tree_at(lambda p: p.groups, self, groups)

    def frames(self, within, between, omega, scale) -> tuple[Frame, Frame]:
        """Gram matrices of classifier rows and class features in group coordinates."""
        return symmetry.frames(within, between, omega, scale, not self.loss.shift_invariant)

    @property
    def methods(self) -> tuple[str, ...]:
        """Solvers whose static conditions hold, preferred first."""
        if self.nonnegative:
            return ("closed_form", "factored")
        plain = type(self.loss) is CrossEntropy and not self.has_bias
        exact = {1: ("closed_form",), 2: ("two_group",)}.get(self.groups.num_groups, ()) if plain else ()
        return (*exact, "grouped", "factored")

    @abc.abstractmethod
    def check(self) -> None:
        """Raise ValueError for the first bad entry of concrete (also batched) leaves."""

    @abc.abstractmethod
    def is_valid(self) -> Bool[Array, ""]:
        """The same conditions as a traced flag: a bad traced lane becomes NaN with status ``invalid``."""


def check_static(loss: Any, dim: Any) -> int | None:
    """The feature dimension as an int or None; refuses a loss or dimension that no solver knows."""
    known = "lpmjax.CrossEntropy(), LogitAdjusted(tau), LabelSmoothing(epsilon) or SquaredError()"
    require_type("loss", loss, Loss, known)
    return None if dim is None else require_integer("dim", dim, 1)


def at_dtype(loss: Loss, groups: ClassGroups) -> Loss:
    """The loss with its parameters in the dtype of the groups."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, groups.weights.dtype), loss)


def common_dtype(groups: Any, **values: Any) -> tuple[ClassGroups, dict[str, Array]]:
    """Groups and parameters as leaves of one dtype."""
    require_type("groups", groups, ClassGroups, "a lpmjax.ClassGroups")
    if groups.weights.ndim != 1:
        raise ValueError(f"groups are batched, of shape {groups.weights.shape}: build the problem inside jax.vmap.")
    arrays = scalars(**values, groups=groups.weights[0])
    dtype = arrays.pop("groups").dtype
    if dtype != groups.weights.dtype:
        groups = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), groups)
    return groups, arrays
