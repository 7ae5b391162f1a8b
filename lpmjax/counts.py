"""Class counts from callers and from files: a table of class,count rows or one label per line, streamed."""

import collections
import csv
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .arguments import require

_LONGEST = 2**53  #: beyond, a float no longer counts
_FIRST_LINE = 2**20  #: bytes; a longer first line is no text file of labels
_BLOCK = 2**16  #: lines counted between two looks at new labels
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def class_counts(counts: Any, names: Sequence[Any] | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and whole-number counts of K >= 2 classes, from a sequence or a mapping from class to count.

    Raises ValueError for counts that are not whole numbers >= 1, and names that repeat or do not match.
    """
    if isinstance(counts, Mapping):
        if names is not None:
            raise ValueError("names come from the keys of counts, a mapping: leave names out, or pass a sequence.")
        names, counts = list(counts.keys()), list(counts.values())
    values = np.asarray(counts if hasattr(counts, "dtype") else list(counts))
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iuf"):
        what = f"shape {values.shape}, {values.dtype}"
        raise ValueError(f"counts must be a one-dimensional sequence of whole numbers >= 1, got {what}.")
    if values.size < 2:
        raise ValueError(f"counts has {values.size} class(es): it must have at least 2. One class has no geometry.")
    remedy = "Leave classes without samples out."
    require("counts", values, "whole numbers >= 1", lambda n: (n >= 1) & (n < _LONGEST) & (n == np.floor(n)), remedy)
    labels = tuple(map(str, range(values.size) if names is None else names))
    if len(labels) != values.size:
        raise ValueError(f"names has {len(labels)} entries, counts has {values.size}: give one name for each class.")
    repeated = [name for name, times in collections.Counter(labels).items() if times > 1]
    if repeated:
        raise ValueError(f"names holds {repeated[0]!r} more than once: give every class a name of its own.")
    return labels, values.astype(np.int64)


def read_counts(path: Path | str) -> dict[str, int]:
    """Count of each class, in order of first appearance, from a file; ``-`` is standard input.

    A file whose first line (blank lines are skipped) holds a comma is CSV: class,count, or columns in any order under
    a header that names ``class`` and ``count``. Any other file holds one label per line, and every line is a sample;
    it is streamed, so that memory grows with the number of classes only.

    Raises
    ------
    ValueError, OSError
        Naming file, line, value and remedy: an unreadable, binary or empty file, counts that are not whole numbers
        >= 1, duplicate or empty class names, fewer than two classes.
    """
    if str(path) == "-":
        return _read("standard input", sys.stdin.buffer)
    try:
        with open(path, "rb") as stream:
            return _read(str(path), stream)
    except OSError as error:
        raise OSError(
            f"cannot read {path}: {error.strerror or error}; give a text file, or - for standard input."
        ) from None


def _read(file: str, stream: BinaryIO) -> dict[str, int]:
    for blank in itertools.count():
        first = stream.readline(_FIRST_LINE)
        if not first:
            raise ValueError(f"{file} is empty: give class,count rows, or one label per line.")
        if len(first) == _FIRST_LINE:
            raise ValueError(f"{file}, line {blank + 1}: longer than {_FIRST_LINE} bytes; give one label per line.")
        if first.strip():
            break
    text = _text(file, blank + 1, first)
    lines = itertools.chain([first], stream)
    found = _table(file, blank, lines) if "," in text else _labels(file, blank, lines)
    if len(found) < 2:
        raise ValueError(f"{file} has one class only, {next(iter(found))!r}: at least 2 are needed for a geometry.")
    return found


def _text(file: str, line: int, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{file}, line {line}: {raw[:12]!r} is not text; give UTF-8 text, uncompressed.")
    return text


def _labels(file: str, before: int, lines: Iterable[bytes]) -> dict[str, int]:
    """Counts of the lines; they are decoded once per distinct one, so that 10^7 of them take a second or two."""
    raw: collections.Counter[bytes] = collections.Counter()
    names: dict[bytes, str] = {}
    lines = iter(lines)
    for done in itertools.count(before, _BLOCK):
        block = list(itertools.islice(lines, _BLOCK))
        if not block:
            break
        raw.update(block)
        for new in itertools.islice(raw, len(names), None):
            names[new] = _text(file, done + block.index(new) + 1, new)
    found: collections.Counter[str] = collections.Counter()
    for label, times in raw.items():
        found[names[label]] += times
    found.pop("", None)  # blank lines
    if len(found) > 1 and max(found.values()) == 1:
        example = next(iter(found))
        raise ValueError(
            f"{file}: all {len(found)} lines differ (the first is {example!r}), so as labels every class has one "
            "sample; for a list of counts give class,count rows."
        )
    return dict(found)


def _table(file: str, before: int, lines: Iterable[bytes]) -> dict[str, int]:
    reader = csv.reader(_decoded(file, before, lines), strict=True)
    columns, width, found, at = (0, 1), 0, {}, {}
    try:
        for fields in reader:
            line = before + reader.line_num
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            if not width:
                columns, width, header = _columns(file, line, fields)
                if header:
                    continue
            if len(fields) != width:
                raise ValueError(f"{file}, line {line}: {len(fields)} column(s) where the first line has {width}.")
            name, count = (fields[column] for column in columns)
            if not name:
                raise ValueError(f"{file}, line {line}: the class name is empty; name every class.")
            if name in found:
                raise ValueError(f"{file}, line {line}: class {name!r} is already on line {at[name]}; add them up.")
            found[name], at[name] = _count(file, line, name, count), line
    except csv.Error as error:
        raise ValueError(f"{file}, line {before + reader.line_num}: {error}; give class,count rows.") from None
    if not found:
        raise ValueError(f"{file} has a header and no rows: give class,count rows.")
    return found


def _decoded(file: str, before: int, lines: Iterable[bytes]) -> Iterator[str]:
    for line, raw in enumerate(lines, before + 1):
        yield _text(file, line, raw) + "\n"


def _columns(file: str, line: int, fields: list[str]) -> tuple[tuple[int, int], int, bool]:
    """Which columns hold class and count, how many there are, and whether this line is a header."""
    heads = [field.lower() for field in fields]
    if "class" in heads and "count" in heads:
        return (heads.index("class"), heads.index("count")), len(heads), True
    if len(fields) == 2 and _NUMBER.fullmatch(fields[1]):
        return (0, 1), 2, False
    shown = ",".join(fields)
    raise ValueError(
        f"{file}, line {line}: {shown[:60]!r} is neither class,count with a number in the second column nor a header "
        "that names the columns class and count; add such a header."
    )


def _count(file: str, line: int, name: str, text: str) -> int:
    value = float(text) if _NUMBER.fullmatch(text) else float("nan")
    if not (1 <= value < _LONGEST and value == int(value)):
        raise ValueError(
            f"{file}, line {line}: count = {text!r} of class {name!r} is out of range: it must be a whole number >= 1. "
            "Leave classes without samples out."
        )
    return int(value)
