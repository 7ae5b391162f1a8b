"""Supervised contrastive loss of features alone: convex in their inner products.

Features of a class coincide at an optimum (averaging over its samples lowers the log-sum-exp and the norms, and leaves
the attraction), so that with ``M = Hᵀ H`` of the K class features the loss is

    F(M) = sum_k weight_k (log sum_l n_l exp(M_lk / t) - M_kk / t),

logit-adjusted cross-entropy of the logits ``M / t`` plus constants: convex in M, on the set ``M >= 0`` (semidefinite),
``trace M <= K E_H``, which is convex too. With G = grad F(M), made symmetric, the bound is

    F(M) - F* <= <G, M> + K E_H max(0, lambda_max(-G)).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..codes import Phase
from ..dual_points import positive
from ..duality import gradient
from ..losses.softmax import CrossEntropy
from ..symmetry import Gram
from .objective import AbstractObjective, Structure
from .of_groups import without


class GramProof(NamedTuple):
    """What inner products prove."""

    value: Any
    gap: Any
    log_scale: Any
    at: Gram  #: positive semidefinite, within the budget
    pull: Any  #: (..., G) minus the gradient within groups
    block: Any  #: (..., G, G) minus its block between groups
    price: Any  #: largest eigenvalue of minus the gradient: the multiplier of the budget
    loss: Any  #: without what no feature can change
    slack: Any  #: gap between losses: what no feature can change drops out of it, its rounding too


class Evaluated(NamedTuple):
    """The loss, without what no feature can change, and minus its gradient."""

    loss: Any
    constant: Any  #: mean logarithm of the samples
    pull: Any
    block: Any


class ContrastiveObjective(AbstractObjective):
    """Mean contrastive loss with the trace of the inner products on a budget."""

    classes: Float[Array, "*batch G"]
    weights: Float[Array, "*batch G"]
    samples: Float[Array, "*batch G"]
    temperature: Float[Array, "*batch"]
    budget: Float[Array, "*batch"]

    def evaluate(self, at: Gram) -> Evaluated:
        """At any inner products."""
        nx, classes, t = at.within.__array_namespace__(), self.classes, self.temperature
        logs = nx.log(self.samples)
        rival_counts = symmetry.count_rivals(classes)
        margins = symmetry.margins(at.within / t[..., None], at.block / t[..., None, None], classes)
        loss = CrossEntropy().on_groups(symmetry.shift_margins(margins, logs), rival_counts)
        pull, block = gradient(loss.wrong, rival_counts, classes, self.weights)
        block = -0.5 * (block + nx.swapaxes(block, -1, -2))
        share = classes * self.weights
        value, constant = (nx.sum(share * x, axis=-1) for x in (loss.value, logs))
        return Evaluated(value, constant, pull / t[..., None], block / t[..., None, None])

    def feasible(self, at: Gram) -> Gram:
        """The positive semidefinite part, scaled down into the budget."""
        nx, repeats = at.within.__array_namespace__(), symmetry.repeats(self.classes)
        within = nx.where(repeats > 0, nx.maximum(at.within, 0.0), 0.0)
        block = 0.5 * (at.block + nx.swapaxes(at.block, -1, -2))
        block = 0.5 * (block + spectral.roots(block, True)[0])
        spent = nx.sum(repeats * within, axis=-1) + nx.sum(symmetry.diagonal(block), axis=-1)
        onto = nx.where(spent > self.budget, self.budget / nx.where(spent > 0, spent, 1.0), 1.0)
        return Gram(within * onto[..., None], block * onto[..., None, None])

    def prove(self, at: Gram) -> GramProof:
        """The gap, every term of it a sum of what is not negative."""
        at = self.feasible(at)
        nx, repeats = at.within.__array_namespace__(), symmetry.repeats(self.classes)
        found = self.evaluate(at)
        shift = spectral.block_norm(found.block)  # brings all eigenvalues above zero
        eye = nx.eye(self.classes.shape[-1], dtype=self.classes.dtype)
        largest = spectral.spectral_norm(found.block + shift[..., None, None] * eye, True) - shift
        price = nx.maximum(largest, nx.max(nx.where(repeats > 0, found.pull, 0.0), axis=-1))
        price = nx.maximum(price, 0.0)
        spent = nx.sum(repeats * at.within, axis=-1) + nx.sum(symmetry.diagonal(at.block), axis=-1)
        inside = nx.sum(repeats * (price[..., None] - found.pull) * at.within, axis=-1)
        across = price * nx.sum(symmetry.diagonal(at.block), axis=-1) - nx.sum(found.block * at.block, axis=(-2, -1))
        size = 1 + (nx.max(nx.abs(at.within), axis=-1) + nx.max(nx.abs(at.block), axis=(-2, -1))) / self.temperature
        ulps = 8 * max(2, self.classes.shape[-1]) * nx.finfo(price.dtype).eps
        rounding = ulps * (size * (found.loss + price * self.budget) + shift * self.budget)
        slack = nx.maximum(inside, 0.0) + nx.maximum(across, 0.0) + nx.maximum(price * (self.budget - spent), 0.0)
        value, slack = found.loss + found.constant, slack + rounding
        gap = nx.minimum(slack + ulps * value, value)  # no loss is negative
        return GramProof(value, gap, nx.zeros_like(value), at, found.pull, found.block, price, found.loss, slack)

    def lagrangian(self, at: Gram, multiplier: Any) -> Float[Array, ""]:
        """Loss, and the budget at its multiplier."""
        found = self.evaluate(at)
        spent = jnp.sum(symmetry.repeats(self.classes) * at.within) + jnp.trace(at.block)
        return found.loss + found.constant + multiplier * (spent - self.budget)

    def log_multiplier(self, proof: GramProof) -> Float[Array, "*batch"]:
        """Of the budget, which always binds: minus the gradient has a positive trace."""
        return proof.price.__array_namespace__().log(proof.price)

    def structure(self, proof: GramProof, price: Any) -> Structure:
        """By which eigenvalues of the inner products are not zero."""
        classes, (within, block) = self.classes, proof.at
        nx, repeats = classes.__array_namespace__(), symmetry.repeats(classes)
        shift = spectral.block_norm(proof.block)
        objective = proof.loss + price * self.budget
        noise = 64 * nx.finfo(within.dtype).eps * shift
        apart = (repeats > 0) & positive(within, proof.pull, price, objective, noise)
        values = spectral.singular_values(block)
        eye = nx.eye(classes.shape[-1], dtype=classes.dtype)
        dual = spectral.singular_values(proof.block + shift[..., None, None] * eye) - shift[..., None]
        across = positive(values, dual, price, objective, noise)
        rank = nx.rint(nx.sum(nx.where(apart, repeats, 0), axis=-1) + nx.sum(nx.where(across, 1.0, 0.0), axis=-1))
        least = nx.minimum(proof.slack / objective, nx.sqrt(nx.finfo(within.dtype).eps)) * self.budget
        gone = (classes > 0) & (classes * symmetry.norms2(proof.at, classes) <= least[..., None])
        distinct = nx.all((classes <= 1) | apart, axis=-1)
        count = nx.rint(nx.sum(classes, axis=-1))
        phase = nx.where(distinct & (rank >= count - 1), Phase.separated, Phase.merged)
        return Structure(nx.where(nx.any(gone, axis=-1), Phase.annihilated, phase), rank, rank, gone)

    def describe(self, at: Gram, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """Coordinates, cosines and norms of each group."""
        at = Gram(*without(found.gone, self.classes, *at))
        pairwise = symmetry.cosines(at, self.classes)
        return {
            "cosine": symmetry.diagonal(pairwise),
            "pairwise": pairwise,
            "h_norm2": symmetry.norms2(at, self.classes),
            "within": at.within,
            "between": at.block,
        }

    def coordinates(self, result: Any) -> Gram:
        """In float64."""
        return Gram(*symmetry.coordinates_of(result, self.classes))

    def proved(self, proof: GramProof, at: Gram) -> Gram:
        """Positive semidefinite, within the budget."""
        return proof.at

    def left_open(self, proof: GramProof, at: Gram, rounding: Any) -> Any:
        """All of it: what rounded numbers of the problem change in the bound is not known, but no loss is negative."""
        nx = proof.value.__array_namespace__()
        return nx.zeros_like(proof.value) if rounding is None else nx.maximum(proof.value - proof.gap, 0.0)
