"""The referee of deep models: descents over all factors of the network, from random starts at every width.

The landscape is that of the network as it is trained, inner matrices full: what is found here owes nothing to a
symmetry or to the form of the answer. A start of width r has factors of inner dimension r, padded with zeros, which
stay zero for L >= 3; so one compilation serves all widths. Zero is a local minimum at every decay, and starts are
scaled to where the objective is least along their ray, lest they all end there.
"""

import dataclasses
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import spectral
from ..arguments import require_integer
from ..compiling import quick_jit
from ..objectives.of_groups import GroupCoordinates
from ..objectives.schatten import DeepCoordinates, SchattenObjective
from .claims import claim_of
from .descent import LBFGS, descend, relative_slope
from .implicit import with_derivative
from .named import relaxation, sought, weighted_margins
from .solver import Candidate, Claim, RestartedSolver


@dataclasses.dataclass(frozen=True)
class MultiStart(RestartedSolver):
    """L-BFGS over all factors from ``restarts`` random networks of each inner width, by default every one of use."""

    max_steps: int = 3000
    widths: tuple[int, ...] | None = None
    name: ClassVar[str] = "factored"
    tol: ClassVar[float] = 1e-8
    exact: ClassVar[bool] = True  #: singular values that are left of zero are cut

    def __post_init__(self):
        super().__post_init__()
        if self.widths is not None:
            if not isinstance(self.widths, tuple) or not self.widths:
                raise ValueError(
                    f"widths = {self.widths!r} is out of range: it must be a tuple of inner widths, or None."
                )
            for width in self.widths:
                require_integer("widths", width, 1)

    def __call__(self, problem: Any, tol: Any, key: Any, start: Any = None) -> Claim:
        """One claim for each width and start, width by width."""
        objective = problem.objective()
        scanned = self.scanned(objective)
        widest = max(scanned) if objective.width is None else objective.width
        if max(scanned) > widest:
            raise ValueError(f"widths = {self.widths} is out of range: the problem has dim = {widest}.")
        return _claims(objective, tol, key, factors=problem.num_factors, solver=self)

    def scanned(self, objective: SchattenObjective) -> tuple[int, ...]:
        """The widths of the starts."""
        if self.widths is not None:
            return self.widths
        full = objective.order.group_of_class.size - (0 if objective.program.full else 1)
        return tuple(range(1, full + 1 if objective.width is None else min(full, objective.width) + 1))


@partial(quick_jit, static_argnames=("factors", "solver"))
def _claims(objective: SchattenObjective, tol: Any, key: Array, factors: int, solver: MultiStart) -> Claim:
    with jax.default_matmul_precision("highest"):
        fixed = jax.lax.stop_gradient(objective)
        found = search(fixed, factors, key, solver.restarts, solver.scanned(fixed), solver.max_steps)
        found = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)
        relaxed = relaxation(objective, jnp.nanmin(found.value), tol)

        def claimed(found: Searched) -> Claim:
            return claim_of(objective, candidate(objective, found, relaxed), tol, solver.exact)

        return jax.vmap(claimed)(found)


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
        until = sought(objective.program.weights.dtype, max_steps)
        found = descend(_value, _residual, start, objective, until, LBFGS())
        return Searched(found.x, _value(found.x, objective), found.residual, found.steps, found.converged)

    return jax.vmap(jax.vmap(run))(starts)


def candidate(objective: SchattenObjective, found: Searched, relaxed: GroupCoordinates) -> Candidate:
    """What a descent found, in the coordinates of the objective, with its derivative."""
    at = with_derivative(
        _value_of_coordinates, objective.balanced(spectral.svd(product(found.at)), found.at.bias), objective
    )
    return Candidate(at._replace(relaxed=relaxed), None, found.steps, found.converged)


def product(network: Network) -> Array:
    """(K, K) weighted logits."""
    through = network.first
    for matrix in network.inner:
        through = through @ matrix
    return through @ network.last


def _random_network(key: Array, width: Any, objective: SchattenObjective, factors: int, most: int) -> Network:
    K, dtype = objective.order.group_of_class.size, objective.program.weights.dtype
    here = (jnp.arange(most) < width).astype(dtype)
    first, last = (
        jax.random.normal(k, shape, dtype)
        for k, shape in zip(jax.random.split(key), ((K, most), (most, K)), strict=True)
    )
    # Up to symmetry any rotations: a product of Gaussian matrices is nearly of rank one, and falls to low ranks.
    inner = jnp.broadcast_to(jnp.diag(here), (factors - 2, most, most))
    bias = jnp.zeros(K, dtype) if objective.program.bias.present else None
    start = Network(first * here, inner, last * here[:, None], bias)
    size = jnp.sqrt(jnp.sum(product(start) ** 2) / K)
    scales = (weighted_margins(objective) / size) ** (1 / factors)

    def scaled(scale) -> Network:
        return Network(scale * start.first, scale * start.inner, scale * start.last, bias)

    values = jax.vmap(lambda scale: _value(scaled(scale), objective))(scales)
    return scaled(scales[jnp.argmin(values)])


def _value(x: Network, objective: SchattenObjective) -> Array:
    program = objective.classes
    squares = jnp.sum(x.first**2) + jnp.sum(x.inner**2) + jnp.sum(x.last**2)
    paid = objective.price / objective.depth * squares + program.bias.paid(x.bias, 1.0)
    return objective.loss(product(x) / program.omega[None, :], x.bias)[0] + paid


def _residual(x: Network, objective: SchattenObjective) -> Array:
    return relative_slope(_value, x, objective)


def _value_of_coordinates(at: DeepCoordinates, objective: SchattenObjective) -> Array:
    return objective.lagrangian(at, None)
