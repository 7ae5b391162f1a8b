"""Vector scaling: cross-entropy of logits that each class scales and shifts."""

from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from ..arguments import leaves
from ..fields import check_ranges, parameter
from .loss import ConvexLoss, GroupLoss
from .softmax import CrossEntropy


class VectorScaling(ConvexLoss):
    """Vector-scaling loss ``-log softmax(delta z + iota)[k]`` with a factor and a term for the logit of each class.

    ``delta`` scales the logit of a class in every sample's softmax, ``iota`` is added to it. Ones and zeros are
    cross-entropy, ones and ``tau log n`` logit adjustment (:class:`LogitAdjusted`), zeros with
    ``delta_k = (n_k / n_max)^gamma`` class-dependent temperatures. Weights of the classes are those of the groups.
    Margins, norms and cosines of a Solution are those of the plain logits z, with which one predicts. Slack is that of
    the weight times ``delta``.

    Parameters
    ----------
    delta : (G,) factors, one for each group, in the order of the groups. Positive, differentiable.
    iota : (G,) terms, finite and differentiable; None is zeros.

    Source: Kini, Paraskevas, Oymak and Thrampoulidis (2021), "Label-imbalanced and group-sensitive classification under
    overparameterization".
    """

    delta: Float[Array, "*batch G"] = eqx.field(
        metadata=parameter("factor of the logit of a class", "It scales the logit of a class.")
    )
    iota: Float[Array, "*batch G"] = eqx.field(
        metadata=parameter(
            "term added to the logit of a class",
            "It is added to the logit of a class.",
            allowed="finite",
            accepts=lambda x: abs(x) < float("inf"),
        )
    )
    shift_invariant: ClassVar[bool] = False

    def __init__(self, delta: Any, iota: Any = None):
        given = leaves(delta=delta, **({} if iota is None else {"iota": iota}))
        self.delta = given["delta"]
        self.iota = given.get("iota", 0 * self.delta)
        if self.delta.ndim != 1 or self.iota.shape != self.delta.shape:
            raise ValueError(
                f"delta has shape {self.delta.shape}, iota {self.iota.shape}: both must be one-dimensional, one entry "
                "per group."
            )
        check_ranges(self)

    def is_valid(self) -> Bool[Array, "*batch"]:
        """Whether every entry is in range, as a traced flag."""
        nx = self.delta.__array_namespace__()
        return nx.all((self.delta > 0) & nx.isfinite(self.delta) & nx.isfinite(self.iota), axis=-1)

    def fit(self, num_groups: int) -> None:
        """One entry for each group."""
        if self.delta.shape[-1] != num_groups:
            raise ValueError(f"delta has shape {self.delta.shape} for {num_groups} groups: give one entry per group.")

    def of_classes(self, index: np.ndarray) -> "VectorScaling":
        """One entry for each class."""
        taken = (self.delta[..., index], self.iota[..., index])
        return eqx.tree_at(lambda loss: (loss.delta, loss.iota), self, taken)

    @property
    def contrast(self):
        """Two classes of a group scale alike."""
        return self.delta

    def offsets(self, samples):
        """``iota / delta``: the loss scales what it is given."""
        return self.iota / self.delta

    def _slopes(self, wrong, rival_counts):
        """(wrong, total) by the logits z, of the probabilities ``wrong`` of wrong classes."""
        nx = wrong.__array_namespace__()
        rows, columns = self.delta[..., :, None], self.delta[..., None, :]
        return rows * wrong, nx.sum(rival_counts * (rows - columns) * wrong, axis=-2)

    def on_groups(self, margins, rival_counts, own=None) -> GroupLoss:
        """Cross-entropy of the scaled logits; needs ``own``."""
        rows, columns = self.delta[..., :, None], self.delta[..., None, :]
        plain = CrossEntropy().on_groups(rows * margins + (columns - rows) * own[..., None, :], rival_counts)
        wrong, total = self._slopes(plain.softmax, rival_counts)
        return plain._replace(wrong=wrong, total=total)

    def fenchel_gap(self, at, rival_counts, wrong, total):
        """As for cross-entropy: scaling is linear and one to one."""
        return CrossEntropy().fenchel_gap(at, rival_counts, wrong / self.delta[..., :, None], total)

    def without_row_sums(self, at, rival_counts, classes, weights):
        """Those of cross-entropy, scaled: its row sums vanish where these do."""
        plain = at._replace(wrong=at.softmax, total=0 * at.total)
        wrong, _ = CrossEntropy().without_row_sums(plain, rival_counts, classes, weights)
        return self._slopes(wrong, rival_counts)

    def margin_of(self, wrong, at, own, rival_counts):
        """As for cross-entropy, of the scaled margin."""
        return super().margin_of(wrong / self.delta, at, own, rival_counts) / self.delta

    def noise(self, rounding, rival_counts):
        """Divergence of two softmaxes whose logits differ by no more than the largest factor times ``rounding``."""
        nx = rounding.__array_namespace__()
        most = nx.max(nx.where(nx.sum(rival_counts, axis=-2) > 0, self.delta, 0.0), axis=-1)
        return 0.5 * (most * rounding)[..., None] ** 2
