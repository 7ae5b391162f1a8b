"""solve: pick a solver, attach the certificate, the geometry and the envelope derivative of the value."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from . import symmetry
from .arguments import require_integer, require_key, require_positive, require_precision, require_type, scalars
from .codes import Phase, Status
from .duality import Program, closes, duality_gap, evaluate, log_multiplier_of, needed_dim
from .factored import best, factored
from .forks import require_unforked
from .problems.problem import Problem
from .settings import nan_is_a_value
from .solution import Solution
from .solvers.by_name import SOLVERS
from .solvers.coordinates import Coordinates
from .solvers.grouped import solve_grouped
from .structure import structure, without

#: relative duality gap of ``certified`` (float64) and of ``converged`` in float32
_TOL = {"closed_form": 1e-10, "two_group": 1e-10, "grouped": 1e-8, "factored": 1e-8}
_TOL_FLOAT32 = 1e-3
#: root-finding steps, or steps of a descent
_MAX_STEPS = {"closed_form": 60, "two_group": 60, "grouped": 4000, "factored": 4000}
_LARGEST_BLOCK = 2**31  #: bytes of a G x G block; a descent needs some fifty times as much
_WIDE = 64  #: groups from which an eager solve first finds out how wide the factorisation has to be


@nan_is_a_value
def solve(
    problem: Problem,
    method: str = "auto",
    tol: float | None = None,
    max_steps: int | None = None,
    *,
    start: Solution | None = None,
    key: Array | None = None,
    restarts: int = 8,
) -> Solution:
    """Global optimum of ``problem`` in group coordinates, with a certificate of optimality.

    Compiled on first use for each structure (problem type, G, dtype, method) and never again for new values; works
    under ``jax.jit``, ``vmap``, ``grad``, ``jvp`` and ahead-of-time compilation.

    Parameters
    ----------
    problem : a Problem such as :class:`LayerPeeled`.
    method : "auto" (the first of ``problem.methods``; where ``dim`` is below the rank of that optimum, "factored"),
        "closed_form", "two_group", "grouped" (any groups) or "factored" (W and H as they are, of ``dim`` dimensions,
        no symmetry assumed; :func:`lpmjax.factored` has more options). Static.
    tol : relative duality gap for ``Status.certified``; default 1e-10 in float64 (1e-8 for "grouped", "factored"). A
        looser one ends a "grouped" descent earlier, at a thousandth of it. In float32 no gap certifies: the status is
        ``converged`` if the float32 gap is at most ``tol`` (default 1e-3); then :func:`lpmjax.certify`.
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
    require_type("start", start, (Solution, type(None)), "a lpmjax Solution, or None")
    require_precision(problem=problem, start=start)
    key, restarts = require_key(key), require_integer("restarts", restarts, 1)
    chosen = choose_method(problem, method)
    if chosen == "factored":
        return best(factored(problem, key, restarts, tol=tol, max_steps=max_steps))
    limit, max_steps = limits(problem, chosen, tol, max_steps)
    _require_memory(problem, limit)
    warm = None if start is None or chosen != "grouped" else _warm(start, problem)
    core = problem.unordered
    eager = not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, limit, warm)))
    if eager and chosen == "grouped" and problem.groups.num_groups > _WIDE:
        solution = _solve_wide(core, limit, warm, max_steps)
    else:
        solution = _solve(core, limit, warm, chosen, max_steps, None)
    solution = dataclasses.replace(solution, problem=problem)
    if problem.dim is None or not eager or not (np.asarray(solution.status) == Status.invalid).any():
        return solution
    problem.check()
    if method != "auto":
        raise ValueError(
            f"dim = {problem.dim} is below the rank of the optimum, so W and H of that dimension cannot reach it: "
            "use dim >= K - 1 (or dim=None), or method='factored'."
        )
    return best(factored(problem, key, restarts, tol=tol))


def _require_memory(problem: Problem, limit: Array) -> None:
    """Refuse blocks that no machine holds: XLA would end the process, not raise."""
    G = problem.groups.num_groups
    size = G * G * limit.dtype.itemsize
    if size > _LARGEST_BLOCK:
        raise ValueError(
            f"groups has G = {G} groups, whose G x G block takes {size / 2**30:.3g} GiB; at most "
            f"{_LARGEST_BLOCK / 2**30:g} GiB are taken. Group equal counts (ClassGroups.from_counts), and round counts "
            "into bands if too many differ: what counts is the number of distinct counts, not of classes."
        )


def limits(problem: Problem, method: str, tol: float | None, max_steps: int | None) -> tuple[Array, int]:
    """Relative gap and step limit, by default those of the method."""
    max_steps = require_integer("max_steps", _MAX_STEPS[method] if max_steps is None else max_steps, 1)
    dtype = problem.groups.weights.dtype
    limit = scalars(tol=default_tol(method, dtype.name) if tol is None else tol)["tol"]
    require_positive("It is relative to |value|.", tol=limit)
    return limit.astype(dtype), max_steps


def default_tol(method: str, dtype: str) -> float:
    """Relative gap asked of a method."""
    return _TOL[method] if dtype == "float64" else _TOL_FLOAT32


def _warm(start: Solution, problem: Problem) -> Coordinates:
    """The coordinates that a grouped descent starts from."""
    G = problem.groups.num_groups
    if start.within.shape != (G,):
        raise ValueError(f"start has groups of shape {start.within.shape}, the problem has {G} groups.")
    if (start.bias is None) == problem.has_bias:
        raise ValueError("start and problem disagree on a last-layer bias.")
    return Coordinates(start.within, start.between, start.slack, start.steps, jnp.bool_(True), start.bias)


def _solve_wide(problem: Problem, tol, warm: Coordinates | None, max_steps: int) -> Solution:
    """Grouped solve of many groups: a factorisation just wider than the rank, as far as slack lets it be guessed."""
    G, steps, taken, again = problem.groups.num_groups, 100, 0, 0
    part = max(8, G // 8)  # widths in few sizes, so that few are compiled

    def room(slack) -> int:
        active = float(jnp.sum(jnp.where(slack > 0, problem.groups.classes > 0, False)))
        return min(G, part * int(np.ceil((1.1 * active + 8) / part)))

    width = G // 4 if warm is None else room(warm.slack)
    while True:
        solution = _solve(problem, tol, warm, "grouped", min(steps, max_steps - taken), width)
        taken, again = taken + int(solution.steps), again + int(solution.restarts)
        failed = solution.status in (Status.max_steps, Status.stalled)
        if not failed or taken >= max_steps or (width >= G and solution.status == Status.stalled):
            return dataclasses.replace(solution, steps=jnp.int32(taken), restarts=jnp.int32(again))
        again += 1
        width = room(solution.slack) if warm is None else max(room(solution.slack), min(G, width + part))
        steps, warm = max_steps, _warm(solution, problem)


def choose_method(problem: Problem, method: str) -> str:
    """The method that ``method`` stands for; ValueError if it is unknown or does not apply."""
    available = problem.methods
    require_type("method", method, str, f"'auto' or one of {available}")
    if method != "auto" and method not in available:
        raise ValueError(f"method = {method!r} cannot solve this problem: use 'auto' or one of {available}.")
    return available[0] if method == "auto" else method


@partial(jax.jit, static_argnames=("method", "max_steps", "width"))
def _solve(
    problem: Problem, tol, start: Coordinates | None, method: str, max_steps: int, width: int | None
) -> Solution:
    with jax.default_matmul_precision("highest"):
        valid = problem.is_valid()
        safe = _with_safe_parameters(problem, valid)
        if method == "grouped":
            found = solve_grouped(safe, max_steps, tol, start, width)
        else:
            found = SOLVERS[method](safe, max_steps)
        program = Program.of(safe)
        fixed, at = jax.lax.stop_gradient((program, found))
        proof = duality_gap(fixed, at.within, at.between, at.bias)
        if safe.penalty is None:
            # Of the group with the largest slack: the others' weights may have underflowed.
            top = jnp.argmax(found.slack)
            log_pull = jnp.log((program.weights * program.loss.contrast / program.omega)[top])
            log_multiplier = log_pull - found.slack[top]
        else:
            log_multiplier = log_multiplier_of(program, proof)
        multiplier = jnp.exp(log_multiplier)
        price = jnp.exp(log_multiplier + proof.log_scale)
        scaled = _optimal_value(proof.value, safe, (found.within, found.between, found.bias), price)
        log_value = jnp.where(scaled > 0, jnp.log(jnp.where(scaled > 0, scaled, 1.0)) - proof.log_scale, -jnp.inf)
        unscale = jnp.exp(-proof.log_scale)
        value, gap = unscale * scaled, unscale * proof.gap
        looks = structure(fixed, proof, jax.lax.stop_gradient(price))
        within, between = without(looks.gone, safe.groups.classes, found.within, found.between)
        grams = safe.frames(within, between, safe.omega, safe.classifier_scale)
        views = symmetry.geometry(grams, within, between, safe.groups.classes)
        fits = True if problem.dim is None else needed_dim(fixed, proof, looks.rank) <= problem.dim
        finite = jnp.isfinite(value) & jnp.isfinite(gap)
        proved = closes(fixed, proof, tol)
        told = proved if method == "grouped" else True  # the others know the phase without the gap
        status = _status(proved, found.converged, finite, valid & fits, value.dtype)
        shown = (status != Status.invalid) & (status != Status.nonfinite)

        def masked(x):
            return jnp.where(shown, x, jnp.nan)

        return Solution(
            problem=problem,
            value=masked(value),
            log_value=masked(log_value),
            lower_bound=masked(value - gap),
            gap=masked(gap),
            tol=tol,
            multiplier=masked(multiplier),
            slack=masked(found.slack),
            within=masked(found.within),
            between=masked(found.between),
            cosine=masked(views.cosine),
            w_norm2=masked(views.w_norm2),
            h_norm2=masked(views.h_norm2),
            margin=masked(views.margin),
            bias=None if found.bias is None else masked(found.bias),
            status=status,
            phase=jnp.where(shown & told, looks.phase, Phase.undetermined).astype(jnp.int8),
            rank=jnp.where(shown, looks.rank, -1).astype(jnp.int32),
            steps=found.steps,
            restarts=jnp.asarray(found.restarts, jnp.int32),
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
def _optimal_value(value, problem, coordinates, multiplier):
    """``value`` as is; its derivative is that of the Lagrangian in the parameters alone (envelope theorem).

    Both, and the multiplier, are times ``exp(log_scale)`` of the coordinates.
    """
    return value


@_optimal_value.defjvp
def _envelope(primals: Any, tangents: Any):
    value, problem, coordinates, multiplier = primals
    _, tangent = jax.jvp(lambda p: _lagrangian(p, coordinates, multiplier), (problem,), (tangents[1],))
    return _optimal_value(value, problem, coordinates, multiplier), tangent


def _lagrangian(problem, coordinates, multiplier):
    within, between, bias = coordinates
    program = Program.of(problem)
    classes, omega = program.classes, program.omega
    loss = evaluate(program, within, between, bias).loss
    objective = jnp.sum(classes * program.weights * loss.value)
    if program.bias_decay is not None:
        objective = objective + 0.5 * program.bias_decay * jnp.sum(classes * bias * bias)
    if program.nonnegative:
        K = jnp.sum(classes)
        return objective + program.penalty * jnp.sum(classes * omega * jnp.sqrt(1 - 1 / K) * within)
    cost = symmetry.spectral_cost(within, between, classes, omega, program.full)
    if program.penalty is None:
        return objective + multiplier * (cost - program.budget)
    return objective + program.penalty * cost
