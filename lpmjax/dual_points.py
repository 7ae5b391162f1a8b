"""A dual point of a penalised program that is within the penalty as it is, on the logits' own singular vectors.

A gradient at coordinates that are off by d has a norm off by d, and scaling it to the penalty leaves a gap of first
order in d: where decays are so small that the gradient is little more than the rounding of the logits, that is all the
gap there is. Here every singular value that belongs to one of the logits is the penalty itself, the rest is cut at it,
and the Fenchel gap to the gradient is of second order. It needs a loss of which every small gradient is one, that is a
coercive one.
"""

from typing import Any

from . import spectral, symmetry


def positive(primal, dual, price, objective, noise):
    """(..., r) which singular values of the logits are not zero at the optimum, where ``dual`` are their partners.

    One of the two is zero there: a value counts if, as a share of the objective, it is larger than what its partner
    falls short of the ``price``, less the ``noise`` of the gradient. Where decays are so small that the price drowns in
    that, all but rounding counts.
    """
    nx = primal.__array_namespace__()
    price = price[..., None]
    share = price * primal / nx.where(objective > 0, objective, 1.0)[..., None]
    # 64 times over, as of the gradient: a descent starts with, and leaves, some of every direction.
    rounding = 64 * primal.shape[-1] * nx.finfo(primal.dtype).eps * nx.max(primal, axis=-1, keepdims=True)
    short = price - dual - nx.where(primal > rounding, noise[..., None], 0.0)
    return (primal > 0) & (share * price > short)


def aligned(program: Any, gradient, at, objective, noise):
    """(wrong, total, pull, block) of the dual point near the ``gradient`` (pull, block), on the singular vectors of
    the logits ``at`` (within, between).

    ``objective`` and ``noise`` decide which singular values are zero (:func:`positive`). With a free bias the columns
    of the point sum to zero over samples, as those of a dual point must.
    """
    nx = program.weights.__array_namespace__()
    (pull, block), (within, between) = gradient, at
    classes, omega, weights, price = program.classes, program.omega, program.weights, nx.asarray(program.charge.amount)
    most = price[..., None] * omega
    pull = nx.where(within > 0, most, nx.minimum(pull, most))
    weighted, rest = between * omega[..., None, :], block / omega[..., None, :]
    if program.bias.free:
        weighted, rest = (split_off_bias(matrix, classes, omega)[0] for matrix in (weighted, rest))
    u, s, v = spectral.singular_vectors(weighted)
    along = -nx.sum(u * nx.matmul(rest, nx.swapaxes(v, -1, -2)), axis=-2)
    there = positive(s, along, price, objective, noise)
    price = price[..., None]
    u, v = nx.where(there[..., None, :], u, 0.0), nx.where(there[..., :, None], v, 0.0)
    rest = rest - nx.matmul(u, nx.matmul(nx.swapaxes(u, -1, -2), rest))
    rest = rest - nx.matmul(nx.matmul(rest, nx.swapaxes(v, -1, -2)), v)
    left, values, right = spectral.singular_vectors(rest)
    rest = nx.matmul(left * nx.minimum(values, price)[..., None, :], right)
    block = (rest - price[..., None] * nx.matmul(u, v)) * omega[..., None, :]

    K = symmetry.present(classes)
    rival_counts = symmetry.count_rivals(classes)
    own = symmetry.diagonal(block)
    inside = (pull + own) / (weights * K)
    across = block / (weights[..., None, :] * nx.sqrt(K[..., :, None] * K[..., None, :]))
    eye = nx.eye(within.shape[-1], dtype=bool)
    wrong = nx.where(rival_counts > 0, nx.where(eye, inside[..., None, :], across), 0.0)
    right_class = nx.where(classes > 1, inside - pull / weights, own / weights)
    return wrong, right_class + nx.sum(rival_counts * wrong, axis=-2), pull, block


def split_off_bias(weighted, classes, omega):
    """The block of ``Z Omega`` orthogonal to ``1ᵀ Omega``, where ``Z - b 1ᵀ`` costs least, and that bias ``b`` (G,)."""
    nx = weighted.__array_namespace__()
    axis = omega * nx.sqrt(classes)
    length = nx.sqrt(nx.sum(axis * axis, axis=-1, keepdims=True))
    axis = axis / length
    column = nx.sum(weighted * axis[..., None, :], axis=-1)
    rest = weighted - column[..., :, None] * axis[..., None, :]
    return rest, column / (length * nx.sqrt(symmetry.present(classes)))
