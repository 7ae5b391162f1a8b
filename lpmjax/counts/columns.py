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
    header = len(rows) > 1 and _is_header(rows)
    body = rows[1:] if header else rows
    if any(len(row) != 2 for row in body):
        return None
    counted = lines.head_rows(AFTER_FIRST)[header:]
    if reading != "labels" and _is_output_of_uniq(counted):
        numbers = [count for count, _ in counted]
        repeat = len(set(numbers)) < len(numbers)
        if reading is None and (are_codes(numbers) or (repeat and all(is_file(name) for _, name in counted))):
            raise _two_ways(lines, counted[0], f"{len(counted)} lines, {len(set(numbers))} different numbers")
        return Columns(AFTER_FIRST, 1, 0, header)
    firsts, lasts = [first for first, _ in body], [last for _, last in body]
    table = all(map(is_whole, lasts))
    if table and not header and reading != "labels" and all(are_numbers(first.split()) for first in firsts):
        raise lines.refusal(
            lines.first,
            f"{quoted(' '.join(body[0]))}: which number is the class, and which the count? Add a header (class count), "
            "or give one number per line.",
        )
    kind = heading(rows[0][-1]) if header else None
    if reading == "counts" or (reading is None and kind == "count"):
        return Columns(BEFORE_LAST, 0, 1, header) if table and kind != "label" else None
    if reading == "labels" or kind == "label":
        return Columns(BEFORE_LAST, 1, header=header) if _label_is_last(body) else None
    if all(map(is_file, firsts)):
        return _of_files(lines, BEFORE_LAST, body)
    if not table or not mostly_differ(len(set(firsts)), len(body)):
        return None
    if all(len(first.split()) > 1 and are_numbers(first.split()[1:]) for first in firsts):
        raise _two_ways(lines, body[0], "more than one number follows the name")
    if len(set(lasts)) < len(lasts) or are_codes(lasts):
        return _coded_or_refused(lines, BEFORE_LAST, body)
    return Columns(BEFORE_LAST, 0, 1)


def _is_output_of_uniq(rows: list[list[str]]) -> bool:
    """Whether lines hold a count and then a name that never repeats, as ``uniq -c`` prints."""
    counts = all(is_whole(count, 1) and not are_numbers(name.split()) for count, name in rows)
    return counts and len({name for _, name in rows}) == len(rows)


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first line holds headings, which no other line repeats, over columns that fit them."""
    first, body = rows[0], rows[1:]
    kinds = [heading(field) for field in first]
    if len(first) != 2 or not any(kinds) or any(len(row) != 2 or row[1] == first[1] for row in body):
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
    if are_codes(lasts) and "0" in lasts and 2 * len(set(lasts)) <= len(lasts):
        return Columns(mark, 1)
    raise _two_ways(lines, pairs[0], f"{len(lasts)} lines, {len(set(lasts))} different numbers")


def _two_ways(lines: Lines, first: list[str], why: str) -> ValueError:
    return lines.refusal(
        lines.first,
        f"{quoted(' '.join(first))} can be class and count, or a sample and its label or number ({why}); {SAY}.",
    )
