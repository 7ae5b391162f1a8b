"""Which fields of a file's lines hold class and count, or the label; what can be taken in two ways is refused."""

import re
import shlex
from typing import NamedTuple

from .headings import are_codes, are_numbers, heading, is_file, mostly_differ
from .lines import AFTER_FIRST, BEFORE_LAST, Lines, is_whole, number, quoted

SAY = "say --counts or --labels (reading='counts' or 'labels' in Python)"
_JSON = re.compile(r"""[\[{]\s*(["'\d\[{}\]-]|$)""")


class Columns(NamedTuple):
    """Where a line's class and count are. Without ``count`` every line is a sample of the class that it names."""

    mark: str  #: what separates the fields: , ; tab, BEFORE_LAST or AFTER_FIRST
    name: int
    count: int | None = None
    header: bool = False


def labels_command(file: str, script: str) -> str:
    """What counts a part of every line as its label."""
    source = "" if file == "standard input" else f" {shlex.quote(file)}"
    return f"{script}{source} | lpmjax diagnose - --labels"


def columns_of(lines: Lines, reading: str | None) -> Columns | None:
    """Columns of the file, None if it has one only: every whole line is a label or a count.

    ``reading`` is what the caller says that the lines hold, "labels" or "counts", or None. A line has fields if the
    first holds a tab, semicolon or comma (the first of these that it holds separates them, so that no thousands are
    cut), or if white space parts every line and what follows the last of it are numbers, or labels of files.
    """
    first = lines.head[0].rstrip()
    if reading != "labels" and _JSON.match(first):
        raise lines.refusal(
            lines.first,
            f"{quoted(first)} looks like JSON: give class,count rows, or what json.load returns to lpmjax.diagnose.",
        )
    for mark in "\t;,":
        if mark in first:
            return _separated(lines, mark, reading)
    return _spaced(lines, reading)


def _separated(lines: Lines, mark: str, reading: str | None) -> Columns | None:
    rows = lines.head_rows(mark)
    heads = [heading(field) for field in rows[0]]
    if any(heads) and not any(number(field) is not None or is_file(field) for field in rows[0]):
        return _under_header(lines, mark, rows[0], heads, reading)
    pairs = [row for row in rows if len(row) == 2]
    if reading == "labels":
        return Columns(mark, 1) if len(pairs) == len(rows) and _label_is_last(pairs) else None
    if reading is None and len(pairs) == len(rows):
        if all(is_file(first) for first, _ in pairs):
            return _of_files(lines, mark, pairs)
        if are_codes([last for _, last in pairs]) and mostly_differ(len({first for first, _ in pairs}), len(pairs)):
            return _coded_or_refused(lines, mark, pairs)
    if len(rows[0]) == 2 and number(rows[0][1]) is not None:
        return Columns(mark, 0, 1)
    raise lines.refusal(lines.first, _no_table(lines.file, mark, rows[0]))


def _no_table(file: str, mark: str, first: list[str]) -> str:
    shown = quoted(mark.join(first))
    if are_numbers(first):
        return (
            f"{shown} holds {len(first)} numbers: add a header that names the columns class and count, or give one "
            "number per line."
        )
    script = "cut -f2" if mark == "\t" else f"cut -d{shlex.quote(mark)} -f2"
    return (
        f"{shown} is neither class,count with a number in the second column nor a header that names the columns class "
        "and count (or label); add such a header. Labels in the second column are counted by: "
        + labels_command(file, script)
    )


def _under_header(lines: Lines, mark: str, names: list[str], heads: list, reading: str | None) -> Columns:
    """By headings: ``class`` and ``count`` themselves win, then the only ones of their kind."""

    def column(kind: str, word: str) -> int | None:
        exact = [i for i, name in enumerate(names) if name.lower() == word]
        found = exact or [i for i, head in enumerate(heads) if head == kind]
        return found[0] if len(found) == 1 else None

    count, label = column("count", "count"), column("label", "class")
    if label is None:
        label = column("label", "label")
    if count is not None and label is None and len(names) == 2 and reading != "labels":
        label = 1 - count
    if label is None or (count is None and ("count" in heads or reading == "counts")):
        raise lines.refusal(
            lines.first,
            f"the header {quoted(mark.join(names))} does not say which column holds what: name one class and one "
            "count, or one label.",
        )
    return Columns(mark, label, None if reading == "labels" else count, header=True)


def _spaced(lines: Lines, reading: str | None) -> Columns | None:
    rows = lines.head_rows(BEFORE_LAST)
    if len(rows) > 1 and _is_header(rows):
        return _spaced_under_header(lines, rows[0], rows[1:], reading)
    if any(len(row) != 2 for row in rows):
        return None
    return _output_of_uniq(lines, reading) or _name_and_number(lines, rows, reading)


def _spaced_under_header(lines: Lines, header: list[str], body: list[list[str]], reading: str | None) -> Columns | None:
    if reading != "labels" and heading(header[0]) == "count":
        return Columns(AFTER_FIRST, 1, 0, header=True)
    if reading != "labels" and heading(header[1]) == "count":
        return Columns(BEFORE_LAST, 0, 1, header=True)
    if reading == "counts" or not _label_is_last(body):
        return None
    words = len(header[0].split())
    for name, label in body:
        if len(name.split()) != words and not is_file(name):
            shown = quoted(f"{name} {label}")
            raise lines.refusal(lines.first, f"{shown} has not as many words as the header; separate fields by tabs.")
    return Columns(BEFORE_LAST, 1, header=True)


def _output_of_uniq(lines: Lines, reading: str | None) -> Columns | None:
    """A count and then a name that never repeats on every line, as ``uniq -c`` prints."""
    counts, names = zip(*lines.head_rows(AFTER_FIRST), strict=True)
    if reading == "labels" or len(set(names)) < len(names):
        return None
    if any(not is_whole(count, 1) for count in counts) or any(are_numbers(name.split()) for name in names):
        return None
    repeat = len(set(counts)) < len(counts)
    if reading is None and (are_codes(counts) or (repeat and all(map(is_file, names)))):
        raise _two_ways(lines, [counts[0], names[0]], f"{len(counts)} lines, {len(set(counts))} different numbers")
    return Columns(AFTER_FIRST, 1, 0)


def _name_and_number(lines: Lines, rows: list[list[str]], reading: str | None) -> Columns | None:
    firsts, lasts = zip(*rows, strict=True)
    if reading == "labels":
        return Columns(BEFORE_LAST, 1) if _label_is_last(rows) else None
    table = all(map(is_whole, lasts))
    if table and all(is_whole(first.split()[0]) for first in firsts):
        raise lines.refusal(
            lines.first,
            f"{quoted(' '.join(rows[0]))}: which number is the class, and which the count? Add a header (class count), "
            "or give one number per line.",
        )
    if reading == "counts":
        return Columns(BEFORE_LAST, 0, 1) if table else None
    if all(map(is_file, firsts)):
        return _of_files(lines, BEFORE_LAST, rows)
    if not table or not mostly_differ(len(set(firsts)), len(rows)):
        return None
    if all(len(first.split()) > 1 and are_numbers(first.split()[1:]) for first in firsts):
        raise _two_ways(lines, rows[0], "more than one number follows the name")
    if len(set(lasts)) < len(lasts) or are_codes(lasts):
        return _coded_or_refused(lines, BEFORE_LAST, rows)
    return Columns(BEFORE_LAST, 0, 1)


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first line holds headings, which no other line repeats, over columns that fit them."""
    first, body = rows[0], rows[1:]
    kinds = [heading(field) for field in first]
    words = " ".join(first).split()
    if len(first) != 2 or not any(kinds) or any(number(word) is not None for word in words):
        return False
    if any(len(row) != 2 or row[1] == first[1] for row in body):
        return False
    if kinds[1] == "count":
        return all(is_whole(last) for _, last in body)
    if kinds[0] == "count":
        return all(is_whole(row[0].split(None, 1)[0]) for row in body)
    return kinds[1] == "label" and mostly_differ(len({row[0] for row in body}), len(body))


def _label_is_last(pairs: list[list[str]]) -> bool:
    """Whether lines name a sample each and then its label: the first field differs, or is a file, the last repeats."""
    firsts, lasts = {first for first, _ in pairs}, {last for _, last in pairs}
    differ = mostly_differ(len(firsts), len(pairs)) or all(map(is_file, firsts))
    return differ and len(lasts) < len(pairs)


def _of_files(lines: Lines, mark: str, pairs: list[list[str]]) -> Columns:
    if _label_is_last(pairs):
        return Columns(mark, 1)
    raise lines.refusal(
        lines.first,
        f"the lines begin with names of files ({quoted(pairs[0][0])}), and what follows never repeats: give one label "
        "per line, or say --counts if these are the classes (reading='counts' in Python).",
    )


def _coded_or_refused(lines: Lines, mark: str, pairs: list[list[str]]) -> Columns:
    """Labels if they are 0 to m, each twice on average: no count is 0. Else they can be counts as well."""
    lasts = [last for _, last in pairs]
    one_word = mark != BEFORE_LAST or all(len(first.split()) == 1 for first, _ in pairs)
    if one_word and are_codes(lasts) and "0" in lasts and 2 * len(set(lasts)) <= len(lasts):
        return Columns(mark, 1)
    raise _two_ways(lines, pairs[0], f"{len(lasts)} lines, {len(set(lasts))} different numbers")


def _two_ways(lines: Lines, first: list[str], why: str) -> ValueError:
    return lines.refusal(
        lines.first,
        f"{quoted(' '.join(first))} can be class and count, or a sample and its label or number ({why}); {SAY}.",
    )
