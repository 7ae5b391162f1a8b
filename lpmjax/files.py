"""Files are written whole or not at all, and an unwritable place is refused before any work is done."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .plot import matplotlib_modules


def check_writable(path: Path) -> None:
    """Create the folder of ``path`` and raise OSError, naming the path, if a file cannot be written there."""
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {path}: it exists and is not a regular file; give a file name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".lpmjax-"):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; choose another place.") from error


def check_figure(path: Path) -> None:
    """:func:`check_writable`, and ValueError for a suffix that matplotlib cannot write."""
    pyplot, _ = matplotlib_modules()
    known = sorted(pyplot.figure().canvas.get_supported_filetypes())
    pyplot.close()
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(known)}.")
    check_writable(path)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the target under its own suffix, then rename: a reader never sees half a file."""
    check_writable(path)
    path = path.resolve()  # a link stays a link: what it points to is replaced
    partial = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_dataset(path: Path, ds: Any) -> None:
    """NetCDF 4, compressed."""
    encoding = {name: {"zlib": True, "complevel": 1} for name in ds.data_vars if ds[name].ndim}
    _replace(path, lambda partial: ds.to_netcdf(partial, engine="h5netcdf", encoding=encoding))


def write_figure(path: Path, figure: Any) -> None:
    """In the format that the suffix names (:func:`check_figure` refuses unknown ones before any work)."""
    _replace(path, lambda partial: figure.savefig(partial, dpi=160))


def write_json(path: Path, record: Any) -> None:
    """JSON, with null for what is not a finite number (strict parsers refuse NaN)."""
    text = json_text(record)
    _replace(path, lambda partial: partial.write_text(text + "\n"))


def json_text(record: Any) -> str:
    """Indented JSON of numbers, strings, arrays and containers of them."""

    def plain(x: Any) -> Any:
        if isinstance(x, dict):
            return {str(key): plain(value) for key, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(value) for value in x]
        if isinstance(x, (np.ndarray, np.generic)):
            return plain(x.tolist())
        return None if isinstance(x, float) and not np.isfinite(x) else x

    return json.dumps(plain(record), indent=2)
