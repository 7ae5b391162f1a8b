"""Strongly regular graphs: classes are vertices, and logits the projector onto one eigenspace of the adjacency."""

from itertools import combinations

import numpy as np

from .structure import Structure, single


def strongly_regular(K: int) -> list[Structure]:
    """Both eigenspaces of the triangular graph (edges of a complete graph; of 5 vertices it is the complement of
    Petersen's) and of the lattice graph of K vertices, where there are any."""
    found = []
    r = next((r for r in range(5, K) if r * (r - 1) // 2 == K), None)
    if r is not None:
        edges = list(combinations(range(r), 2))
        found += _eigenspaces(
            "Petersen" if r == 5 else "triangular", [[len({*a} & {*b}) == 1 for a in edges] for b in edges]
        )
    n = round(K**0.5)
    if n * n == K and n >= 3:
        cells = [divmod(k, n) for k in range(K)]
        found += _eigenspaces("lattice", [[(a[0] == b[0]) != (a[1] == b[1]) for a in cells] for b in cells])
    return found


def _eigenspaces(name: str, adjacency) -> list[Structure]:
    values, vectors = np.linalg.eigh(np.asarray(adjacency, float))
    kinds = np.unique(np.rint(values))[:-1]  # the largest belongs to the constant vector
    return [
        Structure(
            f"{name} graph, rank {int((np.rint(values) == kind).sum())}", (single(vectors[:, np.rint(values) == kind]),)
        )
        for kind in kinds
    ]
