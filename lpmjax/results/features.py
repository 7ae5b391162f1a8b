"""FeatureSolution: the result of a model of features alone, by the inner products of its class features."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import symmetry
from ..arguments import require_integer, require_precision
from ..fields import variable
from ..settings import nan_is_a_value
from ..traced import concrete
from .logits import group_names
from .result import Result


class FeatureSolution(Result):
    """Optimum of a model that has features and no classifier, with its certificate.

    Leaves carry leading batch axes after ``jax.vmap``; what :class:`lpmjax.Result` says of value, bounds, status and
    phase holds here too. ``value``, ``multiplier`` and the fields below are differentiable.

    Attributes
    ----------
    within, between : (G,), (G, G) group coordinates of the K x K matrix of inner products of class features
        (:mod:`lpmjax.symmetry`), the primary output.
    cosine : (G,) cosine between features of two classes of a group, NaN where undefined.
    h_norm2 : (G,) squared norm of a feature.
    pairwise : (G, G) what :meth:`cosines` returns.
    """

    cosine: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("cosine between two class features of a group", dims=("group",))
    )
    h_norm2: Float[Array, "*batch G"] = eqx.field(metadata=variable("squared norm of a feature", dims=("group",)))
    within: Float[Array, "*batch G"] = eqx.field(
        metadata=variable("in-group coordinate of the features' inner products", dims=("group",))
    )
    between: Float[Array, "*batch G G"] = eqx.field(
        metadata=variable("between-group block of the features' inner products", dims=("other_group", "group"))
    )
    pairwise: Float[Array, "*batch G G"]

    @staticmethod
    def coordinate(dim: str, size: int) -> tuple[list[Any], str]:
        """Names of the groups."""
        return group_names(size), "group of equal classes"

    def cosines(self) -> Float[Array, "*batch G G"]:
        """(..., G, G) cosine between features of two groups (within a group on the diagonal)."""
        return self.pairwise

    @nan_is_a_value
    def gram(self) -> Float[Array, "K K"]:
        """(K, K) inner products of the class features, in the caller's class order.

        On the host, of one solution; raises ValueError for a batched one or class counts that are not whole.
        """
        require_precision(solution=self)
        at = concrete(self)
        groups = at.problem.groups
        counts = np.asarray(groups.classes)
        if self.within.ndim > 1 or not np.array_equal(np.rint(counts), counts):
            raise ValueError(f"gram is of one solution and whole numbers of classes, got classes = {counts}.")
        index = groups.class_index
        K = symmetry.present(groups.classes)[index]
        shared = at.between[index[:, None], index[None, :]] / (K[:, None] * K[None, :]) ** 0.5
        frame = np.where(index[:, None] == index[None, :], np.eye(index.size, dtype=K.dtype) - 1 / K[None, :], 0.0)
        return jnp.asarray(shared + at.within[index][:, None] * frame)

    def features(self, dim: int | None = None) -> Float[Array, "d K"]:
        """(d, K) class features with these inner products, unique up to a rotation; d defaults to the problem's
        ``dim``, else K. Raises ValueError if d is below the rank."""
        d = self.problem.dim if dim is None else require_integer("dim", dim, 1)
        values, vectors = np.linalg.eigh(np.asarray(self.gram(), np.float64))
        d, rank = (len(values) if d is None else d), int(self.rank)
        if d < rank:
            raise ValueError(f"dim = {d} is below the rank of the optimum: pass dim >= {rank}.")
        H = (np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)[::-1][:d]
        return jnp.asarray(np.pad(H, ((0, d - len(H)), (0, 0))), self.within.dtype)

    def _size(self) -> str:
        return f", K = {np.asarray(self.problem.groups.classes).sum():g}"

    def _details(self) -> list[str]:
        groups = self.problem.groups
        columns = np.stack([groups.classes, groups.samples, self.cosine, self.h_norm2], axis=1)
        lines = ["group  classes   samples   cosine     |h|^2"]
        for name, (classes, samples, cosine, h) in zip(group_names(groups.num_groups), columns, strict=True):
            lines.append(f"{name:>5} {classes:8g} {samples:9.4g} {cosine:8.5f} {h:9.4g}")
        return lines
