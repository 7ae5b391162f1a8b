"""Files are written whole or not at all, and an unwritable place is refused before any work is done."""

import contextlib
import io
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def check_writable(path: Path) -> None:
    """Create the folder of ``path`` and raise OSError, naming the path, if a file cannot be written there."""
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {path}: it exists and is not a regular file; give a file name.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OSError(f"cannot write {path}: it is read-only; change its mode, or choose another place.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):  # has no name that a killed process could leave behind
            pass
    except OSError as error:
        raise _refused(path, error) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace the file: a reader sees the old content or the new, and a process killed while writing leaves nothing.

    A file that exists keeps its mode and, where the system allows, its owner; a new one has the mode of the umask.
    Raises OSError naming the path.
    """
    check_writable(path)
    path = path.resolve()  # a link stays a link: what it points to is replaced
    partial = path.with_name(f".lpmjax-{secrets.token_hex(8)}")
    try:
        with _unnamed(partial) as file:
            file.write(content)
            _copy_owner_and_mode(path, file.fileno())
            file.flush()
            os.fsync(file.fileno())  # a full disk must show before the old content is gone
            if not partial.exists():  # named at last; a src_dir_fd, unused, makes Python follow the link in /proc
                os.link(f"/proc/self/fd/{file.fileno()}", partial, src_dir_fd=file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _unnamed(partial: Path) -> io.BufferedWriter:
    """A file without a name in the folder of ``partial``; where the file system has none, one of that name."""
    try:
        handle = os.open(partial.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (AttributeError, OSError):  # not Linux, or a network file system
        handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    return os.fdopen(handle, "wb")


def _copy_owner_and_mode(path: Path, handle: int) -> None:
    if not path.exists() or not hasattr(os, "fchown"):
        return
    old = path.stat()
    with contextlib.suppress(OSError):  # only root gives files away
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _refused(path: Path, error: OSError) -> OSError:
    return OSError(f"cannot write {path}: {error.strerror or error}; choose another place.")


def write_dataset(path: Path, ds: Any) -> None:
    """NetCDF 4, compressed; made in memory, for the HDF5 library crashes the interpreter when a disk is full."""
    encoding = {name: {"zlib": True, "complevel": 1} for name in ds.data_vars if ds[name].ndim}
    write_bytes(path, ds.to_netcdf(engine="h5netcdf", encoding=encoding))


def write_json(path: Path, record: Any) -> None:
    """JSON, with null for what is not a finite number (strict parsers refuse NaN)."""
    write_bytes(path, (json_text(record) + "\n").encode())


def json_text(record: Any) -> str:
    """Indented JSON of numbers, strings, arrays and containers of them."""
    return json.dumps(plain(record), indent=2)


def plain(x: Any) -> Any:
    """Numbers, strings, arrays and containers of them as strict JSON has them: None for what is not finite."""
    if isinstance(x, dict):
        return {str(key): plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    if isinstance(x, (np.ndarray, np.generic)):
        return plain(x.tolist())
    return None if isinstance(x, float) and not np.isfinite(x) else x
