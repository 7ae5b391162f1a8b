"""Solution: what a solver found, what proves it, and what it looks like."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Int8

from . import archive, spectral, symmetry
from .arguments import require_integer, require_precision
from .codes import Phase, Status
from .problems.problem import Problem
from .settings import nan_is_a_value

_LARGEST_MATRIX = 2**31  #: bytes of K x K logits; making them takes some times as much

#: long_name, units and dimensions beyond the batch, for tables and data sets
DESCRIPTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "value": ("optimal value of the objective", "nat", ()),
    "log_value": ("logarithm of the optimal value, finite where that underflows", "1", ()),
    "lower_bound": ("certified lower bound on the optimal value", "nat", ()),
    "gap": ("duality gap, rounding included", "nat", ()),
    "multiplier": ("multiplier of the spectral budget, or its price", "nat", ()),
    "status": ("solver status", "1", ()),
    "phase": ("structure of the optimum", "1", ()),
    "rank": ("rank of the optimal logits", "1", ()),
    "steps": ("solver steps", "1", ()),
    "restarts": ("times that the descent began anew from where it had come to rest", "1", ()),
    "slack": (
        "log of loss weight over multiplier times omega; below 0 is collapsed (groups of 2 or more)",
        "1",
        ("group",),
    ),
    "cosine": ("cosine between two classifiers of a group", "1", ("group",)),
    "w_norm2": ("squared norm of a classifier row", "1", ("group",)),
    "h_norm2": ("squared norm of a feature", "1", ("group",)),
    "margin": ("least margin of a class over its rivals", "1", ("group",)),
    "within": ("in-group margin coordinate of the logits", "1", ("group",)),
    "between": ("between-group block of the logits", "1", ("logit_group", "group")),
}


class Solution(eqx.Module):
    """Optimum of a :class:`Problem` in group coordinates, with its certificate.

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
    bias : (G,) last-layer bias of one class of each group (sum zero over classes), or None if the model has none.
    W, H : what the ``factored`` method found, in the caller's class order, else None; then ``within`` and ``between``
        are the group average of the logits, and norms and cosines are means over the group.
    status, phase : int8 codes of :class:`Status` and :class:`Phase`, to compare with their members, not with strings;
        rank, steps, restarts : int32 (restarts: times that a descent began anew from where it had come to rest);
        method : static.
    """

    problem: Problem
    value: Float[Array, ""]
    log_value: Float[Array, ""]
    lower_bound: Float[Array, ""]
    gap: Float[Array, ""]
    tol: Float[Array, ""]
    multiplier: Float[Array, ""]
    slack: Float[Array, " G"]
    within: Float[Array, " G"]
    between: Float[Array, "G G"]
    cosine: Float[Array, " G"]
    w_norm2: Float[Array, " G"]
    h_norm2: Float[Array, " G"]
    margin: Float[Array, " G"]
    bias: Float[Array, " G"] | None
    status: Int8[Array, ""]
    phase: Int8[Array, ""]
    rank: Int[Array, ""]
    steps: Int[Array, ""]
    restarts: Int[Array, ""]
    W: Float[Array, "K d"] | None = None
    H: Float[Array, "d N"] | None = None
    method: str = eqx.field(static=True, kw_only=True)

    @property
    def certified(self) -> Bool[Array, ""]:
        """Which entries are certified: ``status == Status.certified``."""
        return self.status == Status.certified

    @nan_is_a_value
    def cosines(self) -> Float[Array, "G G"]:
        """(..., G, G) cosine between classifier rows of two groups (within a group on the diagonal)."""
        require_precision(solution=self)
        if self.W is not None:
            return symmetry.mean_cosines(self.W, jnp.asarray(self.problem.groups.class_index), self.within.shape[-1])
        return _classifier_cosines(self.problem.unordered, self.within, self.between, self.w_norm2)

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
        own = self.within[group][None, :] * jnp.where(same, jnp.eye(group.size, dtype=K.dtype) - 1 / K[None, :], 0.0)
        return own + shared if self.bias is None else own + shared + self.bias[group][:, None]

    def factors(self, dim: int | None = None) -> tuple[Float[Array, "K d"], Float[Array, "d K"]]:
        """Optimal classifier W (K, d) and class features H (d, K) with ``W @ H = logits()`` and balanced norms.

        ``d`` defaults to the problem's ``dim``, else K - 1. Unique up to a rotation of R^d, so not for
        differentiation (use ``within`` and ``between``). Raises ValueError if d is below the rank. A solution by the
        ``factored`` method returns what it found. A last-layer bias is not part of ``W @ H``.
        """
        if self.W is not None and self.H is not None and dim is None:
            return self.W, self.H
        if self.problem.nonnegative:
            return self._nonnegative_factors(dim)
        Z = self.logits() - self._class_bias()
        d = next(x for x in (dim, self.problem.dim, Z.shape[0] - 1) if x is not None)
        if require_integer("dim", d, 1) < int(self.rank):
            raise ValueError(f"dim = {d} is below the rank of the optimum: pass dim >= {int(self.rank)}.")
        omega = self.problem.omega[jnp.asarray(self.problem.groups.class_index)]
        left, singular, right = spectral.svd(Z * omega[None, :])
        root = jnp.sqrt(singular)
        scale = jnp.sqrt(self.problem.classifier_scale)
        W, H = scale * left * root[None, :], root[:, None] * right / (omega * scale)[None, :]
        keep = min(d, root.size)
        pad = d - keep
        return jnp.pad(W[:, :keep], ((0, 0), (0, pad))), jnp.pad(H[:keep], ((0, pad), (0, 0)))

    def _nonnegative_factors(self, dim: int | None):
        """One dimension for each class alive, the largest features first."""
        norm2 = self.h_norm2[jnp.asarray(self.problem.groups.class_index)]
        d = next(x for x in (dim, self.problem.dim, norm2.size) if x is not None)
        alive = int(jnp.sum(norm2 > 0))
        if require_integer("dim", d, 1) < alive:
            raise ValueError(f"dim = {d} is below the number of classes alive: pass dim >= {alive}.")
        order = jnp.argsort(-norm2)[:d]
        length = jnp.sqrt(norm2)
        H = jnp.diag(length)[order]
        W = (self.logits() / jnp.where(length > 0, length, 1.0)[None, :])[:, order]
        pad = d - order.size
        return jnp.pad(W, ((0, 0), (0, pad))), jnp.pad(H, ((0, pad), (0, 0)))

    def _class_bias(self):
        """(K, 1) bias to add to logits, or 0."""
        return 0.0 if self.bias is None else self.bias[jnp.asarray(self.problem.groups.class_index)][:, None]

    def save(self, path: Any) -> None:
        """Write all of it, problem and class order included, to an archive ``name.npz`` that :func:`lpmjax.load` reads.

        Raises ValueError for another suffix or under a trace, OSError naming a path that cannot be written.
        """
        archive.write(path, "solution", self)

    def check(self) -> "Solution":
        """Return self if every entry is certified or converged; else raise RuntimeError naming entries and remedies.

        On the host: call it outside jit.
        """
        status = np.asarray(self.status)
        bad = np.argwhere((status != Status.certified) & (status != Status.converged))
        if len(bad) == 0:
            return self
        lines = [f"{len(bad)} of {status.size} solutions are neither certified nor converged."]
        for index in bad[:5]:
            at = tuple(int(i) for i in index)
            ratio = float(np.asarray(self.gap)[at] / np.abs(np.asarray(self.value)[at]))
            where = f"entry {at}: " if at else ""
            lines.append(f"{where}{Status.message(status[at])} (gap / |value| = {ratio:.2g})")
        raise RuntimeError("\n".join(lines))

    def __str__(self) -> str:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self)):
            return repr(self)
        return _table(self) if np.ndim(self.value) == 0 else _summary(self)


@jax.jit  # seventy small compilations otherwise
def _classifier_cosines(problem: Any, within, between, w_norm2):
    grams = problem.frames(within, between, problem.omega, problem.classifier_scale)
    gone = w_norm2 == 0  # whatever noise its coordinates have
    either = gone[..., :, None] | gone[..., None, :]
    return jnp.where(either, jnp.nan, symmetry.cosines(grams[0], problem.groups.classes))


def _class_features(H: Array, groups: Any) -> Array:
    """Mean feature of each class: ``H`` itself unless it has one column per sample."""
    if H.shape[1] == groups.class_index.size:
        return H
    counts = np.rint(np.asarray(groups.samples)).astype(int)[groups.class_index]
    label = np.repeat(np.arange(counts.size), counts)
    return jax.ops.segment_sum(H.T, jnp.asarray(label), counts.size).T / counts[None, :].astype(H.dtype)


def _table(s: Solution) -> str:
    kind = type(s.problem).__name__
    relative = float(s.gap) / abs(float(s.value)) if float(s.value) else float("nan")
    lines = [
        f"{kind}, K = {np.asarray(s.problem.groups.classes).sum():g}: {Phase(int(s.phase)).name}, rank {int(s.rank)}, "
        f"{Status(int(s.status)).name} by {s.method} in {int(s.steps)} steps",
        f"value {float(s.value):.10g}, relative gap {relative:.2g} (tol {float(s.tol):.2g}), "
        f"multiplier {float(s.multiplier):.6g}",
        "group  classes   samples     slack   cosine     |w|^2     |h|^2   margin",
    ]
    columns = [s.problem.groups.classes, s.problem.groups.samples, s.slack, s.cosine, s.w_norm2, s.h_norm2, s.margin]
    for name, row in zip(group_names(s.problem.groups.num_groups), np.stack(columns, axis=1), strict=True):
        classes, samples, slack, cosine, w, h, margin = row
        cells = f"{classes:8g} {samples:9.4g} {slack:9.4f} {cosine:8.5f} {w:9.4g} {h:9.4g} {margin:8.4f}"
        lines.append(f"{name:>5} {cells}")
    return "\n".join(lines)


def _summary(s: Solution) -> str:
    if s.value.size == 0:
        return f"{type(s.problem).__name__}, batch {tuple(s.value.shape)}: empty"
    status, phase = np.asarray(s.status).ravel(), np.asarray(s.phase).ravel()
    with np.errstate(all="ignore"):
        relative = np.asarray(s.gap / np.abs(s.value))
    worst = f"{np.nanmax(relative):.2g}" if np.isfinite(relative).any() else "nan"
    count = [f"{(status == code).sum()} {code.name}" for code in Status if (status == code).any()]
    where = [f"{(phase == code).sum()} {code.name}" for code in Phase if (phase == code).any()]
    return (
        f"{type(s.problem).__name__}, batch {tuple(s.value.shape)}: {', '.join(count)}\n"
        f"phases: {', '.join(where)}\nworst relative gap {worst}, at most {int(np.max(s.steps))} steps"
    )


def group_names(G: int) -> list[str]:
    """A, B for two groups (the names theory gives them), numbers otherwise."""
    return ["A", "B"] if G == 2 else [str(g) for g in range(G)]
