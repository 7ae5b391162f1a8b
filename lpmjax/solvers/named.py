"""Deep models restricted to named structures, each a problem in a few numbers; the best is an upper bound."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..losses.softmax import CrossEntropy
from ..objectives.of_groups import GroupCoordinates
from ..objectives.schatten import DeepCoordinates, SchattenObjective, power
from ..structures.known import catalogue
from ..structures.structure import Structure, stack
from .closed_form import ClosedForm
from .descent import LBFGS, Until, descend, relative_slope
from .grouped import Grouped
from .implicit import with_derivative
from .solver import Candidate, TracedSolver
from .two_group import TwoGroup

#: relative gradient that a descent aims at, and that it must reach
_GOAL, _ACCEPT = 1e-11, 1e-8
#: grid of margins at which descents start, and how often each part of a structure is looked at
_LOWEST, _HIGHEST, _SIZES, _ROUNDS = 0.3, 60.0, 24, 2
#: share of the value by which a structure must beat a simpler one: less is the simpler one, found again
_AHEAD = 1e-10


class Shape(eqx.Module):
    """One structure of a stack."""

    bases: Float[Array, "P m K d"]
    copies: Float[Array, " P"]


class Unknowns(NamedTuple):
    """L-th roots of the singular values, their vectors at any length, and a bias."""

    root: Float[Array, " P"]
    left: Float[Array, "P m"]
    right: Float[Array, "P m"]
    bias: Any


class Branches(NamedTuple):
    """All structures of a problem, in the order of the catalogue."""

    x: Unknowns
    value: Float[Array, " S"]
    spectrum: Float[Array, "S d"]  #: singular values, largest first
    steps: Int[Array, " S"]
    converged: Bool[Array, " S"]


def branches(
    objective: SchattenObjective, max_steps: int = 2000, chosen: tuple[Structure, ...] | None = None
) -> Branches:
    """The best point of every structure, by default of all that are known; values and points are differentiable by the
    objective's numbers."""
    shapes, starts = _stacked(objective, chosen)

    def solved(shape: Shape, start: Unknowns):
        start = _best_size(shape, start, objective)
        until = sought(objective.program.weights.dtype, max_steps)
        found = descend(_value, _residual, start, (objective, shape), until, LBFGS())
        x = with_derivative(_value, found.x, (objective, shape))
        spectrum = power(_factors(x, shape)[1], objective.depth)
        return Branches(x, _value(x, (objective, shape)), spectrum, found.steps, found.converged)

    return jax.vmap(solved)(shapes, starts)


def sought(dtype: Any, max_steps: int) -> Until:
    """Relative gradient at which a descent ends."""
    eps = float(jnp.finfo(dtype).eps)
    return Until(max(_GOAL, 100 * eps), jnp.asarray(max(_ACCEPT, 1e4 * eps), dtype), max_steps)


def weighted_margins(objective: SchattenObjective) -> Float[Array, " sizes"]:
    """Margins from next to nothing to a loss of zero, times omega, among which the size of a start is chosen."""
    omega = objective.classes.omega
    return jnp.geomspace(_LOWEST, _HIGHEST, _SIZES, dtype=omega.dtype) * jnp.mean(omega)


def structures(objective: SchattenObjective) -> tuple[Structure, ...]:
    """Those that the inner widths allow, in the order of :func:`branches`."""
    K = objective.order.group_of_class.size
    width = K if objective.width is None else objective.width
    return tuple(structure for structure in catalogue(objective.order) if structure.rank <= width)


def best_branch(value: Float[Array, " S"]) -> Int[Array, ""]:
    """The simplest structure of those that attain the least value."""
    return jnp.argmax(value <= jnp.nanmin(value) * (1 + _AHEAD))


class Named(TracedSolver):
    """The best of the named structures (:mod:`lpmjax.structures`)."""

    max_steps: int = 2000
    name: ClassVar[str] = "named"
    tol: ClassVar[float] = 1e-8

    def __call__(self, objective: SchattenObjective, tol: Any, start: Any = None) -> Candidate:
        """Factors of the best structure, and the optimum of the relaxation at its value."""
        return best_candidate(objective, branches(objective, self.max_steps), tol)


def best_candidate(objective: SchattenObjective, found: Branches, tol: Any) -> Candidate:
    """The best of all structures that are known, with what bounds the optimum from below."""
    chosen = best_branch(jax.lax.stop_gradient(found.value))
    shapes, _ = _stacked(objective, None)
    x, shape, value, steps, converged = jax.tree.map(
        lambda leaf: leaf[chosen], (found.x, shapes, found.value, found.steps, found.converged)
    )
    at = DeepCoordinates(*_factors(x, shape), x.bias, relaxation(objective, value, tol))
    return Candidate(at, None, steps, converged)


def relaxation(objective: SchattenObjective, value: Any, tol: Any) -> GroupCoordinates:
    """Optimum of the convex relaxation whose dual bounds the optimum from below."""
    program = objective.program
    G, dtype = program.classes.shape[-1], program.weights.dtype
    bias = jnp.zeros(G, dtype) if program.bias.present else None
    if objective.convex is None:
        return GroupCoordinates(jnp.zeros(G, dtype), jnp.zeros((G, G), dtype), bias)
    solver = Grouped()
    if type(objective.convex) is CrossEntropy and not program.bias.present:
        solver = {1: ClosedForm(), 2: TwoGroup()}.get(G, solver)
    relaxed = jax.lax.stop_gradient(objective.relaxed(value))
    return jax.lax.stop_gradient(solver(relaxed, tol).coordinates)


def _stacked(objective: SchattenObjective, chosen: tuple[Structure, ...] | None) -> tuple[Shape, Unknowns]:
    K, dtype = objective.order.group_of_class.size, objective.program.weights.dtype
    chosen = structures(objective) if chosen is None else chosen
    stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), stack(chosen, K))
    S = len(stacked.copies)
    bias = jnp.zeros((S, K), dtype) if objective.program.bias.present else None
    roots = jnp.ones_like(stacked.copies)
    return Shape(stacked.bases, stacked.copies), Unknowns(roots, stacked.left, stacked.right, bias)


def _best_size(shape: Shape, x: Unknowns, objective: SchattenObjective) -> Unknowns:
    """All parts of one size, then one part after another, each of the best on a grid: a part that starts too large or
    too small ends at zero, which is a local minimum of every one."""
    sizes = weighted_margins(objective) ** (1 / objective.depth)
    parts = x.root.size

    def resized(i, x: Unknowns) -> Unknowns:
        moved = (i == 0) | (jnp.arange(parts) == (i - 1) % parts)
        trials = jnp.where(moved, sizes[:, None], x.root)
        values = jax.vmap(lambda root: _value(x._replace(root=root), (objective, shape)))(trials)
        return x._replace(root=trials[jnp.argmin(values)])

    return jax.lax.fori_loop(0, 1 + _ROUNDS * parts, resized, x)


def _factors(x: Unknowns, shape: Shape) -> tuple[Array, Array, Array]:
    """``left``, ``root`` and ``right``, one column for every dimension of every part, padding cut where it can be."""
    K = shape.bases.shape[-2]
    root = jnp.abs(x.root)[:, None] * (jnp.arange(shape.bases.shape[-1]) < shape.copies[:, None])

    def side(vectors):
        unit = vectors / jnp.sqrt(jnp.sum(vectors * vectors, axis=-1, keepdims=True))
        columns = jnp.einsum("pm,pmkd->kpd", unit, shape.bases)
        return (columns * root).reshape(K, -1)

    left, right, root = side(x.left), side(x.right), root.ravel()
    kept = jnp.argsort(-root)[:K]
    return left[:, kept], root[kept], right[:, kept].T


def _value(x: Unknowns, given: tuple[SchattenObjective, Shape]) -> Array:
    objective, shape = given
    program = objective.classes

    def side(vectors):
        unit = vectors / jnp.sqrt(jnp.sum(vectors * vectors, axis=-1, keepdims=True))
        return jnp.einsum("pm,pmkd->pkd", unit, shape.bases)

    weighted = power(x.root, objective.depth)[:, None, None] * side(x.left)
    Z = jnp.einsum("pjd,pkd->jk", weighted, side(x.right)) / program.omega[None, :]
    paid = objective.price * jnp.sum(shape.copies * x.root**2) + program.bias.paid(x.bias, 1.0)
    return objective.loss(Z, x.bias)[0] + paid


def _residual(x: Unknowns, given: Any) -> Array:
    return relative_slope(_value, x, given)
