"""``lpmjax sweep --store`` and ``lpmjax audit``: sweeps in a store."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..codes import Status
from ..extras import distributed_module
from ..files import json_text
from ..problems.problem import Problem
from ..sweeps.audit import audit as audit_store
from ..sweeps.into import sweep_into
from ..sweeps.opened import StoredSweep, open_sweep
from ..sweeps.plan import planned
from ..sweeps.stored import Tally
from .common import Json, exit_by
from .interrupt import interruptible

_PATIENCE = 10  #: seconds for a scheduler to answer


def check_workers(store: Path | None, workers: int | None, scheduler: str | None) -> None:
    """ValueError for workers without a store, or of two clusters."""
    named = [name for name, value in (("--workers", workers), ("--scheduler", scheduler)) if value is not None]
    if named and store is None:
        raise ValueError(f"{named[0]} needs --store, in which the workers write.")
    if len(named) == 2:
        raise ValueError("--workers and --scheduler exclude each other: give one or the other.")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers = {workers} is out of range: it must be at least 1.")


def sweep_store(
    builder: Callable[..., Problem],
    arguments: dict[str, Any],
    options: dict[str, Any],
    store: Path,
    cluster: tuple[int | None, str | None],
    json_: bool,
) -> Any:
    """Fill the store with progress, by workers if there are any; what is known of it, and its data set."""
    asked = {"run": None, "method": "auto", "tol": None, "max_steps": None, "variables": options["variables"]}
    plan = planned(builder, arguments, "float64", asked)
    with _client(*cluster) as client, StoreBar(json_) as report:
        ds = interruptible(sweep_into, plan, store, options["max_bytes"], client, report)
    return open_sweep(store), ds


@contextlib.contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """Of a cluster on this machine, or of a scheduler somewhere; None without either."""
    if workers is None and scheduler is None:
        yield None
        return
    distributed = distributed_module()
    if scheduler is None:
        with (
            distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
            distributed.Client(local) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"--scheduler = {scheduler!r} does not answer within {_PATIENCE} seconds ({error}): give the address that "
            "dask scheduler prints, as tcp://host:8786."
        ) from error
    with client:
        yield client


class StoreBar:
    """A bar on a terminal's standard error, or lines of JSON on standard output."""

    def __init__(self, json_: bool):
        self._json, terminal = json_, Console(stderr=True)
        columns = (TextColumn("solving"), BarColumn(16), TextColumn("{task.fields[told]}"))
        shown = terminal.is_terminal and not json_
        self._bar = Progress(*columns, console=terminal, transient=True, disable=not shown)
        self._task = self._bar.add_task("", total=None, told="")
        self._last: Tally | None = None

    def __enter__(self) -> Callable[[Tally], None]:
        self._bar.start()
        return self._show

    def _show(self, tally: Tally) -> None:
        self._last = tally
        if self._json:
            left = tally.seconds_left
            record = {"cells": tally.cells, "done": tally.done, "certified": tally.certified}
            record |= {"cells_per_second": round(tally.rate, 1), "seconds_left": None if left is None else round(left)}
            print(json.dumps(record), flush=True)
        self._bar.update(self._task, completed=tally.done, total=tally.cells, told=told(tally))

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt and self._last is not None:
            print(f"lpmjax: interrupted; {told(self._last)}; the same command goes on from here", file=sys.stderr)


def told(tally: Tally) -> str:
    """Cells done, certified, rate and time left."""
    text = f"{tally.done:.4g} of {tally.cells:.4g} cells"
    # 99.97 % is not all of it
    text += f", {int(1000 * tally.certified / tally.done) / 10:g} % certified" if tally.certified else ""
    left = tally.seconds_left
    return text if left is None else f"{text}, {tally.rate:.3g}/s, {_time(left)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def print_store(found: StoredSweep, json_: bool) -> None:
    """How far it is; in JSON a last line."""
    if not json_:
        print(found)
        return
    print(
        json.dumps({"store": str(found.layout.path), "cells": found.cells, "done": found.done, "status": found.status})
    )


def exit_by_status(found: StoredSweep) -> None:
    """Exit with 1 unless every cell is certified or converged."""
    names = {code.name: code for code in Status}
    codes = [np.full(cells, names.get(name, -1), np.int8) for name, cells in found.status.items()]
    exit_by(np.concatenate([*codes, np.empty(0, np.int8)]))


def audit(
    store: Annotated[Path, typer.Argument(help="Folder that lpmjax sweep --store has filled, or is filling.")],
    sample: Annotated[int, typer.Option(help="Random cells to prove again; 0 checks files alone.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random choice.")] = 0,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Mark damaged chunks as not done: the same sweep does them again.")
    ] = False,
    json_: Json = False,
) -> None:
    """Check a sweep's store: hashes of its files, counts of its chunks, and random cells proved or solved again.

    The exit code is 0 only if nothing is damaged or wrong, nothing is
    missing, and every cell is certified or converged.
    """
    found = interruptible(audit_store, store, sample, seed=seed, reopen=reopen)
    print(json_text(found.record()) if json_ else found)
    if not found.ok:
        raise typer.Exit(1)
    if not found.sweep.complete:
        print("cells are missing: call the same sweep to go on with it", file=sys.stderr)
        raise typer.Exit(1)
    exit_by_status(found.sweep)
