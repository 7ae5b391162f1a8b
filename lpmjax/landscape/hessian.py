"""Extreme eigenvalues of the Hessian by Lanczos iteration: products with it alone, no matrix."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..problems.problem import Problem
from ..settings import nan_is_a_value
from .surface import Factors, Surface, hessian_times, surface_at

#: relative accuracy of an eigenvalue
_TOL = 1e-10


class Extremes(NamedTuple):
    """Least and largest eigenvalue of a Hessian; ``direction`` is the unit eigenvector of the least, as factors."""

    least: float
    largest: float
    direction: tuple[np.ndarray, ...]


@nan_is_a_value
def extreme_eigenvalues(problem: Problem, factors: Sequence[Any]) -> Extremes:
    """Least and largest eigenvalue of the Hessian by all entries of the factors, at a point.

    Of :class:`Separation` it is the Hessian on the sphere ``|W|^2 + |H|^2 = const`` through the point (Riemannian where
    the point is critical), with an eigenvalue zero for the radius. Rotations of feature space leave the value alone, so
    that the least eigenvalue is never above zero where ``d >= 2`` and the factors are not zero. Lanczos iteration of
    ARPACK (``scipy.sparse.linalg.eigsh``) on Hessian-vector products.

    Parameters
    ----------
    problem, factors : as in :func:`classify`.

    Raises
    ------
    ValueError
        As :func:`classify`.
    """
    with jax.enable_x64(True):
        return extremes(*surface_at(problem, factors))


def extremes(surface: Surface, factors: Factors) -> Extremes:
    """The same on a surface."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    flat, unravel = ravel_pytree(factors)
    value = float(surface.value(factors))  # eigenvalues of the size of a loss of 1e-200 have squares that underflow

    def times(vector):
        product = hessian_times(surface, factors, unravel(jnp.asarray(vector).ravel()))
        return np.concatenate([np.asarray(A).ravel() for A in product]) / value

    n = flat.size
    operator = LinearOperator((n, n), matvec=times, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    start = np.random.default_rng(0).normal(size=n)  # no symmetry: every eigenvector has a part in it
    options: dict[str, Any] = {"k": 1, "v0": start, "tol": _TOL}
    values, vectors = eigsh(operator, which="SA", **options)
    largest = eigsh(operator, which="LA", return_eigenvectors=False, **options)
    direction = tuple(np.asarray(A) for A in unravel(jnp.asarray(vectors[:, 0])))
    return Extremes(value * float(values[0]), value * float(largest[0]), direction)
