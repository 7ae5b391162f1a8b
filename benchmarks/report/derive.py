"""Numbers that follow from a row: best times, certified rates, ratios, shares of the ceilings."""

from typing import Any

Row = dict[str, Any]
Record = dict[str, Any]
_CACHE = 1 << 26  #: bytes of temporaries that no cache of a core holds


def best(row: Row) -> float | None:
    """Least warm time: the one least disturbed by the rest of the machine."""
    return min(row["seconds"]["warm"]) if row["seconds"] else None


def median(row: Row) -> float | None:
    """Median warm time."""
    if not row["seconds"]:
        return None
    samples = sorted(row["seconds"]["warm"])
    half = len(samples) // 2
    return samples[half] if len(samples) % 2 else 0.5 * (samples[half - 1] + samples[half])


def rate(row: Row) -> float | None:
    """Certified cells per second: a cell that failed took its time and counts for nothing."""
    time = best(row)
    return row["certified"] / time if time and row["certified"] else None


def per_cell(row: Row) -> float | None:
    """Seconds per certified cell."""
    found = rate(row)
    return 1 / found if found else None


def of_case(record: Record, case: str, **instance: Any) -> list[Row]:
    """Rows of a case whose instance has these entries."""
    rows = [row for row in record["rows"] if row["case"] == case]
    return [row for row in rows if all(row["instance"].get(key) == value for key, value in instance.items())]


def name_of(row: Row) -> str:
    """The instance in words."""
    parts = [f"{value}" if key in ("how", "kind") else f"{key} = {value}" for key, value in row["instance"].items()]
    parts += [f"{row['devices']} devices"] if row.get("devices", 1) > 1 else []
    return ", ".join(parts)


def ceiling(record: Record, name: str) -> float | None:
    """Measured rate per second."""
    found = (record["ceilings"] or {}).get(name)
    return found["per_second"] if found else None


def traffic(row: Row) -> float:
    """Bytes that one call must move at least."""
    xla = row.get("xla") or {}
    spilled = xla.get("temp_bytes", 0) > _CACHE
    return max(xla.get("bytes", 0.0) if spilled else 0.0, row["work"]["bytes"])


def modelled(record: Record, row: Row) -> dict[str, float] | None:
    """Seconds that the row's counted work would take at the measured ceilings, by resource.

    ``stragglers`` is the part of the compute that lanes spend waiting, in lockstep, for the slowest. Memory traffic is
    arguments and results; where temporaries are too large for any cache it is XLA's count of bytes, each loop once.
    """
    work, names = row.get("work"), ("exp", "log", "elementwise_flops", "copy_bytes", "calls", "loop_trips")
    matmul = ceiling(record, f"matmul_{row['dtype']}_flops")
    rates = {name: ceiling(record, name) for name in names}
    if not work or row["dtype"] != record["dtype"] or matmul is None or None in rates.values():
        return None
    found: Any = rates
    transcendental = 2 / (1 / found["exp"] + 1 / found["log"])
    compute = work["matmul_flops"] / matmul + work["flops"] / found["elementwise_flops"]
    compute += work["transcendentals"] / transcendental
    steps = row.get("steps") or {"mean": 1.0, "max": 1}
    idle = 1 - steps["mean"] / steps["max"] if row["cells"] > 1 and steps["max"] > 0 else 0.0
    return {
        "compute": compute * (1 - idle),
        "stragglers": compute * idle,
        "memory": traffic(row) / found["copy_bytes"],
        "latency": 1 / found["calls"] + work["trips"] / found["loop_trips"],
    }
