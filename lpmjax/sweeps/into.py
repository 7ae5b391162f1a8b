"""A sweep into a store: by this process, or by the workers of a cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cluster import on_workers, pickled, require_client
from .ledger import Ledger
from .lock import exclusive
from .plan import Plan
from .stored import Tally, missing, on_threads, prepared, told


def sweep_into(
    plan: Plan, path: Path, max_bytes: int, client: Any = None, report: Callable[[Tally], Any] | None = None
) -> Any:
    """Fill the store, or what is missing of it, and return its lazy data set."""
    if client is not None:
        require_client(client)
        pickled(plan)  # before anything is laid out
    layout = prepared(plan, path, max_bytes)
    ledger = Ledger(layout.own / "done")
    if missing(layout, ledger.read()[0]):  # a store that is full can be read-only
        with exclusive(layout.own / "lock", path):
            entries, _ = ledger.read()
            todo = missing(layout, entries)
            found = on_threads(plan, layout, todo) if client is None else on_workers(client, plan, layout, todo)
            told(layout, entries, found, report)
    return layout.dataset()
