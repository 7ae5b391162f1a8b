"""What the coordinates of a candidate prove, as a claim to be concluded."""

from typing import Any

import jax
import jax.numpy as jnp

from ..objectives.objective import AbstractObjective
from .solver import Candidate, Claim


def claim_of(objective: AbstractObjective, candidate: Candidate, tol: Any, exact: bool) -> Claim:
    """Of a candidate under a trace; the value's derivative is the envelope theorem's."""
    fixed, at = jax.lax.stop_gradient((objective, candidate.coordinates))
    proof = fixed.prove(at)
    log_multiplier = candidate.log_multiplier
    if log_multiplier is None:
        log_multiplier = objective.log_multiplier(proof)
    price = jnp.exp(log_multiplier + proof.log_scale)
    scaled = _optimal_value(proof.value, objective, candidate.coordinates, price)
    log_value = jnp.where(scaled > 0, jnp.log(jnp.where(scaled > 0, scaled, 1.0)) - proof.log_scale, -jnp.inf)
    unscale, proved = jnp.exp(-proof.log_scale), fixed.gap_within(proof, tol)
    found = fixed.structure(proof, jax.lax.stop_gradient(price))
    return Claim(
        value=unscale * scaled,
        log_value=log_value,
        gap=unscale * proof.gap,
        log_multiplier=log_multiplier,
        structure=found,
        description=objective.describe(candidate.coordinates, found, log_multiplier),
        proved=proved,
        finished=candidate.converged,
        steps=candidate.steps,
        restarts=candidate.restarts,
        stationary=fixed.is_stationary(proof),
        told=exact | proved,
    )


@jax.custom_jvp
def _optimal_value(value, objective, coordinates, multiplier):
    """``value`` as is; its derivative is that of the Lagrangian in the numbers of the objective alone.

    Both, and the multiplier, are times ``exp(log_scale)`` of the proof.
    """
    return value


@_optimal_value.defjvp
def _envelope(primals: Any, tangents: Any):
    value, objective, coordinates, multiplier = primals
    _, tangent = jax.jvp(lambda o: o.lagrangian(coordinates, multiplier), (objective,), (tangents[1],))
    return _optimal_value(value, objective, coordinates, multiplier), tangent
