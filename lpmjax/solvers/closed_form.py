"""Closed forms: one group of equal classes (the simplex ETF, or zero), and non-negative features."""

import jax.numpy as jnp

from .. import symmetry
from .coordinates import Coordinates, log_partition, margin_at


def solve_closed_form(problem, max_steps: int) -> Coordinates:
    """Balanced cross-entropy optimum ``Z = a (I - J/K)`` (``proofs``: ``lpm.balanced``, ``ufm.balanced``).

    Absent groups (0 classes) are ignored, so it also serves padded problems of which one group is left.
    """
    if problem.nonnegative:
        return _solve_nonnegative(problem)
    groups, omega = problem.groups, problem.omega
    here = groups.classes > 0
    K = jnp.max(groups.classes)
    weight = jnp.max(jnp.where(here, groups.weights, 0.0))
    scale = jnp.max(jnp.where(here, omega, 0.0))
    if problem.penalty is None:
        # where, not maximum: at K = 2 a maximum would halve the derivative by K.
        a = problem.budget / (jnp.where(K > 1, K - 1, 1.0) * scale)
        log_inv_t = log_partition(a, 1 / K)
    else:
        log_inv_t = jnp.log(weight) - jnp.log(scale) - jnp.log(problem.penalty)
        alive = log_inv_t > 0
        a = jnp.where(alive, margin_at(jnp.where(alive, log_inv_t, 1.0), -jnp.log(K)), 0.0)
    # Absent groups get the slack their weight would have.
    shift = jnp.log(groups.weights / weight) - jnp.log(omega / scale)
    G = groups.num_groups
    return Coordinates(
        within=jnp.where(here, a, 0.0),
        between=jnp.zeros((G, G), a.dtype),
        slack=log_inv_t + shift,
        steps=jnp.int32(0),
        converged=jnp.bool_(True),
    )


def _solve_nonnegative(problem) -> Coordinates:
    """Weight decay with features H >= 0: every class by itself, ``Z = (I - J/K) diag(within)``."""
    classes, omega = problem.groups.classes, problem.omega
    K = jnp.sum(classes)
    price = problem.penalty * jnp.sqrt(K / (K - 1))
    slack = jnp.log(problem.groups.weights) - jnp.log(omega) - jnp.log(price)
    alive = (slack > 0) & (classes > 0)
    within = jnp.where(alive, margin_at(jnp.where(alive, slack, 1.0), -jnp.log(K)), 0.0)
    return Coordinates(within, symmetry.centred_diagonal(within, classes), slack, jnp.int32(0), jnp.bool_(True))
