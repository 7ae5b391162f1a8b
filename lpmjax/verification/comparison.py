"""Comparison: what is compared per theorem, and what all comparisons share: batches of solutions, grids and errors."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..codes import Status
from ..compiling import quick_jit
from ..groups import ClassGroups
from ..losses.loss import Loss
from ..losses.softmax import CrossEntropy
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.solution import Solution
from ..solve import solve

Forms = Mapping[str, Any]
_LANES = 32  # solved at once, so that all batches share one compilation


@dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Comparison:
    """What was compared: one error per cell (inf where a yes-or-no claim fails), and how far the cells are trusted."""

    route: str
    errors: np.ndarray
    certified: int
    cells: int
    outside: int = 0  #: cells of the grid that the theorem does not speak of


@partial(quick_jit, once=True)
@jax.vmap
def _solve_layer_peeled(row):
    K_A, K_B, R, w, E_W, E_H = row
    classes, samples, weights = (jnp.stack(pair) for pair in ((K_A, K_B), (R, jnp.ones_like(R)), (R, w)))
    return solve(LayerPeeled(ClassGroups(classes, samples, weights), E_W, E_H))


@partial(quick_jit, static_argnames=("G", "loss"), once=True)
def _solve_decayed(rows, G, loss):
    def one(row):
        classes, samples, weights = row[: 3 * G].reshape(3, G)
        lambda_W, lambda_H, *of_loss = row[3 * G :]
        return solve(UnconstrainedFeatures(ClassGroups(classes, samples, weights), lambda_W, lambda_H, loss(*of_loss)))

    return jax.vmap(one)(rows)


def in_lanes(function, batch) -> Any:
    """``function`` of a pytree of leaves with equal leading axes, a fixed number of entries at a time."""
    cells = len(jax.tree.leaves(batch)[0])
    parts = [np.minimum(np.arange(start, start + _LANES), cells - 1) for start in range(0, cells, _LANES)]
    found = [function(jax.tree.map(lambda leaf, part=part: leaf[part], batch)) for part in parts]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:cells], *found)


def rows(*columns) -> np.ndarray:
    """Columns that broadcast, side by side."""
    return np.stack([x.ravel() for x in np.broadcast_arrays(*(np.asarray(c, float) for c in columns))], axis=1)


def layer_peeled(K_A, K_B, R, E_W, E_H, w: Any = 1.0) -> Solution:
    """Solve two groups on budgets, on columns that broadcast; ``w`` oversamples the second group."""
    return in_lanes(_solve_layer_peeled, rows(K_A, K_B, R, w, E_W, E_H))


def decayed(classes, samples, decays, weights=None, loss: type[Loss] = CrossEntropy, of_loss=()) -> Solution:
    """The same with decays lambda_W, lambda_H and any number of groups, one column each; ``weights`` defaults to the
    samples.

    ``of_loss`` are columns of parameters of the class ``loss``.
    """
    weights = samples if weights is None else weights
    solver = partial(_solve_decayed, G=len(classes), loss=loss)
    return in_lanes(solver, rows(*classes, *samples, *weights, *decays, *of_loss))


def full_logits(classes, s: Solution) -> np.ndarray:
    """(cells, K, K) logits of the coordinates of ``s``, by their definition."""
    group = np.repeat(np.arange(len(classes)), classes)
    K = np.asarray(classes)[group]
    centring = np.eye(group.size) - (group[:, None] == group) / K
    return s.between[:, group[:, None], group] / np.sqrt(np.outer(K, K)) + s.within[:, None, group] * centring


def grid(*axes) -> list[np.ndarray]:
    """Columns of the product of axes."""
    return [x.ravel() for x in np.meshgrid(*map(np.asarray, axes), indexing="ij")]


def relative(found, expected, terms: Any = 0.0) -> np.ndarray:
    """Error per cell, relative to what is expected, or to the terms it is a sum of where those are larger."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    scale = np.maximum(np.maximum(np.abs(expected), terms), np.finfo(float).tiny)
    return np.nan_to_num(np.abs(found - expected) / scale, nan=np.inf)


def relative2(found, expected, terms: Any = 0.0) -> np.ndarray:
    """Its square, for what a descent that is stopped by a duality gap knows only to the root of that gap."""
    return relative(found, expected, terms) ** 2


def claimed(*statements) -> np.ndarray:
    """0 where every statement holds, inf elsewhere."""
    return np.where(np.logical_and.reduce(np.broadcast_arrays(*statements)), 0.0, np.inf)


def report(route: str, solutions: list[Solution], *errors, outside: int = 0) -> Comparison:
    """Errors of several quantities, and what is certified."""
    status = np.concatenate([np.ravel(s.status) for s in solutions])
    flat = np.concatenate([np.ravel(e) for e in errors])
    return Comparison(route, flat, int((status == Status.certified).sum()), status.size, outside)


def perturbed(s: Solution) -> Solution:
    """Optimal coordinates pushed off the optimum, by 1e-6 to all of their size; what else it holds is not theirs."""
    rng = np.random.default_rng(0)
    noise = np.exp(rng.uniform(-6, 0, s.value.shape) * np.log(10))
    within = s.within * (1 + noise[:, None] * rng.uniform(-1, 1, s.within.shape))
    between = s.between * (1 + noise[:, None, None] * rng.uniform(-1, 1, s.between.shape))
    return dataclasses.replace(s, within=within, between=between)
