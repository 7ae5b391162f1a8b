"""What limits each case, and the evidence: counted work at the measured ceilings against the measured time."""

from typing import Any

from .derive import Record, Row, best, modelled, name_of

#: seconds of modelled compute per loop trip below which the cost is that of starting operations
_SMALL = 2e-5
#: share of the time from which a ceiling is refuted: samples of both vary
_EXCEEDED = 1.2


def limit_of(record: Record, row: Row) -> dict[str, Any] | None:
    """Shares of the best time, and the limit that they show; None where nothing was counted."""
    time, parts = best(row), modelled(record, row)
    if time is None or parts is None:
        return None
    shares = {name: seconds / time for name, seconds in parts.items()}
    rest = max(1 - sum(shares.values()), 0.0)
    largest = max(shares, key=lambda name: shares[name])
    trips = max(row["work"]["trips"], 1.0)
    if max(shares["compute"] + shares["stragglers"], shares["memory"], shares["latency"]) > _EXCEEDED:
        verdict = "unknown"  # what is exceeded was no ceiling
    elif shares[largest] >= rest:
        verdict = largest
    elif (parts["compute"] + parts["stragglers"]) / trips < _SMALL:
        verdict = "latency"  # of many small operations
    else:
        verdict = "compute"  # below the ceiling: branches, divisions, factorisations of small matrices
    return {"shares": shares, "rest": rest, "limit": verdict}


def table(record: Record) -> list[list[str]]:
    """A line for each row whose work was counted, and for the cold command."""
    lines = []
    for row in record["rows"]:
        found = limit_of(record, row)
        if found is not None:
            shares = [f"{100 * found['shares'][name]:.3g} %" for name in ("compute", "stragglers", "memory", "latency")]
            lines.append([row["case"], name_of(row), found["limit"], *shares, f"{100 * found['rest']:.3g} %"])
        elif row.get("seconds_solving") is not None:
            startup = 1 - row["seconds_solving"] / (best(row) or 1.0)
            cells = ["latency", "", "", "", f"{100 * startup:.3g} % outside the solver's calls", ""]
            lines.append([row["case"], name_of(row), *cells])
    return lines
