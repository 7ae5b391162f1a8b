"""Classes of a two-group optimum that are drawn: their vectors in three directions, and their inner products.

From group coordinates alone, so that a million classes cost as much as ten.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from .. import symmetry
from ..results.logits import group_names
from ..results.solution import Solution

#: classes up to which all are drawn, and how many of a group are where there are more
_ALL, _SOME = 24, 12


class Direction(NamedTuple):
    """A direction of the optimum, with its coordinates: of classifiers and features of the classes drawn."""

    name: str
    group: int  #: -1 between the groups
    strength: float  #: squared norm of all classes' vectors along it, features scaled to the classifier's norm
    w: np.ndarray
    h: np.ndarray


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The drawn classes of one result: group after group, evenly spaced in each."""

    solution: Solution

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """(G,) number of classes."""
        return np.rint(np.asarray(self.solution.problem.groups.classes)).astype(np.int64)

    @functools.cached_property
    def members(self) -> list[np.ndarray]:
        """Numbers of the drawn classes of each group, from 0."""
        if self.classes.sum() <= _ALL:
            return [np.arange(K) for K in self.classes]
        return [np.arange(min(K, _SOME)) * max(K // _SOME, 1) for K in self.classes]

    @functools.cached_property
    def group(self) -> np.ndarray:
        """Group of each drawn class."""
        return np.repeat(np.arange(len(self.members)), [len(some) for some in self.members])

    @property
    def names(self) -> list[str]:
        """A1, A2, B1, ... as they are drawn: the classes of a group are interchangeable."""
        pairs = zip(group_names(len(self.members)), self.members, strict=True)
        return [f"{name}{k + 1}" for name, some in pairs for k in range(len(some))]

    @property
    def note(self) -> str:
        """Which classes are left out."""
        names = group_names(len(self.members))
        left = [
            f"{len(some)} of the {K} classes of {name}"
            for name, some, K in zip(names, self.members, self.classes, strict=True)
            if len(some) < K
        ]
        return f"Drawn: {' and '.join(left)}." if left else ""

    @functools.cached_property
    def _host(self) -> dict[str, Any]:
        problem, solution = self.solution.problem, self.solution
        alive = np.asarray(solution.w_norm2) > 0  # what is zero has no direction, not even one of rounding
        return {
            "omega": np.asarray(problem.omega),
            "scale": np.asarray(problem.classifier_scale),
            "within": np.where(alive, np.maximum(np.asarray(solution.within), 0), 0),
            "between": np.where(alive[:, None] & alive, np.asarray(solution.between), 0),
        }

    def grams(self) -> tuple[np.ndarray, np.ndarray]:
        """Inner products of classifier rows and of features of the drawn classes."""
        g, K = self.group, self.classes
        number = np.concatenate(self.members)
        same, self_ = g[:, None] == g, (g[:, None] == g) & (number[:, None] == number)

        def of(frame: symmetry.Gram) -> np.ndarray:
            own = np.where(same, frame.within[g] * (self_ - 1 / K[g]), 0)
            return own + frame.block[g[:, None], g] / np.sqrt(K[g][:, None] * K[g])

        first, second = symmetry.grams(**self._host)
        return of(first), of(second)

    def cosines(self) -> np.ndarray:
        """Of classifier rows; NaN where one is zero."""
        groups = np.asarray(self.solution.cosines())[self.group[:, None], self.group]
        own = np.where(np.asarray(self.solution.w_norm2)[self.group] > 0, 1.0, np.nan)
        return np.where(np.eye(len(own), dtype=bool), own[:, None], groups)

    def directions(self) -> list[Direction]:
        """Singular directions of the logits with singular values > 0, up to three of each group, largest first.

        The K_g - 1 directions within a group have one singular value, so any orthonormal basis of them is one of
        singular vectors: that of the harmonics of the classes' numbers is drawn.
        """
        host = self._host
        omega, scale, within = host["omega"], float(host["scale"]), host["within"]
        left, values, right = np.linalg.svd(host["between"] * omega)
        signs = np.where(left[0] < 0, -1, 1)  # the first group's classifiers are on the positive side
        sides = signs * np.sqrt(scale * values) * left, signs * np.sqrt(values / scale) * right.T / omega[:, None]
        w_norm2, h_norm2 = self._norms2
        features = w_norm2 / h_norm2 if h_norm2 > 0 else 0.0
        found = []
        for r, value in enumerate(values):
            if value > 1e-12 * max(values[0], *(omega * within)):
                w, h = (side[:, r] for side in sides)
                strength = np.sum(w * w) + features * np.sum(h * h)
                each = np.sqrt(self.classes)
                found.append(Direction("between the groups", -1, strength, *((x / each)[self.group] for x in (w, h))))
        for g, K in enumerate(self.classes):
            w, h = scale * omega[g] * within[g], within[g] / (scale * omega[g])
            for j in range(min(K - 1, 3) if within[g] > 0 else 0):
                wave = np.where(self.group == g, _harmonic(np.concatenate(self.members), K, j), 0)
                name = f"within {group_names(len(self.classes))[g]}, {j + 1}"
                found.append(Direction(name, g, w + features * h, np.sqrt(w) * wave, np.sqrt(h) * wave))
        return sorted(found, key=lambda d: -float(f"{d.strength:.9g}"))  # equal but for rounding: as they come

    @functools.cached_property
    def _norms2(self) -> tuple[float, float]:
        """Of all classifier rows and of all features together."""
        w, h = self.solution.w_norm2, self.solution.h_norm2
        return float(np.sum(self.classes * np.asarray(w))), float(np.sum(self.classes * np.asarray(h)))

    def frame(self, directions: list[Direction]) -> dict[str, Any]:
        """Coordinates in up to three directions, features scaled to the classifier's norm, and what they leave out."""
        w_norm2, h_norm2 = self._norms2
        scaled = np.sqrt(w_norm2 / h_norm2) if h_norm2 > 0 else 1.0
        points = np.zeros((2, len(self.group), 3))
        for axis, direction in enumerate(directions):
            points[0, :, axis], points[1, :, axis] = direction.w, scaled * direction.h
        held = sum(direction.strength for direction in directions)
        return {
            "axes": [direction.name for direction in directions],
            "w": points[0],
            "h": points[1],
            "share": held / (2 * w_norm2) if w_norm2 > 0 else 1.0,
        }


def _harmonic(k: np.ndarray, K: int, j: int) -> np.ndarray:
    """Entries k of the j-th real harmonic, a unit vector of K entries of sum 0; j from 0 to K - 2."""
    frequency = j // 2 + 1
    angle = 2 * np.pi * frequency * k / K
    wave = np.sin(angle) if j % 2 else np.cos(angle)
    return wave / np.sqrt(K if 2 * frequency == K else K / 2)
