"""solve: pick a solver, attach the certificate, the geometry and the envelope derivative of the value."""

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from . import symmetry
from .arguments import leaves, require_integer, require_positive
from .certificate import Program, closes, duality_gap
from .problems import Problem
from .solution import Phase, Solution, Status, structure
from .solvers import SOLVERS

#: relative duality gap of ``certified`` (float64) and of ``converged`` in float32
DEFAULT_TOL = {"float64": 1e-10, "float32": 1e-3}


def solve(problem: Problem, method: str = "auto", tol: float | None = None, max_steps: int = 60) -> Solution:
    """Global optimum of ``problem`` in group coordinates, with a certificate of optimality.

    Compiled on first use for each structure (problem type, G, dtype, method) and never again for new values; works
    under ``jax.jit``, ``vmap``, ``grad``, ``jvp`` and ahead-of-time compilation.

    Parameters
    ----------
    problem : a Problem such as :class:`LayerPeeled`.
    method : "auto" (the first of ``problem.methods``), "closed_form" or "two_group". Static.
    tol : relative duality gap for ``Status.certified``; default 1e-10 in float64. In float32 no gap certifies:
        the status is ``converged`` if the float32 gap is at most ``tol`` (default 1e-3); then :func:`lpmjax.certify`.
    max_steps : limit on root-finding steps. Static.

    Returns
    -------
    Solution. An entry whose traced parameters are out of range is NaN with status ``invalid``; its neighbours are
    untouched.

    Raises
    ------
    ValueError
        For an unknown or inapplicable method, tol <= 0, max_steps < 1, or (eagerly) a ``dim`` below the rank of the
        optimum, for which the relaxation that these methods solve is only a lower bound.
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"problem must be a lpmjax Problem such as LayerPeeled, got {type(problem).__name__}.")
    method = choose_method(problem, method)
    max_steps = require_integer("max_steps", max_steps, 1)
    dtype = problem.groups.weights.dtype
    limit = leaves(tol=DEFAULT_TOL[dtype.name] if tol is None else tol)["tol"]
    require_positive("It is relative to |value|.", tol=limit)
    if problem.groups.order is None:
        solution = _solve(problem, limit.astype(dtype), method, max_steps)
    else:
        # The class order is static but only views need it: it must not cost a compilation per data set.
        groups = dataclasses.replace(problem.groups, order=None)
        core = eqx.tree_at(lambda p: p.groups, problem, groups)
        solution = _solve(core, limit.astype(dtype), method, max_steps).replace(problem=problem)
    if problem.dim is not None and not isinstance(solution.status, Tracer):
        _refuse_small_dim(problem, solution)
    return solution


def choose_method(problem: Problem, method: str) -> str:
    """The method that ``method`` stands for; ValueError if it is unknown or does not apply."""
    available = problem.methods
    if not available:
        raise ValueError(
            f"no solver for {type(problem).__name__} with {problem.groups.num_groups} groups: one or two groups of "
            "equal classes can be solved; ClassGroups.from_counts groups classes of equal count."
        )
    if method != "auto" and method not in available:
        raise ValueError(f"method = {method!r} cannot solve this problem: use 'auto' or one of {available}.")
    return available[0] if method == "auto" else method


def _refuse_small_dim(problem: Problem, solution: Solution) -> None:
    problem.check()
    if (np.asarray(solution.status) == Status.invalid).any():
        raise ValueError(
            f"dim = {problem.dim} is below the rank of the optimum, so W and H of that dimension cannot reach it: "
            "use dim >= K - 1 (or dim=None)."
        )


@partial(jax.jit, static_argnames=("method", "max_steps"))
def _solve(problem: Problem, tol, method: str, max_steps: int) -> Solution:
    with jax.default_matmul_precision("highest"):
        valid = problem.is_valid()
        safe = _with_safe_parameters(problem, valid)
        found = SOLVERS[method](safe, max_steps)
        program = Program.of(safe)
        proof = jax.lax.stop_gradient(duality_gap(program, found.within, found.between, jnp))
        if safe.penalty is None:
            # Of the group with the largest slack: the others' weights may have underflowed.
            top = jnp.argmax(found.slack)
            multiplier = safe.groups.weights[top] / safe.omega[top] * jnp.exp(-found.slack[top])
        else:
            multiplier = safe.penalty
        value = _optimal_value(proof.value, safe, found.within, found.between, multiplier)
        groups = safe.groups
        views = symmetry.geometry(found.within, found.between, groups.classes, safe.omega, safe.classifier_scale, jnp)
        phase, rank = structure(groups.classes, found.within, found.between, jnp)
        fits = True if problem.dim is None else rank <= problem.dim
        finite = jnp.isfinite(value) & jnp.isfinite(proof.gap)
        proved = closes(proof, tol, jnp)
        status = _status(proved, found.converged, finite, valid & fits, value.dtype)
        shown = (status != Status.invalid) & (status != Status.nonfinite)

        def masked(x):
            return jnp.where(shown, x, jnp.nan)

        return Solution(
            problem=problem,
            value=masked(value),
            lower_bound=masked(proof.value - proof.gap),
            gap=masked(proof.gap),
            tol=tol,
            multiplier=masked(multiplier),
            slack=masked(found.slack),
            within=masked(found.within),
            between=masked(found.between),
            cosine=masked(views.cosine),
            w_norm2=masked(views.w_norm2),
            h_norm2=masked(views.h_norm2),
            margin=masked(views.margin),
            status=status,
            phase=jnp.where(shown, phase, Phase.undetermined).astype(jnp.int8),
            rank=jnp.where(shown, rank, -1).astype(jnp.int32),
            steps=found.steps,
            method=method,
        )


def _with_safe_parameters(problem: Problem, valid) -> Problem:
    """Ones in the place of an invalid lane's parameters: NaN must not reach its derivatives through a mask."""
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.ones_like(leaf)), problem)


def _status(proved, converged, finite, valid, dtype):
    best = Status.certified if dtype == jnp.float64 else Status.converged
    code = jnp.where(proved, best, jnp.where(converged, Status.stalled, Status.max_steps))
    code = jnp.where(finite, code, Status.nonfinite)
    return jnp.where(valid, code, Status.invalid).astype(jnp.int8)


@jax.custom_jvp
def _optimal_value(value, problem, within, between, multiplier):
    """``value`` as is; its derivative is that of the Lagrangian in the parameters alone (envelope theorem)."""
    return value


@_optimal_value.defjvp
def _envelope(primals: Any, tangents: Any):
    value, problem, within, between, multiplier = primals
    _, tangent = jax.jvp(lambda p: _lagrangian(p, within, between, multiplier), (problem,), (tangents[1],))
    return _optimal_value(value, problem, within, between, multiplier), tangent


def _lagrangian(problem, within, between, multiplier):
    groups = problem.groups
    margins = symmetry.margins(within, between, groups.classes, jnp)
    loss = problem.loss.on_groups(margins, symmetry.rivals(groups.classes, jnp), jnp)
    objective = jnp.sum(groups.classes * groups.weights * loss.value)
    cost = symmetry.spectral_cost(within, between, groups.classes, problem.omega, jnp)
    if problem.penalty is None:
        return objective + multiplier * (cost - problem.budget)
    return objective + problem.penalty * cost
