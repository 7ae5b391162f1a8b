"""Group coordinates <-> logits, and what a spectral cost needs of them, without ever forming K x K.

Invariant logits are ``Z = (+)_g within_g (I - J/K_g) + sum_jg between_jg 1_j 1_gᵀ / sqrt(K_j K_g)``: ``within_g`` is a
singular value of multiplicity K_g - 1 (times omega_g), and the G x G matrix ``between`` carries the rest.
Functions are elementwise over leading batch axes, and take traced arrays or NumPy's,
so that the certificate can be evaluated on the host by the very same expressions. Absent groups (0 classes) have zero
coordinates.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from . import spectral


class Gram(NamedTuple):
    """Symmetric square root of Z Omega² Zᵀ (classifier side) or Omega Zᵀ Z Omega (feature side), in group blocks."""

    within: Float[Array, "*batch G"]
    block: Float[Array, "*batch G G"]


def coordinates_of(result, classes):
    """(within, between) of a result in float64; ValueError unless they are of as many groups as ``classes``."""
    nx = classes.__array_namespace__()
    within, between = (nx.asarray(x, nx.float64) for x in (result.within, result.between))
    if within.shape != classes.shape or between.shape != (*within.shape, within.shape[-1]):
        raise ValueError(
            f"solution has coordinates of shape {within.shape} and {between.shape}, problem has groups of shape "
            f"{classes.shape}: pass the problem that was solved (solution.problem)."
        )
    return within, between


def present(classes):
    """``classes`` with 1 in the place of 0, to divide by."""
    nx = classes.__array_namespace__()
    return nx.where(classes > 0, classes, nx.ones_like(classes))


def diagonal(block):
    """(..., G) diagonal of a (..., G, G) block."""
    nx = block.__array_namespace__()
    return nx.diagonal(block, axis1=-2, axis2=-1)


def repeats(classes):
    """(G,) multiplicity K_g - 1 of the in-group singular value; a maximum would halve its derivative at K_g = 1."""
    nx = classes.__array_namespace__()
    return nx.where(classes >= 1, classes - 1, 0)


def margins(within, between, classes):
    """(G, G) margin of a class of group g over one of group j (over its own group on the diagonal)."""
    nx = within.__array_namespace__()
    K = present(classes)
    own = within * (1 - 1 / K) + diagonal(between) / K
    other = between / nx.sqrt(K[..., :, None] * K[..., None, :])
    eye = nx.eye(within.shape[-1], dtype=bool)
    return nx.where(eye, within[..., None, :], own[..., None, :] - other)


def count_rivals(classes):
    """(G, G) number of wrong classes that each entry of :func:`margins` stands for; 0 where a group is absent."""
    nx = classes.__array_namespace__()
    eye = nx.eye(classes.shape[-1], dtype=bool)
    counts = nx.where(eye, repeats(classes)[..., None, :], classes[..., :, None])
    return nx.where((classes[..., None, :] > 0) & (classes[..., :, None] > 0), counts, 0)


def centred(between, classes):
    """``between`` with the mean logit of every column removed: the loss is the same, the cost no larger."""
    nx = between.__array_namespace__()
    unit = nx.sqrt(classes / nx.sum(classes, axis=-1, keepdims=True))
    return between - unit[..., :, None] * nx.sum(unit[..., :, None] * between, axis=-2, keepdims=True)


def diagonal_matrix(entries):
    """(..., G, G) matrix with ``entries`` on its diagonal."""
    nx = entries.__array_namespace__()
    return nx.where(nx.eye(entries.shape[-1], dtype=bool), entries[..., None, :], 0.0)


def centred_diagonal(within, classes):
    """``between`` of the logits ``(I - J/K) diag(within)``."""
    nx = within.__array_namespace__()
    unit = nx.sqrt(classes / nx.sum(classes, axis=-1, keepdims=True))
    return diagonal_matrix(within) - unit[..., :, None] * (unit * within)[..., None, :]


def shift_margins(margins, shift):
    """Margins after adding ``shift`` (G,) to the logit of every class; None adds nothing."""
    return margins if shift is None else margins + shift[..., None, :] - shift[..., :, None]


def own_logits(within, between, classes, shift):
    """(G,) logit of the right class."""
    K = present(classes)
    own = within * (1 - 1 / K) + diagonal(between) / K
    return own if shift is None else own + shift


def spectral_cost(within, between, classes, omega, full: bool = False):
    """Nuclear norm of Z diag(omega) (``between`` centred unless ``full``)."""
    nx = within.__array_namespace__()
    across = spectral.nuclear_norm(between * omega[..., None, :], full)
    return nx.sum(repeats(classes) * omega * nx.abs(within), axis=-1) + across


def norms2(frame: Gram, classes):
    """(G,) squared norm of one row of each group."""
    K = present(classes)
    return frame.within * (1 - 1 / K) + diagonal(frame.block) / K


def inner(frame: Gram, classes):
    """(G, G) inner product of rows of two groups; on the diagonal of two different rows of one group."""
    nx = frame.within.__array_namespace__()
    K = present(classes)
    eye = nx.eye(classes.shape[-1], dtype=bool)
    own = nx.where(eye, frame.within[..., None, :] / K[..., None, :], 0.0)
    return frame.block / nx.sqrt(K[..., :, None] * K[..., None, :]) - own


def mean_cosines(W, group_of_class, G: int):
    """(G, G) mean cosine between different rows of two groups; NaN where there are none or one of them is zero."""
    length = jnp.sqrt(jnp.sum(W * W, axis=1))
    # Rows of no more than rounding are zero, as they are exactly in closed forms.
    zero = length <= jnp.sqrt(jnp.finfo(W.dtype).eps) * jnp.max(length)
    unit = W / jnp.where(zero, 1.0, length)[:, None]
    member = (group_of_class[:, None] == jnp.arange(G)[None, :]).astype(W.dtype)
    eye = jnp.eye(W.shape[0], dtype=bool)
    sums = member.T @ jnp.where(eye, 0.0, unit @ unit.T) @ member
    counts = member.T @ jnp.where(eye, 0.0, jnp.ones_like(eye, W.dtype)) @ member
    empty = (
        (counts == 0) | (member.T @ zero.astype(W.dtype) > 0)[:, None] | (member.T @ zero.astype(W.dtype) > 0)[None, :]
    )
    return jnp.where(empty, jnp.nan, sums / jnp.where(empty, 1.0, counts))


class Geometry(NamedTuple):
    """What collapses and what does not, per group."""

    cosine: Float[Array, "*batch G"]
    pairwise: Float[Array, "*batch G G"]  #: cosines of classifier rows of two groups
    w_norm2: Float[Array, "*batch G"]
    h_norm2: Float[Array, "*batch G"]
    margin: Float[Array, "*batch G"]


def cosines(frame: Gram, classes):
    """(G, G) cosine of rows of two groups (of two rows of one group on the diagonal); NaN where none is defined.

    Undefined: a zero row, an absent group, and the diagonal of a group of one class. Tangents there are zero.
    """
    nx = frame.within.__array_namespace__()
    length2 = norms2(frame, classes)
    product = length2[..., :, None] * length2[..., None, :]
    counts = count_rivals(classes)
    defined = (product > 0) & (counts > 0)
    eye = nx.eye(classes.shape[-1], dtype=bool)
    # Coinciding rows (within = 0) have cosine 1 exactly, whatever a compiler makes of the divisions.
    coincide = eye & (frame.within[..., None, :] == 0)
    numerator = nx.where(coincide, length2[..., None, :], inner(frame, classes))
    denominator = nx.where(eye, length2[..., None, :], nx.sqrt(nx.where(product > 0, product, 1.0)))
    return nx.where(defined, numerator / nx.where(defined, denominator, 1.0), nx.nan)


def grams(within, between, omega, scale, full: bool = False) -> tuple[Gram, Gram]:
    """Gram matrices of classifier rows and of class features at balanced norms, W Wᵀ = scale (Z Omega² Zᵀ)^(1/2)."""
    nx = within.__array_namespace__()
    left, right = spectral.roots(between * omega[..., None, :], full)
    scale = nx.asarray(scale)[..., None]
    outer = omega[..., :, None] * omega[..., None, :]
    classifier = Gram(scale * omega * within, scale[..., None] * left)
    return classifier, Gram(within / (scale * omega), right / (scale[..., None] * outer))


def orthogonal_grams(within, between, omega, scale, classes) -> tuple[Gram, Gram]:
    """Gram matrices where class features are orthogonal to one another, as non-negative ones are at an optimum.

    ``Z = S diag(within)``, S = I - J/K: column k has norm ``within_k sqrt((K-1)/K)``, and so has w_k h_kᵀ.
    """
    nx = within.__array_namespace__()
    K = nx.sum(classes, axis=-1, keepdims=True)
    share = within * nx.sqrt((K - 1) / K) / (nx.asarray(scale)[..., None] * omega)  # |h_k|^2 at balanced norms
    used = nx.where(share > 0, share, 1.0)
    inverse = nx.where(share > 0, 1 / used, 0.0)
    block = nx.matmul(between * inverse[..., None, :], nx.swapaxes(between, -1, -2))
    return Gram(within * within * inverse, block), Gram(share, diagonal_matrix(share))


def geometry(grams: tuple[Gram, Gram], within, between, classes) -> Geometry:
    """Within-group cosine of the classifier, squared norms of classifier rows and features, least margin."""
    nx = grams[0].within.__array_namespace__()
    counts = count_rivals(classes)
    margin = nx.min(nx.where(counts > 0, margins(within, between, classes), nx.inf), axis=-2)
    w_norm2, h_norm2 = (norms2(frame, classes) for frame in grams)
    pairwise = cosines(grams[0], classes)
    return Geometry(diagonal(pairwise), pairwise, w_norm2, h_norm2, margin)


def split(within, between, classes, group, finer):
    """(within, between) of the same logits where groups are split: ``finer`` (F,) classes, each part of a ``group``."""
    nx = within.__array_namespace__()
    K, margin = present(classes)[group], within[group]
    share = nx.sqrt(finer[:, None] * finer[None, :])
    same = group[:, None] == group[None, :]
    block = between[group][:, group] / nx.sqrt(K[:, None] * K[None, :]) - nx.where(same, margin / K, 0.0)
    own = nx.where(finer > 0, margin, 0.0)
    return own, share * block + diagonal_matrix(own)


def average(logits, group_of_class, classes):
    """``within`` and ``between`` of the group average of a K x K logit matrix."""
    nx = logits.__array_namespace__()
    member = (group_of_class[:, None] == nx.arange(classes.shape[-1])[None, :]).astype(logits.dtype)
    sums = member.T @ logits @ member
    own = member.T @ nx.diagonal(logits)
    K = present(classes)
    eye = nx.eye(classes.shape[-1], dtype=bool)
    in_group = nx.where(classes > 1, (nx.diagonal(sums) - own) / (K * nx.where(classes > 1, classes - 1, 1.0)), 0.0)
    within = nx.where(classes > 1, own / K - in_group, 0.0)
    return within, nx.where(eye, (nx.diagonal(sums) / K)[None, :], sums / nx.sqrt(K[:, None] * K[None, :]))
