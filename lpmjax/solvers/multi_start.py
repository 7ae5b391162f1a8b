"""The referee of deep models: descents over all factors of the network, from random starts at every width.

The landscape is that of the network as it is trained, inner matrices full: what is found here owes nothing to a
symmetry or to the form of the answer. A start of width r has factors of inner dimension r, padded with zeros, which stay
zero for L >= 3; so one compilation serves all widths. Zero is a local minimum at every decay, and starts are scaled to
where the objective is least along their ray, lest they all end there.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .. import spectral
from ..objectives.schatten import DeepCoordinates, SchattenObjective
from .descent import descend
from .implicit import with_derivative
from .named import relaxation
from .solver import Candidate

_GOAL, _ACCEPT = 1e-10, 1e-7
#: singular value, as a share of the largest, below which it is what a descent left of zero
_NOTHING = 1e-7
_LOWEST, _HIGHEST, _STARTS = 0.3, 60.0, 24


class Network(NamedTuple):
    """All factors, scaled to equal decays."""

    first: Float[Array, "K r"]
    inner: Float[Array, "L-2 r r"]
    last: Float[Array, "r K"]
    bias: Any


class Searched(NamedTuple):
    """Every descent of a search."""

    at: Network
    value: Float[Array, "widths restarts"]
    residual: Float[Array, "widths restarts"]
    steps: Int[Array, "widths restarts"]
    converged: Bool[Array, "widths restarts"]


def search(
    objective: SchattenObjective, factors: int, key: Array, restarts: int, widths: tuple[int, ...], max_steps: int
) -> Searched:
    """Descend from ``restarts`` random networks of each width; ``factors`` is L."""
    draw = partial(_random_network, objective=objective, factors=factors, most=max(widths))
    keys = jax.random.split(key, (len(widths), restarts))
    starts = jax.vmap(lambda row, width: jax.vmap(lambda key: draw(key, width))(row))(keys, jnp.asarray(widths))

    def run(start: Network) -> Searched:
        found = descend(
            _value, _residual, start, objective,
            goal=_GOAL, accept=jnp.asarray(_ACCEPT), max_steps=max_steps,
        )  # fmt: skip
        return Searched(found.x, _value(found.x, objective), found.residual, found.steps, found.converged)

    return jax.vmap(jax.vmap(run))(starts)


def polished(objective: SchattenObjective, network: Network, steps: Any, tol: Any, max_steps: int) -> Candidate:
    """The same point in the coordinates of the objective, with its derivative and what bounds the optimum."""
    start = _balanced(objective, network)
    found = descend(
        _value_of_coordinates, _residual_of_coordinates, start, objective,
        goal=_GOAL * 1e-2, accept=jnp.asarray(_ACCEPT), max_steps=max_steps,
    )  # fmt: skip
    at = with_derivative(_value_of_coordinates, found.x, objective)
    relaxed = relaxation(objective, objective.lagrangian(at, None), tol)
    return Candidate(at._replace(relaxed=relaxed), None, steps + found.steps, found.converged)


def product(network: Network) -> Array:
    """(K, K) weighted logits."""
    through = network.first
    for matrix in network.inner:
        through = through @ matrix
    return through @ network.last


def _random_network(key: Array, width: Any, objective: SchattenObjective, factors: int, most: int) -> Network:
    K, dtype = objective.order.group_of_class.size, objective.program.weights.dtype
    here = (jnp.arange(most) < width).astype(dtype)
    first, inner, last = (
        jax.random.normal(k, shape, dtype)
        for k, shape in zip(jax.random.split(key, 3), ((K, most), (factors - 2, most, most), (most, K)), strict=True)
    )
    bias = jnp.zeros(K, dtype) if objective.program.has_bias else None
    start = Network(first * here, inner * here[:, None] * here[None, :], last * here[:, None], bias)
    size = jnp.sqrt(jnp.sum(product(start) ** 2) / K)
    margins = jnp.geomspace(_LOWEST, _HIGHEST, _STARTS, dtype=dtype) * jnp.mean(objective.classes.omega)
    scales = (margins / size) ** (1 / factors)

    def scaled(scale) -> Network:
        return Network(scale * start.first, scale * start.inner, scale * start.last, bias)

    values = jax.vmap(lambda scale: _value(scaled(scale), objective))(scales)
    return scaled(scales[jnp.argmin(values)])


def _value(x: Network, objective: SchattenObjective) -> Array:
    program = objective.classes
    squares = jnp.sum(x.first**2) + jnp.sum(x.inner**2) + jnp.sum(x.last**2)
    value = objective.loss(product(x) / program.omega[None, :], x.bias)[0]
    value = value + program.penalty / objective.depth * squares
    if program.bias_decay is not None:
        value = value + 0.5 * program.bias_decay * jnp.sum(x.bias**2)
    return value


def _residual(x: Network, objective: SchattenObjective) -> Array:
    value, slope = jax.value_and_grad(_value)(x, objective)

    def norm(tree):
        return jnp.sqrt(sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(tree)))

    return norm(slope) * norm(x) / value


def _balanced(objective: SchattenObjective, network: Network) -> DeepCoordinates:
    """Singular value decomposition of the product, without what is left of zero."""
    left, singular, right = spectral.svd(product(network))
    kept = singular > _NOTHING * singular[0]
    root = jnp.where(kept, jnp.where(kept, singular, 1.0) ** (1 / objective.depth), 0.0)
    return DeepCoordinates(left * root[None, :], root, root[:, None] * right, network.bias, None)


def _value_of_coordinates(at: DeepCoordinates, objective: SchattenObjective) -> Array:
    return objective.lagrangian(at, None)


def _residual_of_coordinates(at: DeepCoordinates, objective: SchattenObjective) -> Array:
    value, slope = objective.loss(objective.logits(at), at.bias)
    return objective.residual(at, value + objective.paid(at), slope)
