"""Duality-gap certificate: an upper bound on (value - global optimum) from the returned coordinates alone.

For logits Z within the budget and G = grad f(Z), convexity of f gives

    f(Z) - f* <= <G, Z> + budget ||G diag(1/omega)||_2,

which in group coordinates is a sum of non-negative terms, so that nothing cancels at a loss of 1e-30. The penalised
form shrinks G until its norm is the penalty and adds the Fenchel gap of that. The bound holds for the non-convex
problem in W and H as well, whatever the feature dimension (``proofs``: ``certificate.budget`` and ``.penalty``).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from . import symmetry
from .losses import CrossEntropy
from .solution import Phase, Status, structure


class Program(NamedTuple):
    """The numbers of a problem that its certificate needs; exactly one of ``budget`` and ``penalty`` is given."""

    loss: CrossEntropy
    classes: Float[Array, "*batch G"]
    weights: Float[Array, "*batch G"]
    omega: Float[Array, "*batch G"]
    budget: Float[Array, "*batch"] | None
    penalty: Float[Array, "*batch"] | None

    @staticmethod
    def of(problem: Any) -> "Program":
        """Evaluate the derived quantities (omega, budget or penalty) of a Problem."""
        groups = problem.groups
        return Program(problem.loss, groups.classes, groups.weights, problem.omega, problem.budget, problem.penalty)


class Certificate(NamedTuple):
    """What :func:`duality_gap` proves: ``value - gap`` bounds the global optimum from below."""

    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]  #: includes an allowance for its own rounding, so never below its noise
    within: Float[Array, "*batch G"]  #: the coordinates that were certified: centred, and on or inside the budget
    between: Float[Array, "*batch G G"]
    norm: Float[Array, "*batch"]  #: spectral norm of the gradient: the multiplier at a budget optimum


def duality_gap(program: Program, within, between, xp) -> Certificate:
    """Certify coordinates. ``xp`` is ``jax.numpy`` or ``numpy``; leading axes are a batch."""
    classes, weights, omega = program.classes, program.weights, program.omega
    repeats = symmetry.repeats(classes, xp)
    within = xp.where(repeats > 0, within, 0.0)
    between = symmetry.centred(between, classes, xp)
    cost = symmetry.spectral_cost(within, between, classes, omega, xp)
    if program.budget is not None:
        onto = xp.where(cost > program.budget, program.budget / xp.where(cost > 0, cost, 1.0), 1.0)
        within, between, cost = within * onto[..., None], between * onto[..., None, None], cost * onto

    others = symmetry.rivals(classes, xp)
    margins = symmetry.margins(within, between, classes, xp)
    loss = program.loss.on_groups(margins, others, xp)
    value = xp.sum(classes * weights * loss.value, axis=-1)

    pull, block = gradient(loss.wrong, others, classes, weights, xp)
    norm = xp.maximum(xp.max(pull / omega, axis=-1), symmetry.block_norm(block / omega[..., None, :], xp))

    if program.budget is not None:
        price, shrink = norm, xp.ones_like(norm)
        slack = norm * (program.budget - cost)
    else:
        price = xp.asarray(program.penalty)
        shrink = shrinkage(price, norm, xp)
        divergence = program.loss.shrunk_divergence(loss, others, shrink[..., None], xp)
        slack = xp.sum(classes * weights * divergence, axis=-1)
        value = value + price * cost
    shrunk = shrink[..., None] * pull * within
    in_groups = xp.sum(repeats * (price[..., None] * omega * xp.abs(within) - shrunk), axis=-1)
    nuclear = symmetry.block_norm(between * omega[..., None, :], xp)
    across_groups = price * nuclear + shrink * xp.sum(block * between, axis=(-2, -1))

    # Rounding: an exponent carries its own size in ulps into every probability, hence into each product below.
    largest = xp.max(xp.where(others > 0, xp.abs(margins), 0.0), axis=(-2, -1))
    rounding = 4 * xp.finfo(value.dtype).eps * (1 + largest) * (value + price * cost)
    gap = xp.maximum(in_groups, 0.0) + xp.maximum(across_groups, 0.0) + xp.maximum(slack, 0.0) + rounding
    return Certificate(value, gap, within, between, norm)


def closes(proof: Certificate, tol, xp):
    """Whether the gap is within ``tol`` of the value; never for a value that has underflowed."""
    return (proof.gap <= tol * xp.abs(proof.value)) & (xp.abs(proof.value) >= xp.finfo(proof.value.dtype).tiny)


def gradient(wrong, others, classes, weights, xp):
    """Gradient of the loss in group coordinates: ``-pull`` on every in-group direction, and the G x G ``block``."""
    eye = xp.eye(classes.shape[-1], dtype=bool)
    across = xp.where(eye, 0.0, weights[..., None, :] * others * wrong)
    leaving = xp.sum(across, axis=-2)
    own = weights * symmetry.diagonal(wrong, xp) * classes
    pull = xp.where(classes > 1, own + leaving, 0.0)
    K = symmetry.present(classes, xp)
    return pull, xp.where(eye, -leaving[..., None, :], across * xp.sqrt(K[..., None, :] / K[..., :, None]))


def shrinkage(price, norm, xp):
    """Largest factor up to 1 that brings a gradient of spectral norm ``norm`` within ``price``."""
    return xp.minimum(1.0, price / xp.where(norm > 0, norm, 1.0))


def certify(problem: Any, solution: Any, tol: float | None = None) -> Any:
    """Evaluate the certificate on the host in NumPy float64, and return the solution with what it proves.

    The only way for a float32 result to become ``certified``. Batched solutions are certified entry by entry; the
    result holds NumPy arrays. Only ``within`` and ``between`` are trusted: everything else is computed anew from them,
    the phase from which coordinates are exactly zero. A rank above the problem's ``dim`` is ``invalid``.

    Parameters
    ----------
    problem : the Problem that was solved (with the same batch axes as ``solution``; ``solution.problem`` will do).
    solution : a Solution, possibly from another machine, another precision, or tampered with.
    tol : relative gap for ``certified``; by default the solution's own (1e-3 for a float32 solve: pass what you need).

    Raises
    ------
    ValueError
        If the groups or batch axes of ``problem`` and ``solution`` differ.
    """
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), problem)
        program = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), Program.of(double))
        scale, valid = np.asarray(double.classifier_scale), np.asarray(double.is_valid())
    within, between = (np.asarray(x, np.float64) for x in (solution.within, solution.between))
    if within.shape != program.classes.shape or between.shape != (*within.shape, within.shape[-1]):
        raise ValueError(
            f"solution has coordinates of shape {within.shape} and {between.shape}, problem has groups of shape "
            f"{program.classes.shape}: pass the problem that was solved (solution.problem)."
        )
    with np.errstate(all="ignore"):  # a lane that is not finite says so in its status
        result = duality_gap(program, within, between, np)
        views = symmetry.geometry(result.within, result.between, program.classes, program.omega, scale, np)
        multiplier = result.norm if program.penalty is None else program.penalty
        slack = np.log(program.weights) - np.log(program.omega) - np.log(multiplier)[..., None]
    limit = np.asarray(solution.tol if tol is None else tol, np.float64) * np.ones_like(result.value)
    phase, rank = structure(program.classes, result.within, result.between, np)
    fits = valid if problem.dim is None else valid & (rank <= problem.dim)
    finite = np.isfinite(result.value) & np.isfinite(result.gap)
    status = np.where(closes(result, limit, np), Status.certified, Status.stalled)
    status = np.where(finite, status, Status.nonfinite)
    status = np.where(fits, status, Status.invalid)
    shown = (status != Status.nonfinite) & (status != Status.invalid)
    host = jax.tree.map(np.asarray, solution)
    return host.replace(
        problem=double,
        value=result.value,
        lower_bound=result.value - result.gap,
        gap=result.gap,
        within=result.within,
        between=result.between,
        tol=limit,
        multiplier=multiplier,
        slack=slack,
        **views._asdict(),
        status=status.astype(np.int8),
        phase=np.where(shown, phase, Phase.undetermined).astype(np.int8),
        rank=np.where(shown, rank, -1).astype(np.int32),
    )
