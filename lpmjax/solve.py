"""solve: pick a solver, hand it the objective, and conclude."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .arguments import require_integer, require_key, require_precision, require_type
from .codes import Status
from .compiling import quick_jit
from .conclude import conclude
from .forks import require_unforked
from .problems.problem import Problem
from .results.result import Result
from .settings import nan_is_a_value
from .solvers.claims import claim_of
from .solvers.solver import AbstractSolver, HostSolver, RestartedSolver, TracedSolver
from .traced import is_traced
from .tries import as_tol, best, tries

_LARGEST_BLOCK = 2**31  #: bytes of a G x G block; a descent needs some fifty times as much


@nan_is_a_value
def solve(
    problem: Problem,
    method: str | AbstractSolver = "auto",
    tol: float | None = None,
    max_steps: int | None = None,
    *,
    start: Result | None = None,
    key: Array | None = None,
    restarts: int = 8,
) -> Any:
    """Global optimum of ``problem`` in group coordinates, with a certificate of optimality.

    Compiled on first use for each structure (problem type, G, dtype, method) and never again for new values; works
    under ``jax.jit``, ``vmap``, ``grad``, ``jvp`` and ahead-of-time compilation.

    Parameters
    ----------
    problem : a Problem such as :class:`LayerPeeled`.
    method : "auto" (the first of ``problem.methods``; where ``dim`` is below the rank of that optimum, "factored"),
        "closed_form", "two_group", "grouped" (any groups) or "factored" (W and H as they are, of ``dim`` dimensions,
        no symmetry assumed; :func:`lpmjax.factored` has more options), or a solver with constants of its own, such as
        ``lpmjax.Grouped(max_steps=10**5)`` or ``lpmjax.Factored(restarts=64)``. Static.
    tol : relative duality gap for ``Status.certified``; default 1e-10 in float64 (1e-8 for "grouped", "factored"). A
        looser one ends a "grouped" descent earlier, at a thousandth of it (a tenth from 256 groups on, where
        cosines are off by some 300 times the gap). In float32 no gap certifies: the status is ``converged`` if the
        float32 gap is at most ``tol`` (default 1e-3); then :func:`lpmjax.certify`.
    max_steps : limit on steps, by default 60 for root-finding and 4000 for descents. Static.
    start : Solution of a nearby problem of the same groups, for "grouped" (others ignore it).
    key, restarts : random starts of "factored"; the best is returned.

    Returns
    -------
    Solution. An entry whose traced parameters are out of range is NaN with status ``invalid``; its neighbours are
    untouched.

    Raises
    ------
    ValueError
        For an unknown or inapplicable method, tol <= 0, max_steps < 1, or (eagerly, with a method other than "auto")
        a ``dim`` below the rank of the optimum, for which the relaxation that these methods solve is a lower bound.
    """
    require_unforked()
    require_type("problem", problem, Problem, "a lpmjax Problem such as LayerPeeled")
    require_type("start", start, (Result, type(None)), "a lpmjax Solution, or None")
    require_precision(problem=problem, start=start)
    restarts = require_integer("restarts", restarts, 1)
    key = key if key is None else require_key(key)  # making one costs two compilations
    solver = choose_solver(problem, method, max_steps, restarts)
    limit = as_tol(problem, solver, tol)
    if isinstance(solver, HostSolver):
        return best(tries(problem, solver, limit, require_key(key)))
    assert isinstance(solver, TracedSolver)
    _require_memory(problem)
    warm = None if start is None else solver.begins_at(start, problem)
    core = problem.unordered
    eager = not is_traced((problem, limit, warm))
    solution = solver.eagerly(_solve, core, limit, warm) if eager else _solve(core, limit, warm, solver)
    solution = dataclasses.replace(solution, problem=problem)
    if problem.dim is None or not eager or not (np.asarray(solution.status) == Status.invalid).any():
        return solution
    problem.check()
    if method != "auto" or "factored" not in problem.methods:
        instead = ", or method='factored'" if "factored" in problem.methods else ""
        raise ValueError(
            f"dim = {problem.dim} is below the rank of the optimum, so W and H of that dimension cannot reach it: "
            f"use dim >= K - 1 (or dim=None){instead}."
        )
    wider = choose_solver(problem, "factored", max_steps, restarts)
    return best(tries(problem, wider, as_tol(problem, wider, tol), require_key(key)))


def _require_memory(problem: Problem) -> None:
    """Refuse blocks that no machine holds: XLA would end the process, not raise."""
    G = problem.size
    size = G * G * problem.dtype.itemsize
    if size > _LARGEST_BLOCK:
        raise ValueError(
            f"groups has G = {G} groups, whose G x G block takes {size / 2**30:.3g} GiB; at most "
            f"{_LARGEST_BLOCK / 2**30:g} GiB are taken. Group equal counts (ClassGroups.from_counts), and near-equal "
            "ones (ClassGroups.banded): what counts is the number of distinct counts, not of classes."
        )


def choose_solver(
    problem: Problem, method: str | AbstractSolver, max_steps: int | None = None, restarts: int | None = None
) -> Any:
    """The solver that ``method`` stands for; ValueError if it is unknown or does not apply.

    ``restarts`` is for a method given by name, if that makes any.
    """
    available = {solver.name: solver for solver in problem.solvers}
    named = tuple(available)
    require_type("method", method, (str, AbstractSolver), f"'auto' or one of {named}, or such a solver")
    name = method if isinstance(method, str) else method.name
    if name != "auto" and name not in available:
        raise ValueError(f"method = {name!r} cannot solve this problem: use 'auto' or one of {named}.")
    solver = method if isinstance(method, AbstractSolver) else available[named[0] if name == "auto" else name]
    told = {} if max_steps is None else {"max_steps": max_steps}
    if isinstance(method, str) and restarts is not None and isinstance(solver, RestartedSolver):
        told["restarts"] = restarts
    return dataclasses.replace(solver, **told) if told else solver


@partial(quick_jit, static_argnames=("solver",))
def _solve(problem: Problem, tol: Any, start: Any, solver: TracedSolver) -> Any:
    with jax.default_matmul_precision("highest"):
        valid = problem.is_valid()
        objective = _with_safe_parameters(problem, valid).objective()
        claim = claim_of(objective, solver(objective, tol, start), tol, solver.exact)
        return conclude(problem, claim, tol, valid, solver.name)


def _with_safe_parameters(problem: Problem, valid) -> Problem:
    """Ones in the place of an invalid lane's parameters: NaN must not reach its derivatives through a mask."""
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.ones_like(leaf)), problem)
