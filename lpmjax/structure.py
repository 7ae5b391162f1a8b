"""Phase and rank of an optimum, from its coordinates and its gradient."""

from typing import TYPE_CHECKING

from jaxtyping import Array

from . import spectral, symmetry
from .solution import Phase

if TYPE_CHECKING:
    from .certificate import Certificate, Program


def structure(program: "Program", proof: "Certificate", slack: Array, multiplier: Array, xp) -> tuple[Array, Array]:
    """Phase and rank of certified coordinates; ``xp`` is ``jax.numpy`` or ``numpy``, leading axes are a batch.

    In a group, and for at most two groups altogether, coordinates of closed forms are exactly zero or not. The block of
    more groups is numerical: a singular value counts if it is larger, as a share of the objective, than what its dual
    partner falls short of the multiplier. At the optimum one of the two is zero, so this needs no tolerance.
    """
    classes, full = program.classes, program.full
    in_groups = xp.sum(xp.where(proof.within > 0, symmetry.repeats(classes, xp), 0), axis=-1)
    count = xp.rint(xp.sum(classes, axis=-1))
    if program.nonnegative:  # Z = (I - J/K) diag(within)
        alive = xp.rint(xp.sum(xp.where(proof.within > 0, classes, 0), axis=-1))
        return xp.where(alive == count, Phase.separated, Phase.annihilated), xp.minimum(alive, count - 1)
    if spectral.is_thin(proof.between, full):
        connected = xp.max(xp.abs(proof.between), axis=(-2, -1)) > 0
        rank = xp.rint(in_groups + connected)
        lone = xp.sum(classes > 0, axis=-1) == 1
        distinct = xp.all((classes <= 1) | (proof.within > 0), axis=-1) & (connected | lone)
        return xp.where(distinct, Phase.separated, xp.where(connected, Phase.merged, Phase.annihilated)), rank
    rank = xp.rint(in_groups + xp.sum(_counts(program, proof, multiplier, xp), axis=-1))
    if full:
        return xp.where(rank == count, Phase.separated, Phase.annihilated), rank
    active = xp.rint(xp.sum(xp.where(slack > 0, classes, 0), axis=-1))
    phase = xp.where(rank == active, Phase.merged, Phase.undetermined)
    phase = xp.where((rank == active - 1) | (rank == 0), Phase.annihilated, phase)
    return xp.where(rank == count - 1, Phase.separated, phase), rank


def _counts(program: "Program", proof: "Certificate", multiplier, xp):
    """(G,) which singular values of the block are not zero, largest first."""
    primal = spectral.singular_values(proof.between * program.omega[..., None, :], xp)
    dual = spectral.singular_values(proof.block, xp)
    price = multiplier[..., None]
    in_groups = xp.sum(symmetry.repeats(program.classes, xp) * program.omega * xp.abs(proof.within), axis=-1)
    cost = xp.sum(primal, axis=-1) + in_groups
    objective = (proof.value + multiplier * cost)[..., None]
    share = price * primal / xp.where(objective > 0, objective, 1.0)
    used = (primal > 0) & (share > 1 - dual / xp.where(price > 0, price, 1.0))
    # A budget that does not bind has no price; then all but rounding counts.
    return xp.where(price > 0, used, primal > 1e3 * xp.finfo(primal.dtype).eps * primal[..., :1])
