"""A diagnosis in a process of its own: what it says while it works, and killed when nobody listens any more."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from multiprocessing.connection import Connection
from typing import Any

import jax

from ..counts.given import Counts
from ..diagnose import diagnose
from .point import number, program

PARAMETERS = ("E_W", "E_H", "lambda_W", "lambda_H")
#: seconds after which at the latest something is said
_BEAT = 0.25


def asked(query: Mapping[str, str]) -> dict[str, float]:
    """Parameters of the model; ValueError for what is no number."""
    return {name: number(name, query[name]) for name in PARAMETERS if name in query}


def events(counts: Counts, model: dict[str, Any]) -> Generator[dict[str, Any]]:
    """What is to be told, as it comes, at least every quarter of a second: ``progress`` (solves done, what the next is
    for), ``diagnosis`` without remedies and then with one more each time, ``end`` or ``error``, whose ``last`` is True.

    Solves cannot be interrupted, so they are done by another process, which does not outlive the generator.
    """
    context = multiprocessing.get_context("spawn")  # jax does not survive a fork
    mine, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(theirs, counts, model), daemon=True)
    with _undisturbed():
        worker.start()
    theirs.close()
    begin, progress = time.monotonic(), {"event": "progress", "done": 0, "doing": "starting"}
    said = progress
    try:
        while not said.get("last"):
            said = mine.recv() if mine.poll(_BEAT) else progress
            progress = said if said["event"] == "progress" else progress
            yield said | {"seconds": time.monotonic() - begin}
    except EOFError:
        why = "the process of the diagnosis ended: there may have been too little memory for it."
        yield {"event": "error", "message": why, "last": True}
    finally:
        worker.kill()
        worker.join()
        mine.close()


def in_python(file: str, reading: str | None, model: dict[str, Any]) -> str:
    """A program that prints the same."""
    given = {"reading": reading} if reading else {}
    arguments = "".join(f", {name}={value!r}" for name, value in (given | model).items())
    return program(f"found = lpm.diagnose({file!r}{arguments})", "print(found)")


def _work(out: Connection, counts: Counts, model: dict[str, Any]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(event: str, **what: Any) -> None:
        out.send({"event": event} | what)

    try:
        with jax.enable_x64(True):
            _tell_all(tell, counts, model)
    except (ValueError, MemoryError) as error:
        tell("error", message=str(error), last=True)


def _tell_all(tell: Callable[..., None], counts: Counts, model: dict[str, Any]) -> None:
    found = diagnose(counts, remedies=False, progress=lambda n, doing: tell("progress", done=n, doing=doing), **model)
    tell("diagnosis", text=str(found), record=found.record())
    tell("progress", done=1, doing="remedies")
    for more in found.one_by_one(lambda n, doing: tell("progress", done=n + 1, doing=doing)):
        tell("diagnosis", text=str(more), record=more.record())
    tell("end", last=True)


def _end_with_parent() -> None:
    """However that ends: a solve can take minutes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _undisturbed() -> Generator[None]:
    """A process that is started within does not hear of Ctrl-C, which is for this one, who will end it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
