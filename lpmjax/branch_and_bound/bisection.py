"""Which edge of a simplex to halve: the one across which interpolating tr X^s costs most where the bound is least.

Interpolation loses about (1/2) sum_{i<j} w_i w_j times the curvature of tr X^s along V_i - V_j. In the eigenbasis of X
the curvature is a divided difference of the derivative of x^s, of the order of 1 / (a^(1-s) b + b^(1-s) a) between
eigenvalues a and b, which are lifted by a share of the simplex's size. The root of w_i w_j in place of the product
halves long edges also where the present minimiser is near a vertex.
"""

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from .bound import Relaxation, spread

_LIFT = 0.1


def edges(
    relaxation: Relaxation, V: Float[np.ndarray, "B m d d"], w: Float[np.ndarray, "B m"]
) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """Both ends of the edge to halve."""
    i, j = np.array(list(combinations(range(V.shape[1]), 2))).T
    values, vectors = np.linalg.eigh(np.einsum("bm,bmde->bde", w, V))
    values = np.maximum(values, 0) + _LIFT * spread(V)[:, None]
    a, b, s = values[:, :, None], values[:, None, :], relaxation.power
    curvature = 1 / (a ** (1 - s) * b + b ** (1 - s) * a)
    across = vectors.swapaxes(-1, -2)[:, None] @ (V[:, i] - V[:, j]) @ vectors[:, None]
    loss = (across**2 * curvature[:, None]).sum((-1, -2)) * np.sqrt(w[:, i] * w[:, j])
    best = loss.argmax(-1)
    return i[best], j[best]
