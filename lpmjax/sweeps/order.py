"""Order: the cells of a grid such that those beside one another in it follow one another."""

import numpy as np


def in_tiles(shape: tuple[int, ...], size: int) -> np.ndarray:
    """Every cell once, counted in C order: tile by tile, each a box of ``size`` cells (a power of two).

    A box is long where the grid has many values, so that neighbours are alike: an axis of few has them far apart.
    """
    edges = [1] * len(shape)
    while np.prod(edges, dtype=int) < size and any(e < n for e, n in zip(edges, shape, strict=True)):
        longest = max(range(len(shape)), key=lambda axis: shape[axis] / edges[axis])
        edges[longest] *= 2
    tiles = [-(-n // e) for n, e in zip(shape, edges, strict=True)]
    cells = np.full([t * e for t, e in zip(tiles, edges, strict=True)], -1)
    cells[tuple(map(slice, shape))] = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    split = cells.reshape([length for pair in zip(tiles, edges, strict=True) for length in pair])
    axes = range(len(shape))
    tiled = split.transpose([2 * axis for axis in axes] + [2 * axis + 1 for axis in axes]).ravel()
    return tiled[tiled >= 0]
