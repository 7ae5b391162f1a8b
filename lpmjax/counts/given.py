"""Class counts as callers hold them: a sequence, an array, a mapping, a pandas Series, an xarray DataArray."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arguments import require

MOST = 2**53  #: a float counts no further
_SUMS = {"total", "totals", "grand total", "sum", "overall", "all"}


class Counts(dict[str, int]):
    """Count of each class as read from a file, and ``reading``, which says in words how the file was taken."""

    reading = ""


def class_counts(counts: Any, names: Sequence[Any] | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and whole-number counts of K >= 2 classes.

    Names are the keys of a mapping, the index of a Series or the coordinate of a DataArray; ``names`` are for counts
    that come without any, or whose keys are 0 to K - 1 in order.

    Raises ValueError for anything else than one count a class, counts that are not whole numbers >= 1 or are masked,
    names that repeat or do not match, and a class that is the sum of all others (see ``sum_of_others``).
    """
    own, values = _names_and_values(counts)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iuf"):
        raise _unfit(f"shape {values.shape}, {values.dtype}")
    if values.size < 2:
        raise ValueError(f"counts has {values.size} class(es): it must have at least 2. One class has no geometry.")
    remedy = "Leave classes without samples out."
    require("counts", values, "whole numbers >= 1", lambda n: (n >= 1) & (n < MOST) & (n == np.floor(n)), remedy)
    numbered = tuple(map(str, range(values.size)))
    own = numbered if own is None else own
    if names is not None and own != numbered:
        raise ValueError(f"names come with counts ({own[0]!r} is the first): leave names out, or pass a bare sequence.")
    labels = own if names is None else _names(names)
    if len(labels) != values.size:
        raise ValueError(f"names has {len(labels)} entries, counts has {values.size}: give one name for each class.")
    repeated = [name for name, times in collections.Counter(labels).items() if times > 1]
    if repeated:
        raise ValueError(f"names holds {repeated[0]!r} more than once: give every class a name of its own.")
    values = values.astype(np.int64)
    total = sum_of_others(dict(zip(labels, values.tolist(), strict=True)))
    if total is not None:
        raise ValueError(f"counts[{total!r}] is the sum of all other counts, not a class: leave it out.")
    return labels, values


def sum_of_others(found: Mapping[str, int]) -> str | None:
    """The name of an entry that is called a total, and is: its count is the sum of the others."""
    for name, count in found.items():
        if called_total(name) and 2 * count == sum(found.values()):
            return name
    return None


def called_total(name: str) -> bool:
    """Whether a row of this name is more likely a sum than a class."""
    return name.strip(" :").lower() in _SUMS


def by_class(name: str, values: Any, labels: tuple[str, ...]) -> Any:
    """Values, one a class, in the order of the classes: by their own names, if they come with those of the classes.

    ValueError if they come with other names, except 0 to K - 1 in order, which are positions.
    """
    own = None if values is None else _own_names(values)
    if own is None:
        return values
    entries = np.asarray(list(values.values()) if isinstance(values, Mapping) else values)
    if set(own) == set(labels) and len(own) == len(labels):
        place = {label: k for k, label in enumerate(own)}
        return entries[[place[label] for label in labels]]
    if own == tuple(map(str, range(len(own)))):
        return entries
    odd = sorted(set(labels).symmetric_difference(own))
    raise ValueError(f"{name} must name each class once, as counts does; {odd[0] if odd else own[0]!r} does not fit.")


def _names_and_values(counts: Any) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """Names that come with the counts, if any, and the counts."""
    if isinstance(counts, (str, bytes, bytearray, set, frozenset)) or not hasattr(counts, "__iter__"):
        raise _unfit(repr(counts)[:60])
    if getattr(counts, "ndim", 1) != 1:
        raise _unfit(f"{type(counts).__name__} of shape {counts.shape}")
    if _masked(counts):
        raise ValueError("counts has masked entries: leave their classes out, as counts.compressed() does.")
    own, entries = _own_names(counts), counts.values() if isinstance(counts, Mapping) else counts
    try:
        return own, np.asarray(entries if hasattr(entries, "dtype") else list(entries))
    except ValueError:
        raise _unfit("rows of different lengths") from None


def _own_names(values: Any) -> tuple[str, ...] | None:
    """Keys, coordinate or index; pandas and xarray are known by what they offer."""
    if isinstance(values, Mapping):
        return tuple(map(str, values.keys()))
    if hasattr(values, "dims") and hasattr(values, "coords"):
        return _coordinate(values)
    if hasattr(values, "items") and hasattr(values, "index"):
        return tuple(map(str, values.index))
    return None


def _coordinate(values: Any) -> tuple[str, ...] | None:
    """Names along the only dimension of a DataArray: its coordinate, or the only other one."""
    along = {name: c for name, c in values.coords.items() if c.dims == values.dims}
    named = along.get(values.dims[0], next(iter(along.values()), None))
    if len(along) > 1 and values.dims[0] not in along:
        raise ValueError(f"a DataArray has the coordinates {', '.join(map(str, along))}: keep the one of the classes.")
    return None if named is None else tuple(map(str, np.asarray(named).tolist()))


def _names(names: Any) -> tuple[str, ...]:
    if isinstance(names, (str, bytes, Mapping, set, frozenset)) or not hasattr(names, "__iter__"):
        raise ValueError(f"names must be a sequence with one name for each class, got {names!r}.")
    if _masked(names):
        raise ValueError("names has masked entries: give every class a name.")
    return tuple(map(str, names))


def _masked(values: Any) -> bool:
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())


def _unfit(got: str) -> ValueError:
    return ValueError(
        "counts must be a one-dimensional sequence or array of whole numbers >= 1, a mapping or Series from class to "
        f"count, or the path of a file; got {got}."
    )
