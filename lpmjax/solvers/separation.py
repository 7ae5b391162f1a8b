"""Closed form of minimum-norm separation: simplex-encoded labels, of any counts."""

import jax.numpy as jnp

from .. import symmetry
from ..objectives.of_groups import GroupCoordinates
from .solver import Candidate, TracedSolver


class SimplexEncoding(TracedSolver):
    """``Z = (I - v vᵀ / |v|^2) diag(v)`` with ``v = 1 / delta``: every margin is 1, and the counts have no part in it
    (``proofs``: ``ulpm.seli``)."""

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Of the groups that are present."""
        v = jnp.where(objective.classes > 0, 1 / objective.delta, 0.0)
        at = GroupCoordinates(v, objective.centred(symmetry.diagonal_matrix(v)))
        return Candidate(at, None, jnp.int32(0), jnp.bool_(True))
