"""Critical points of a landscape: of every set partition of the classes, and where descents from random starts end."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..arguments import require_integer, require_key
from ..codes import flags
from ..compiling import quick_jit
from ..problems.problem import Problem
from ..provenance import made_by
from ..settings import nan_is_a_value
from ..solvers.descent import LBFGS, Until, descend
from .partitions import as_blocks, set_partitions
from .point import CriticalPoint, Verdict, as_relative, classified, known_bound
from .surface import Factors, Surface, class_index, squared_norm, surface_of

#: relative gradient that a descent aims at, that it must reach, and its most steps
_GOAL, _ACCEPT, _MAX_STEPS = 1e-12, 1e-8, 5000
#: lengths along the ray of a random start, of which the best begins a descent where decays set the scale
_LENGTHS = np.logspace(-2, 2, 33)


@nan_is_a_value
def tied_minimum(
    problem: Problem,
    blocks: Sequence[int],
    norm2: float | None = None,
    dim: int | None = None,
    key: Array | None = None,
    restarts: int = 4,
) -> tuple[np.ndarray, ...]:
    """Factors of the least value found where all classes of a block share their row of W and their feature.

    Ties of equal classes are a symmetry of the landscape, so a minimum under them is a critical point of all of it.

    Parameters
    ----------
    problem : as in :func:`classify`.
    blocks : (K,) block of each class, as in :func:`set_partitions`.
    norm2 : squared radius of the sphere ``|W|^2 + |H|^2`` of :class:`Separation`, positive; None for other problems.
    dim : inner dimension, by default that of the problem, or K.
    key : random key of the starts, by default ``jax.random.key(0)``; restarts : their number.

    Returns
    -------
    (W (K, dim), H (dim, N)), or all factors of a deep model.

    Raises
    ------
    ValueError
        As :func:`classify`, for arguments out of range, and for a block of unequal classes.
    """
    tied, restarts = as_blocks(problem, blocks), require_integer("restarts", restarts, 1)
    dim, key = _as_dim(problem, dim), require_key(key)
    with jax.enable_x64(True):
        found = _best(surface_of(problem, norm2), jax.random.split(key, (1, restarts)), tied[None], dim)
        return tuple(np.asarray(A[0]) for A in found)


@nan_is_a_value
def critical_points(
    problem: Problem,
    norm2: float | None = None,
    dim: int | None = None,
    key: Array | None = None,
    restarts: int = 4,
    tol: float = 1e-7,
) -> Any:
    """Minimise with the blocks of every set partition of the classes tied, and classify each point in the landscape.

    A search for a small gradient would end in the trivial family of loss log K; ties lead to saddles at every level.
    They are not all: there are others of lower rank, such as minima of smaller ``dim`` padded by zeros.
    Balanced, on the sphere, every block of two or more classes makes ``|G|_2 = 1 / (K sqrt(n))``.

    Parameters
    ----------
    problem, norm2, dim, key, restarts : as in :func:`tied_minimum`; tol : as in :func:`classify`.

    Returns
    -------
    xarray.Dataset over ``partition`` (:func:`set_partitions`) of what :func:`classify` says, ``verdict`` as its code.
    :func:`tied_minimum` gives a point itself.

    Raises
    ------
    ValueError
        As :func:`tied_minimum`.
    """
    partitions, restarts = set_partitions(problem), require_integer("restarts", restarts, 1)
    dim, key = _as_dim(problem, dim), require_key(key)
    with jax.enable_x64(True):
        limit, surface = as_relative(tol), surface_of(problem, norm2)
        keys = jax.random.split(key, (len(partitions), restarts))
        found = _best(surface, keys, np.array(list(partitions.values())), dim)
        points = _classified(problem, surface, found, limit)
    ds = _dataset(points, "partition", "set partition of the classes", list(partitions))
    return ds.assign_attrs(_attributes(problem, norm2))


@nan_is_a_value
def descents(
    problem: Problem,
    norm2: float | None = None,
    starts: int = 200,
    dim: int | None = None,
    key: Array | None = None,
    tol: float = 1e-7,
) -> Any:
    """Descend from random starts over all factors, every sample its own feature, and classify where each ends.

    Parameters
    ----------
    starts : number of starts, factors of Gaussian entries, on the sphere or of the best length along their ray; of deep
        models, where most of these end at zero, features start near the classifier of their class.
    problem, norm2, dim, key : as in :func:`tied_minimum`; tol : as in :func:`classify`.

    Returns
    -------
    xarray.Dataset over ``start``, otherwise as that of :func:`critical_points`.

    Raises
    ------
    ValueError
        As :func:`tied_minimum`.
    """
    starts, dim, key = require_integer("starts", starts, 1), _as_dim(problem, dim), require_key(key)
    with jax.enable_x64(True):
        limit, surface = as_relative(tol), surface_of(problem, norm2)
        rows, columns = (jnp.tile(jnp.arange(n), (starts, 1)) for n in (surface.num_classes, surface.label.size))
        found = _minima(surface, jax.random.split(key, starts), rows, columns, dim, surface.num_factors)
        points = _classified(problem, surface, found, limit)
    ds = _dataset(points, "start", "random start", np.arange(starts))
    return ds.assign_attrs(_attributes(problem, norm2))


def _as_dim(problem: Any, dim: Any) -> int:
    K = class_index(problem).size
    dim = require_integer("dim", (problem.dim or K) if dim is None else dim, 1)
    if problem.dim not in (None, dim):
        raise ValueError(f"dim = {dim} is out of range: the problem has dim = {problem.dim}.")
    return dim


def _best(surface: Surface, keys: Array, blocks: np.ndarray, dim: int) -> Factors:
    """Of each row of keys, with the blocks of the same row tied, the minimum of least value."""
    sets, restarts = keys.shape[:2]
    tied = jnp.repeat(jnp.asarray(blocks), restarts, axis=0)
    each = keys.reshape(-1, *keys.shape[2:])  # a raw key has an axis of its own
    found = _minima(surface, each, tied, tied[:, surface.label], dim, surface.num_factors)
    values = jax.vmap(surface.value)(found).reshape(sets, restarts)
    best = jnp.nanargmin(values, axis=1) + restarts * jnp.arange(sets)
    return tuple(A[best] for A in found)


@partial(quick_jit, static_argnames=("dim", "factors"))
def _minima(surface: Surface, keys: Array, rows: Array, columns: Array, dim: int, factors: int) -> Factors:
    """Where descents end, one for each key, with ``rows`` (starts, K) of W and ``columns`` (starts, N) of H that are
    numbered alike tied."""
    until = Until(_GOAL, jnp.asarray(_ACCEPT), _MAX_STEPS)

    def from_start(key, *blocks):
        given = surface, *blocks
        start = _tied(_random_factors(surface, key, dim, factors), given)
        found = _tied(descend(_objective, _residual, start, given, until, LBFGS()).x, given)
        return found if surface.norm2 is None else _scaled(found, jnp.sqrt(surface.norm2 / squared_norm(found)))

    return jax.vmap(from_start)(keys, rows, columns)


def _objective(x: Factors, given: tuple[Surface, Any, Any]) -> Array:
    return jnp.log(given[0].value(_tied(x, given)))


def _residual(x: Factors, given: tuple[Surface, Any, Any]) -> Array:
    value, slopes = jax.value_and_grad(lambda x: given[0].value(_tied(x, given)))(x)
    return given[0].residual(value, slopes, x)


def _random_factors(surface: Surface, key: Array, dim: int, factors: int) -> Factors:
    dtype, shapes = surface.weights.dtype, ((surface.num_classes, dim), (dim, surface.label.size))
    first, last = (jax.random.normal(k, n, dtype) for k, n in zip(jax.random.split(key), shapes, strict=True))
    if factors > 2:  # zero is a local minimum of deep models, where most starts that know no label end
        last = first.T[:, surface.label] + 0.3 * last
    # A product of Gaussian matrices is nearly of rank one; up to symmetry inner ones may be any rotations.
    inner = [jnp.linalg.norm(first) / dim**0.5 * jnp.eye(dim, dtype=dtype)] * (factors - 2)
    start = first, *inner, last * jnp.linalg.norm(first) / jnp.linalg.norm(last)
    start = _scaled(start, 1 / jnp.sqrt(squared_norm(start)))
    if surface.norm2 is not None:
        return _scaled(start, jnp.sqrt(surface.norm2))
    lengths = jnp.asarray(_LENGTHS, surface.weights.dtype)
    return _scaled(start, lengths[jnp.argmin(jax.vmap(lambda t: surface.value(_scaled(start, t)))(lengths))])


def _scaled(factors: Factors, size: Any) -> Factors:
    return tuple(size * A for A in factors)


def _tied(factors: Factors, given: tuple[Surface, Any, Any]) -> Factors:
    """Means over blocks of the rows of the first factor and of the columns of the last."""
    (first, *inner, last), (_, rows, columns) = factors, given
    return _block_means(first, rows), *inner, _block_means(last.T, columns).T


def _block_means(rows: Any, block: Any) -> Any:
    sums = jax.ops.segment_sum(rows, block, len(block))
    return (sums / jnp.maximum(jnp.bincount(block, length=len(block)), 1)[:, None])[block]


def _classified(problem: Problem, surface: Surface, found: Factors, tol: float) -> list[CriticalPoint]:
    bound = known_bound(problem, surface)
    return [classified(surface, tuple(A[i] for A in found), tol, bound) for i in range(len(found[0]))]


#: variables of a data set: words and units
_WORDS = {
    "verdict": ("what the point is", "1"),
    "value": ("loss, and decay where there is one", "nat"),
    "gap": ("proven bound on the value less the global minimum", "nat"),
    "residual": ("relative norm of the gradient", "1"),
    "rank": ("rank of the logits", "1"),
    "multiplier": ("multiplier of the sphere, or root of the product of the decays", "nat"),
    "spectral_norm": ("spectral norm of the gradient by the logits", "nat"),
    "rate_predicted": ("predicted decrease over the square of the step", "nat"),
    "rate_measured": ("measured decrease over the square of the step", "nat"),
    "explicit": ("whether the direction is the explicit one", "1"),
    "least_eigenvalue": ("least eigenvalue of the Hessian, where it was needed", "nat"),
}


def _dataset(points: list[CriticalPoint], dim: str, words: str, labels: Any) -> Any:
    import xarray as xr

    variables: dict[str, Any] = {
        name: (dim, np.array([getattr(point, name) for point in points]), {"long_name": long_name, "units": units})
        for name, (long_name, units) in _WORDS.items()
    }
    codes = np.array([point.verdict for point in points], np.int8)
    variables["verdict"] = (dim, codes, variables["verdict"][2] | flags(Verdict))
    return xr.Dataset(variables, {dim: (dim, labels, {"long_name": words})})


def _attributes(problem: Problem, norm2: Any) -> dict[str, Any]:
    radius = {} if norm2 is None else {"norm2": float(norm2)}
    title = f"Critical points of {type(problem).__name__}"
    return {"title": title, **radius, **made_by()}
