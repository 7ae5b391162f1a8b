"""Classes in blocks: a simplex ETF on each block, and zero logits between blocks unless a contrast adds some."""

import numpy as np

from .structure import Part, aligned, single


def simplex(blocks, K: int) -> Part:
    """The simplices of disjoint blocks of classes, all of one singular value."""
    return single(np.concatenate([helmert(block, K) for block in blocks], axis=1))


def contrast(first, second, K: int) -> Part:
    """What tells the classes of ``first`` from those of ``second``: logits that are constant on both."""
    columns = np.zeros((K, 2))
    columns[first, 0], columns[second, 1] = len(first) ** -0.5, len(second) ** -0.5
    return aligned(columns, [len(second) ** 0.5, -(len(first) ** 0.5)])


def helmert(members, K: int) -> np.ndarray:
    """(K, a-1) orthonormal basis of the vectors on these a classes that sum to zero."""
    a = len(members)
    row, column = np.arange(float(a))[:, None], np.arange(1.0, a)[None, :]
    basis = np.zeros((K, a - 1))
    basis[members] = np.where(row < column, 1.0, np.where(row == column, -column, 0.0)) / np.sqrt(column * (column + 1))
    return basis


def consecutive(members, size: int) -> list[np.ndarray]:
    """As many blocks of this size as there are; the rest is left out."""
    members = np.asarray(members)
    return [members[i : i + size] for i in range(0, len(members) - size + 1, size)]
