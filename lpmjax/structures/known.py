"""Which structures are tried, by the groups of equal classes."""

from functools import lru_cache
from itertools import product

import numpy as np

from ..groups import ClassOrder
from . import solids
from .blocks import consecutive, contrast, simplex
from .graphs import strongly_regular
from .structure import Part, Structure

#: groups up to which every combination of blocks is tried
_FEW = 4


@lru_cache
def catalogue(order: ClassOrder) -> tuple[Structure, ...]:
    """Structures of classes of which those of one group are equal, the simplest first; the first is zero."""
    group = order.group_of_class
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    zero = Structure("zero", ())
    if len(members) == 1:
        return (zero, *_balanced(group.size))
    return (zero, *_grouped(members, group.size))


def _balanced(K: int) -> list[Structure]:
    every = np.arange(K)
    found = [Structure("ETF", (simplex([every], K),))]
    for size in range(2, K):
        for count in range(K // size, 0, -1):
            blocks, dropped = consecutive(every, size)[:count], K - size * count
            found.append(Structure(_name([size] * count, dropped), (simplex(blocks, K),)))
    for large, small in product(range(3, K), range(2, K)):
        for count in range(1, K // large + 1):
            rest = K - large * count
            if small < large and rest > 0 and rest % small == 0:
                parts = (
                    simplex(consecutive(every[: large * count], large), K),
                    simplex(consecutive(every[large * count :], small), K),
                )
                found.append(Structure(_name([large] * count + [small] * (rest // small), 0), parts))
    if K % 2 and K > 3:
        pairs = simplex(consecutive(every, 2), K)
        found.append(Structure("pairs and a singleton", (pairs, contrast(every[:-1], every[-1:], K))))
    if K >= 4:
        found.append(solids.line(K))
    if K >= 5:
        found.append(solids.polygon(K))
    if K >= 7:  # of 5 and 6 classes they are [3, 2] and pairs (the octahedron, as every cross-polytope)
        found.append(solids.bipyramid(K))
    if K >= 8 and K % 2 == 0:
        found += [solids.antiprism(K), solids.bicapped_antiprism(K)]
    return found + strongly_regular(K)


def _name(sizes: list[int], dropped: int) -> str:
    if dropped == 0 and set(sizes) == {2}:
        return "pairs"
    name = "[" + ", ".join(map(str, sizes)) + "]"
    return name if dropped == 0 else f"{name} and {dropped} dropped"


def _grouped(members: list[np.ndarray], K: int) -> list[Structure]:
    """In each group one simplex, pairs, or nothing; with two groups also a direction between them."""
    choices: list[list[tuple[str, Part | None]]] = []
    for classes in members:
        own: list[tuple[str, Part | None]] = [("zero", None)]
        if len(classes) > 1:
            own.append(("ETF" if len(classes) > 2 else "pair", simplex([classes], K)))
        if len(classes) > 2 and len(classes) % 2 == 0:
            own.append(("pairs", simplex(consecutive(classes, 2), K)))
        choices.append(own if len(members) <= _FEW else own[-1:])
    found = []
    for combination in product(*choices):
        parts = tuple(part for _, part in combination if part is not None)
        name = " + ".join(label for label, _ in combination)
        if parts:
            found.append(Structure(name, parts))
        if len(members) == 2:
            found.append(Structure(f"{name}, contrast", (*parts, contrast(members[0], members[1], K))))
    return found
