"""Phase and rank of an optimum, and which classes have vanished, from its coordinates and its gradient."""

from jaxtyping import Array

from .. import spectral, symmetry
from ..codes import Phase
from ..dual_points import positive
from ..duality import Certificate, Program
from .objective import Structure


def structure(program: Program, proof: Certificate, multiplier: Array) -> Structure:
    """Structure of certified coordinates, traced or on the host; leading axes are a batch.

    ``multiplier`` is times ``exp(log_scale)``, as everything in ``proof`` is.

    In a group, and for at most two groups altogether, coordinates of closed forms are exactly zero or not. The block of
    more groups is numerical, and :func:`lpmjax.dual_points.positive` decides. A group is gone if its share of the
    spectral cost is below the relative gap, which leaves it as much as it can prove.
    """
    nx = program.weights.__array_namespace__()
    classes, full = program.classes, program.full
    in_groups = nx.sum(nx.where(proof.within > 0, symmetry.repeats(classes), 0), axis=-1)
    count = nx.rint(nx.sum(classes, axis=-1))
    nothing = nx.zeros_like(classes, dtype=bool)
    distinct = nx.all((classes <= 1) | (proof.within > 0), axis=-1)  # no two classes of one group coincide
    if spectral.is_thin(proof.between, full):
        connected = nx.max(nx.abs(proof.between), axis=(-2, -1)) > 0
        lone = nx.sum(classes > 0, axis=-1) == 1
        phase = nx.where(connected, Phase.merged, Phase.annihilated)
        phase = nx.where(distinct & (connected | lone), Phase.separated, phase)
        rank = nx.rint(nx.where(connected, in_groups + 1, in_groups))
        return Structure(phase, rank, rank, nothing)
    left, primal, right = spectral.singular_vectors(proof.between * program.omega[..., None, :])
    own = symmetry.repeats(classes) * program.omega * nx.abs(proof.within)
    rows = own + nx.sum(primal[..., None, :] * left * left, axis=-1)
    columns = own + nx.sum(primal[..., :, None] * right * right, axis=-2)
    cost = nx.sum(rows, axis=-1)
    objective = proof.value + multiplier * cost
    safe = nx.where(objective > 0, objective, 1.0)
    noise = nx.minimum(proof.direct / safe, nx.sqrt(nx.finfo(cost.dtype).eps)) * cost
    gone = (classes > 0) & (nx.maximum(rows, columns) <= noise[..., None])
    counts = positive(primal, spectral.singular_values(proof.block), multiplier, objective, proof.noise)
    # A budget that does not bind has no price; then all but rounding counts.
    rounding = 1e3 * nx.finfo(primal.dtype).eps * primal[..., :1]
    counts = nx.where((multiplier > 0)[..., None], counts, primal > rounding)
    rank = nx.rint(in_groups + nx.sum(nx.where(counts, nx.ones_like(classes), 0), axis=-1))
    phase = nx.where(distinct & (rank >= count - 1), Phase.separated, Phase.merged)
    return Structure(nx.where(nx.any(gone, axis=-1), Phase.annihilated, phase), rank, rank, gone)
