"""Reproduction: a figure or table of a paper as data, picture and numbers to check, with what it claims."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import jax

from .figure_files import check_figure, write_figure
from .files import check_writable, write_dataset


class Verdict(StrEnum):
    """What a reproduction says of a published statement."""

    reproduced = "reproduced"
    counterexample = "counterexample"


@dataclass(frozen=True)
class Claim:
    """A published statement that a reproduction decides; ``prior`` names who said so before ``source``."""

    statement: str
    source: str
    prior: str = ""
    verdict: Verdict = Verdict.reproduced


@dataclass(frozen=True)
class Check:
    """A number beside what it must be to every digit of ``expected``: half a unit of the last, and a tenth more."""

    what: str
    found: float
    expected: str

    @property
    def ok(self) -> bool:
        """Whether they agree; a NaN agrees with nothing."""
        mantissa, _, exponent = self.expected.lower().partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        return abs(self.found - float(self.expected)) <= 0.6 * unit

    def __str__(self) -> str:
        return f"{'ok' if self.ok else 'DIFFERS':<8} {self.what}: {self.found:.12g}, expected {self.expected}"


@dataclass(frozen=True)
class Reproduction:
    """One figure or table: what it needs to be computed, checked and drawn, in words and as functions.

    ``compute`` returns an xarray.Dataset, in float64; ``checks`` compares it with numbers known from elsewhere (a
    closed form, a solver that shares no code, the paper); ``draw`` returns a matplotlib Figure of it.
    """

    title: str
    source: str
    setting: str
    differs: str
    compute: Callable[[], Any]
    checks: Callable[[Any], Sequence[Check]]
    draw: Callable[[Any], Any]
    claims: tuple[Claim, ...] = ()

    def words(self, prefix: str = "") -> dict[str, str]:
        """What it is, in words, for files."""
        return {prefix + word: getattr(self, word) for word in ("title", "source", "setting", "differs")}


@dataclass(frozen=True)
class Reproduced:
    """What :func:`lpmjax.reproduce` returns: an xarray.Dataset, checks, and :meth:`figure` and :meth:`write`."""

    name: str
    of: Reproduction
    data: Any = field(repr=False)
    checks: tuple[Check, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether there are checks and all agree."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def figure(self) -> Any:
        """A new matplotlib Figure."""
        with jax.enable_x64(True):
            return self.of.draw(self.data)

    def write(self, folder: Any) -> list[Path]:
        """Write ``name.nc`` and ``name.png`` to a folder, which is made, and return them; OSError names a bad place."""
        data, picture = (Path(folder) / f"{self.name}.{suffix}" for suffix in ("nc", "png"))
        check_figure(picture)
        check_writable(data)
        write_dataset(data, self.data)
        write_figure(picture, self.figure())
        return [data, picture]

    def record(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        checks = [{"what": c.what, "found": c.found, "expected": c.expected, "ok": c.ok} for c in self.checks]
        return {"name": self.name, "ok": self.ok, **self.of.words(), "seconds": self.seconds, "checks": checks}

    def __str__(self) -> str:
        of = self.of
        head = [f"{self.name}: {of.title}", f"source:  {of.source}", f"setting: {of.setting}", f"differs: {of.differs}"]
        return "\n".join([*head, *map(str, self.checks)])
