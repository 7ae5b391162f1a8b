"""Closed form of non-negative features with weight decay: every class by itself."""

import jax.numpy as jnp

from .. import symmetry
from ..objectives.of_groups import GroupCoordinates
from .margins import margin_at
from .solver import Candidate, TracedSolver


class Orthogonal(TracedSolver):
    """``Z = (I - J/K) diag(within)``; class k is zero exactly where its slack is not positive."""

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Margin of each class at its price."""
        program = objective.program
        classes, K = program.classes, jnp.sum(program.classes)
        log_multiplier = jnp.log(program.charge.amount * jnp.sqrt(K / (K - 1)))
        slack = jnp.log(program.weights) - jnp.log(program.omega) - log_multiplier
        alive = (slack > 0) & (classes > 0)
        within = jnp.where(alive, margin_at(jnp.where(alive, slack, 1.0), -jnp.log(K)), 0.0)
        at = GroupCoordinates(within, symmetry.centred_diagonal(within, classes), slack=slack)
        return Candidate(at, log_multiplier, jnp.int32(0), jnp.bool_(True))
