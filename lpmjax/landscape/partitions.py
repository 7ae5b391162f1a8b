"""Set partitions of the classes: which ties of classes are symmetries of a landscape."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ..problems.problem import Problem
from .surface import class_index


def set_partitions(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Set partitions of the classes into blocks of equal classes, one of each kind: name and block of each class (K,).

    Blocks hold classes of equal count and weight: ties between others are no symmetry of the loss, and a least value
    under them is no critical point. Of partitions that differ by which equal classes they tie one stands for all:
    "[2,1,1]", and where there are several groups of equal classes "[2,1] [3]", group by group.

    Raises ValueError for a problem that :func:`classify` does not take.
    """
    index = class_index(problem)
    members = [np.flatnonzero(index == g) for g in np.unique(index)]
    found = {}
    for sizes in itertools.product(*(list(_integer_partitions(classes.size)) for classes in members)):
        blocks, number = np.zeros(index.size, int), itertools.count()
        for classes, parts in zip(members, sizes, strict=True):
            blocks[classes] = np.repeat([next(number) for _ in parts], parts)
        name = " ".join("[" + ",".join(map(str, parts)) + "]" for parts in sizes)
        found[name] = tuple(blocks.tolist())
    return found


def _integer_partitions(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Partitions of n into parts that do not increase, finest first."""
    if n == 0:
        yield ()
    for part in range(1, min(n, largest or n) + 1):
        for rest in _integer_partitions(n - part, part):
            yield (part, *rest)


def as_blocks(problem: Problem, blocks: Sequence[int]) -> np.ndarray:
    """(K,) blocks numbered from 0; ValueError unless each holds classes of one kind."""
    index, listed = class_index(problem), isinstance(blocks, (tuple, list, np.ndarray))
    whole = listed and all(isinstance(block, (int, np.integer)) and not isinstance(block, bool) for block in blocks)
    given = np.asarray(blocks if whole else ())
    if given.shape != index.shape:
        raise ValueError(f"blocks = {blocks!r} is out of range: it must be {index.size} integers, one for each class.")
    for block in np.unique(given):
        if np.unique(index[given == block]).size > 1:
            raise ValueError(
                f"blocks = {blocks!r} ties classes of unequal counts or weights (block {block}), which is no symmetry "
                "of the loss: tie equal classes only, the result would be no critical point."
            )
    return np.unique(given, return_inverse=True)[1]
