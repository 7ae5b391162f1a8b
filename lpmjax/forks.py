"""jax does not survive a fork: in a child of a process that has used it every call waits for ever. Here it is said."""

import os

_used, _forked = False, False


def require_unforked() -> None:
    """RuntimeError in a child that was forked after this package had used jax."""
    global _used
    if _forked:
        raise RuntimeError(
            "this process was forked from one that had used jax, and jax would wait here for ever: start it with "
            "multiprocessing.get_context('spawn'), or fork before the first problem is built."
        )
    _used = True


def _remember() -> None:
    global _forked
    _forked = _used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember)
