"""Solution: what a solver found, what proves it, and what it looks like."""

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
from .result import Result

_LARGEST_MATRIX = 2**31  #: bytes of K x K logits; making them takes some times as much


class Solution(Result):
    """Optimum of a problem of classes in groups, in group coordinates, with its certificate.

    Leaves carry leading batch axes after ``jax.vmap``. ``within`` and ``between`` are the differentiable primary
    output; ``value``, ``multiplier``, ``slack``, ``cosine``, ``w_norm2``, ``h_norm2`` and ``margin`` are differentiable
    too (at a phase boundary one-sided: the side on which the entry was classified; tangents of NaN entries are 0).
    ``gap``, ``lower_bound`` and the integers are not.

    Attributes
    ----------
    value, lower_bound, gap, tol : nats (``tol`` relative); ``lower_bound = value - gap <= optimum <= value``.
    log_value : logarithm of ``value``, finite also where that underflows to 0 (its gap is then certified in scaled
        numbers); differentiable.
    multiplier : of the spectral budget (0 where that does not bind), or the penalty itself.
    slack : (G,) ``log(weight_g / (multiplier omega_g))``, plus ``log(1 - epsilon)`` with label smoothing, finite in
        every phase; a group of two or more classes is collapsed exactly where it is <= 0 (one class can have a
        negative slack and still a direction of its own).
    within, between : (G,), (G, G) group coordinates of the logits (:mod:`lpmjax.symmetry`); for a group of one class
        ``within`` is the limit of its margin from K_g > 1, which no logit depends on.
    cosine, w_norm2, h_norm2, margin : (G,) within-group cosine of classifier rows (NaN where undefined), squared
        norms of a classifier row and of a feature, least logit margin.
    pairwise : (G, G) what :meth:`cosines` returns.
    bias : (G,) last-layer bias of one class of each group, or None if the model has none; the sum over classes is zero,
        except for squared errors, which feel it.
    W, H : what the ``factored`` method found, in the caller's class order, else None; then ``within`` and ``between``
        are the group average of the logits, and norms and cosines are means over the group.
    status, phase : int8 codes of :class:`Status` and :class:`Phase`, to compare with their members, not with strings;
        rank, steps, restarts : int32 (restarts: times that a descent began anew from where it had come to rest);
        method : static.
    """

    slack: Float[Array, "*batch G"] = eqx.field(
        metadata=variable(
            "log of loss weight over multiplier times omega; below 0 is collapsed (groups of 2 or more)",
            dims=("group",),
        )
    )
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
    bias: Float[Array, "*batch G"] | None
    W: Float[Array, "*batch K d"] | None = None
    H: Float[Array, "*batch d N"] | None = None

    @staticmethod
    def coordinate(dim: str, size: int) -> tuple[list[Any], str]:
        """Names of the groups."""
        return group_names(size), "group of equal classes"

    def cosines(self) -> Float[Array, "*batch G G"]:
        """(..., G, G) cosine between classifier rows of two groups (within a group on the diagonal)."""
        return self.pairwise

    def logits(self, num_classes: int | None = None) -> Float[Array, "K K"]:
        """(K, K) logit matrix; column k holds the logits of every sample of class k, in the caller's class order.

        A last-layer bias is included. Under a trace K is a value, so pass it as a static ``num_classes``. Raises
        ValueError for a batched solution.
        """
        require_precision(solution=self)
        if self.within.ndim > 1:
            raise ValueError("logits of a batched solution: use jax.vmap(lambda s: s.logits(num_classes=K))(solution).")
        if self.W is not None and self.H is not None:
            return self.W @ _class_features(self.H, self.problem.groups) + self._class_bias()
        groups = self.problem.groups
        traced = isinstance(groups.classes, Tracer)
        if not traced or groups.order is not None:
            group = jnp.asarray(groups.class_index)
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
        shared = self.between[group[:, None], group[None, :]] / jnp.sqrt(K[:, None] * K[None, :])
        same = group[:, None] == group[None, :]
        own = self.within[group][None, :] * self._frame(same, K, group)
        return own + shared if self.bias is None else own + shared + self.bias[group][:, None]

    def _frame(self, same: Any, K: Any, group: Any) -> Any:
        """(K, K) what ``within`` multiplies: the projector onto each group's own dimensions."""
        return jnp.where(same, jnp.eye(group.size, dtype=K.dtype) - 1 / K[None, :], 0.0)

    def factors(self, dim: int | None = None) -> tuple[Float[Array, "K d"], Float[Array, "d K"]]:
        """Optimal classifier W (K, d) and class features H (d, K) with ``W @ H = logits()`` and balanced norms.

        ``d`` defaults to the problem's ``dim``, else K - 1. Unique up to a rotation of R^d, so not for
        differentiation (use ``within`` and ``between``). Raises ValueError if d is below the rank. A solution by the
        ``factored`` method returns what it found. A last-layer bias is not part of ``W @ H``.
        """
        if self.W is not None and self.H is not None and dim is None:
            return self.W, self.H
        require_precision(solution=self)
        d = self.problem.dim if dim is None else require_integer("dim", dim, 1)
        objective = self.problem.objective()
        needed = int(objective.dim_of(self.within, self.rank))
        if d is not None and d < needed:
            raise ValueError(f"dim = {d} is below the rank of the optimum: pass dim >= {needed}.")
        return objective.factors(self.logits() - self._class_bias(), jnp.asarray(self.problem.groups.class_index), d)

    def _class_bias(self):
        """(K, 1) bias to add to logits, or 0."""
        return 0.0 if self.bias is None else self.bias[jnp.asarray(self.problem.groups.class_index)][:, None]

    def _size(self) -> str:
        return f", K = {np.asarray(self.problem.groups.classes).sum():g}"

    def _details(self) -> list[str]:
        groups = self.problem.groups
        columns = [groups.classes, groups.samples, self.slack, self.cosine, self.w_norm2, self.h_norm2, self.margin]
        lines = ["group  classes   samples     slack   cosine     |w|^2     |h|^2   margin"]
        for name, row in zip(group_names(groups.num_groups), np.stack(columns, axis=1), strict=True):
            classes, samples, slack, cosine, w, h, margin = row
            cells = f"{classes:8g} {samples:9.4g} {slack:9.4f} {cosine:8.5f} {w:9.4g} {h:9.4g} {margin:8.4f}"
            lines.append(f"{name:>5} {cells}")
        return lines


def _class_features(H: Array, groups: Any) -> Array:
    """Mean feature of each class: ``H`` itself unless it has one column per sample."""
    if H.shape[1] == groups.class_index.size:
        return H
    counts = np.rint(np.asarray(groups.samples)).astype(int)[groups.class_index]
    label = np.repeat(np.arange(counts.size), counts)
    return jax.ops.segment_sum(H.T, jnp.asarray(label), counts.size).T / counts[None, :].astype(H.dtype)


def group_names(G: int) -> list[str]:
    """A, B for two groups (the names theory gives them), numbers otherwise."""
    return ["A", "B"] if G == 2 else [str(g) for g in range(G)]
