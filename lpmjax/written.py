"""The problem as it was written, of which a float32 one holds rounded numbers."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np


class Rounding(NamedTuple):
    """Relative errors of a problem's numbers, each (...,): how far what was written can be from what is held."""

    weights: Any
    omega: Any
    price: Any  #: of the budget or the penalty
    loss: Any  #: of the loss's parameter, and of offsets made from samples
    bias_decay: Any


def as_written(problem: Any) -> tuple[Any, Rounding | None]:
    """The problem in float64 on the host, and what rounding leaves open of it (None if it was float64 already).

    Whole numbers are what was written, and default weights follow from the samples, so both are restored; other weights
    are brought back to a sum of 1. Any other number may have been rounded.
    """
    given = problem.groups.weights.dtype
    double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), problem)
    if given == np.float64:
        return double, None
    eps = float(np.finfo(given).eps)
    error = partial(half_ulp, eps=eps)
    groups = double.groups
    here = groups.classes > 0
    default, held = (_normalised(groups.classes, x) for x in (groups.samples, groups.weights))
    follows = np.all(~here | (np.abs(held - default) <= 4 * eps * default), axis=-1)
    double = eqx.tree_at(lambda p: p.groups.weights, double, np.where(follows[..., None], default, held))
    of_samples = np.max(np.where(here, error(groups.samples), 0.0), axis=-1)
    apart = ("groups", "loss", "bias_decay")
    numbers = [getattr(double, field.name) for field in dataclasses.fields(double) if field.name not in apart]
    prices, batch = [x for x in numbers if isinstance(x, np.ndarray)], groups.weights.ndim - 1
    price = sum(np.sum(error(x), axis=tuple(range(batch, x.ndim))) / 2 for x in prices)
    of_loss = sum((worst(error(x), of_samples.ndim) for x in jax.tree.leaves(double.loss)), of_samples)
    decay = 0.0 if double.bias_decay is None else error(double.bias_decay)
    # Given weights have been rounded, divided by the largest and by their sum; what all share is gone.
    weights = np.where(follows, 2 * of_samples, 3 * eps)
    return double, Rounding(weights, of_samples / 2, price, of_loss, decay)


def half_ulp(x: Any, eps: float) -> Any:
    """Largest relative rounding of a number, unless it is whole and small enough to be exact."""
    return np.where((x == np.rint(x)) & (np.abs(x) < 2 / eps), 0.0, eps / 2)


def worst(x: Any, batch: int) -> Any:
    """The largest entry of a parameter for each of ``batch`` axes of lanes: it has one for each group, or is one."""
    return np.max(x, axis=-1) if x.ndim > batch else x


def _normalised(classes, weights):
    share = weights / np.max(weights, axis=-1, keepdims=True)
    return share / np.sum(classes * share, axis=-1, keepdims=True)
