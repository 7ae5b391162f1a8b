"""Closed form of one group of equal classes: the simplex ETF, or zero."""

import jax.numpy as jnp

from ..charge import Budget
from ..objectives.of_groups import GroupCoordinates
from .margins import log_partition, margin_at
from .solver import Candidate, TracedSolver


class ClosedForm(TracedSolver):
    """Balanced cross-entropy optimum ``Z = a (I - J/K)`` (``proofs``: ``lpm.balanced``, ``ufm.balanced``).

    Absent groups (0 classes) are ignored, so it also serves padded problems of which one group is left.
    """

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Of the only group that is present."""
        program = objective.program
        omega, here = program.omega, program.classes > 0
        K = jnp.max(program.classes)
        weight = jnp.max(jnp.where(here, program.weights, 0.0))
        scale = jnp.max(jnp.where(here, omega, 0.0))
        log_rate = jnp.log(weight) - jnp.log(scale)
        if isinstance(program.charge, Budget):
            # where, not maximum: at K = 2 a maximum would halve the derivative by K.
            a = program.charge.amount / (jnp.where(K > 1, K - 1, 1.0) * scale)
            log_inv_t = log_partition(a, 1 / K)
            log_multiplier = log_rate - log_inv_t
        else:
            log_multiplier = jnp.log(program.charge.amount)
            log_inv_t = log_rate - log_multiplier
            alive = log_inv_t > 0
            a = jnp.where(alive, margin_at(jnp.where(alive, log_inv_t, 1.0), -jnp.log(K)), 0.0)
        # Absent groups get the slack their weight would have.
        slack = log_inv_t + jnp.log(program.weights / weight) - jnp.log(omega / scale)
        G = omega.shape[-1]
        at = GroupCoordinates(jnp.where(here, a, 0.0), jnp.zeros((G, G), a.dtype), slack=slack)
        return Candidate(at, log_multiplier, jnp.int32(0), jnp.bool_(True))
