"""Sweeps of 10^9 cells and more, on paper: what a chunk costs, measured here, and a cluster that is simulated.

``python -m benchmarks.scale measure`` prints the constants of this machine as JSON, ``python -m benchmarks.scale`` the
table of ``docs/large_sweeps.md`` from the constants below.
"""

import heapq
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

_KEPT = ["value", "phase", "status", "gap"]


@dataclass(frozen=True)
class Machine:
    """What things take; seconds and bytes of one worker, if nothing else is said."""

    rate: float = 2.9e5  #: cells a second of one core, two-group
    per_chunk: float = 0.02  #: files and entry of a chunk of four variables, beside what goes with its cells
    per_task: float = 2.2e-3  #: of the scheduler, which does one task after another
    bytes_per_cell: float = 15.1  #: of those variables on disk
    bandwidth: float = 1e9  #: bytes a second of the store, shared by all workers
    compile: float = 3.0  #: of a worker, once
    jitter: float = 0.1  #: relative spread of a chunk's time


def simulated(machine: Machine, cells: int, chunk: int, workers: int, seed: int = 0) -> float:
    """Seconds of a sweep: a scheduler that hands out one task after another, workers, and one store that they share."""
    rng, tasks = np.random.default_rng(seed), -(-cells // chunk)
    solve = iter(chunk / machine.rate * rng.lognormal(0, machine.jitter, tasks) + machine.per_chunk)
    handed = stored = 0.0
    working = []
    for seconds in islice(solve, workers):
        handed = max(handed, machine.compile) + machine.per_task
        heapq.heappush(working, handed + seconds)
    for _ in range(tasks):  # whoever is done first writes, and is handed the next
        stored = max(stored, working[0]) + chunk * machine.bytes_per_cell / machine.bandwidth
        handed = max(handed, stored) + machine.per_task
        heapq.heapreplace(working, handed + next(solve, np.inf))
    return stored


def table(machine: Machine) -> str:
    """Share of the cores' time that goes into cells, by size of a chunk."""
    powers = range(12, 25, 2)
    lines = [f"{'cells':>6} {'cores':>6} {'ideal':>8} " + " ".join(f"{f'2^{power}':>6}" for power in powers)]
    for cells, workers in [(10**9, 2), (10**9, 64), (10**11, 64), (10**11, 1024)]:
        ideal = cells / machine.rate / workers
        shares = [_share(machine, cells, 2**power, workers, ideal) for power in powers]
        lines.append(f"{cells:6.0e} {workers:6d} {ideal:6.0f} s " + " ".join(shares))
    return "\n".join(lines)


def _share(machine: Machine, cells: int, chunk: int, workers: int, ideal: float) -> str:
    if cells / chunk > 5e5:  # too many for any scheduler, and for this process
        return f"{'-':>6}"
    return f"{100 * ideal / simulated(machine, cells, chunk, workers):5.1f}%"


def measured() -> dict[str, float]:
    """The constants of this machine, but for the bandwidth of the store of a cluster and the jitter."""
    import lpmjax as lpm

    def seconds(side: int, folder: Path, **options) -> float:
        axes = {"R": np.geomspace(1, 1e4, side), "E_H": np.linspace(0.01, 16, side)}
        begin = time.perf_counter()
        lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, E_W=1.0, **axes, variables=_KEPT, store=folder, **options)
        return time.perf_counter() - begin

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = seconds(100, folder / "a.zarr")
        busy = {}
        for side in (100, 400, 1600):
            seconds(side, folder / f"{side}.zarr")
            entries = lpm.open_sweep(folder / f"{side}.zarr").entries.values()
            busy[side] = np.mean([entry.cells for entry in entries]), np.median([entry.seconds for entry in entries])
        (few, short), (many, long) = busy[100], busy[1600]
        rate = (many - few) / (long - short)
        size = sum(file.stat().st_size for file in (folder / "1600.zarr").rglob("c/*/*"))
        return {
            "rate": rate,
            "per_chunk": max(0.0, short - few / rate),
            "per_task": _per_task(10_000),
            "bytes_per_cell": size / 1600**2,
            "compile": first - short,
        }


def _per_task(tasks: int) -> float:
    """Seconds that a scheduler takes for a task that does nothing, of so many on two workers."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
        client.gather(client.map(abs, range(100), pure=False))
        begin = time.perf_counter()
        client.gather(client.map(abs, range(tasks), pure=False))
        return (time.perf_counter() - begin) / tasks


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measured(), indent=1))
    else:
        print(asdict(Machine()), table(Machine()), sep="\n")
