"""Supervised contrastive loss: the simplex ETF of balanced classes, and a descent over features for the rest."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import symmetry
from ..dual_points import positive
from ..symmetry import Gram
from .descent import LBFGS, Until, descend
from .implicit import with_derivative
from .solver import Candidate, TracedSolver


class BalancedFeatures(TracedSolver):
    """One group of equal classes: class features are a simplex ETF that spends all of the budget."""

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Of the only group that is present."""
        classes = objective.classes
        K, G = jnp.max(classes), classes.shape[-1]
        within = jnp.where(classes > 0, objective.budget / jnp.where(K > 1, K - 1, 1.0), 0.0)
        return Candidate(Gram(within, jnp.zeros((G, G), within.dtype)), None, jnp.int32(0), jnp.bool_(True))


class _Point(NamedTuple):
    """``within_g = q_g^2 / (K_g - 1)`` and ``block = left leftᵀ``, up to a common factor that spends the budget."""

    q: Float[Array, " G"]
    left: Float[Array, "G G"]


class FeatureDescent(TracedSolver):
    """L-BFGS over square roots of the inner products in group coordinates, stopped by the duality gap.

    The problem is convex in the inner products and the root has full width, so that no local minimum is spurious.
    """

    max_steps: int = 4000
    name = "grouped"
    tol: ClassVar[float] = 1e-8
    exact: ClassVar[bool] = False

    def __call__(self, objective, tol, start=None) -> Candidate:
        """From orthogonal features."""
        fixed = jax.lax.stop_gradient(objective)
        classes = fixed.classes
        several, here = classes > 1, (classes > 0).astype(classes.dtype)
        point = _Point(jnp.where(several, jnp.sqrt(jnp.where(several, classes - 1, 1.0)), 0.0), jnp.diag(here))
        eps = float(jnp.finfo(classes.dtype).eps)
        found = descend(
            _log_loss,
            _relative_gap,
            point,
            fixed,
            Until(jnp.maximum(max(1e-11, 50 * eps), 1e-3 * tol), jnp.asarray(tol, classes.dtype), self.max_steps),
            LBFGS(),
        )
        point = with_derivative(_log_loss, _reduced(found.x, fixed), objective)
        return Candidate(_gram(point, objective), None, found.steps, found.finished, found.restarts)


def _gram(x: _Point, objective: Any) -> Gram:
    copies = jax.lax.stop_gradient(jnp.where(objective.classes > 1, objective.classes - 1, 1.0))
    within = x.q * x.q / copies
    block = x.left @ x.left.T
    spent = jnp.sum(symmetry.repeats(objective.classes) * within) + jnp.trace(block)
    scale = objective.budget / spent
    return Gram(scale * within, scale * block)


def _log_loss(x: _Point, objective: Any):
    loss = objective.evaluate(_gram(x, objective)).loss
    return jnp.log(jnp.maximum(loss, jnp.finfo(loss.dtype).tiny))


def _relative_gap(x: _Point, objective: Any):
    proof = objective.prove(_gram(x, objective))
    return proof.slack / proof.loss


def _reduced(x: _Point, objective: Any) -> _Point:
    """With groups that have merged exactly so, unless that would raise the loss."""
    proof = objective.prove(_gram(x, objective))
    total = proof.loss + proof.price * objective.budget
    apart = positive(proof.at.within, proof.pull, proof.price, total, 64 * jnp.finfo(total.dtype).eps * proof.price)
    fewer = x._replace(q=jnp.where(apart, x.q, 0.0))
    better = _log_loss(fewer, objective) <= _log_loss(x, objective) + 1e3 * jnp.finfo(total.dtype).eps
    return jax.tree.map(partial(jnp.where, better), fewer, x)
