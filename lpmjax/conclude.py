"""conclude: the only maker of results. What a solver found, and what it proves, becomes a Result with its status."""

from typing import Any

from .codes import Phase, Status
from .problems.problem import Problem
from .results.result import Result
from .solvers.solver import Claim


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
