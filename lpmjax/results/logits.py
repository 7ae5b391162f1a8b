"""LogitSolution: an optimum in group coordinates of the logits, and what they look like."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .. import symmetry
from ..arguments import require_integer, require_precision
from ..fields import variable
from ..settings import nan_is_a_value
from ..traced import concrete
from .result import Result

_LARGEST_MATRIX = 2**31  #: bytes of K x K logits; making them takes some times as much


class LogitSolution(Result):
    """Optimum of a model with a classifier, in group coordinates of its logits; see the kinds of it for the fields."""

    cosine: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("cosine between two classifiers of a group", dims=("group",))
    )
    w_norm2: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("squared norm of a classifier row", dims=("group",))
    )
    h_norm2: Float[Array, "*batch G"] = eqx.field(metadata=variable("squared norm of a feature", dims=("group",)))
    margin: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("least margin of a class over its rivals", dims=("group",))
    )
    within: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("in-group margin coordinate of the logits", dims=("group",))
    )
    between: Float[Array, "*batch G G"] = eqx.field(
        metadata=variable("between-group block of the logits", dims=("logit_group", "group"))
    )
    pairwise: Float[Array, "*batch G G"]

    @staticmethod
    def coordinate(dim: str, size: int) -> tuple[list[Any], str]:
        """Names of the groups."""
        return group_names(size), "group of equal classes"

    def cosines(self) -> Float[Array, "*batch G G"]:
        """(..., G, G) cosine between classifier rows of two groups (within a group on the diagonal)."""
        return self.pairwise

    @nan_is_a_value
    def logits(self, num_classes: int | None = None) -> Float[Array, "K K"]:
        """(K, K) logit matrix; column k holds the logits of every sample of class k, in the caller's class order.

        A last-layer bias is included. Under a trace K is a value, so pass it as a static ``num_classes``. Raises
        ValueError for a batched solution.
        """
        require_precision(solution=self)
        if self.within.ndim > 1:
            raise ValueError("logits of a batched solution: use jax.vmap(lambda s: s.logits(num_classes=K))(solution).")
        at = concrete(self)
        groups = at.problem.groups
        traced = isinstance(groups.classes, Tracer)
        if not traced or groups.order is not None:
            group = groups.class_index
            if num_classes is not None and require_integer("num_classes", num_classes, 2) != group.size:
                raise ValueError(f"num_classes = {num_classes!r}, but this solution has {group.size} classes.")
            if not traced and not np.array_equal(np.rint(groups.classes), groups.classes):
                raise ValueError(f"logits need whole numbers of classes, got classes = {np.asarray(groups.classes)}.")
        elif num_classes is None:
            raise ValueError("the number of classes is traced here: pass a static num_classes.")
        else:
            ends = jnp.cumsum(groups.classes)
            group = jnp.searchsorted(ends, jnp.arange(num_classes, dtype=ends.dtype), side="right")
            group = jnp.minimum(group, groups.num_groups - 1)
        size = group.size**2 * self.between.dtype.itemsize
        if size > _LARGEST_MATRIX:
            raise ValueError(
                f"logits of {group.size} classes take {size / 2**30:.3g} GiB, at most {_LARGEST_MATRIX / 2**30:g} GiB "
                "are taken: use within and between, which hold one entry a group and pair of groups."
            )
        K = symmetry.present(groups.classes)[group]
        shared = at.between[group[:, None], group[None, :]] / (K[:, None] * K[None, :]) ** 0.5
        same = group[:, None] == group[None, :]
        own = at.within[group][None, :] * at._frame(same, K, group)
        return jnp.asarray(own + shared + at._bias_of(group))

    def _frame(self, same: Any, K: Any, group: Any) -> Any:
        """(K, K) what ``within`` multiplies: the projector onto each group's own dimensions."""
        nx = K.__array_namespace__()
        return nx.where(same, nx.eye(group.size, dtype=K.dtype) - 1 / K[None, :], 0.0)

    @nan_is_a_value
    def factors(self, dim: int | None = None) -> tuple[Float[Array, "K d"], Float[Array, "d K"]]:
        """Optimal classifier W (K, d) and class features H (d, K) with ``W @ H = logits()`` and balanced norms.

        ``d`` defaults to the problem's ``dim``, else K - 1. Unique up to a rotation of R^d, so not for
        differentiation (use ``within`` and ``between``). Raises ValueError if d is below the rank. A last-layer bias is
        not part of ``W @ H``.
        """
        require_precision(solution=self)
        at = concrete(self)
        d = at.problem.dim if dim is None else require_integer("dim", dim, 1)
        objective = at.problem.objective()
        needed = int(objective.dim_of(at.within, at.rank))
        if d is not None and d < needed:
            raise ValueError(f"dim = {d} is below the rank of the optimum: pass dim >= {needed}.")
        group = at.problem.groups.class_index
        return jax.tree.map(jnp.asarray, objective.factors(concrete(self.logits()) - at._bias_of(group), group, d))

    def _bias_of(self, group: Any) -> Any:
        """(K, 1) what is added to the logits ``W @ H``."""
        return 0.0

    def _size(self) -> str:
        return f", K = {np.asarray(self.problem.groups.classes).sum():g}"

    def _columns(self) -> list[tuple[str, str, Any]]:
        """Heading, format and (G,) numbers of each column of the printed table."""
        groups = self.problem.groups
        return [
            ("classes", "8g", groups.classes),
            ("samples", "9.4g", groups.samples),
            ("cosine", "8.5f", self.cosine),
            ("|w|^2", "9.4g", self.w_norm2),
            ("|h|^2", "9.4g", self.h_norm2),
            ("margin", "8.4f", self.margin),
        ]

    def _details(self) -> list[str]:
        columns = [(name, spec, np.asarray(numbers)) for name, spec, numbers in self._columns()]
        widths = [int(spec.split(".")[0].rstrip("g")) for _, spec, _ in columns]
        lines = ["group " + " ".join(f"{name:>{width}}" for width, (name, _, _) in zip(widths, columns, strict=True))]
        for g, name in enumerate(group_names(self.within.shape[-1])):
            lines.append(f"{name:>5} " + " ".join(f"{numbers[g]:{spec}}" for _, spec, numbers in columns))
        return lines


def group_names(G: int) -> list[str]:
    """A, B for two groups (the names theory gives them), numbers otherwise."""
    return ["A", "B"] if G == 2 else [str(g) for g in range(G)]
