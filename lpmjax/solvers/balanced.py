"""One group of equal classes and a loss that is not convex: the best simplex ETF, or zero."""

import jax
import jax.numpy as jnp

from ..charge import Budget
from ..objectives.margin_bound import least, profile
from ..objectives.of_groups import GroupCoordinates
from .scalar import increasing_root
from .solver import Candidate, TracedSolver


class BalancedMargin(TracedSolver):
    """``Z = a (I - J/K)``: of least ``g(a) + price omega (K - 1) / (K weight) a`` at a price, and all of a budget.

    At a price it is the global optimum (:mod:`lpmjax.objectives.margin_bound`): where two margins are stationary the
    larger, compared with zero. On a budget the bound does not close where dropping classes pays.
    """

    name = "closed_form"
    exact = False  # where the bound does not close it is no optimum

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Of the only group that is present."""
        program = objective.program
        here = program.classes > 0
        K = jnp.max(program.classes)
        weight = jnp.max(jnp.where(here, program.weights, 0.0))
        scale = jnp.max(jnp.where(here, program.omega, 0.0))
        if isinstance(program.charge, Budget):
            a = program.charge.amount / (jnp.where(K > 1, K - 1, 1.0) * scale)
            steps, settled = jnp.int32(0), jnp.bool_(True)
            log_multiplier = jnp.log(-profile(program.loss, a[None], K)[1][0] * weight * K / ((K - 1) * scale))
        else:
            log_multiplier = jnp.log(program.charge.amount)
            rate = program.charge.amount * scale * (1 - 1 / K) / weight
            near = jax.lax.stop_gradient(least(program.loss, K, rate[None]).margin[0])
            root = increasing_root(_slope, (program.loss, K, rate), near, jnp.inf + near, self.max_steps, near == 0)
            a, steps, settled = jnp.where(near > 0, root.x, 0.0), root.steps, root.converged
        G = program.omega.shape[-1]
        at = GroupCoordinates(jnp.where(here, a, 0.0), jnp.zeros((G, G), a.dtype))
        return Candidate(at, log_multiplier, steps, settled)


def _slope(margin, numbers):
    """Of ``g(m) + rate m``, and the size of its terms."""
    loss, K, rate = numbers
    return profile(loss, margin[None], K)[1][0] + rate, rate
