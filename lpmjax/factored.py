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
from .arguments import require_key, require_positive, require_precision, require_type, scalars
from .codes import Phase, Status
from .conclude import Claim, conclude
from .duality import slacks
from .groups import ClassGroups, ClassOrder
from .objectives.objective import Structure
from .objectives.of_groups import GroupObjective
from .objectives.orthogonal import OrthogonalObjective
from .problems.grouped import GroupedProblem
from .problems.problem import Problem
from .settings import nan_is_a_value
from .solution import Solution
from .solvers.factored import Columns, Factored, Found, Pair, random_pair, solve_pairs, unscaled, widened
from .solvers.grouped import log_multiplier_at
from .spectral import singular_values

#: share of the objective below which a singular value is what a descent left of zero
_NOTHING = 1e-6


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
    steps = {} if max_steps is None else {"max_steps": max_steps}
    solver = Factored(restarts=restarts, optimizer=optimizer, per_sample=per_sample, projected=projected, **steps)
    return solve_factored(problem, solver, key, tol, start)


def solve_factored(
    problem: Any, solver: Factored, key: Array | None = None, tol: Any = None, start: Any = None
) -> Solution:
    """:func:`factored` with its constants in a solver."""
    require_type("problem", problem, GroupedProblem, "a lpmjax Problem of ClassGroups such as LayerPeeled")
    require_type("start", start, (Solution, type(None)), "a lpmjax Solution, or None")
    require_precision(problem=problem, start=start)
    key = require_key(key)
    limit = scalars(tol=solver.default_tol(problem.dtype) if tol is None else tol)["tol"].astype(problem.dtype)
    require_positive("It is relative to |value|.", tol=limit)
    objective = problem.objective()
    budgeted = objective.program.budget is not None
    if solver.projected and (solver.optimizer is None or not budgeted):
        raise ValueError(
            "projected = True needs norm budgets (LayerPeeled) and a first-order optimizer, e.g. optax.sgd(1.0)."
        )
    index, program = columns(objective, problem.groups, solver)
    full = objective.widest(int(program.rows.size))
    run = partial(_run, index=ClassOrder(index), solver=solver)
    if start is not None:
        return run(problem, program, limit, _from_solution(start, program, problem.dim or full))
    keys = jax.random.split(key, solver.restarts)
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


def columns(objective: GroupObjective, groups: ClassGroups, solver: Factored) -> tuple[np.ndarray, Columns]:
    """Group of each class in the caller's order, and the program column by column."""
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
    program, scale = objective.program, objective.scale
    label, weights, omega = np.arange(index.size), jnp.where(rows, program.weights[index], 0.0), program.omega[index]
    if solver.per_sample:
        samples = groups.samples
        if isinstance(samples, Tracer) or not np.array_equal(np.rint(samples), samples):
            raise ValueError("per_sample needs whole, concrete numbers of samples; got fractional or traced ones.")
        repeats = np.asarray(samples)[index]
        label = np.repeat(label, repeats.astype(int))
        weights, omega = (weights / repeats)[label], (omega / np.sqrt(repeats))[label]
    budgets, penalties = None, None
    if program.granted is not None:
        budgets = (program.granted * scale, program.granted / scale)
    else:
        penalties = (program.penalty / scale, program.penalty * scale)
    return index, Columns(
        loss=program.loss, rows=rows, label=jnp.asarray(label), weights=weights, omega=omega,
        shift=None if program.offsets is None else program.offsets[index],
        budgets=budgets, penalties=penalties,
        bias_decay=program.bias_decay, biased=program.has_bias,
        squared=isinstance(objective, OrthogonalObjective), projected=solver.projected,
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


def per_class(problem: GroupedProblem, index: np.ndarray) -> GroupedProblem:
    """The same problem with every class its own group, in the order of ``index``."""
    groups = problem.groups
    classes = jnp.where(groups.classes[index] > 0, jnp.ones_like(groups.weights[index]), 0.0)
    single = ClassGroups(classes, groups.samples[index], groups.weights[index])
    return eqx.tree_at(lambda p: p.groups, problem, single)


@partial(jax.jit, static_argnames=("index", "solver"))
def _run(problem: GroupedProblem, program: Columns, tol, starts: Pair, index: ClassOrder, solver: Factored) -> Solution:
    group = index.group_of_class

    def concluded(found: Found) -> Any:
        # Under a trace every group has been taken for one class: where it is more, that was another problem.
        classes = problem.groups.classes
        members = jnp.asarray(np.bincount(group, minlength=classes.size), classes.dtype)
        counted = jnp.all((classes == 0) | (members == classes))
        claim = claim_of_pair(problem, program, tol, found, group)
        return conclude(problem, claim, tol, problem.is_valid() & counted, Factored.name)

    with jax.default_matmul_precision("highest"):
        return jax.vmap(concluded)(solve_pairs(program, starts, solver.max_steps, solver.optimizer))


def class_logits(program: Columns, pair: Pair) -> Array:
    """(K, K) logits without bias of the mean features of each class."""
    W, H = pair.W, pair.H
    means = H if H.shape[1] == len(W) else _class_means(H, program.label, len(W))
    return jnp.where(program.rows[:, None] & program.rows[None, :], W @ means, 0.0)


def claim_of_pair(problem: GroupedProblem, program: Columns, tol, found: Found, index: np.ndarray) -> Claim:
    """What one pair W, H proves, with means over groups."""
    bias = found.pair.bias
    single = per_class(problem, index).objective()
    Z = class_logits(program, found.pair)
    at = single.coordinates_of(Z)._replace(bias=bias)
    proof = jax.lax.stop_gradient(single.prove(at))
    # The proof is of these logits at balanced norms and collapsed features, which are no worse than W and H themselves.
    scaled = jnp.exp(found.log_value + proof.log_scale)
    proof = proof._replace(value=scaled, gap=jnp.maximum(proof.gap + scaled - proof.value, proof.gap))
    unscale = jnp.exp(-proof.log_scale)
    log_multiplier = single.log_multiplier(proof)
    if single.program.budget is not None:
        log_multiplier = log_multiplier_at(at.within, at.between, bias, single.program)
    price = jax.lax.stop_gradient(jnp.exp(log_multiplier + proof.log_scale))
    values = singular_values(Z * single.program.omega[None, :])
    counts = values > 1e-6 * values[0]
    if single.program.penalty is not None:  # what next to nothing is paid for is left of nothing
        counts = counts & (price * values > jnp.minimum(tol, _NOTHING) * scaled)
    rank = jnp.sum(counts)
    phase = jnp.where(rank > 0, single.structure(proof, price).phase, Phase.annihilated)
    proved = single.gap_within(proof, tol)
    return Claim(
        value=unscale * scaled,
        log_value=found.log_value,
        gap=jax.lax.stop_gradient(unscale * proof.gap),
        log_multiplier=log_multiplier,
        structure=Structure(phase, rank, jnp.zeros_like(rank)),  # it has the dimension
        description={"slack": slacks(problem.objective().program, log_multiplier)}
        | _means(problem.groups.classes, program, found.pair, Z, at.within, index),
        proved=proved,
        finished=found.finished,
        steps=found.steps,
        restarts=found.restarts,
        stationary=found.converged,
        told=proved,
    )


def _means(classes, program: Columns, pair: Pair, Z, flat, index) -> dict[str, Any]:
    """What a Solution says of each group: means over its classes, the least of their margins, and W and H."""
    W, H, K = pair.W, pair.H, index.size
    member = (jnp.asarray(index)[:, None] == jnp.arange(classes.size)[None, :]).astype(Z.dtype)
    size = symmetry.present(classes)
    within, between = symmetry.average(Z, jnp.asarray(index), classes)
    eye = jnp.eye(K, dtype=bool)
    rivals = jnp.where(eye | ~program.rows[:, None], jnp.inf, jnp.diagonal(Z)[None, :] - Z)
    margins = jnp.where(member > 0, jnp.min(rivals, axis=0)[:, None], jnp.inf)
    ones = jnp.ones_like(program.label, H.dtype)
    h_norm2 = jax.ops.segment_sum(jnp.sum(H * H, axis=0), program.label, K) / jax.ops.segment_sum(
        ones, program.label, K
    )
    pairwise = symmetry.mean_cosines(W, jnp.asarray(index), classes.size)
    return {
        "cosine": jnp.diagonal(pairwise),
        "pairwise": pairwise,
        "w_norm2": member.T @ jnp.sum(W * W, axis=1) / size,
        "h_norm2": member.T @ h_norm2 / size,
        "margin": jnp.min(margins, axis=0),
        "within": member.T @ flat / size if program.squared else within,
        "between": between,
        "bias": None if pair.bias is None else member.T @ pair.bias / size,
        "W": W,
        "H": H,
    }
