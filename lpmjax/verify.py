"""verify: each theorem's proof, step by step, and the solvers against its closed forms on a grid of its domain."""

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .arguments import require_callable, require_type
from .settings import nan_is_a_value

if TYPE_CHECKING:  # SymPy takes a second to import, and only verification needs it
    from proofs import Theorem

#: Largest relative error, in float64, at which a solver agrees with a closed form.
TOLERANCE = 1e-10


class Verdict(enum.StrEnum):
    """What a row amounts to; only the first two pass."""

    agrees = "agrees"
    no_solver = "no solver yet"
    undecided = "undecided"
    uncertified = "uncertified"
    counterexample = "counterexample"

    @property
    def meaning(self) -> str:
        """The verdict in a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.agrees: "every step is proved or cited, and the certified solutions agree with the closed forms.",
    Verdict.no_solver: "the steps are proved or cited, but lpmjax has no solver for this model yet: NOT checked "
    "numerically.",
    Verdict.undecided: "a step of the proof could not be decided.",
    Verdict.uncertified: "some solutions are not certified, so they neither support nor contradict the closed forms.",
    Verdict.counterexample: "counterexample to the statement as given here.",
}


@dataclass(frozen=True)
class Row:
    """One theorem: counts of its proof steps, and the comparison with the solvers (``worst`` None if there is none)."""

    theorem: str
    title: str
    proved: int
    cited: int
    undecided: int
    refuted: int
    route: str
    cells: int
    certified: int
    outside: int  #: cells of the grid outside the theorem's domain, not compared
    worst: float | None
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Nothing is undecided, uncertified or contradicted."""
        return self.verdict in (Verdict.agrees, Verdict.no_solver)

    def columns(self) -> tuple[str, ...]:
        """Theorem, proved, cited, cells, cells outside, worst error and verdict, as text."""
        worst = "-" if self.worst is None else f"{self.worst:.1e}"
        counts = (self.proved, self.cited, self.cells, self.outside)
        return self.theorem, *map(str, counts), worst, self.verdict.value


@dataclass(frozen=True)
class Verification:
    """The rows of :func:`verify`, one per theorem."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """True if every row passes."""
        return all(row.ok for row in self.rows)

    def notes(self) -> list[str]:
        """What the verdicts that occur mean, with the theorems they concern."""
        lines = []
        for verdict in Verdict:
            here = [row.theorem for row in self.rows if row.verdict == verdict]
            if here:
                lines.append(f"{verdict.value} ({len(here)}): {verdict.meaning}")
            if here and verdict is not Verdict.agrees:
                lines.append(f"  {', '.join(here)}")
        return lines

    def record(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        rows = [asdict(row) | {"verdict": row.verdict.value, "ok": row.ok} for row in self.rows]
        return {"ok": self.ok, "tolerance": TOLERANCE, "theorems": rows}

    def __str__(self) -> str:
        layout = "{:<24} {:>6} {:>5} {:>5} {:>7} {:>8}  {}"
        head = layout.format("theorem", "proved", "cited", "cells", "outside", "error", "verdict")
        return "\n".join([head, *(layout.format(*row.columns()) for row in self.rows), *self.notes()])


@nan_is_a_value
def verify(
    theorems: "str | Sequence[str | Theorem] | None" = None, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check theorems of ``proofs``: the proof steps symbolically, then closed forms against solvers, in float64.

    Solvers and closed forms meet on a grid inside the theorem's domain, with no formula in common where that is
    possible (:mod:`lpmjax.verification.registry`); each solution brings its certificate of optimality.

    Parameters
    ----------
    theorems : identifiers in ``proofs.THEOREMS`` (one will do), or ``proofs.Theorem`` objects, for instance a variant
        that should fail; by default all.
    progress : called with (theorems done, theorems in all).

    Raises
    ------
    ValueError
        For an unknown identifier, naming the known ones.
    """
    from proofs import THEOREMS, Theorem

    require_callable("progress", progress, "called with (theorems done, theorems in all)")
    listed = [theorems] if isinstance(theorems, (str, Theorem)) else theorems
    require_type("theorems", listed, (Iterable, type(None)), "identifiers of theorems, such as ['lpm.kkt']")
    chosen = list(THEOREMS if listed is None else listed)
    if not chosen:
        raise ValueError(f"theorems is empty, which would verify nothing: choose from {', '.join(THEOREMS)}.")
    for name in chosen:
        if not isinstance(name, Theorem) and name not in list(THEOREMS):
            raise ValueError(f"theorems holds {name!r}, which is unknown: choose from {', '.join(THEOREMS)}.")
    rows = []
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        for done, choice in enumerate(chosen):
            if progress is not None:
                progress(done, len(chosen))
            rows.append(_row(THEOREMS[choice] if isinstance(choice, str) else choice))
    if progress is not None:
        progress(len(chosen), len(chosen))
    return Verification(tuple(rows))


def _row(theorem: "Theorem") -> Row:
    from proofs import Verdict as Step

    from .verification.registry import COMPARISONS

    report = theorem.check()
    undecided, refuted = report.count(Step.UNDECIDED), report.count(Step.REFUTED)
    compare = COMPARISONS.get(theorem.id)
    comparison = None if compare is None else compare(theorem.closed_forms)
    worst = None if comparison is None else float(np.max(comparison.errors))
    certified = comparison is None or comparison.certified == comparison.cells
    if refuted:
        verdict = Verdict.counterexample
    elif worst is not None and not worst <= TOLERANCE:
        # A solution that is not certified contradicts nothing.
        verdict = Verdict.counterexample if certified else Verdict.uncertified
    elif undecided:
        verdict = Verdict.undecided
    elif comparison is None:
        verdict = Verdict.no_solver
    else:
        verdict = Verdict.agrees if certified else Verdict.uncertified
    return Row(
        theorem=theorem.id,
        title=theorem.title,
        proved=report.count(Step.PROVED),
        cited=report.count(Step.CITED),
        undecided=undecided,
        refuted=refuted,
        route="no solver yet: not checked numerically" if comparison is None else comparison.route,
        cells=0 if comparison is None else comparison.cells,
        certified=0 if comparison is None else comparison.certified,
        outside=0 if comparison is None else comparison.outside,
        worst=worst,
        verdict=verdict,
    )
