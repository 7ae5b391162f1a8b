"""Lines of a text file: any line ends, checked to be text, and their fields."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import numpy as np

from .given import MOST

BEFORE_LAST, AFTER_FIRST = "before the last", "after the first"  #: which white space parts a line into two fields
_LONGEST = 2**20  #: characters; a longer first line is no text file of labels
_BLOCK = 2**14  #: lines
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def number(text: str) -> float | None:
    """What the text says if it is a number as files write them (``float`` takes more)."""
    return float(text) if _NUMBER.fullmatch(text) else None


def is_whole(text: str, least: float = -MOST) -> bool:
    """Whether the text is a whole number, not below ``least``."""
    value = number(text)
    return value is not None and least <= value < MOST and value == np.floor(value)


class Lines:
    """The lines of a file from the first that is not blank on; ``head``, the first 16,384, can be looked at before.

    The rest is streamed, once. ``text`` must decode with ``surrogateescape``: a line that is not text is refused by
    its number where it is used.
    """

    def __init__(self, file: str, text: TextIO):
        for before in itertools.count():
            line = text.readline(_LONGEST)
            if not line:
                raise ValueError(f"{file} is empty: give class,count rows, or one label per line.")
            self.file, self.first = file, before + 1
            if len(line) == _LONGEST:
                raise self.refusal(before + 1, f"longer than {_LONGEST} characters; give one label per line.")
            if line.strip():
                break
        self.head = [self.checked(self.first, line), *itertools.islice(text, _BLOCK - 1)]
        self._rest = text

    def refusal(self, line: int, what: str) -> ValueError:
        """The error for this line."""
        return ValueError(f"{self.file}, line {line}: {what}")

    def checked(self, line: int, text: str) -> str:
        """The same text, if it is text."""
        if _NOT_TEXT.search(text):
            start = text[:12].encode("utf-8", "surrogateescape")
            raise self.refusal(line, f"{start!r} is not text; give UTF-8 text, uncompressed.")
        return text

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """All lines as they are, unchecked, some at a time, each time with the number of the first."""
        line, block = self.first, self.head
        while block:
            yield line, block
            line += len(block)
            block = list(itertools.islice(self._rest, _BLOCK))

    def rows(self, mark: str) -> Iterator[tuple[int, list[str]]]:
        """The fields of every line that is not blank, with its number; ``mark`` separates them."""
        return self._rows(self._text(), mark, strict=True)

    def head_rows(self, mark: str) -> list[list[str]]:
        """:meth:`rows` of the head alone; a quotation that its end cuts off is no error."""
        return [row for _, row in self._rows(self.head, mark, strict=False)]

    def _text(self) -> Iterator[str]:
        for line, block in self.blocks():
            if _NOT_TEXT.search("".join(block)):
                block = itertools.starmap(self.checked, enumerate(block, line))
            yield from block

    def _rows(self, text: Iterable[str], mark: str, strict: bool) -> Iterator[tuple[int, list[str]]]:
        if mark in (BEFORE_LAST, AFTER_FIRST):
            for line, row in enumerate(text, self.first):
                row = row.strip()
                if row:
                    yield line, row.rsplit(None, 1) if mark == BEFORE_LAST else row.split(None, 1)
            return
        reader = csv.reader(text, delimiter=mark, strict=strict)
        try:
            for fields in reader:
                row = [field.strip() for field in fields]
                if any(row):
                    yield self.first - 1 + reader.line_num, row
        except csv.Error as error:
            raise self.refusal(self.first - 1 + reader.line_num, f"{error}; give class,count rows.") from None


def quoted(text: Any) -> str:
    """The beginning of a line for a message."""
    return repr(str(text)[:60])
