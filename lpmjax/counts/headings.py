"""What the fields of a file look like: headings of columns, names of files, codes of classes."""

import re
from collections.abc import Sequence

from .lines import is_whole, number

_FILE = re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,4}", re.DOTALL)
_COUNT = {"count", "counts", "num", "number", "n", "samples", "images", "instances", "examples", "frequency", "freq"}
_LABEL = {"label", "labels", "class", "classes", "target", "targets", "category", "categories"}
_BESIDE = {"of", "no", "per", "in", "id", "ids", "idx", "index", "name", "names", "train", "training", "total", "true"}
_MOSTLY = 0.9  #: share of lines from which on what should repeat is said not to


def heading(field: str) -> str | None:
    """``count`` or ``label`` if the field is a usual heading of such a column."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", field)}
    if not words or words - _COUNT - _LABEL - _BESIDE:
        return None
    return "count" if words & _COUNT else "label" if words & _LABEL else None


def is_file(text: str) -> bool:
    """Whether the text ends like the name of a file."""
    return _FILE.fullmatch(text) is not None


def are_numbers(words: Sequence[str]) -> bool:
    """Whether all are numbers."""
    return all(number(word) is not None for word in words)


def are_codes(fields: Sequence[str]) -> bool:
    """Whether they look like codes of classes or numbers of lines: 0 to m or 1 to m, repeated or in that order."""
    if not all(map(is_whole, set(fields))):
        return False
    codes = [int(number(field) or 0) for field in fields]
    different, least = len(set(codes)), min(codes)
    consecutive = least in (0, 1) and max(codes) - least == different - 1 > 0
    return consecutive and (different < len(codes) or codes == sorted(codes))


def mostly_differ(distinct: int, lines: int) -> bool:
    """Whether so many of the lines differ that they cannot be classes with samples."""
    return distinct > _MOSTLY * lines
