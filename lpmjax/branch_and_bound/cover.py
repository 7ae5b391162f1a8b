"""Simplices of symmetric matrices that cover the Gram matrices of a trace, one for each orbit of the classes.

Coordinates. A symmetric Q on the complement of 1 is the same as its squared distances x_ij = Q_ii + Q_jj - 2 Q_ij, i <
j, and the map is linear: Q = -(1/2) S X S with S the centring. For Q >= 0 they are not negative, and their sum is K tr
Q. So

    {Q >= 0, tr Q <= 1}  is inside  {x >= 0, sum x <= K},  a simplex: 0 and the K times unit vectors.

Symmetry. A permutation of classes of equal (pi, omega) leaves the problem, and permutes the x_ij. Some optimum
therefore has its least distance at one pair out of each orbit of pairs; then its second least at one out of each orbit
of those permutations that leave the first, and so on until none is left but the identity. {x in the simplex: x_1 <=
x_2 <= ... <= x_m <= every other} is again a simplex: 0, K times the mean of all unit vectors, of all but the first,
..., of all but the first m, without those of the first m. With K = 4 equal classes two of them cover a 24th; with no
two classes alike it is the whole.

Bisection. Vertices are barycentric coordinates in their root, integers over 2^GRID; a midpoint is exact or refused.
"""

from itertools import combinations, permutations

import numpy as np
from jaxtyping import Float, Int

from .program import centred_basis

GRID = 52  #: barycentric coordinates are integers over 2^GRID: exact as float64 too


def pairs(K: int) -> list[tuple[int, int]]:
    """The pairs of classes, in the order of the coordinates."""
    return list(combinations(range(K), 2))


def symmetries(weights: Float[np.ndarray, " K"], omega: Float[np.ndarray, " K"]) -> set[tuple[int, ...]]:
    """What the permutations of classes of equal weight and omega do to the pairs."""
    K = len(weights)
    index = {pair: i for i, pair in enumerate(pairs(K))}
    alike = [o for o in permutations(range(K)) if (weights[[*o]] == weights).all() and (omega[[*o]] == omega).all()]
    return {tuple(index[min(o[i], o[j]), max(o[i], o[j])] for i, j in index) for o in alike}


def orderings(group: set[tuple[int, ...]], least: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """For each orbit of the group, which coordinates are the least, in order, until only the identity keeps them."""
    if len(group) == 1:
        return [least]
    found, seen = [], set(least)
    for first in range(len(next(iter(group)))):
        if first not in seen:
            seen |= {g[first] for g in group}
            found += orderings({g for g in group if g[first] == first}, (*least, first))
    return found


def roots(weights: Float[np.ndarray, " K"], omega: Float[np.ndarray, " K"]) -> Float[np.ndarray, "roots E+1 E"]:
    """Vertices, as squared distances, of simplices that hold one Q >= 0 of trace at most 1 of each orbit."""
    K = len(weights)
    size = len(pairs(K))
    found = []
    for least in orderings(symmetries(weights, omega)):
        free = np.ones(size)
        flag = [np.zeros(size)]
        for first in least:
            flag.append(K * free / free.sum())
            free[first] = 0
        found.append([*flag, *(K * np.eye(size)[free > 0])])
    return np.array(found)


def gram_basis(K: int) -> Float[np.ndarray, "E K-1 K-1"]:
    """Matrices whose sum, times the squared distances, is Q on :func:`centred_basis`."""
    basis = centred_basis(K)
    return np.array([-(np.outer(basis[i], basis[j]) + np.outer(basis[j], basis[i])) / 2 for i, j in pairs(K)])


def bisected(
    vertices: Int[np.ndarray, "B E+1 E+1"], first: Int[np.ndarray, " B"], second: Int[np.ndarray, " B"]
) -> tuple[Int[np.ndarray, "2 B E+1 E+1"], np.ndarray]:
    """Both halves of each simplex across the middle of an edge, and which could be halved exactly."""
    each = np.arange(len(vertices))
    total = vertices[each, first] + vertices[each, second]
    halves = np.stack([vertices, vertices])
    halves[0, each, first] = halves[1, each, second] = total // 2
    return halves, (total % 2 == 0).all(-1)
