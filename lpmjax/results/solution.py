"""Solution: what a solver found, what proves it, and what it looks like."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..arguments import require_precision
from ..fields import variable
from .logits import LogitSolution


class Solution(LogitSolution):
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
    bias: Float[Array, "*batch G"] | None
    W: Float[Array, "*batch K d"] | None = None
    H: Float[Array, "*batch d N"] | None = None

    def logits(self, num_classes: int | None = None) -> Float[Array, "K K"]:
        """As :meth:`LogitSolution.logits`; of a solution by the ``factored`` method those of the W and H it found."""
        if self.W is None or self.H is None or self.within.ndim > 1:
            return super().logits(num_classes)
        require_precision(solution=self)
        groups = self.problem.groups
        return self.W @ _class_features(self.H, groups) + self._bias_of(jnp.asarray(groups.class_index))

    def factors(self, dim: int | None = None) -> tuple[Float[Array, "K d"], Float[Array, "d K"]]:
        """As :meth:`LogitSolution.factors`; a solution by the ``factored`` method returns what it found."""
        if self.W is not None and self.H is not None and dim is None:
            return self.W, self.H
        return super().factors(dim)

    def _bias_of(self, group: Any) -> Any:
        return 0.0 if self.bias is None else self.bias[group][:, None]

    def _columns(self) -> list[tuple[str, str, Any]]:
        classes, samples, *views = super()._columns()
        return [classes, samples, ("slack", "9.4f", self.slack), *views]


def _class_features(H: Array, groups: Any) -> Array:
    """Mean feature of each class: ``H`` itself unless it has one column per sample."""
    if H.shape[1] == groups.class_index.size:
        return H
    counts = np.rint(np.asarray(groups.samples)).astype(int)[groups.class_index]
    label = np.repeat(np.arange(counts.size), counts)
    return jax.ops.segment_sum(H.T, jnp.asarray(label), counts.size).T / counts[None, :].astype(H.dtype)
