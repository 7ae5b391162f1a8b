"""audit: whether a store holds what its sweep has written, and whether that is true."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import require_flag, require_integer
from ..extras import zarr_modules
from .asked import plan_of
from .fill import at_once
from .layout import Layout, is_intact
from .ledger import Entry, Ledger, counted
from .lock import exclusive
from .opened import StoredSweep, open_sweep
from .recheck import faults


@dataclasses.dataclass(frozen=True)
class Audit:
    """What an audit has found. Printed it is a table of a few lines."""

    sweep: StoredSweep
    damaged_files: tuple[str, ...]  #: that are not what was written, or gone
    damaged_chunks: tuple[int, ...]  #: that these spoil
    sampled: int  #: cells whose result was proved or solved again
    faults: tuple[str, ...]  #: of those cells, a line each

    @property
    def ok(self) -> bool:
        """Whether nothing that is there is damaged or wrong; cells may be missing, or have failed and say so."""
        return not (self.damaged_files or self.damaged_chunks or self.faults)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        sweep = self.sweep
        return {
            "store": str(sweep.layout.path),
            "cells": sweep.cells,
            "done": sweep.done,
            "status": sweep.status,
            "nan": sweep.nan,
            "damaged_files": self.damaged_files,
            "damaged_chunks": self.damaged_chunks,
            "sampled": self.sampled,
            "faults": self.faults,
            "ok": self.ok,
        }

    def __str__(self) -> str:
        lines = [str(self.sweep), f"NaN: {self.sweep.nan} values", f"proved or solved again: {self.sampled} cells"]
        lines += [f"damaged: {file}" for file in self.damaged_files]
        lines += [f"wrong: {fault}" for fault in self.faults]
        if self.damaged_chunks:
            lines.append(
                f"{len(self.damaged_chunks)} chunks are damaged: audit with reopen, then call the sweep again."
            )
        return "\n".join([*lines, "nothing is damaged or wrong" if self.ok else "NOT as it should be"])


def audit(store: str | Path, sample: int = 1000, *, seed: int = 0, reopen: bool = False, **asked: Any) -> Audit:
    """Check a store: every file against its hash, every chunk against its entry in the ledger, random cells anew.

    The certificate of each random cell is evaluated in float64 on the host, from the coordinates in the store; where
    those are not among its variables the cell is solved again. A cell is wrong if it was stored as certified and is
    not, or if its value is further from the new one than both gaps allow, or its phase is another.

    Parameters
    ----------
    store : folder that ``sweep(..., store=...)`` has filled, or is filling.
    sample : number of random cells, of those that are done; 0 checks files alone.
    seed : of the random choice.
    reopen : strike damaged chunks from the ledger, so that the same sweep does them again.
    asked : ``builder``, ``run`` and arguments of the sweep that the store cannot hold (functions that are not in an
        imported module, objects of no known class); an error says which.

    Raises
    ------
    ValueError
        If there is no sweep, or something has to be given in ``asked``, or is not what the sweep had.
    OSError
        With ``reopen``, if another process is filling the store.
    """
    sample, seed = require_integer("sample", sample, 0), require_integer("seed", seed, 0)
    reopen = require_flag("reopen", reopen)
    zarr, _ = zarr_modules()
    sweep = open_sweep(store)
    layout, broken = sweep.layout, sweep.layout.damaged()
    plan = plan_of(layout, asked) if sample > 0 and not broken else None
    cells = _chosen(sweep, sample, seed)
    # What metadata say decides how chunks are read: without them there are hashes only.
    names = () if broken else layout.variables
    arrays = {name: zarr.open_array(layout.path, path=name, mode="r") for name in names}
    with ThreadPoolExecutor(at_once()) as pool:
        looked = list(pool.map(lambda entry: _look(layout, arrays, entry, cells), sweep.entries.values()))
    files = [*sweep.unreadable, *broken, *(file for one in looked for file in one.damaged)]
    chunks = tuple(one.chunk for one in looked if one.damaged)
    found = [one for one in looked if one.cells.size]
    wrong: list[str] = []
    sampled = np.concatenate([one.cells for one in found]) if found else np.empty(0, int)
    if plan is not None and sampled.size:
        stored = {name: np.concatenate([one.values[name] for one in found]) for name in layout.variables}
        wrong = faults(plan, sampled, stored)
    if reopen and chunks:
        with exclusive(layout.own / "lock", layout.path):
            for chunk in chunks:
                Ledger(layout.own / "done").strike(chunk)
    return Audit(sweep, tuple(files), chunks, int(sampled.size), tuple(wrong))


def _chosen(sweep: StoredSweep, sample: int, seed: int) -> dict[int, np.ndarray]:
    """Random cells, counted in C order, by chunk."""
    chunks = sweep.layout.chunks
    if sample >= sweep.cells:
        cells = np.arange(sweep.cells)
    else:
        cells = np.unique(np.random.default_rng(seed).integers(sweep.cells, size=sample))
    points = np.unravel_index(cells, chunks.grid) if chunks.grid else ()
    places = tuple(at // part for at, part in zip(points, chunks.shape, strict=True))
    numbers = np.ravel_multi_index(places, chunks.along) if places else np.zeros(cells.size, int)
    order = np.argsort(numbers, kind="stable")
    which, begin = np.unique(numbers[order], return_index=True)
    return {int(chunk): part for chunk, part in zip(which, np.split(cells[order], begin[1:]), strict=False)}


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class _Look:
    chunk: int
    damaged: tuple[str, ...]
    cells: np.ndarray  #: those chosen
    values: dict[str, np.ndarray]  #: of each variable in them


def _look(layout: Layout, arrays: dict[str, Any], entry: Entry, chosen: dict[int, np.ndarray]) -> _Look:
    """At one chunk: its files, then what is in them."""
    files = {name: layout.array_file(name, entry.chunk) for name in layout.variables}
    damaged = [name for name, file in files.items() if not is_intact(file, entry.sha256.get(name))]
    none = np.empty(0, int)
    if damaged or not arrays:
        return _Look(entry.chunk, tuple(str(files[name].relative_to(layout.path)) for name in damaged), none, {})
    where = layout.chunks.slices(entry.chunk)
    read = {name: array[(*where, ...)] for name, array in arrays.items()}
    if counted(read) != (entry.status, entry.nan) or entry.cells != layout.chunks.cells(entry.chunk):
        return _Look(entry.chunk, (f"ledger entry of chunk {entry.chunk}",), none, {})
    cells = chosen.get(entry.chunk, none)
    points = np.unravel_index(cells, layout.chunks.grid) if layout.chunks.grid else ()
    inside = tuple(at - part.start for at, part in zip(points, where, strict=True))
    values = {name: array[inside] if inside else array[None][cells] for name, array in read.items()}
    return _Look(entry.chunk, (), cells, values)
