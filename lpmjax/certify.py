"""certify: what the coordinates of a solution prove, evaluated anew on the host in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import leaves, require, require_type
from .conclude import conclude
from .problems.problem import Problem
from .results.result import Result
from .settings import nan_is_a_value
from .solvers.solver import Claim, HostSolver
from .traced import holds_tracers

#: relative gap beyond which nothing is taken for certified unless the caller asks for it
_LOOSEST = 1e-3


@nan_is_a_value
def certify(problem: Any, solution: Any, tol: float | None = None) -> Any:
    """Evaluate the certificate on the host in float64, and return the solution with what it proves.

    The only way for a float32 result to become ``certified``. What is certified is the problem as it was written: of
    a float32 ``problem`` whole numbers are exact, default weights follow from the samples and other weights are brought
    back to a sum of 1; any other number may have been rounded by half an ulp, and the gap grows by what that can change
    the optimum. So ``value - gap <= optimum <= value + gap`` for whatever rounds to ``problem``, and a ``tol`` below
    that rounding is not met: pass the problem in float64 (made under ``jax.enable_x64``) to have it certified exactly.
    The result's ``problem`` holds the restored numbers, and :func:`lpmjax.certificate.rigorous` takes the same.

    Batched solutions are certified entry by entry; the result holds NumPy arrays. Only ``within`` and ``between`` (and
    ``bias``) are trusted: everything else is computed anew from them, the phase from which coordinates are exactly
    zero. A rank above the problem's ``dim`` is ``invalid``. Of a solution by :func:`lpmjax.factored` only ``W`` and
    ``H`` (and ``bias``) are trusted, scaled onto the budgets; where its gap stays open it is ``converged`` if W and H
    are stationary, else ``stalled``.

    Parameters
    ----------
    problem : the Problem that was solved (with the same batch axes as ``solution``; ``solution.problem`` will do).
    solution : a Solution, possibly from another machine, another precision, or tampered with.
    tol : relative gap for ``certified``, below 1; by default the solution's own, and at most 1e-3 (a float32 solve has
        that: pass what you need).

    Raises
    ------
    ValueError
        If the groups or batch axes of ``problem`` and ``solution`` differ, for ``tol`` out of range, and under a trace.
    """
    require_type("problem", problem, Problem, "a lpmjax Problem such as LayerPeeled")
    require_type("solution", solution, Result, "a lpmjax Solution, as lpmjax.solve returns it")
    if holds_tracers((problem, solution)):
        raise ValueError("certify works on the host: call it on the results of jit and vmap, not inside.")
    limit = _limit(solution, tol)
    solvers = {solver.name: solver for solver in problem.solvers}
    solver = solvers.get(solution.method)
    again = _prove_again(problem, solution, limit, solver) if isinstance(solver, HostSolver) else None
    if again is not None:
        return again
    double, rounding = problem.as_written()
    objective = double.objective()
    at = objective.coordinates(jax.tree.map(np.asarray, solution))
    proof = objective.prove(at)
    proof = proof._replace(gap=proof.gap + objective.left_open(proof, at, rounding))
    log_multiplier = objective.log_multiplier(proof)
    found = objective.structure(proof, np.exp(log_multiplier + proof.log_scale))
    limit = limit * np.ones_like(proof.value)
    proved = objective.gap_within(proof, limit)
    claim = Claim(
        value=proof.value * np.exp(-proof.log_scale),
        log_value=np.log(proof.value) - proof.log_scale,
        gap=proof.gap * np.exp(-proof.log_scale),
        log_multiplier=log_multiplier,
        structure=found,
        description=objective.describe(objective.proved(proof, at), found, log_multiplier),
        proved=proved,
        finished=np.ones_like(proved),
        steps=solution.steps,
        restarts=solution.restarts,
        stationary=objective.is_stationary(proof),
        told=proved | (solver is None or solver.exact),
    )
    return conclude(double, claim, limit, np.asarray(double.is_valid()), solution.method)


def _limit(solution: Any, tol: float | None) -> np.ndarray:
    """Relative gap asked for: one number, or one for each solution."""
    if tol is None:
        return np.minimum(np.asarray(solution.tol, np.float64), _LOOSEST)  # it may be as wrong as the rest
    limit = np.asarray(leaves(tol=tol)["tol"], np.float64)
    if limit.ndim and limit.shape != solution.value.shape:
        raise ValueError(f"tol has shape {limit.shape}: it must be one number, or one for each solution.")
    require("tol", limit, "in (0, 1)", lambda t: (t > 0) & (t < 1), "It is relative to |value|.")
    return limit


def _prove_again(problem: Any, solution: Any, tol: np.ndarray, solver: HostSolver) -> Any:
    """The same by a solver that makes claims of its own: of one solution, or of a batch of one problem or of many, one
    by one. None where it leaves that to the objective."""
    if np.ndim(solution.value) > 0:
        many = jax.tree.leaves(problem)[0].ndim > jax.tree.leaves(_entry(solution.problem, 0))[0].ndim
        tol = np.broadcast_to(tol, np.shape(solution.value)[:1])
        entries = [
            _prove_again(_entry(problem, i) if many else problem, _entry(solution, i), tol[i], solver)
            for i in range(len(tol))
        ]
        return None if entries[0] is None else jax.tree.map(lambda *leaves: np.stack(leaves), *entries)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        restored, rounding = problem.as_written()
        double, given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (restored, solution))
        claim = solver.prove_again(double, given, tol, rounding)
        if claim is None:
            return None
        result = conclude(double, claim, jnp.asarray(tol, jnp.float64), double.is_valid(), solution.method)
        return jax.tree.map(np.asarray, result)


def _entry(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)
