"""certify: what the coordinates of a solution prove, evaluated anew on the host in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .arguments import leaves, require, require_type
from .conclude import Claim, conclude
from .factored import claim_of_pair, class_logits, columns, per_class
from .problems.grouped import GroupedProblem
from .problems.problem import Problem
from .result import Result
from .settings import nan_is_a_value
from .solution import Solution
from .solvers.factored import Factored, Pair, is_stationary, measured, unscaled

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
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, solution))):
        raise ValueError("certify works on the host: call it on the results of jit and vmap, not inside.")
    if tol is None:
        limit = np.minimum(np.asarray(solution.tol, np.float64), _LOOSEST)  # it may be as wrong as the rest
    else:
        limit = np.asarray(leaves(tol=tol)["tol"], np.float64)
        if limit.ndim and limit.shape != solution.value.shape:
            raise ValueError(f"tol has shape {limit.shape}: it must be one number, or one for each solution.")
        require("tol", limit, "in (0, 1)", lambda t: (t > 0) & (t < 1), "It is relative to |value|.")
    if isinstance(solution, Solution) and solution.W is not None:
        return _certify_factors(problem, solution, limit)
    double, rounding = problem.as_written()
    numerical = {solver.name for solver in problem.solvers if not solver.exact}
    with np.errstate(all="ignore"):  # a lane that is not finite says so in its status
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
            told=proved | (solution.method not in numerical),
        )
        return conclude(double, claim, limit, np.asarray(double.is_valid()), solution.method)


def _certify_factors(problem: GroupedProblem, solution: Solution, tol: np.ndarray) -> Solution:
    """The same from W and H of one solution, or of each of a batch of one problem or of many."""
    assert solution.W is not None
    assert solution.H is not None
    if solution.W.ndim > 2:
        many = problem.groups.classes.ndim > 1
        tol = np.broadcast_to(tol, (len(solution.W),))
        entries = [
            _certify_factors(jax.tree.map(lambda x, i=i: x[i], problem) if many else problem, one, tol[i])
            for i, one in enumerate(jax.tree.map(lambda x, i=i: x[i], solution) for i in range(len(solution.W)))
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *entries)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        restored, rounding = problem.as_written()
        double, given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (restored, solution))
        solver = Factored(per_sample=given.H.shape[1] != given.W.shape[0])
        index, program = columns(double.objective(), double.groups, solver)
        if given.W.shape[0] != index.size or given.H.shape[1] != program.label.size:
            raise ValueError(
                f"solution has W of shape {given.W.shape} and H of shape {given.H.shape}, problem has {index.size} "
                "classes: pass the problem that was solved (solution.problem)."
            )
        bias = None if given.bias is None else given.bias[index]
        pair = unscaled(Pair(given.W, given.H, bias), program)
        stationary = is_stationary(pair, program)
        found = measured(pair, program, solution.steps, solution.restarts, stationary, jnp.bool_(True))
        claim = claim_of_pair(double, program, tol, found, index)
        single = jax.tree.map(np.asarray, per_class(double, index).objective())
        at = single.coordinates_of(np.asarray(class_logits(program, found.pair)))._replace(bias=bias)
        proof = single.prove(at)
        gap = claim.gap + single.left_open(proof, at, rounding) * np.exp(-proof.log_scale)
        scaled = (np.exp(x) for x in (claim.log_value + proof.log_scale, np.log(gap) + proof.log_scale))
        still = single.gap_within(proof._replace(**dict(zip(("value", "gap"), scaled, strict=True))), tol)
        claim = claim._replace(gap=gap, proved=claim.proved & still)
        result = conclude(double, claim, jnp.asarray(tol, jnp.float64), double.is_valid(), solution.method)
        return jax.tree.map(np.asarray, result)
