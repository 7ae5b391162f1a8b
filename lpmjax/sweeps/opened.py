"""open_sweep: how far a sweep in a store is, from its ledger alone."""

import dataclasses
from pathlib import Path
from typing import Any

from .layout import Layout, as_store, read_layout
from .ledger import Entry, Ledger


@dataclasses.dataclass(frozen=True)
class StoredSweep:
    """A sweep in a store: what is done of it, and what is missing."""

    layout: Layout
    entries: dict[int, Entry]  #: by chunk, of those that are done
    unreadable: list[str]  #: files of the ledger that are damaged, whose chunks count as missing

    @property
    def dataset(self) -> Any:
        """The lazy xarray.Dataset; cells that are missing are NaN, and -1 in integers."""
        return self.layout.dataset()

    @property
    def cells(self) -> int:
        """In all."""
        return self.layout.cells

    @property
    def done(self) -> int:
        """Cells that are done."""
        return sum(entry.cells for entry in self.entries.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return len(self.entries) == self.layout.chunks.count

    @property
    def status(self) -> dict[str, int]:
        """Cells by the name of their status, of those that are done; empty if it is not among the variables."""
        found: dict[str, int] = {}
        for entry in self.entries.values():
            for name, cells in entry.status.items():
                found[name] = found.get(name, 0) + cells
        return found

    @property
    def nan(self) -> int:
        """Values that are NaN, in all variables of the cells that are done: a cosine that does not exist is one."""
        return sum(entry.nan for entry in self.entries.values())

    @property
    def seconds(self) -> float:
        """That workers took, together."""
        return sum(entry.seconds for entry in self.entries.values())

    @property
    def missing(self) -> list[dict[str, slice]]:
        """Chunks that are not done, as positions along each axis: ``ds.isel(missing[0])``."""
        chunks, axes = self.layout.chunks, self.layout.asked["axes"]
        todo = (chunk for chunk in range(chunks.count) if chunk not in self.entries)
        return [dict(zip(axes, chunks.slices(chunk), strict=True)) for chunk in todo]

    def __str__(self) -> str:
        chunks, share = self.layout.chunks, self.done / self.cells
        # 99.97 % is not all of it
        lines = [
            f"{self.layout.path}: {self.done} of {self.cells} cells done ({int(1000 * share) / 10:g} %), "
            f"{len(self.entries)} of {chunks.count} chunks of {' x '.join(map(str, chunks.shape)) or 1}"
        ]
        if self.status:
            lines.append("status: " + ", ".join(f"{cells} {name}" for name, cells in self.status.items()))
        todo = self.missing
        for block in todo[:3]:
            lines.append("missing: " + ", ".join(f"{axis} [{at.start}:{at.stop}]" for axis, at in block.items()))
        if len(todo) > 3:
            lines.append(f"missing: {len(todo) - 3} more chunks")
        return "\n".join(lines)


def open_sweep(path: str | Path) -> StoredSweep:
    """How far the sweep in this store is; it may be running.

    ``print`` shows cells done, cells by status and what is missing; ``.dataset`` is the lazy xarray.Dataset.

    Raises
    ------
    ValueError
        If there is no sweep, or its description is damaged or of a later version of lpmjax.
    ImportError
        From ``.dataset``, without zarr and dask.
    """
    layout = read_layout(as_store(path))
    return StoredSweep(layout, *Ledger(layout.own / "done").read())
