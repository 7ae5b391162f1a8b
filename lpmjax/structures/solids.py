"""Points on lines, circles and spheres: polygons, bipyramids, antiprisms, capped or not, and the rank-one line."""

import numpy as np

from .structure import Part, Structure, aligned, single


def polygon(K: int) -> Structure:
    """Regular polygon in the plane, rank 2."""
    return Structure("polygon", (_plane(_turns(K), K),))


def line(K: int) -> Structure:
    """Classes along one direction, symmetric about its middle, where an odd one is zero; rank 1."""
    half = K // 2
    columns = np.zeros((K, half))
    columns[np.arange(half), np.arange(half)] = 0.5**0.5
    columns[K - 1 - np.arange(half), np.arange(half)] = -(0.5**0.5)
    return Structure("line", (aligned(columns, np.linspace(1, 0, half, endpoint=False) ** 2),))


def bipyramid(K: int) -> Structure:
    """Polygon of K - 2 and two apices on its axis, rank 3."""
    return Structure("bipyramid", (_plane(_turns(K - 2), K), single(_axis([K - 2], [K - 1], K))))


def antiprism(K: int) -> Structure:
    """Two polygons of K / 2, turned by half a step, rank 3."""
    half = K // 2
    return Structure("antiprism", (_plane(_antiprism_turns(half), K), single(_axis(range(half), range(half, K), K))))


def bicapped_antiprism(K: int) -> Structure:
    """Antiprism of K - 2 and two apices on its axis, rank 3."""
    half = (K - 2) // 2
    columns = np.concatenate([_axis(range(half), range(half, 2 * half), K), _axis([K - 2], [K - 1], K)], axis=1)
    return Structure("bicapped antiprism", (_plane(_antiprism_turns(half), K), aligned(columns, [1.0, 1.0])))


def _turns(corners: int) -> np.ndarray:
    return np.arange(corners) / corners


def _antiprism_turns(half: int) -> np.ndarray:
    return np.concatenate([_turns(half), _turns(half) + 0.5 / half])


def _plane(turns, K: int) -> Part:
    """The plane of the first classes, at these angles; the others are on its axis."""
    angles = 2 * np.pi * np.asarray(turns)
    basis = np.zeros((K, 2))
    basis[: angles.size] = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (2 / angles.size) ** 0.5
    return single(basis)


def _axis(up, down, K: int) -> np.ndarray:
    """(K, 1) unit vector, positive on ``up`` and negative on ``down``."""
    up, down = list(up), list(down)
    column = np.zeros((K, 1))
    column[up], column[down] = 1.0, -1.0
    return column / (len(up) + len(down)) ** 0.5
