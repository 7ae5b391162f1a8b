"""A sweep in a store: chunks that are not done yet are solved, written and then marked done."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .chunks import divided, recommended_cells
from .fill import at_once
from .identity import differences, identity
from .layout import Layout, Writer, is_store, lay_out, read_layout
from .ledger import Entry, Ledger, counted
from .plan import Plan
from .rounds import Spill


@dataclasses.dataclass(frozen=True)
class Tally:
    """How far a sweep is."""

    cells: int  #: in all
    before: int  #: cells that were done when this call began
    done: int
    certified: int
    seconds: float  #: since this call began

    @property
    def rate(self) -> float:
        """Cells a second, of this call."""
        return (self.done - self.before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At that rate; None before the first chunk."""
        return (self.cells - self.done) / self.rate if self.rate > 0 else None


def prepared(plan: Plan, path: Path, max_bytes: int) -> Layout:
    """The layout of this sweep in a store, made if there is none.

    Raises ValueError naming what differs if the store holds another sweep, or if one cell takes more than
    ``max_bytes``; OSError if something else is there, or nothing can be written.
    """
    said = identity(plan)
    if not is_store(path):
        check_free(path)
        plan.check_memory(1, max_bytes)
        most = min(recommended_cells(plan), max_bytes // plan.cell_bytes)
        try:
            lay_out(plan, divided(plan.grid.shape, most), path, said)
        except OSError:
            if not is_store(path):  # else another process was faster
                raise
    layout = read_layout(path)
    different = differences(said, layout.identity)
    if different:
        raise ValueError(
            f"{path} holds another sweep: {'; '.join(different)}. Call the same sweep to go on with it, or give "
            "another store."
        )
    if broken := layout.damaged():
        raise ValueError(f"{path} is damaged: {', '.join(broken)} is not what was laid out. Give another store.")
    return layout


def check_free(path: Path) -> None:
    """OSError unless there is nothing, or an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "a folder that holds no sweep" if path.is_dir() else "a file"
        raise OSError(f"cannot write {path}: it is {what}; give a path that does not exist.")


def missing(layout: Layout, entries: dict[int, Entry]) -> list[int]:
    """Chunks that are not done."""
    return [chunk for chunk in range(layout.chunks.count) if chunk not in entries]


def told(layout: Layout, entries: dict[int, Entry], found: Iterator[Entry], report) -> None:
    """Go through what is found, and report after each chunk."""
    begin, before = time.perf_counter(), sum(entry.cells for entry in entries.values())
    done, certified = before, sum(entry.certified for entry in entries.values())
    for entry in found:
        done, certified = done + entry.cells, certified + entry.certified
        if report is not None:
            report(Tally(layout.cells, before, done, certified, time.perf_counter() - begin))


def on_threads(plan: Plan, layout: Layout, chunks: list[int]) -> Iterator[Entry]:
    """Do these chunks on every core of this process: on CPU a chunk each, so that one is written while others are
    solved."""
    do = worker(plan, layout)
    pool = ThreadPoolExecutor(at_once())
    try:
        for job in as_completed([pool.submit(do, chunk) for chunk in chunks]):
            yield job.result()
    finally:
        pool.shutdown(cancel_futures=True)  # what is being done is finished: then it is not lost


def worker(plan: Plan, layout: Layout) -> Callable[[int], Entry]:
    """A function that does a chunk, from any thread: compiled once."""
    solver = plan.solver(math.prod(layout.chunks.shape), threads=1)
    writer, ledger = Writer(layout), Ledger(layout.own / "done")

    def do(chunk: int) -> Entry:
        begin = time.perf_counter()
        spill = Spill(layout.own / "rounds" / f"{chunk:08d}.npz")
        arrays, fell_back = solver(plan.grid.part(layout.chunks.slices(chunk)), spill=spill)
        cells, (status, nan) = layout.chunks.cells(chunk), counted(arrays)
        try:
            hashes = writer.write(chunk, arrays)
            entry = Entry(chunk, cells, status, nan, hashes, time.perf_counter() - begin, fell_back)
            ledger.add(entry)
        except OSError as error:
            raise OSError(f"{error} What is done is kept: with room for more the same call goes on.") from error
        spill.remove()
        return entry

    return do
