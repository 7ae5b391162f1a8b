"""Figures in files, written whole or not at all; an unknown format is refused before any work is done."""

import io
from pathlib import Path
from typing import Any

from .extras import matplotlib_modules
from .files import check_writable, write_bytes


def check_figure(path: Path) -> None:
    """:func:`check_writable`, and ValueError for a suffix that matplotlib cannot write."""
    pyplot, _ = matplotlib_modules()
    known = sorted(pyplot.figure().canvas.get_supported_filetypes())
    pyplot.close()
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(known)}.")
    check_writable(path)


def write_figure(path: Path, figure: Any) -> None:
    """In the format that the suffix names (:func:`check_figure` refuses unknown ones before any work)."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lstrip(".").lower(), dpi=160)
    write_bytes(path, content.getbuffer())
