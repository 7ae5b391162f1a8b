"""PairSolution: the result of a model whose classifier and features are its only coordinates."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ..fields import variable
from .result import Result


class PairSolution(Result):
    """Best local optimum found, class by class; ``value`` and the fields below are differentiable.

    Attributes
    ----------
    alignment : (K,) cosine between the classifier row and the feature of a class.
    w_norm2, h_norm2 : (K,) squared Euclidean norms of them.
    W, H : (K, d), (d, K) classifier and class features.
    multiplier : NaN, as there is no spectral budget.
    """

    alignment: Float[Array, "*batch K"] = eqx.field(
        metadata=variable("cosine between the classifier row and the feature of a class", dims=("class",))
    )
    w_norm2: Float[Array, "*batch K"] = eqx.field(
        metadata=variable("squared norm of a classifier row", dims=("class",))
    )
    h_norm2: Float[Array, "*batch K"] = eqx.field(metadata=variable("squared norm of a feature", dims=("class",)))
    W: Float[Array, "*batch K d"]
    H: Float[Array, "*batch d K"]

    def logits(self) -> Float[Array, "*batch K K"]:
        """(K, K) logits, column k those of class k."""
        return self.W @ self.H

    def _size(self) -> str:
        return f", K = {self.alignment.shape[-1]}"

    def _details(self) -> list[str]:
        lines = ["class  cos(w, h)     |w|^2     |h|^2"]
        columns = np.stack([self.alignment, self.w_norm2, self.h_norm2], axis=1)
        return lines + [f"{k:>5} {c:10.5f} {w:9.4g} {h:9.4g}" for k, (c, w, h) in enumerate(columns)]


def described(W: Any, H: Any) -> dict[str, Any]:
    """The fields of one pair."""
    nx = W.__array_namespace__()
    w_norm2, h_norm2, inner = nx.sum(W * W, axis=1), nx.sum(H * H, axis=0), nx.sum(W * H.T, axis=1)
    length = nx.sqrt(w_norm2 * h_norm2)
    alignment = nx.where(length > 0, inner / nx.where(length > 0, length, 1.0), nx.nan)
    return {"alignment": alignment, "w_norm2": w_norm2, "h_norm2": h_norm2, "W": W, "H": H}
