"""Group coordinates <-> logits, and what a spectral cost needs of them, without ever forming K x K.

Invariant logits are ``Z = (+)_g within_g (I - J/K_g) + sum_jg between_jg 1_j 1_gᵀ / sqrt(K_j K_g)``: ``within_g`` is a
singular value of multiplicity K_g - 1 (times omega_g), and the G x G matrix ``between`` carries the rest.
Functions are elementwise over leading batch axes; ``xp`` is ``jax.numpy`` or ``numpy``, so that the certificate can
be evaluated on the host by the very same expressions. Absent groups (0 classes) have zero coordinates.
"""

from typing import NamedTuple

from jaxtyping import Array, Float


class Frame(NamedTuple):
    """Symmetric square root of Z Omega² Zᵀ (classifier side) or Omega Zᵀ Z Omega (feature side), in group blocks."""

    within: Float[Array, "*batch G"]
    block: Float[Array, "*batch G G"]


def present(classes, xp):
    """``classes`` with 1 in the place of 0, to divide by."""
    return xp.where(classes > 0, classes, xp.ones_like(classes))


def diagonal(block, xp):
    """(..., G) diagonal of a (..., G, G) block."""
    return xp.diagonal(block, axis1=-2, axis2=-1)


def repeats(classes, xp):
    """(G,) multiplicity K_g - 1 of the in-group singular value; a maximum would halve its derivative at K_g = 1."""
    return xp.where(classes >= 1, classes - 1, 0)


def margins(within, between, classes, xp):
    """(G, G) margin of a class of group g over one of group j (over its own group on the diagonal)."""
    K = present(classes, xp)
    own = within * (1 - 1 / K) + diagonal(between, xp) / K
    other = between / xp.sqrt(K[..., :, None] * K[..., None, :])
    eye = xp.eye(within.shape[-1], dtype=bool)
    return xp.where(eye, within[..., None, :], own[..., None, :] - other)


def rivals(classes, xp):
    """(G, G) number of wrong classes that each entry of :func:`margins` stands for; 0 where a group is absent."""
    eye = xp.eye(classes.shape[-1], dtype=bool)
    counts = xp.where(eye, repeats(classes, xp)[..., None, :], classes[..., :, None])
    return xp.where((classes[..., None, :] > 0) & (classes[..., :, None] > 0), counts, 0)


def centred(between, classes, xp):
    """``between`` with the mean logit of every column removed: the loss is the same, the cost no larger."""
    unit = xp.sqrt(classes / xp.sum(classes, axis=-1, keepdims=True))
    return between - unit[..., :, None] * xp.sum(unit[..., :, None] * between, axis=-2, keepdims=True)


def block_norm(block, xp):
    """Spectral norm of a G x G block whose columns are orthogonal to sqrt(classes); for G <= 2 also its nuclear norm.

    Such a block has rank at most G - 1, so for G <= 2 both are the Frobenius norm. The derivative at zero is zero.
    """
    if block.shape[-1] > 2:
        raise ValueError(f"block_norm takes at most 2 groups, got {block.shape[-1]}.")
    largest = xp.max(xp.abs(block), axis=(-2, -1))
    zero = largest == 0
    scale = xp.where(zero, 1.0, largest)
    ratios = block / scale[..., None, None]
    squares = xp.sum(ratios * ratios, axis=(-2, -1))
    return xp.where(zero, 0.0, scale * xp.sqrt(xp.where(zero, 1.0, squares)))


def spectral_cost(within, between, classes, omega, xp):
    """Nuclear norm of Z diag(omega) (``between`` centred)."""
    return xp.sum(repeats(classes, xp) * omega * xp.abs(within), axis=-1) + block_norm(
        between * omega[..., None, :], xp
    )


def _normalised(between, omega, xp):
    """Norm of the weighted block and the block over it, zero where the norm is."""
    weighted = between * omega[..., None, :]
    norm = block_norm(weighted, xp)[..., None, None]
    return norm, weighted / xp.where(norm > 0, norm, 1.0)


def classifier_frame(within, between, omega, xp) -> Frame:
    """(Z Omega² Zᵀ)^(1/2): the Gram matrix of the classifier up to its scale. G <= 2, ``between`` centred."""
    norm, unit = _normalised(between, omega, xp)
    return Frame(omega * within, norm * xp.sum(unit[..., :, None, :] * unit[..., None, :, :], axis=-1))


def feature_frame(within, between, omega, xp) -> Frame:
    """(Omega Zᵀ Z Omega)^(1/2): the Gram matrix of the sqrt(n)-weighted features up to its scale."""
    norm, unit = _normalised(between, omega, xp)
    return Frame(omega * within, norm * xp.sum(unit[..., :, :, None] * unit[..., :, None, :], axis=-3))


def norms2(frame: Frame, classes, xp):
    """(G,) squared norm of one row of each group."""
    K = present(classes, xp)
    return frame.within * (1 - 1 / K) + diagonal(frame.block, xp) / K


def inner(frame: Frame, classes, xp):
    """(G, G) inner product of rows of two groups; on the diagonal of two different rows of one group."""
    K = present(classes, xp)
    eye = xp.eye(classes.shape[-1], dtype=bool)
    own = xp.where(eye, frame.within[..., None, :] / K[..., None, :], 0.0)
    return frame.block / xp.sqrt(K[..., :, None] * K[..., None, :]) - own


class Geometry(NamedTuple):
    """What collapses and what does not, per group."""

    cosine: Float[Array, "*batch G"]
    w_norm2: Float[Array, "*batch G"]
    h_norm2: Float[Array, "*batch G"]
    margin: Float[Array, "*batch G"]


def cosines(frame: Frame, classes, xp):
    """(G, G) cosine of rows of two groups (of two rows of one group on the diagonal); NaN where none is defined.

    Undefined: a zero row, an absent group, and the diagonal of a group of one class. Tangents there are zero.
    """
    length2 = norms2(frame, classes, xp)
    product = length2[..., :, None] * length2[..., None, :]
    counts = rivals(classes, xp)
    defined = (product > 0) & (counts > 0)
    eye = xp.eye(classes.shape[-1], dtype=bool)
    # Coinciding rows (within = 0) have cosine 1 exactly, whatever a compiler makes of the divisions.
    coincide = eye & (frame.within[..., None, :] == 0)
    numerator = xp.where(coincide, length2[..., None, :], inner(frame, classes, xp))
    denominator = xp.where(eye, length2[..., None, :], xp.sqrt(xp.where(product > 0, product, 1.0)))
    return xp.where(defined, numerator / xp.where(defined, denominator, 1.0), xp.nan)


def geometry(within, between, classes, omega, classifier_scale, xp) -> Geometry:
    """Within-group cosine of the classifier, squared norms of classifier rows and features, least margin."""
    scale = xp.asarray(classifier_scale)[..., None]
    w_frame = classifier_frame(within, between, omega, xp)
    h_frame = feature_frame(within, between, omega, xp)
    w_norm2 = scale * norms2(w_frame, classes, xp)
    h_norm2 = norms2(h_frame, classes, xp) / (scale * omega * omega)
    counts = rivals(classes, xp)
    margin = xp.min(xp.where(counts > 0, margins(within, between, classes, xp), xp.inf), axis=-2)
    return Geometry(diagonal(cosines(w_frame, classes, xp), xp), w_norm2, h_norm2, margin)
