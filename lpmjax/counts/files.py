"""Class counts from files: a table of class and count, one count a line, or labels of samples, which are streamed."""

import collections
import io
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NoReturn

from .columns import SAY, Columns, columns_of, labels_command
from .given import Counts, called_total, sum_of_others
from .headings import heading, is_file, mostly_differ
from .lines import AFTER_FIRST, Lines, is_whole, number, quoted

_SAY_LABELS = "say --labels (reading='labels' in Python)"
Rows = Iterator[tuple[int, list[str]]]  #: number and fields of each line


def read(path: os.PathLike[str] | str, reading: str | None = None) -> Counts:
    """Count of each class, in order of first appearance, from a file; ``-`` is standard input.

    What is read, under any line ends, blank lines skipped:

    - rows of class and count, separated by comma, semicolon, tab or white space, or columns in any order under a
      header that names ``class`` and ``count``; a row ``Total`` that is the sum is skipped. The output of ``uniq -c``;
    - one label per line, each line a sample; a heading ``label`` is skipped;
    - a file name (or another name that never repeats) and a label on each line, or a column under ``label``;
    - one count per line, of classes 0 to K - 1, under the heading ``count`` or with ``reading="counts"``.

    A file that can be taken in two ways is refused, and ``reading``, "counts" or "labels", decides. The result's
    ``reading`` says in words what was done. Labels are streamed: memory grows with the number of classes only.

    Raises
    ------
    ValueError, OSError
        Naming file, line, value and remedy: an unreadable, binary, empty or ambiguous file, counts that are not whole
        numbers >= 1, duplicate or empty class names, fewer than two classes.
    """
    if reading not in (None, "counts", "labels"):
        raise ValueError(f"reading = {reading!r} is unknown: it must be 'counts', 'labels' or None.")
    if str(path) == "-":
        return read_stream("standard input", sys.stdin.buffer, reading)
    try:
        with open(path, "rb") as stream:
            return read_stream(str(path), stream, reading)
    except OSError as error:
        raise OSError(
            f"cannot read {path}: {error.strerror or error}; give a text file, or - for standard input."
        ) from None


def read_stream(file: str, stream: BinaryIO, reading: str | None = None) -> Counts:
    """:func:`read` what is open already; ``file`` is its name in errors."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape")  # \r, \n and \r\n end lines
    try:
        lines = Lines(file, text)
        columns = columns_of(lines, reading)
        if columns is None:
            found, said = (_counts if _are_counts(lines, reading) else _labels)(lines, reading)
        else:
            found, said = _last_labels(lines, columns, reading) if columns.count is None else _table(lines, columns)
    finally:
        text.detach()  # standard input stays open
    if len(found) < 2:
        raise ValueError(f"{file} has one class only, {next(iter(found))!r}: at least 2 are needed for a geometry.")
    counts = Counts(found)
    counts.reading = said
    return counts


def _are_counts(lines: Lines, reading: str | None) -> bool:
    first, below = lines.head[0].strip(), filter(str.strip, lines.head[1:])
    return reading == "counts" or (
        reading is None and heading(first) == "count" and all(is_whole(line.strip()) for line in below)
    )


def _counts(lines: Lines, reading: str | None) -> tuple[dict[str, int], str]:
    found: dict[str, int] = {}
    header = heading(lines.head[0].strip()) == "count"
    for line, block in lines.blocks():
        for at, text in enumerate(block, line):
            text = lines.checked(at, text).strip()
            if text and not (header and at == lines.first):
                name = str(len(found))
                found[name] = _whole(lines, at, name, text)
    if not found:
        raise ValueError(f"{lines.file} has a header and no rows: give one count per line.")
    return found, "one count per line" + (f" under the heading {quoted(lines.head[0].strip())}" if header else "")


def _labels(lines: Lines, reading: str | None) -> tuple[dict[str, int], str]:
    """Counts of whole lines; each different one is looked at once, so that 10^7 of them take a second or two."""
    found = _tally(lines)
    first, said = lines.head[0].strip(), "one label per line"
    kind = heading(first) if found[first] == 1 and len(found) > 1 else None
    header = kind == "label" or (kind == "count" and all(is_whole(label) for label in found if label != first))
    if header:
        del found[first]
        said += f", under the heading {quoted(first)}"
    if reading is None:
        _refuse_other_readings(lines.file, found, header)
    script = labels_command(lines.file, "awk '{print $NF}'")
    _refuse_too_many(lines.file, found, "lines", reading, f" For lines that end in a label: {script}")
    return found, said


def _tally(lines: Lines) -> dict[str, int]:
    raw: collections.Counter[str] = collections.Counter()
    found: dict[str, int] = {}
    for line, block in lines.blocks():
        known = len(raw)
        raw.update(block)
        for new in itertools.islice(raw, known, None):
            try:
                lines.checked(line, new)
            except ValueError:
                lines.checked(line + block.index(new), new)
    for text, times in raw.items():
        name = text.strip()
        if name:
            found[name] = found.get(name, 0) + times
    return found


def _refuse_other_readings(file: str, found: dict[str, int], header: bool) -> None:
    """What is read as labels must not be read as well as something else."""
    names = iter(found)
    first = next(names)
    if not header and heading(first) == "label" and found[first] > 1:
        raise ValueError(f"{file}: is {quoted(first)} a heading or a class? If it is a class, {_SAY_LABELS}.")
    if not header and all(is_whole(name, 1) for name in found):
        total = sum(int(number(name) or 0) * times for name, times in found.items())
        samples = sum(found.values())
        raise ValueError(
            f"{file} holds a whole number on each line, which can be a count ({samples} classes, {total} samples) or a "
            f"label ({len(found)} classes, {samples} samples); {SAY}."
        )
    if found[first] == 1 and number(first) is None and len(found) > 2 and all(map(is_whole, names)):
        raise ValueError(
            f"{file}: {quoted(first)} stands over numbers. If it is their heading, call it label or count, or leave it "
            f"out; if it is a label, {_SAY_LABELS}."
        )
    comment = next((name for name in found if name.startswith("# ")), None)
    if comment is not None:
        raise ValueError(f"{file}: {quoted(comment)} looks like a comment: leave it out. If not, {_SAY_LABELS}.")
    if all(map(is_file, found)):
        raise ValueError(
            f"{file} holds names of files ({quoted(first)}), not labels; if the folder is the label: "
            + labels_command(file, "awk -F/ '{print $(NF-1)}'")
        )


def _refuse_too_many(file: str, found: Mapping[str, int], what: str, reading: str | None, hint: str) -> None:
    """Where nearly all labels differ, the lines are no labels, or not these."""
    samples, different = sum(found.values()), len(found)
    if different > 1 and (samples == different or (reading is None and mostly_differ(different, samples))):
        how = "all" if samples == different else f"{different} of the"
        raise ValueError(
            f"{file}: {how} {samples} {what} differ (the first is {quoted(next(iter(found)))}), so nearly every class "
            f"would have one sample; for a list of counts give class,count rows.{hint}"
        )


def _last_labels(lines: Lines, columns: Columns, reading: str | None) -> tuple[dict[str, int], str]:
    """Every line is a sample; its label is one of its fields."""
    found: collections.Counter[str] = collections.Counter()
    rows, header = _rows(lines, columns)
    name = columns.name
    found.update(row[name] or _refuse_empty(lines, line) for line, row in rows)
    if not found:
        raise ValueError(f"{lines.file} has a header and no rows: give one label per line.")
    _refuse_too_many(lines.file, found, "labels", reading, "")
    return dict(found), f"column {header[name]!r}, one label per line" if header else "label at the end of each line"


def _table(lines: Lines, columns: Columns) -> tuple[dict[str, int], str]:
    found: dict[str, int] = {}
    at: dict[str, int] = {}
    rows, header = _rows(lines, columns)
    for line, row in rows:
        name, count = row[columns.name], row[columns.count or 0]
        if not name:
            _refuse_empty(lines, line)
        if name in found:
            raise lines.refusal(line, f"class {name!r} is already on line {at[name]}; add them up.")
        found[name], at[name] = _whole(lines, line, name, count), line
    if not found:
        raise ValueError(f"{lines.file} has a header and no rows: give class,count rows.")
    said = "count,class rows" if columns.mark == AFTER_FIRST else "class,count rows"
    if header:
        said += f" under the header {quoted(','.join(header))}"
    total = sum_of_others(found)
    if total is not None:
        del found[total]
        said += f" without {total!r}, the sum of the others"
    for name in filter(called_total, found):
        others = sum(found.values()) - found[name]
        raise lines.refusal(
            at[name], f"{name!r} is {found[name]}, but the others sum to {others}: remove it, or rename the class."
        )
    return found, said


def _rows(lines: Lines, columns: Columns) -> tuple[Rows, list[str]]:
    """The rows below the header, each as wide as the first line, and the header's fields."""
    rows = lines.rows(columns.mark)
    at, first = next(rows)

    def of_one_width() -> Rows:
        for line, row in rows if columns.header else itertools.chain([(at, first)], rows):
            if len(row) != len(first):
                raise lines.refusal(line, f"{len(row)} column(s) where the first line has {len(first)}.")
            yield line, row

    return of_one_width(), first if columns.header else []


def _whole(lines: Lines, line: int, name: str, text: str) -> int:
    if is_whole(text, 1):
        return int(number(text) or 0)
    raise lines.refusal(
        line,
        f"count = {text!r} of class {name!r} is out of range: it must be a whole number >= 1. Leave classes without "
        f"samples out; if these are labels, {_SAY_LABELS}.",
    )


def _refuse_empty(lines: Lines, line: int) -> NoReturn:
    raise lines.refusal(line, "the class name is empty; name every class.")
