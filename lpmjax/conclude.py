"""conclude: the only maker of results. What a solver found, and what it proves, becomes a Result with its status."""

from typing import Any

import jax
import jax.numpy as jnp

from .codes import Phase, Status
from .objectives.objective import AbstractObjective
from .problems.problem import Problem
from .result import Result
from .solvers.solver import Candidate, Claim


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


def conclude(problem: Problem, claim: Claim, tol: Any, valid: Any, method: str) -> Result:
    """The result of a problem, traced or on the host: certified, or the status that says why not.

    ``valid``: whether the parameters are in range. What is invalid or not finite is NaN.
    """
    nx = claim.value.__array_namespace__()
    fits = valid & claim.applies
    if problem.dim is not None:
        fits = fits & (claim.structure.dim <= problem.dim)
    finite = nx.isfinite(claim.value) & nx.isfinite(claim.gap)
    best = Status.certified if claim.value.dtype == "float64" else Status.converged
    status = nx.where(claim.finished, Status.stalled, Status.max_steps)
    status = nx.where(claim.stationary, Status.converged, status)
    status = nx.where(claim.proved, best, status)
    status = nx.where(finite, status, Status.nonfinite)
    status = nx.where(fits, status, Status.invalid).astype(nx.int8)
    shown = (status != Status.invalid) & (status != Status.nonfinite)

    def masked(x: Any) -> Any:
        return None if x is None else nx.where(shown.reshape(shown.shape + (1,) * (x.ndim - shown.ndim)), x, nx.nan)

    return problem.result(
        problem=problem,
        value=masked(claim.value),
        log_value=masked(claim.log_value),
        lower_bound=masked(claim.value - claim.gap),
        gap=masked(claim.gap),
        tol=tol,
        multiplier=masked(nx.exp(claim.log_multiplier)),
        status=status,
        phase=nx.where(shown & claim.told, claim.structure.phase, Phase.undetermined).astype(nx.int8),
        rank=nx.where(shown, claim.structure.rank, -1).astype(nx.int32),
        steps=nx.asarray(claim.steps, nx.int32),
        restarts=nx.asarray(claim.restarts, nx.int32),
        method=method,
        **{name: masked(value) for name, value in claim.description.items()},
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
