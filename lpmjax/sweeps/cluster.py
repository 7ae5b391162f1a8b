"""Workers: the chunks of a store as tasks of a dask.distributed cluster. Workers write their chunks themselves."""

import functools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from ..extras import distributed_module
from .asked import arguments_of
from .identity import differences, identity
from .layout import Layout, is_store, read_layout
from .ledger import Entry, Ledger
from .plan import Plan, planned
from .stored import worker

_AT_ONCE = 10_000  #: tasks that the scheduler holds
_RETRIES = 2  #: of a chunk that raised
_making = threading.Lock()


def require_client(client: Any) -> None:
    """ValueError unless it is a client of a scheduler that answers."""
    if not isinstance(client, distributed_module().Client):
        raise ValueError(f"client must be a dask.distributed.Client, got {type(client).__name__}.")
    if client.status != "running":
        raise ValueError(f"client is {client.status}: connect it to a scheduler that runs.")


def pickled(plan: Plan) -> bytes:
    """All that a worker does not find in the store; ValueError if something cannot be sent."""
    import cloudpickle

    try:
        return cloudpickle.dumps((plan.grid.builder, plan.grid.fixed, dict(plan.asked)))
    except Exception as error:
        raise ValueError(
            f"the builder, run or arguments cannot be sent to workers ({error}): define functions in a module that "
            "workers can import, without what lives in this process alone."
        ) from error


def on_workers(client: Any, plan: Plan, layout: Layout, chunks: list[int]) -> Iterator[Entry]:
    """Do these chunks, each a task; what was going on is left to its worker if this ends early."""
    content, path = pickled(plan), layout.path.absolute()
    submit = functools.partial(client.submit, do_chunk, content, path, retries=_RETRIES, pure=False)
    rest = iter(chunks)
    going = distributed_module().as_completed([submit(chunk) for chunk in islice(rest, _AT_ONCE)])
    try:
        for job in going:
            yield job.result()
            for chunk in islice(rest, 1):
                going.add(submit(chunk))
    finally:
        client.cancel(list(going.futures))


def do_chunk(content: bytes, path: Path, chunk: int) -> Entry:
    """A task: solve a chunk of the store, write it and mark it done.

    A scheduler repeats tasks whose worker ended before their result was fetched: then it is done already.
    """
    done = Ledger(read_layout(path).own / "done").entry(chunk) if is_store(path) else None
    if done is not None:
        return done
    with _making:  # threads of a worker share what one of them compiles
        do = _worker(content, path)
    return do(chunk)


@functools.lru_cache(maxsize=1)
def _worker(content: bytes, path: Path) -> Callable[[int], Entry]:
    import cloudpickle

    if not is_store(path):
        raise OSError(
            f"{socket.gethostname()}, process {os.getpid()}, finds no store at {path}: workers need a folder that all "
            "of them share."
        )
    layout = read_layout(path)
    with jax.enable_x64(layout.asked["dtype"] == "float64"):  # else jax would round what is unpickled
        builder, fixed, asked = cloudpickle.loads(content)
    plan = planned(builder, arguments_of(layout, fixed), layout.asked["dtype"], asked)
    different = differences(identity(plan), layout.identity)
    if different:
        raise ValueError(f"{socket.gethostname()} would do another sweep: {'; '.join(different)}.")
    return worker(plan, layout)
