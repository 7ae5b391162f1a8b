"""Phase and rank of an optimum, and which classes have vanished, from its coordinates and its gradient."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Int

from . import spectral, symmetry
from .codes import Phase
from .dual_points import positive
from .duality import Certificate, Program


class Structure(NamedTuple):
    """What optimal logits look like."""

    phase: Int[Array, "*batch"]
    rank: Array
    gone: Bool[Array, "*batch G"]  #: groups whose classifier rows and features are zero, whatever noise they have


def structure(program: Program, proof: Certificate, multiplier: Array, xp) -> Structure:
    """Structure of certified coordinates; ``xp`` is ``jax.numpy`` or ``numpy``, leading axes are a batch.

    ``multiplier`` is times ``exp(log_scale)``, as everything in ``proof`` is.

    In a group, and for at most two groups altogether, coordinates of closed forms are exactly zero or not. The block of
    more groups is numerical, and :func:`lpmjax.dual_points.positive` decides. A group is gone if its share of the
    spectral cost is below the relative gap, which leaves it as much as it can prove.
    """
    classes, full = program.classes, program.full
    in_groups = xp.sum(xp.where(proof.within > 0, symmetry.repeats(classes, xp), 0), axis=-1)
    count = xp.rint(xp.sum(classes, axis=-1))
    nothing = xp.zeros_like(classes, dtype=bool)
    if program.nonnegative:  # Z = (I - J/K) diag(within)
        alive = xp.rint(xp.sum(xp.where(proof.within > 0, classes, 0), axis=-1))
        phase = xp.where(alive == count, Phase.separated, Phase.annihilated)
        return Structure(phase, xp.minimum(alive, count - 1), nothing)
    distinct = xp.all((classes <= 1) | (proof.within > 0), axis=-1)  # no two classes of one group coincide
    if spectral.is_thin(proof.between, full):
        connected = xp.max(xp.abs(proof.between), axis=(-2, -1)) > 0
        lone = xp.sum(classes > 0, axis=-1) == 1
        phase = xp.where(connected, Phase.merged, Phase.annihilated)
        phase = xp.where(distinct & (connected | lone), Phase.separated, phase)
        return Structure(phase, xp.rint(xp.where(connected, in_groups + 1, in_groups)), nothing)
    left, primal, right = spectral.singular_vectors(proof.between * program.omega[..., None, :], xp)
    own = symmetry.repeats(classes, xp) * program.omega * xp.abs(proof.within)
    rows = own + xp.sum(primal[..., None, :] * left * left, axis=-1)
    columns = own + xp.sum(primal[..., :, None] * right * right, axis=-2)
    cost = xp.sum(rows, axis=-1)
    objective = proof.value + multiplier * cost
    safe = xp.where(objective > 0, objective, 1.0)
    noise = xp.minimum(proof.direct / safe, xp.sqrt(xp.finfo(cost.dtype).eps)) * cost
    gone = (classes > 0) & (xp.maximum(rows, columns) <= noise[..., None])
    counts = positive(primal, spectral.singular_values(proof.block, xp), multiplier, objective, proof.noise, xp)
    # A budget that does not bind has no price; then all but rounding counts.
    rounding = 1e3 * xp.finfo(primal.dtype).eps * primal[..., :1]
    counts = xp.where((multiplier > 0)[..., None], counts, primal > rounding)
    rank = xp.rint(in_groups + xp.sum(xp.where(counts, xp.ones_like(classes), 0), axis=-1))
    phase = xp.where(distinct & (rank >= count - 1), Phase.separated, Phase.merged)
    return Structure(xp.where(xp.any(gone, axis=-1), Phase.annihilated, phase), rank, gone)


def without(gone, classes, within, between, xp):
    """Coordinates in which what is gone is exactly zero, so that it has no direction."""
    here = ~gone
    # That of a group of one class is a limit, which derivatives by the number of classes need.
    within = xp.where(here | (classes == 1), within, 0.0)
    return within, xp.where(here[..., :, None] & here[..., None, :], between, 0.0)
