"""Factored: local optima of the non-convex program over W and H, no symmetry assumed, from random starts."""

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .. import symmetry
from ..arguments import require_flag, require_optimizer
from ..charge import Budget, Price
from ..codes import Phase
from ..compiling import quick_jit
from ..duality import slacks
from ..groups import ClassGroups, ClassOrder
from ..objectives.objective import Structure
from ..objectives.of_groups import GroupObjective
from ..objectives.orthogonal import OrthogonalObjective
from ..spectral import singular_values
from ..traced import concrete, holds_tracers
from .pairs import Columns, Found, Pair, is_stationary, measured, random_pair, solve_pairs, unscaled, widened
from .slopes import log_multiplier_at, slopes_at
from .solver import Claim, RestartedSolver

if TYPE_CHECKING:
    import optax

#: share of the objective below which a singular value is what a descent left of zero
_NOTHING = 1e-6


@dataclasses.dataclass(frozen=True)
class Factored(RestartedSolver):
    """L-BFGS over W and H from ``restarts`` random starts, or another optax ``optimizer``: see :func:`lpmjax.factored`
    for one feature ``per_sample`` and budgets held by projection (``projected``)."""

    max_steps: int = 4000
    optimizer: "optax.GradientTransformation | None" = None
    per_sample: bool = False
    projected: bool = False
    name: ClassVar[str] = "factored"
    tol: ClassVar[float] = 1e-8
    exact: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        described = "an optax.GradientTransformation such as optax.adam(1e-2), or None"
        require_optimizer(self.optimizer, described)
        require_flag("per_sample", self.per_sample)
        require_flag("projected", self.projected)

    def __call__(self, problem: Any, tol: Any, key: Any, start: Any = None) -> Claim:
        """Claims of ``restarts`` pairs, or of one descent from W and H of ``start``. With ``dim=None`` the width grows
        until every gap closes."""
        objective = concrete(problem).objective()
        if self.projected and (self.optimizer is None or isinstance(objective.program.charge, Price)):
            raise ValueError(
                "projected = True needs norm budgets (LayerPeeled) and a first-order optimizer, e.g. optax.sgd(1.0)."
            )
        index, program = columns(objective, problem.groups, self.per_sample, self.projected)
        full = objective.widest(int(program.rows.size))
        run = partial(_run, index=ClassOrder(index), solver=self)
        if start is not None:
            return run(problem, program, tol, _from_result(start, program, problem.dim or full))
        keys = jax.random.split(key, self.restarts)
        traced = holds_tracers(problem)
        dim = problem.dim or (full if traced or full <= 64 else full // 4)
        starts = _drawn(keys, program, dim)
        while True:
            claims = run(problem, program, tol, starts)
            if problem.dim is not None or dim == full or bool(jnp.all(claims.proved)):
                return claims
            seen = claims.description
            dim = min(full, max(int(1.5 * dim), int(1.1 * float(jnp.sum(seen["slack"][0] > 0))) + 8))
            bias = None if seen["bias"] is None else seen["bias"][..., index]
            pairs = Pair(seen["W"], seen["H"], bias)
            starts = _widened(keys, pairs, program, dim)

    def prove_again(self, problem: Any, result: Any, tol: Any, rounding: Any) -> Claim | None:
        """From W and H (and bias) alone, scaled onto the budgets; ``converged`` where they are stationary."""
        per_sample = result.H.shape[1] != result.W.shape[0]
        index, program = columns(problem.objective(), problem.groups, per_sample)
        if result.W.shape[0] != index.size or result.H.shape[1] != program.label.size:
            raise ValueError(
                f"solution has W of shape {result.W.shape} and H of shape {result.H.shape}, problem has {index.size} "
                "classes: pass the problem that was solved (solution.problem)."
            )
        bias = None if result.bias is None else result.bias[index]
        pair = unscaled(Pair(result.W, result.H, bias), program)
        stationary = is_stationary(pair, program)
        found = measured(pair, program, result.steps, result.restarts, stationary, jnp.bool_(True))
        claim = claim_of_pair(problem, program, tol, found, index)
        single = jax.tree.map(np.asarray, per_class(problem, index).objective())
        at = single.coordinates_of(np.asarray(class_logits(program, found.pair)))._replace(bias=bias)
        proof = single.prove(at)
        gap = claim.gap + single.left_open(proof, at, rounding) * np.exp(-proof.log_scale)
        scaled = (np.exp(x) for x in (claim.log_value + proof.log_scale, np.log(gap) + proof.log_scale))
        still = single.gap_within(proof._replace(**dict(zip(("value", "gap"), scaled, strict=True))), tol)
        return claim._replace(gap=gap, proved=claim.proved & still)


def columns(
    objective: GroupObjective, groups: ClassGroups, per_sample: bool, projected: bool = False
) -> tuple[np.ndarray, Columns]:
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
        rows = counts[index] > 0
    program, scale = objective.program, objective.scale
    nx = program.weights.__array_namespace__()
    label, weights, omega = np.arange(index.size), nx.where(rows, program.weights[index], 0.0), program.omega[index]
    if per_sample:
        samples = groups.samples
        if program.loss.of_classes(index) is not program.loss:
            raise ValueError("per_sample needs a loss that is the same for every class: VectorScaling is not.")
        if isinstance(samples, Tracer) or not np.array_equal(np.rint(samples), samples):
            raise ValueError("per_sample needs whole, concrete numbers of samples; got fractional or traced ones.")
        repeats = np.asarray(samples)[index]
        label = np.repeat(label, repeats.astype(int))
        weights, omega = (weights / repeats)[label], (omega / np.sqrt(repeats))[label]
    budgets, penalties = None, None
    if isinstance(program.charge, Budget):
        budgets = (program.charge.granted * scale, program.charge.granted / scale)
    else:
        penalties = (program.charge.amount / scale, program.charge.amount * scale)
    return index, Columns(
        loss=program.loss.of_classes(index), rows=jnp.asarray(rows), label=jnp.asarray(label),
        weights=weights, omega=omega,
        shift=None if program.offsets is None else program.offsets[index],
        budgets=budgets, penalties=penalties,
        bias=program.bias,
        squared=isinstance(objective, OrthogonalObjective), projected=projected,
    )  # fmt: skip


@partial(quick_jit, static_argnames="dim", once=True)
def _drawn(keys: Array, program: Columns, dim: int) -> Pair:
    return jax.vmap(lambda key: random_pair(key, program, dim))(keys)


@partial(quick_jit, static_argnames="dim", once=True)
def _widened(keys: Array, pairs: Pair, program: Columns, dim: int) -> Pair:
    return jax.vmap(lambda key, pair: widened(key, unscaled(pair, program), program, dim))(keys, pairs)


def _from_result(start: Any, program: Columns, dim: int) -> Pair:
    W, H = start.factors() if start.W is None or start.H is None else (start.W, start.H)
    if W.shape[-2] != program.rows.size or H.shape[-1] != program.label.size or W.shape[-1] > dim:
        raise ValueError(f"start has W of shape {W.shape} and H of shape {H.shape}: they do not fit this problem.")
    pad = dim - W.shape[-1]
    bias = jnp.zeros(program.rows.size, W.dtype) if program.bias.present else None
    pair = Pair(jnp.pad(W, ((0, 0), (0, pad))), jnp.pad(H, ((0, pad), (0, 0))), bias)
    return jax.tree.map(lambda leaf: leaf[None], unscaled(pair, program))


def _class_means(H, label, K: int):
    sums = jax.ops.segment_sum(H.T, label, K)
    return (sums / jax.ops.segment_sum(jnp.ones_like(label, H.dtype), label, K)[:, None]).T


def per_class(problem: Any, index: np.ndarray) -> Any:
    """The same problem with every class its own group, in the order of ``index``."""
    groups = problem.groups
    classes = jnp.where(groups.classes[index] > 0, jnp.ones_like(groups.weights[index]), 0.0)
    single = ClassGroups(classes, groups.samples[index], groups.weights[index])
    return eqx.tree_at(lambda p: (p.groups, p.loss), problem, (single, problem.loss.of_classes(index)))


@partial(quick_jit, static_argnames=("index", "solver"))
def _run(problem: Any, program: Columns, tol: Any, starts: Pair, index: ClassOrder, solver: Factored) -> Claim:
    group = index.group_of_class
    # Under a trace every group has been taken for one class: where it is more, that was another problem.
    classes = problem.groups.classes
    members = jnp.asarray(np.bincount(group, minlength=classes.size), classes.dtype)
    counted = jnp.all((classes == 0) | (members == classes))

    def claimed(found: Found) -> Claim:
        return claim_of_pair(problem, program, tol, found, group)._replace(applies=counted)

    with jax.default_matmul_precision("highest"):
        return jax.vmap(claimed)(solve_pairs(program, starts, solver.max_steps, solver.optimizer))


def class_logits(program: Columns, pair: Pair) -> Array:
    """(K, K) logits without bias of the mean features of each class."""
    W, H = pair.W, pair.H
    means = H if H.shape[1] == len(W) else _class_means(H, program.label, len(W))
    return jnp.where(program.rows[:, None] & program.rows[None, :], W @ means, 0.0)


def claim_of_pair(problem: Any, program: Columns, tol, found: Found, index: np.ndarray) -> Claim:
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
    if isinstance(single.program.charge, Budget):
        slopes = slopes_at(at.within, at.between, bias, single.program)
        log_multiplier = log_multiplier_at(at.within, at.between, slopes, single.program)
    price = jax.lax.stop_gradient(jnp.exp(log_multiplier + proof.log_scale))
    values = singular_values(Z * single.program.omega[None, :])
    counts = values > 1e-6 * values[0]
    if isinstance(single.program.charge, Price):  # what next to nothing is paid for is left of nothing
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
