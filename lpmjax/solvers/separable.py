"""Closed form of squared error that separates over singular values."""

import jax.numpy as jnp

from .solver import Candidate, TracedSolver


class Separable(TracedSolver):
    """Every singular value of the target shrunk by itself, its nonzero root compared with zero."""

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """The objective knows it."""
        return Candidate(objective.minimiser(), None, jnp.int32(0), jnp.bool_(True))
