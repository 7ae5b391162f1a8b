"""A structure: a symmetry of the classes, written as the subspaces that it leaves the weighted logits.

Logits that a group of permutations leaves alone act on each of its isotypic components as a small matrix X, once for
every dimension of the irreducible representation: ``Z Omega = sum_i (B_i (x) X_i)``. A structure keeps some components
and, of each, one singular value: ``X_i = sigma_i u_i v_iᵀ``. With ``B_i[a]`` (K, d_i), orthonormal columns of the a-th
copy, singular value sigma_i has multiplicity d_i and the model's cost is a sum over components, whatever the depth.
"""

from typing import NamedTuple

import numpy as np


class Part(NamedTuple):
    """One component: copies ``bases`` (m, K, d), all columns orthonormal; first guesses of its two vectors (m,)."""

    bases: np.ndarray
    left: np.ndarray
    right: np.ndarray


class Structure(NamedTuple):
    """Parts with orthogonal bases."""

    name: str
    parts: tuple[Part, ...]

    @property
    def rank(self) -> int:
        """Of its logits, where no part is zero."""
        return sum(part.bases.shape[-1] for part in self.parts)


def single(basis) -> Part:
    """A component that occurs once: nothing but its singular value is free."""
    basis = np.asarray(basis, float)
    return Part(basis[None], np.ones(1), np.ones(1))


def aligned(columns, guess) -> Part:
    """A component of one dimension that occurs several times: ``columns`` (K, m), left and right vectors free."""
    columns, guess = np.asarray(columns, float), np.asarray(guess, float)
    return Part(np.swapaxes(columns, 0, 1)[:, :, None], guess, guess)


class Stack(NamedTuple):
    """Structures of the same K, padded to one shape, so that one compilation serves all."""

    bases: np.ndarray  #: (S, P, m, K, d)
    copies: np.ndarray  #: (S, P) multiplicity of each singular value, 0 for padding
    left: np.ndarray  #: (S, P, m)
    right: np.ndarray


def stack(structures: tuple[Structure, ...], K: int) -> Stack:
    """Pad with zeros (ones in vectors, which must have a direction)."""
    parts = [part for structure in structures for part in structure.parts]
    P = max(1, *(len(structure.parts) for structure in structures))
    m, d = max((p.bases.shape[0] for p in parts), default=1), max((p.bases.shape[2] for p in parts), default=1)
    S = len(structures)
    bases, copies = np.zeros((S, P, m, K, d)), np.zeros((S, P))
    left, right = np.zeros((S, P, m)), np.zeros((S, P, m))
    left[..., 0] = right[..., 0] = 1.0
    for s, structure in enumerate(structures):
        for p, part in enumerate(structure.parts):
            many, _, size = part.bases.shape
            bases[s, p, :many, :, :size], copies[s, p] = part.bases, size
            left[s, p, :many], right[s, p, :many] = part.left, part.right
    return Stack(bases, copies, left, right)
