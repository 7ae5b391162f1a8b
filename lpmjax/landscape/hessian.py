"""Extreme eigenvalues of the Hessian by Lanczos iteration: products with it alone, no matrix."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
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

    def times(vector):
        product = hessian_times(surface, factors, unravel(np.asarray(vector, np.float64).ravel()))
        return np.concatenate([np.asarray(A).ravel() for A in product])

    n = flat.size
    operator = LinearOperator((n, n), matvec=times, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    start = np.random.default_rng(0).normal(size=n)  # no symmetry: every eigenvector has a part in it
    values, vectors = eigsh(operator, k=1, which="SA", v0=start, tol=_TOL)
    largest = eigsh(operator, k=1, which="LA", v0=start, tol=_TOL, return_eigenvectors=False)
    direction = tuple(np.asarray(A) for A in unravel(vectors[:, 0]))
    return Extremes(float(values[0]), float(largest[0]), direction)
