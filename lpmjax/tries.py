"""tries: the results of a solver that chooses its own shapes and starts, and the best of them."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .arguments import require_positive, require_type, scalars
from .codes import Status
from .compiling import quick_jit
from .conclude import conclude
from .problems.problem import Problem
from .results.result import Result
from .solvers.solver import AbstractSolver, Claim, HostSolver
from .traced import concrete


def as_tol(problem: Problem, solver: AbstractSolver, tol: float | None) -> Array:
    """Relative gap to certify, by default that of the solver."""
    limit = scalars(tol=solver.default_tol(problem.dtype) if tol is None else tol)["tol"]
    require_positive("It is relative to |value|.", tol=limit)
    return limit.astype(problem.dtype)


def tries(problem: Problem, solver: HostSolver, tol: Any, key: Any, start: Any = None) -> Any:
    """A result, with a leading axis of the tries of ``solver``."""
    return _concluded(problem, solver(problem, tol, key, start), tol, solver.name)


@partial(quick_jit, static_argnames=("method",))
def _concluded(problem: Problem, claims: Claim, tol: Any, method: str) -> Any:
    valid = problem.is_valid()
    return jax.vmap(lambda claim: conclude(problem, claim, tol, valid, method))(claims)


def best(solutions: Any) -> Any:
    """The entry of least value among those that did not fail (among all, if all failed)."""
    require_type("solutions", solutions, Result, "a lpmjax Solution with one leading axis")
    if solutions.status.ndim != 1:
        raise ValueError("solutions must be a Solution with one leading axis, as lpmjax.factored returns it.")
    every = concrete(solutions)
    nx = every.value.__array_namespace__()
    failed = (every.status != Status.certified) & (every.status != Status.converged)
    value = nx.where(nx.isnan(every.value), nx.inf, every.value)
    chosen = nx.argmin(nx.where(nx.all(failed), value, nx.where(failed, nx.inf, value)))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[chosen]), every)
