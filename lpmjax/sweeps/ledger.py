"""Ledger: which chunks of a store are done, a file each, written after the chunk and after nothing else."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from ..codes import Status
from ..files import write_bytes


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a chunk that is done."""

    chunk: int
    cells: int
    status: dict[str, int]  #: cells by the name of their status; empty where the status is not stored
    nan: int  #: values that are NaN, in all variables
    sha256: dict[str, str]  #: of the file of each variable
    seconds: float  #: that it took a worker
    fell_back: bool  #: whether "factored" did some of it

    @property
    def certified(self) -> int:
        """Cells that are."""
        return self.status.get(Status.certified.name, 0)


def counted(arrays: dict[str, np.ndarray]) -> tuple[dict[str, int], int]:
    """Cells by status, and how many values are NaN."""
    codes, counts = np.unique(arrays.get("status", np.empty(0, np.int8)), return_counts=True)
    known = {int(code): code.name for code in Status}
    status = {known.get(int(c), f"code {c}"): int(n) for c, n in zip(codes, counts, strict=True)}
    return status, sum(int(np.isnan(array).sum()) for array in arrays.values() if array.dtype.kind == "f")


class Ledger:
    """The entries in a folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    def add(self, entry: Entry) -> None:
        """A chunk is done."""
        write_bytes(self._file(entry.chunk), json.dumps(dataclasses.asdict(entry)).encode())

    def strike(self, chunk: int) -> None:
        """It is to be done again."""
        self._file(chunk).unlink(missing_ok=True)

    def read(self) -> tuple[dict[int, Entry], list[str]]:
        """Entries by chunk, and the names of files that hold none: damaged, so their chunks are not done."""
        entries, damaged = {}, []
        for file in sorted(self._folder.glob("*.json")):
            entry = _entry(file)
            if entry is None or file != self._file(entry.chunk):
                damaged.append(file.name)
            else:
                entries[entry.chunk] = entry
        return entries, damaged

    def entry(self, chunk: int) -> Entry | None:
        """Of one chunk, if it is done."""
        return _entry(self._file(chunk))

    def _file(self, chunk: int) -> Path:
        return self._folder / f"{chunk:08d}.json"


def _entry(file: Path) -> Entry | None:
    try:
        return Entry(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
