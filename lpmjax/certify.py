"""certify: what the coordinates of a solution prove, evaluated anew on the host in float64."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from . import symmetry
from .arguments import leaves, require, require_type
from .codes import Phase, Status
from .duality import (
    Certificate,
    Program,
    closes,
    duality_gap,
    evaluate,
    largest_term,
    log_multiplier_of,
    needed_dim,
    slacks,
)
from .factored import columns, per_class, per_class_coordinates, solution_of
from .problems.problem import Problem
from .settings import nan_is_a_value
from .solution import Solution
from .solvers.factored import Pair, is_stationary, measured, unscaled
from .structure import structure, without
from .written import Rounding, as_written

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
    require_type("solution", solution, Solution, "a lpmjax Solution, as lpmjax.solve returns it")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, solution))):
        raise ValueError("certify works on the host: call it on the results of jit and vmap, not inside.")
    if tol is None:
        limit = np.minimum(np.asarray(solution.tol, np.float64), _LOOSEST)  # it may be as wrong as the rest
    else:
        limit = np.asarray(leaves(tol=tol)["tol"], np.float64)
        if limit.ndim and limit.shape != solution.value.shape:
            raise ValueError(f"tol has shape {limit.shape}: it must be one number, or one for each solution.")
        require("tol", limit, "in (0, 1)", lambda t: (t > 0) & (t < 1), "It is relative to |value|.")
    if solution.W is not None:
        return _certify_factors(problem, solution, limit)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        double, rounding = as_written(problem)
        program = jax.tree.map(np.asarray, Program.of(double))
        omega, scale, valid = program.omega, np.asarray(double.classifier_scale), np.asarray(double.is_valid())
    within, between = (np.asarray(x, np.float64) for x in (solution.within, solution.between))
    if within.shape != program.classes.shape or between.shape != (*within.shape, within.shape[-1]):
        raise ValueError(
            f"solution has coordinates of shape {within.shape} and {between.shape}, problem has groups of shape "
            f"{program.classes.shape}: pass the problem that was solved (solution.problem)."
        )
    bias = None if solution.bias is None else np.asarray(solution.bias, np.float64)
    if (bias is None) == double.has_bias:
        raise ValueError("problem and solution disagree on a last-layer bias: pass the problem that was solved.")
    with np.errstate(all="ignore"):  # a lane that is not finite says so in its status
        result = duality_gap(program, within, between, bias)
        result = result._replace(gap=result.gap + _left_open(program, result, bias, rounding))
        log_multiplier = log_multiplier_of(program, result)
        slack = slacks(program, log_multiplier)
        looks = structure(program, result, np.exp(log_multiplier + result.log_scale))
        within, between = without(looks.gone, program.classes, result.within, result.between)
        grams = double.frames(within, between, omega, scale)
        views = symmetry.geometry(grams, within, between, program.classes)
        value, gap = result.value * np.exp(-result.log_scale), result.gap * np.exp(-result.log_scale)
        log_value = np.log(result.value) - result.log_scale
    limit = limit * np.ones_like(result.value)
    fits = valid if problem.dim is None else valid & (needed_dim(program, result, looks.rank) <= problem.dim)
    finite = np.isfinite(result.value) & np.isfinite(result.gap)
    proved = closes(program, result, limit)
    status = np.where(proved, Status.certified, Status.stalled)
    status = np.where(finite, status, Status.nonfinite)
    status = np.where(fits, status, Status.invalid)
    shown = (status != Status.nonfinite) & (status != Status.invalid)
    told = proved | (solution.method != "grouped")
    host = jax.tree.map(np.asarray, solution)
    return dataclasses.replace(
        host,
        problem=double,
        value=value,
        log_value=log_value,
        lower_bound=value - gap,
        gap=gap,
        within=result.within,
        between=result.between,
        tol=limit,
        multiplier=np.exp(log_multiplier),
        slack=slack,
        **views._asdict(),
        status=status.astype(np.int8),
        phase=np.where(shown & told, looks.phase, Phase.undetermined).astype(np.int8),
        rank=np.where(shown, looks.rank, -1).astype(np.int32),
    )


def _certify_factors(problem: Any, solution: Any, tol: np.ndarray) -> Any:
    """The same from W and H of one solution, or of each of a batch of one problem or of many."""
    if solution.W.ndim > 2:
        many = problem.groups.classes.ndim > 1
        tol = np.broadcast_to(tol, (len(solution.W),))
        entries = [
            _certify_factors(jax.tree.map(lambda x, i=i: x[i], problem) if many else problem, one, tol[i])
            for i, one in enumerate(jax.tree.map(lambda x, i=i: x[i], solution) for i in range(len(solution.W)))
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *entries)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        restored, rounding = as_written(problem)
        double, given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (restored, solution))
        index, program = columns(double, per_sample=given.H.shape[1] != given.W.shape[0])
        if given.W.shape[0] != index.size or given.H.shape[1] != program.label.size:
            raise ValueError(
                f"solution has W of shape {given.W.shape} and H of shape {given.H.shape}, problem has {index.size} "
                "classes: pass the problem that was solved (solution.problem)."
            )
        bias = None if given.bias is None else given.bias[index]
        pair = unscaled(Pair(given.W, given.H, bias), program)
        stationary = is_stationary(pair, program)
        found = measured(pair, program, solution.steps, solution.restarts, stationary, jnp.bool_(True))
        result = solution_of(double, program, jnp.asarray(tol, jnp.float64), found, index)
        single = jax.tree.map(np.asarray, Program.of(per_class(double, index)))
        flat, Z = (np.asarray(x) for x in per_class_coordinates(double, program, found.pair))
        proof = duality_gap(single, flat, Z, bias)
        gap = result.gap + _left_open(single, proof, bias, rounding) * np.exp(-proof.log_scale)
        scaled = (np.exp(x) for x in (result.log_value + proof.log_scale, np.log(gap) + proof.log_scale))
        still = closes(single, proof._replace(**dict(zip(("value", "gap"), scaled, strict=True))), tol)
        open_ = ~still & (result.status == Status.certified)
        status = np.where(open_, Status.converged if found.converged else Status.stalled, result.status)
        result = dataclasses.replace(result, gap=gap, lower_bound=result.value - gap, status=status.astype(np.int8))
        return jax.tree.map(np.asarray, result)


def _left_open(program: Program, proof: Certificate, bias: Any, rounding: Rounding | None):
    """(...,) by how much the optimum of what was written can be below what ``proof`` says, to first order.

    At the dual point of the proof every number of the problem enters the bound linearly or as a factor of the norm.
    """
    if rounding is None:
        return np.zeros_like(proof.value)
    classes, weights = program.classes, program.weights
    loss, others, *_ = evaluate(program, proof.within, proof.between, bias)
    each = np.abs(loss.wrong)
    moved = weights * (np.abs(loss.total) + np.sum(others * each, axis=-2))
    moved_at_all = np.sum(classes * moved, axis=-1)
    paid = proof.value if program.budget is None else proof.norm * program.budget
    size = 1 + largest_term(program, proof.within, proof.between, bias)
    parameter = sum(np.abs(x) for x in jax.tree.leaves(program.loss))
    exposed = moved_at_all if program.offsets is not None else moved_at_all + parameter
    change = rounding.weights * (proof.value + 2 * paid + 2 * size * moved_at_all)
    change = change + (rounding.omega + rounding.price) * paid + 2 * rounding.loss * (size + parameter) * exposed
    if program.bias_decay is not None:
        received = np.sum(np.swapaxes(others, -1, -2) * weights[..., None, :] * each, axis=-1)
        unbalanced = np.sum(classes * (rounding.weights[..., None] * (moved + received)) ** 2, axis=-1)
        change = change + unbalanced / program.bias_decay
        change = change + rounding.bias_decay * program.bias_decay * np.sum(classes * bias * bias, axis=-1)
    return change
