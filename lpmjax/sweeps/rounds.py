"""Rounds: where a chunk stands between two rounds of its solves, on disk, so that an end of the process costs one."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import archive
from ..store import known_class


class Reached(NamedTuple):
    """What the next round starts from."""

    number: int  #: of that round
    before: int  #: steps of the rounds before
    index: np.ndarray  #: cells that are left, counted in C order
    start: Any  #: results that these have reached


class Spill:
    """The file of one chunk."""

    def __init__(self, path: Path):
        self._path = path

    def save(self, limits: tuple[int, ...], reached: Reached, out: Mapping[str, np.ndarray]) -> None:
        """``limits``: steps of each round; ``out``: variables, of which the cells that are done are valid."""
        state = (limits, *reached, tuple(out.values()))
        if archive.can_hold(state):
            self._path.parent.mkdir(exist_ok=True)
            archive.write(self._path, "round", state)

    def load(self, limits: tuple[int, ...], out: Mapping[str, np.ndarray]) -> Reached | None:
        """What was saved, and its variables into ``out``; None if nothing was, or for the rounds of another machine."""
        if not self._path.is_file():
            return None
        try:
            header, arrays = archive.read(self._path)
            with jax.enable_x64(True):
                saved, number, before, index, start, values = archive.restore(header["round"], arrays, known_class)
                start = jax.tree.map(np.asarray, start)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        if saved != limits or [value.shape for value in values] != [array.shape for array in out.values()]:
            return None
        for array, value in zip(out.values(), values, strict=True):
            array[...] = value
        return Reached(number, before, np.asarray(index), start)

    def remove(self) -> None:
        """The chunk is done."""
        self._path.unlink(missing_ok=True)
