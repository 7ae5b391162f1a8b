"""Closed form of squared error with two factors: soft thresholds of the singular values of the targets."""

import jax.numpy as jnp

from .. import symmetry
from ..charge import Price
from ..duality import Program, slacks
from ..objectives.of_groups import GroupCoordinates
from ..objectives.separable import SeparableObjective
from .solver import Candidate, TracedSolver


class SoftThreshold(TracedSolver):
    """Without a bias ``Z = diag(1 - multiplier omega / weights)_+`` for any weights, on a budget the multiplier that
    spends it; a free bias with weights proportional to omega squared; a decayed one with equal classes."""

    name = "closed_form"

    def __call__(self, objective, tol, start=None) -> Candidate:
        """Which of these is static."""
        program = objective.program
        if program.bias.free:
            best = SeparableObjective(program, objective.scale, jnp.ones(2, program.weights.dtype), None).minimiser()
            at = GroupCoordinates(best.within, best.between, best.bias)
        elif program.bias.present:
            at = _with_decayed_bias(program)
        else:
            rate = program.omega / program.weights
            at = _diagonal(program, _multiplier(program, rate) * rate)
        multiplier = _multiplier(program, program.omega / program.weights)
        log_multiplier = program.charge.log_multiplier(multiplier, 0.0)
        at = at._replace(slack=slacks(program, log_multiplier))
        return Candidate(at, log_multiplier, jnp.int32(0), jnp.bool_(True))


def _diagonal(program: Program, lost) -> GroupCoordinates:
    """Targets less ``lost``."""
    z = jnp.where(program.classes > 0, jnp.maximum(1 - lost, 0.0), 0.0)
    return GroupCoordinates(z, symmetry.diagonal_matrix(z))


def _multiplier(program: Program, rate):
    """The price, or what spends the budget: the largest that any set of classes alive would need.

    For each set ``sum K omega (1 - multiplier rate)`` is at most what is spent, and equal for the right one, which is
    among those of least rates.
    """
    if isinstance(program.charge, Price):
        return program.charge.amount
    order = jnp.argsort(jnp.where(program.classes > 0, rate, jnp.inf))
    width = (program.classes * program.omega)[order]
    spent = jnp.cumsum(width * jnp.where(program.classes > 0, rate, 1.0)[order])
    return jnp.maximum(jnp.max((jnp.cumsum(width) - program.charge.amount) / jnp.where(spent > 0, spent, 1.0)), 0.0)


def _with_decayed_bias(program: Program) -> GroupCoordinates:
    """Of one group: a bias takes its share ``1 / (1 + decay)`` of what the logits leave of the mean.

    So the mean logit is worth ``decay / (1 + decay)`` of what it would be, and goes first as the decay falls: the
    orthogonal frame becomes a simplex ETF (``proofs``: ``deep_mse.bias_transition``).
    """
    K, decay = program.classes, program.bias.decay
    lost = program.charge.amount * program.omega / program.weights
    at = _diagonal(program, lost)
    mean = jnp.maximum(1 - lost * (1 + decay) / decay, 0.0)
    return at._replace(between=mean[:, None], bias=(1 - mean) / (K * (1 + decay)))
