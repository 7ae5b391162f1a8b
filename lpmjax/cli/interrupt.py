"""Ctrl-C ends a command at once, whatever it computes, with exit code 130."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

INTERRUPTED = 130  #: exit code of a process that SIGINT ended, as shells report it

T = TypeVar("T")


def interruptible(work: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """``work(*arguments, **keywords)`` in another thread, while this one waits where KeyboardInterrupt can reach it.

    A compilation or a solve is one call of seconds, after which alone Python would look for Ctrl-C; and jax runs Python
    callbacks in which the exception would be lost.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work(*arguments, **keywords))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result.result()


def leave(code: int) -> None:
    """End the process with an exit code.

    After Ctrl-C a compilation may still run in its thread, and Python's own exit would take jax down under it: a
    segmentation fault. So nothing is taken down then.
    """
    if code != INTERRUPTED:
        raise SystemExit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
