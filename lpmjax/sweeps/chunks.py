"""Chunks: the blocks of cells in which a grid is solved and stored, and how large they are."""

import dataclasses
import math

import numpy as np

from .plan import Plan

#: cells of exact methods: a core does them in half a second, and what is paid per chunk is then below 5 % of it
_EXACT_LEAST, _EXACT, _EXACT_MOST = 2**15, 2**18, 2**20
_AT_ONCE = 32  #: chunks that a small grid still has, so that the cores are filled
_MANY = 4096  #: chunks from which larger ones save a scheduler's time
_BY_CELL = 8  #: cells of methods that go cell by cell, each of which may take minutes
_SECONDS = 10.0  #: that a chunk of descents takes a core: what an end of the process can lose
_SECONDS_OF_ROWS = 2e-5  #: that a descent takes a core, times the square of the problem's size


@dataclasses.dataclass(frozen=True)
class Chunks:
    """Blocks of ``shape`` of a grid, in C order; those at the upper end of an axis may be smaller."""

    grid: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def along(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-size // part) for size, part in zip(self.grid, self.shape, strict=True))

    @property
    def count(self) -> int:
        """Number of chunks."""
        return math.prod(self.along)

    def at(self, number: int) -> tuple[int, ...]:
        """Place of a chunk among the chunks along each axis."""
        return tuple(int(i) for i in np.unravel_index(number, self.along)) if self.grid else ()

    def slices(self, number: int) -> tuple[slice, ...]:
        """Its cells along each axis."""
        places = zip(self.at(number), self.shape, self.grid, strict=True)
        return tuple(slice(i * part, min((i + 1) * part, size)) for i, part, size in places)

    def cells(self, number: int) -> int:
        """How many it has."""
        return math.prod(part.stop - part.start for part in self.slices(number))


def divided(grid: tuple[int, ...], cells: int) -> Chunks:
    """Chunks of at most so many cells: whole along the last axes, evenly cut along one, single along those before."""
    shape = []
    for size in reversed(grid):
        pieces = -(-size // max(1, cells))
        shape.append(-(-size // pieces))
        cells = cells // size if pieces == 1 else 1
    return Chunks(grid, tuple(reversed(shape)))


def recommended_cells(plan: Plan) -> int:
    """Cells of a chunk, by the cost model of ``docs/large_sweeps.md``."""
    cells = math.prod(plan.grid.shape)
    if plan.on_host:
        return _BY_CELL
    if plan.task.exact:
        return min(_EXACT_MOST, max(_EXACT_LEAST, min(cells // _AT_ONCE, _EXACT), cells // _MANY))
    return max(1, min(int(_SECONDS / (_SECONDS_OF_ROWS * plan.first.size**2)), cells // _AT_ONCE))
