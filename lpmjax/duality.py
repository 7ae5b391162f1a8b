"""Duality-gap certificate: an upper bound on (value - global optimum) from the returned coordinates alone.

For logits Z within the budget and G = grad f(Z), convexity of f gives

    f(Z) - f* <= <G, Z> + budget ||G diag(1/omega)||_2,

which in group coordinates is a sum of non-negative terms, so that nothing cancels at a loss of 1e-30. The penalised
form shrinks G until its norm is the penalty and adds the Fenchel gap of that. The bound holds for the non-convex
problem in W and H as well, whatever the feature dimension (``proofs``: ``certificate.budget`` and ``.penalty``).
"""

from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from . import spectral, symmetry
from .bias import Bias, DecayedBias, FreeBias, NoBias
from .charge import Budget, Charge, Price
from .dual_points import aligned
from .losses.loss import GroupLoss, Loss, row_sums


class Program(eqx.Module):
    """The numbers of a problem that its certificate needs."""

    loss: Any  #: a Loss; of a duality gap a ConvexLoss
    classes: Float[Array, "*batch G"]
    weights: Float[Array, "*batch G"]
    omega: Float[Array, "*batch G"]
    charge: Charge  #: a budget of the spectral cost, or its price
    offsets: Any = None  #: (..., G) constants that the loss adds to the logits, or None
    bias: Bias = NoBias()

    @staticmethod
    def of(problem: Any) -> "Program":
        """Evaluate the derived quantities (omega, budget or price) of a Problem."""
        groups, loss, omega = problem.groups, problem.loss, problem.omega
        bias = NoBias() if problem.bias_decay is None else DecayedBias(problem.bias_decay)
        if problem.budget is None:
            charge = Price(problem.penalty)
        else:
            charge = _budget(loss, groups.classes, omega, problem.budget)
        bias = FreeBias() if problem.free_bias else bias
        return Program(loss, groups.classes, groups.weights, omega, charge, loss.offsets(groups.samples), bias)

    def ideal(self) -> tuple[Any, Any]:
        """``within`` and ``between`` where a coercive loss is least."""
        return _minimiser(self.loss, self.classes)[:2]

    @property
    def full(self) -> bool:
        """Whether blocks of logits and gradients can have full rank."""
        return not self.loss.shift_invariant


def _budget(loss: Loss, classes, omega, granted) -> Budget:
    """A budget, of which what the minimiser of the loss costs is enough: more of it changes no optimum."""
    if not loss.coercive:
        return Budget(granted, granted)
    nx = granted.__array_namespace__()
    within, between, attained = _minimiser(loss, classes)
    enough = symmetry.spectral_cost(within, between, classes, omega, not loss.shift_invariant)
    unbound = attained & (granted >= enough)
    return Budget(nx.where(unbound, enough, granted), granted, unbound)


def _minimiser(loss: Loss, classes):
    """Logits at which the loss is least, m (I - J/K), or m I if it is not shift-invariant; and whether any are."""
    nx = classes.__array_namespace__()
    margin = loss.least_at(nx.sum(classes, axis=-1))
    attained = nx.isfinite(margin)
    within = nx.where((classes > 0) & attained[..., None], margin[..., None], 0.0)
    if loss.shift_invariant:
        return within, symmetry.centred_diagonal(within, classes), attained
    return within, symmetry.diagonal_matrix(within), attained


class Evaluation(NamedTuple):
    """The loss at some logits. It underflows before its margins overflow, so that a factor is taken out."""

    loss: GroupLoss  #: value and derivatives, all times exp(log_scale)
    rival_counts: Float[Array, "*batch J G"]  #: number of rivals of each margin
    log_scale: Float[Array, "*batch"]


class Certificate(NamedTuple):
    """What :func:`duality_gap` proves: ``value - gap`` bounds the global optimum from below.

    Value, gap, norm and block are all times ``exp(log_scale)``.
    """

    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]  #: includes an allowance for its own rounding, so never below its noise
    within: Float[Array, "*batch G"]  #: the coordinates that were certified: centred, and on or inside the budget
    between: Float[Array, "*batch G G"]
    norm: Float[Array, "*batch"]  #: spectral norm of the gradient: the multiplier at a budget optimum
    block: Float[Array, "*batch G G"]  #: the gradient's G x G block over omega, minus sign included
    log_scale: Float[Array, "*batch"]
    direct: Float[Array, "*batch"]  #: gap of the gradient itself, of first order in the distance to the optimum
    noise: Float[Array, "*batch"]  #: rounding of the block's singular values


def evaluate(program: Program, within, between, bias) -> Evaluation:
    """Loss on every group at these logits."""
    nx = program.weights.__array_namespace__()
    shift = program.offsets if bias is None else (bias if program.offsets is None else bias + program.offsets)
    rival_counts = symmetry.count_rivals(program.classes)
    margins = symmetry.shift_margins(symmetry.margins(within, between, program.classes), shift)
    own = symmetry.own_logits(within, between, program.classes, shift) if program.full else None
    scale = nx.zeros(margins.shape[:-2], margins.dtype)
    if isinstance(program.charge, Budget):  # a penalty or a bias that pays keeps the objective away from zero
        scale = program.loss.log_scale(margins, rival_counts)
    taken = scale[..., None, None]
    # A rival that counts 0 times is felt by derivatives only; where the loss underflows they are no use.
    shifted = nx.where((rival_counts > 0) | (taken == 0), margins - taken, nx.maximum(margins, taken))
    return Evaluation(program.loss.on_groups(shifted, rival_counts, own), rival_counts, scale)


class Slopes(NamedTuple):
    """Objective and gradient at logits within the budget: what a proof of any kind begins with."""

    primal: "_Primal"
    dual: tuple[Any, Any, Any, Any]  #: (wrong, total) of the loss and (pull, block) of them in group coordinates
    norm: Float[Array, "*batch"]  #: spectral norm of the gradient over omega
    weighted: Float[Array, "*batch G G"]  #: its block over omega
    log_scale: Float[Array, "*batch"]
    noise: Float[Array, "*batch"]  #: rounding of that block's singular values


def slopes(program: Program, within, between, bias: Any = None, nuclear: Any = None, balanced: bool = False) -> Slopes:
    """Centre logits, bring them onto the budget, and evaluate there; leading axes are a batch.

    ``nuclear`` as for :func:`duality_gap`; ``balanced`` takes the nearby dual point of row sums zero.
    """
    nx = program.weights.__array_namespace__()
    classes, weights, omega, full = program.classes, program.weights, program.omega, program.full
    repeats = symmetry.repeats(classes)
    within = nx.where(repeats > 0, within, 0.0)
    between = between if full else symmetry.centred(between, classes)
    if nuclear is None:
        nuclear = spectral.nuclear_norm(between * omega[..., None, :], full)
    cost = nx.sum(repeats * omega * nx.abs(within), axis=-1) + nuclear
    inside = program.charge.inside(cost)
    within, between, cost = within * inside[..., None], between * inside[..., None, None], cost * inside
    nuclear = nuclear * inside

    loss, rival_counts, log_scale = evaluate(program, within, between, bias)
    value = nx.sum(classes * weights * loss.value, axis=-1)
    value = value + program.charge.paid(cost) + program.bias.paid(bias, classes)
    wrong, total = loss.wrong, loss.total
    if balanced:
        wrong, total = program.loss.without_row_sums(loss, rival_counts, classes, weights)
    pull, block = gradient(wrong, rival_counts, classes, weights, total)
    weighted = block / omega[..., None, :]
    in_groups = nx.max(nx.where(repeats > 0, pull / omega, 0.0), axis=-1)
    norm = nx.maximum(in_groups, spectral.spectral_norm(weighted, full))
    size = 1 + largest_term(program, within, between, bias)
    primal = _Primal(within, between, bias, loss, rival_counts, value, cost, nuclear, size)
    noise = block_noise(program, loss, rival_counts, size)
    return Slopes(primal, (wrong, total, pull, block), norm, weighted, log_scale, noise)


def duality_gap(program: Program, within, between, bias: Any = None, nuclear: Any = None) -> Certificate:
    """Certify coordinates, traced or on the host; leading axes are a batch.

    ``nuclear``: a number known to be no less than the nuclear norm of the weighted block, to save computing it.
    """
    nx = program.weights.__array_namespace__()
    at, dual, norm, weighted, log_scale, noise = slopes(program, within, between, bias, nuclear, program.bias.free)
    value = at.value
    if isinstance(program.charge, Price):
        price = nx.asarray(program.charge.amount)
        direct = gap = _gap(program, at, dual, price, shrinkage(price, norm))
        if program.loss.coercive:
            other = aligned(program, dual[2:], (at.within, at.between), value + price * at.cost, noise)
            gap = nx.fmin(gap, _gap(program, at, other, price, None))
    else:
        direct = gap = _gap(program, at, dual, norm, None)
    gap = nx.where(gap > value, value, gap)  # no objective is negative
    return Certificate(value, gap, at.within, at.between, norm, -weighted, log_scale, direct, noise)


class _Primal(NamedTuple):
    """What the gap of any dual point needs of the logits."""

    within: Any
    between: Any
    bias: Any
    loss: GroupLoss
    rival_counts: Any
    value: Any
    cost: Any
    nuclear: Any
    size: Any  #: largest term that a logit is summed up from, plus one


def _gap(program: Program, at: _Primal, dual, price, shrink):
    """Gap to the dual point ``(wrong, total, pull, block)``, of norm ``price`` at most after scaling by ``shrink``
    (None: as it is), with an allowance for rounding."""
    nx = program.weights.__array_namespace__()
    classes, weights, omega, rival_counts = program.classes, program.weights, program.omega, at.rival_counts
    wrong, total, pull, block = dual
    used = nx.ones_like(price * at.cost) if shrink is None else shrink
    repeats = symmetry.repeats(classes)
    # Rounding. The computed gradient is a dual point of its own, so what counts is how its products and its norm are
    # added up; and a logit carries its size in ulps into its loss, an exponent into its probability.
    ulps, size = _ulps(program), at.size
    moved = nx.where(classes > 0, weights * (nx.abs(total) + nx.sum(rival_counts * nx.abs(wrong), axis=-2)), 0.0)
    slack = nx.zeros_like(used) + program.charge.unused(price, at.cost)
    if isinstance(program.charge, Price) or program.bias.free:  # else the dual point is the gradient itself
        scaled = used[..., None]
        divergence = program.loss.fenchel_gap(at.loss, rival_counts, scaled[..., None] * wrong, scaled * total)
        slack = slack + nx.sum(classes * weights * divergence, axis=-1)
    if isinstance(program.bias, DecayedBias):
        decay = program.bias.decay[..., None]
        unbalanced = decay * at.bias + used[..., None] * row_sums(wrong, rival_counts, weights, total)
        received = nx.sum(nx.swapaxes(rival_counts, -1, -2) * weights[..., None, :] * nx.abs(wrong), axis=-1)
        unbalanced = nx.abs(unbalanced) + ulps * (decay * nx.abs(at.bias) + moved + received)
        slack = slack + 0.5 / program.bias.decay * nx.sum(classes * unbalanced * unbalanced, axis=-1)
    shrunk = used[..., None] * pull * at.within
    in_groups = nx.sum(repeats * (price[..., None] * omega * nx.abs(at.within) - shrunk), axis=-1)
    across_groups = price * at.nuclear + used * nx.sum(block * at.between, axis=(-2, -1))

    moved_at_all = nx.sum(classes * moved, axis=-1)
    reach = program.charge.reach(at.cost)
    stretch = nx.max(moved / omega, axis=-1)  # sums of terms that cancel put this share of an ulp into the norm
    rounding = ulps * (size * (at.value + price * reach + moved_at_all) + stretch * reach)
    if shrink is not None:  # and the norm decides by how much the dual point shrinks
        rounding = rounding + ulps * stretch / price * size * moved_at_all
    if program.full:  # the gradient has the logits' absolute rounding, to the square in the loss
        noise = nx.sum(classes * weights * program.loss.noise(ulps * size, rival_counts), axis=-1)
        rounding = rounding + noise + 2 * nx.sqrt(noise * nx.maximum(slack, 0.0))
    return nx.maximum(in_groups, 0.0) + nx.maximum(across_groups, 0.0) + nx.maximum(slack, 0.0) + rounding


def _ulps(program: Program):
    """Relative rounding of a product: sums and factorisations grow with G."""
    nx = program.weights.__array_namespace__()
    return 2 * max(2, program.classes.shape[-1]) * nx.finfo(program.weights.dtype).eps


def block_noise(program: Program, loss: GroupLoss, rival_counts, size):
    """(...,) rounding of the gradient's G x G block over omega, and of its singular values: relative in probabilities,
    absolute in logits.

    64 times over: a descent comes to rest some way above the rounding of a single gradient.
    """
    nx = program.weights.__array_namespace__()
    entries, sums = loss.softmax + nx.abs(loss.wrong), nx.abs(loss.total)
    if program.full:
        entries, sums = entries + 1, sums + 1 + nx.sum(rival_counts, axis=-2)
    _, block = gradient(entries, rival_counts, program.classes, program.weights, -sums)
    return 64 * _ulps(program) * size * nx.sqrt(nx.sum((block / program.omega[..., None, :]) ** 2, axis=(-2, -1)))


def largest_term(program: Program, within, between, bias):
    """(...,) size of the largest terms that logits are summed up from."""
    nx = program.weights.__array_namespace__()
    K = symmetry.present(program.classes)
    entries = nx.abs(between) / nx.sqrt(K[..., :, None] * K[..., None, :])
    largest = nx.max(nx.abs(within), axis=-1) + 2 * nx.max(entries, axis=(-2, -1))
    for shift in (bias, program.offsets):
        if shift is not None:
            largest = largest + 2 * nx.max(nx.where(program.classes > 0, nx.abs(shift), 0.0), axis=-1)
    return largest


def gap_within(program: Program, proof: Certificate, tol):
    """Whether the gap is within ``tol`` of the value.

    A loss that can vanish is zero to ``tol`` already where its root is ``tol`` times that of its value at zero logits
    (a half, for one-hot targets): on a budget, where nothing else is paid, a gap of ``tol**2 / 2`` counts as none.
    """
    nx = program.weights.__array_namespace__()
    allowed = tol * nx.abs(proof.value)
    if program.loss.vanishing and isinstance(program.charge, Budget):
        return proof.gap <= nx.maximum(allowed, 0.5 * tol * tol)
    return (proof.gap <= allowed) & (nx.abs(proof.value) >= nx.finfo(proof.value.dtype).tiny)


def gradient(wrong, rival_counts, classes, weights, total=None):
    """Gradient of the loss in group coordinates: ``-pull`` on every in-group direction, and the G x G ``block``.

    In a group of one class, which has no such direction, ``pull`` is what there would be with a second one.
    ``wrong`` and ``total`` as in :class:`lpmjax.losses.loss.GroupLoss`; ``total`` None stands for zero.
    """
    nx = wrong.__array_namespace__()
    eye = nx.eye(classes.shape[-1], dtype=bool)
    across = nx.where(eye, 0.0, weights[..., None, :] * rival_counts * wrong)
    leaving = nx.sum(across, axis=-2)
    if total is not None:
        leaving = leaving - weights * total
    own = weights * symmetry.diagonal(wrong) * classes
    pull = nx.where(classes > 0, own + leaving, 0.0)
    K = symmetry.present(classes)
    diagonal = nx.where(classes > 0, -leaving, 0.0)
    return pull, nx.where(eye, diagonal[..., None, :], across * nx.sqrt(K[..., None, :] / K[..., :, None]))


def shrinkage(price, norm):
    """Largest factor up to 1 that brings a gradient of spectral norm ``norm`` within ``price``."""
    nx = price.__array_namespace__()
    return nx.where(norm > price, price / nx.where(norm > 0, norm, 1.0), 1.0)


def slacks(program: Program, log_multiplier):
    """(G,) log of what pulls two equal classes apart over the price of doing so (``proofs``: ``lpm.merging``)."""
    nx = program.weights.__array_namespace__()
    pull = nx.log(program.weights) + nx.log(program.loss.contrast)
    return pull - nx.log(program.omega) - log_multiplier[..., None]
