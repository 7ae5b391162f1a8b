"""factored: local optima of the non-convex program over W and H, from random starts, each with its certificate."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jaxtyping import Array

from . import symmetry
from .arguments import (
    require_flag,
    require_integer,
    require_key,
    require_positive,
    require_precision,
    require_type,
    scalars,
)
from .codes import Phase, Status
from .duality import Program, closes, duality_gap, log_multiplier_of, slacks
from .groups import ClassGroups
from .problems.layer_peeled import LayerPeeled
from .problems.problem import Problem
from .settings import nan_is_a_value
from .solution import Solution
from .solvers.factored import Columns, Found, Pair, random_pair, solve_pairs, unscaled, widened
from .solvers.grouped import log_multiplier_at
from .spectral import singular_values
from .structure import structure

_MAX_STEPS = 4000
_TOL = {"float64": 1e-8, "float32": 1e-3}


@nan_is_a_value
def factored(
    problem: Problem,
    key: Array | None = None,
    restarts: int = 8,
    *,
    tol: float | None = None,
    max_steps: int | None = None,
    optimizer: optax.GradientTransformation | None = None,
    per_sample: bool = False,
    projected: bool = False,
    start: Solution | None = None,
) -> Solution:
    r"""Local optima of the program as it is written, over W (K, d) and H (d, K), or H (d, N) with ``per_sample``.

    No symmetry is assumed and no relaxation made, so this is what a trained last layer can do with ``dim`` feature
    dimensions. The duality gap of the convex relaxation still holds: a start that closes it has found the global
    optimum and is ``certified``. Where ``dim < K - 1`` it may not close; then a stationary point is ``converged``, and
    the best of the restarts an upper bound.

    Parameters
    ----------
    problem : a Problem; its ``dim`` is d. With ``dim=None`` the width starts small and grows until the gap closes
        (K - 1 under a trace). Under a trace its groups must be single classes (:meth:`ClassGroups.per_class`; absent
        ones pad a grid over K).
    key : random key, by default ``jax.random.key(0)``.
    restarts : number of starts, static.
    tol : relative duality gap for ``certified``, default 1e-8.
    max_steps : limit on descent steps, default 4000. Static.
    optimizer : any optax transformation; default L-BFGS.
    per_sample : one feature per sample instead of per class: within-class collapse is then found, not assumed. Needs
        whole, concrete samples.
    projected : hold the two norm budgets of :class:`LayerPeeled` by projection (``optax.projections``) after every step
        instead of by scaling; needs a first-order ``optimizer`` along the gradient (``optax.sgd``): steps that rescale
        coordinates, such as Adam's, followed by a Euclidean projection come to rest away from the optimum.
    start : Solution with W and H to start from, instead of random ones.

    Returns
    -------
    Solution (``invalid`` where traced groups are not single classes) with a leading axis of length ``restarts`` (1 with
        ``start``) and ``W``, ``H`` in the caller's class order; :func:`best` takes the best. Values, coordinates and
        norms are differentiable by every parameter (not with ``projected``); ``W`` and ``H`` are unique only up to
        rotation.

    Raises
    ------
    ValueError
        For arguments out of range or combinations that the text above excludes.
    """
    require_type("problem", problem, Problem, "a lpmjax Problem such as LayerPeeled")
    require_type("start", start, (Solution, type(None)), "a lpmjax Solution, or None")
    described = "an optax.GradientTransformation such as optax.adam(1e-2), or None"
    require_type("optimizer", optimizer, (optax.GradientTransformation, type(None)), described)
    require_precision(problem=problem, start=start)
    per_sample, projected = require_flag("per_sample", per_sample), require_flag("projected", projected)
    key = require_key(key)
    restarts = require_integer("restarts", restarts, 1)
    max_steps = require_integer("max_steps", _MAX_STEPS if max_steps is None else max_steps, 1)
    dtype = problem.groups.weights.dtype
    limit = scalars(tol=_TOL[dtype.name] if tol is None else tol)["tol"].astype(dtype)
    require_positive("It is relative to |value|.", tol=limit)
    if projected and (not isinstance(problem, LayerPeeled) or optimizer is None or problem.nonnegative):
        raise ValueError(
            "projected = True needs norm budgets (LayerPeeled) and a first-order optimizer, e.g. optax.sgd(1.0)."
        )
    index, program = columns(problem, per_sample, projected)
    K = int(program.rows.size)
    full = K if problem.nonnegative or not problem.loss.shift_invariant else max(K - 1, 1)
    run = partial(_run, index=_Index(index), max_steps=max_steps, optimizer=optimizer)
    if start is not None:
        return run(problem, program, limit, _from_solution(start, program, problem.dim or full))
    keys = jax.random.split(key, restarts)
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(problem))
    dim = problem.dim or (full if traced or full <= 64 else full // 4)
    starts = jax.vmap(lambda k: random_pair(k, program, dim))(keys)
    while True:
        solution = run(problem, program, limit, starts)
        if problem.dim is not None or dim == full or (np.asarray(solution.status) == Status.certified).all():
            return solution
        dim = min(full, max(int(1.5 * dim), int(1.1 * float(jnp.sum(solution.slack[0] > 0))) + 8))
        pairs = Pair(solution.W, solution.H, _class_bias(solution.bias, index))
        starts = jax.vmap(lambda k, pair, dim=dim: widened(k, unscaled(pair, program), program, dim))(keys, pairs)


def best(solutions: Solution) -> Solution:
    """The entry of least value among those that did not fail (among all, if all failed)."""
    require_type("solutions", solutions, Solution, "a lpmjax Solution with one leading axis")
    if solutions.status.ndim != 1:
        raise ValueError("solutions must be a Solution with one leading axis, as lpmjax.factored returns it.")
    failed = (solutions.status != Status.certified) & (solutions.status != Status.converged)
    value = jnp.where(jnp.isnan(solutions.value), jnp.inf, solutions.value)
    order = jnp.where(failed, jnp.inf, value)
    chosen = jnp.argmin(jnp.where(jnp.all(failed), value, order))
    return jax.tree.map(lambda leaf: leaf[chosen], solutions)


class _Index:
    """Group of each class, static and compared by content."""

    def __init__(self, group_of_class: np.ndarray):
        self.group = group_of_class

    def __hash__(self):
        return hash(self.group.tobytes())

    def __eq__(self, other):
        return isinstance(other, _Index) and np.array_equal(self.group, other.group)


def columns(problem: Problem, per_sample: bool, projected: bool = False) -> tuple[np.ndarray, Columns]:
    """Group of each class in the caller's order, and the program column by column."""
    groups = problem.groups
    if isinstance(groups.classes, Tracer) and groups.order is None:
        index = np.arange(groups.num_groups)
        rows = groups.classes > 0
    else:
        counts = np.asarray(groups.classes)
        if not np.array_equal(np.rint(counts), counts):
            raise ValueError(f"the factored method needs whole numbers of classes, got classes = {counts}.")
        single = groups.order is None and counts.max() <= 1
        index = np.arange(counts.size) if single else groups.class_index
        rows = jnp.asarray(counts[index] > 0)
    label, weights, omega = np.arange(index.size), jnp.where(rows, groups.weights[index], 0.0), problem.omega[index]
    if per_sample:
        samples = groups.samples
        if isinstance(samples, Tracer) or not np.array_equal(np.rint(samples), samples):
            raise ValueError("per_sample needs whole, concrete numbers of samples; got fractional or traced ones.")
        repeats = np.asarray(samples)[index]
        label = np.repeat(label, repeats.astype(int))
        weights, omega = (weights / repeats)[label], (omega / np.sqrt(repeats))[label]
    shift = problem.loss.offsets(groups.samples)
    if isinstance(problem, LayerPeeled):
        K = jnp.sum(groups.classes)
        budgets, penalties = (K * problem.E_W, K * problem.E_H), None
    else:
        price: Any = problem.penalty  # lambda_W and lambda_H of any penalised model
        budgets, penalties = None, (price / problem.classifier_scale, price * problem.classifier_scale)
    return index, Columns(
        loss=problem.loss, rows=rows, label=jnp.asarray(label), weights=weights, omega=omega,
        shift=None if shift is None else shift[index], budgets=budgets, penalties=penalties,
        bias_decay=problem.bias_decay, biased=problem.has_bias, nonnegative=problem.nonnegative, projected=projected,
    )  # fmt: skip


def _class_bias(bias, index):
    return None if bias is None else bias[..., index]


def _from_solution(start: Solution, program: Columns, dim: int) -> Pair:
    W, H = start.factors() if start.W is None or start.H is None else (start.W, start.H)
    if W.shape[-2] != program.rows.size or H.shape[-1] != program.label.size or W.shape[-1] > dim:
        raise ValueError(f"start has W of shape {W.shape} and H of shape {H.shape}: they do not fit this problem.")
    pad = dim - W.shape[-1]
    bias = jnp.zeros(program.rows.size, W.dtype) if program.biased else None
    pair = Pair(jnp.pad(W, ((0, 0), (0, pad))), jnp.pad(H, ((0, pad), (0, 0))), bias)
    return jax.tree.map(lambda leaf: leaf[None], unscaled(pair, program))


def _class_means(H, label, K: int):
    sums = jax.ops.segment_sum(H.T, label, K)
    return (sums / jax.ops.segment_sum(jnp.ones_like(label, H.dtype), label, K)[:, None]).T


def per_class(problem: Problem, index: np.ndarray) -> Problem:
    """The same problem with every class its own group, in the order of ``index``."""
    groups = problem.groups
    classes = jnp.where(groups.classes[index] > 0, jnp.ones_like(groups.weights[index]), 0.0)
    single = ClassGroups(classes, groups.samples[index], groups.weights[index])
    return eqx.tree_at(lambda p: p.groups, problem, single)


@partial(jax.jit, static_argnames=("index", "max_steps", "optimizer"))
def _run(problem: Problem, program: Columns, tol, starts: Pair, index: _Index, max_steps: int, optimizer) -> Solution:
    with jax.default_matmul_precision("highest"):
        found = solve_pairs(program, starts, max_steps, optimizer)
        return jax.vmap(lambda one: solution_of(problem, program, tol, one, index.group))(found)


def per_class_coordinates(problem: Problem, program: Columns, pair: Pair) -> tuple[Array, Array]:
    """``within`` and ``between`` of the logits of W and H, every class its own group."""
    W, H = pair.W, pair.H
    K = len(W)
    means = H if H.shape[1] == K else _class_means(H, program.label, K)
    Z = jnp.where(program.rows[:, None] & program.rows[None, :], W @ means, 0.0)
    # With H >= 0 the certificate's coordinates are the margins of Z = (I - J/K) diag(margins).
    return jnp.diagonal(Z) * K / (K - 1) if problem.nonnegative else jnp.zeros(K, Z.dtype), Z


def solution_of(problem: Problem, program: Columns, tol, found: Found, index: np.ndarray) -> Solution:
    """A Solution, with its certificate and geometry, of one pair W, H."""
    W, H, bias = found.pair.W, found.pair.H, found.pair.bias
    groups, K = problem.groups, index.size
    single = Program.of(per_class(problem, index))
    flat, Z = per_class_coordinates(problem, program, found.pair)
    proof = jax.lax.stop_gradient(duality_gap(single, flat, Z, bias))
    # The proof is of these logits at balanced norms and collapsed features, which are no worse than W and H themselves.
    scaled = jnp.exp(found.log_value + proof.log_scale)
    proof = proof._replace(value=scaled, gap=jnp.maximum(proof.gap + scaled - proof.value, proof.gap))
    unscale = jnp.exp(-proof.log_scale)
    value, gap = unscale * scaled, jax.lax.stop_gradient(unscale * proof.gap)
    member = (jnp.asarray(index)[:, None] == jnp.arange(groups.num_groups)[None, :]).astype(Z.dtype)
    size = symmetry.present(groups.classes)
    within, between = symmetry.average(Z, jnp.asarray(index), groups.classes)
    within = member.T @ flat / size if problem.nonnegative else within
    if problem.nonnegative:
        log_multiplier = log_multiplier_of(single, proof)
    else:
        log_multiplier = log_multiplier_at(flat, Z, bias, single)
    slack = slacks(Program.of(problem), log_multiplier)
    eye = jnp.eye(K, dtype=bool)
    rivals = jnp.where(eye | ~program.rows[:, None], jnp.inf, jnp.diagonal(Z)[None, :] - Z)
    margins = jnp.where(member > 0, jnp.min(rivals, axis=0)[:, None], jnp.inf)
    w_norm2, sample_norm2 = jnp.sum(W * W, axis=1), jnp.sum(H * H, axis=0)
    h_norm2 = jax.ops.segment_sum(sample_norm2, program.label, K) / jax.ops.segment_sum(
        jnp.ones_like(sample_norm2), program.label, K
    )
    price = jax.lax.stop_gradient(jnp.exp(log_multiplier + proof.log_scale))
    phase = structure(single, proof, price).phase
    values = singular_values(Z * single.omega[None, :])
    rank = jnp.sum(values > 1e-6 * values[0])
    finite = jnp.isfinite(value) & jnp.isfinite(gap)
    proved = closes(single, proof, tol)
    best_status = Status.certified if value.dtype == jnp.float64 else Status.converged
    resting = jnp.where(found.finished, Status.stalled, Status.max_steps)
    status = jnp.where(proved, best_status, jnp.where(found.converged, Status.converged, resting))
    status = jnp.where(finite, status, Status.nonfinite)
    # Under a trace every group has been taken for one class: where it is more, that was another problem.
    counted = jnp.all((groups.classes == 0) | (jnp.sum(member, axis=0) == groups.classes))
    status = jnp.where(problem.is_valid() & counted, status, Status.invalid).astype(jnp.int8)
    shown = (status != Status.invalid) & (status != Status.nonfinite)

    def masked(x):
        return jnp.where(shown, x, jnp.nan)

    return Solution(
        problem=problem,
        value=masked(value),
        log_value=masked(found.log_value),
        lower_bound=masked(value - gap),
        gap=masked(gap),
        tol=tol,
        multiplier=masked(jnp.exp(log_multiplier)),
        slack=masked(slack),
        within=masked(within),
        between=masked(between),
        cosine=masked(jnp.diagonal(symmetry.mean_cosines(W, jnp.asarray(index), groups.num_groups))),
        w_norm2=masked(member.T @ w_norm2 / size),
        h_norm2=masked(member.T @ h_norm2 / size),
        margin=masked(jnp.min(margins, axis=0)),
        bias=None if bias is None else masked(member.T @ bias / size),
        status=status,
        phase=jnp.where(shown & proved, phase, Phase.undetermined).astype(jnp.int8),
        rank=jnp.where(shown, rank, -1).astype(jnp.int32),
        steps=found.steps,
        restarts=found.restarts,
        W=masked(W),
        H=masked(H),
        method="factored",
    )
