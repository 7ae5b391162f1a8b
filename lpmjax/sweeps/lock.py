"""Lock: one process at a time fills a store; the system opens the lock when that process ends, however it ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def exclusive(path: Path, store: Path) -> Iterator[None]:
    """Hold the lock in the file ``path``; OSError, naming the process that has it, if that is another.

    Where a file system has no locks two processes may do the same chunks twice, which wastes time and nothing else:
    files are replaced whole by the same bytes.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise OSError(f"cannot write {store}: {error.strerror}; choose another place, or change its mode.") from error
    with file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise OSError(
                f"{store} is being filled by {file.read().strip() or 'another process'}: wait for it, or end it; "
                "lpmjax.open_sweep shows how far it is."
            ) from error
        except OSError:
            pass  # a file system without locks
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
