"""Diagnosis: what is known of the classes of a long-tailed data set, as arrays, a record, a table and words."""

import dataclasses
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from .codes import Phase, Status
from .counts.names import told_apart
from .files import json_text
from .problems.unconstrained import UnconstrainedFeatures
from .remedies.narrow_bands import NarrowBands
from .remedies.of_budgets import of_budgets, of_budgets_in_bands
from .remedies.of_decays import of_decays
from .remedies.remedy import KINDS, Remedy, digits
from .remedies.solves import Solves, announcer
from .results.solution import Solution

_ROWS = 20  #: classes that are printed one by one


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Diagnosis:
    """What :func:`diagnose` found; arrays are (K,), in the caller's class order. Compare by ``record()``.

    Attributes
    ----------
    names, counts : of the classes.
    weight, slack : loss weight (of a class, sum 1), and ``log(weight / (multiplier omega))``.
    w_norm2, h_norm2 : squared norms of classifier row and feature.
    nearest, cosine : index of the class whose classifier row is closest in direction (-1: none), and the cosine.
    dual_margin : ``1 - sigma / multiplier`` of the largest singular value of the gradient beyond the rank, how far the
        next direction is from being used; NaN at full rank K - 1, and in bands.
    parameters, equivalent : of the model, and of the other form (:func:`diagnose` defines it).
    remedies : two, of kind "weights" and of "budget" or "decay"; none if not asked for.
    solution : the optimum, in groups of equal classes, or of their bands.
    in_bands : of many distinct counts, bands of near-equal ones and what they prove; None where all are solved for.
        Then norms and cosines are those of the bands, and ``in_bands.proof`` holds the optimal value and the multiplier
        in intervals (:func:`lpmjax.certificate.unbanded`).
    reading : how the counts were read, if they come from a file.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    weight: np.ndarray
    slack: np.ndarray
    w_norm2: np.ndarray
    h_norm2: np.ndarray
    nearest: np.ndarray
    cosine: np.ndarray
    dual_margin: float
    parameters: dict[str, float]
    equivalent: dict[str, float]
    remedies: tuple[Remedy, ...]
    solution: Solution
    in_bands: NarrowBands | None = None
    reading: str = ""

    @property
    def known(self) -> bool:
        """Whether slack is proved: the optimum is certified, or has weight decay (known without solving)."""
        without_solving = not self.solution.problem.on_budget and bool(np.isfinite(self.slack).all())
        return without_solving or int(self.solution.status) == Status.certified

    @property
    def collapsed(self) -> np.ndarray:
        """(K,) whether slack is < 0, in bands whatever the multiplier is in its interval (see ``undecided``);
        RuntimeError, with the remedy, where that is not known.

        A collapsed class has no direction of its own in the theory of equal classes; among distinct counts it is near
        others, not equal to them, and a lone class can keep a direction. Never a tolerance on a cosine.
        """
        return self._slack()[1] < 0

    @property
    def undecided(self) -> np.ndarray:
        """(K,) whether the interval of the multiplier leaves the sign of slack open; without bands never."""
        low, high = self._slack()
        return (low < 0) & (high >= 0)

    def _slack(self) -> tuple[np.ndarray, np.ndarray]:
        """(K,) least and largest it can be."""
        if not self.known:
            raise RuntimeError(self._uncertified())
        if self.in_bands is None:
            return self.slack, self.slack
        low, high = self.in_bands.slack
        index = self.in_bands.proof.problem.groups.class_index
        return low[index], high[index]

    def _uncertified(self) -> str:
        s = self.solution
        relative, tol = float(s.gap / np.abs(s.value)), float(s.tol)
        if not relative < 1:
            return f"Not solved ({Status(int(s.status)).name}), so which classes collapse is not known."
        enough = digits(relative, 0.1, up=True)
        return (
            f"Not certified ({Status(int(s.status)).name}): the relative gap {relative:.1e} is above tol = {tol:.1e}, "
            f"so which classes collapse is not known. A tol of {enough} accepts this gap."
        )

    def with_remedies(self, progress: Callable[[int, str], None] | None = None) -> "Diagnosis":
        """The same with its remedies, as :func:`diagnose` finds them; with those it has already, itself.

        ``progress`` is called before every solve as ``progress(solves done, what the next one is for)``.
        """
        return [self, *self.one_by_one(progress)][-1]

    def one_by_one(self, progress: Callable[[int, str], None] | None = None) -> Iterator["Diagnosis"]:
        """The same with one remedy more each time, until it has both: what is known if the search is ended."""
        return self._one_by_one(announcer(progress))

    def _one_by_one(self, announce: Callable[[str], None]) -> Iterator["Diagnosis"]:
        if len(self.remedies) == 2:
            return
        problem = self.solution.problem if self.in_bands is None else self.in_bands.proof.problem
        index, model = problem.groups.class_index, problem.unordered
        solves = Solves(float(self.solution.tol), announce)
        if isinstance(model, UnconstrainedFeatures):
            found = iter(of_decays(model))
        elif self.in_bands is not None:
            found = of_budgets_in_bands(self.in_bands, solves)
        else:
            found = of_budgets(dataclasses.replace(self.solution, problem=model), solves)
        known: dict[str, Remedy] = {}
        while True:
            with jax.enable_x64(True):  # not while a caller has the word
                remedy = next(found, None)
            if remedy is None:
                return
            known[remedy.kind] = dataclasses.replace(remedy, factors=remedy.factors[index])
            yield dataclasses.replace(self, remedies=tuple(known[kind] for kind in KINDS if kind in known))

    @property
    def certified(self) -> bool:
        """Whether the optimum, and that of every remedy, is certified."""
        return {int(self.solution.status), *(int(r.status) for r in self.remedies)} == {int(Status.certified)}

    def record(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries for strict JSON: None stands for NaN."""
        s, columns = self.solution, ("weight", "slack", "w_norm2", "h_norm2", "cosine")
        raw = {
            "model": type(s.problem).__name__,
            "reading": self.reading or None,
            "parameters": self.parameters,
            "equivalent": self.equivalent,
            "K": self.counts.size,
            "N": int(self.counts.sum()),
            "imbalance": float(self.counts.max() / self.counts.min()),
            "num_collapsed": int(self.collapsed.sum()) if self.known else None,
            "num_undecided": int(self.undecided.sum()) if self.known else None,
            "status": Status(int(s.status)).name,
            "multiplier": float(s.multiplier),
            "dual_margin": self.dual_margin,
            **self._solved(),
            "names": self.names,
            "counts": self.counts,
            "collapsed": self._told(None) if self.known else None,
            **{name: getattr(self, name) for name in columns},
            "nearest": [None if i < 0 else self.names[i] for i in self.nearest],
            "remedies": [dataclasses.asdict(r) | {"status": r.status.name} for r in self.remedies],
        }
        return json.loads(json_text(raw))

    def _solved(self) -> dict[str, Any]:
        """What differs in bands: their phase and rank are not those of the counts as they are."""
        s = self.solution
        if self.in_bands is None:
            numbers = {name: float(getattr(s, name)) for name in ("value", "gap", "tol")}
            known = {"phase": Phase(int(s.phase)).name, "rank": int(s.rank)}
            return known | numbers | {"num_bands": None, "multiplier_range": None}
        proof = self.in_bands.proof
        return {
            "phase": Phase.undetermined.name,
            "rank": None,
            "num_bands": s.problem.groups.num_groups,
            "value": proof.value,
            "gap": proof.gap,
            "tol": self.in_bands.tol,
            "multiplier_range": proof.multiplier,
        }

    def _told(self, unknown: Any) -> list[Any]:
        """``collapsed``, and something else where it is undecided."""
        pairs = zip(self.collapsed.tolist(), self.undecided.tolist(), strict=True)
        return [unknown if open_ else collapsed for collapsed, open_ in pairs]

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with one row for each class, by name, and the arrays as columns; NA is not known."""
        from pandas import NA, DataFrame, Index  # xarray brings it

        columns = ("weight", "slack", "w_norm2", "h_norm2", "cosine")
        data = {"count": self.counts} | {name: getattr(self, name) for name in columns}
        data["collapsed"] = (self._told(NA) if self.undecided.any() else self.collapsed) if self.known else NA
        data["nearest"] = [None if i < 0 else self.names[i] for i in self.nearest]
        return DataFrame(data, index=Index(self.names, name="class"))

    def __str__(self) -> str:
        s, K, n = self.solution, self.counts.size, self.counts
        size = f"{K} classes, {n.sum()} samples, imbalance {n.max() / n.min():.4g}"
        lines = [f"{type(s.problem).__name__}, {_listed(self.parameters)}"]
        lines += textwrap.wrap(f"read as {self.reading}", 80) if self.reading else []
        if not self.known:
            return "\n".join([*lines, size, "", *textwrap.wrap(self._uncertified(), 80)])
        lines += [
            f"{size}; {self.collapsed.sum()} collapsed (*)"
            + (f", {self.undecided.sum()} undecided (?)" if self.undecided.any() else ""),
            self._optimum(),
            f"in the other form: {_listed(self.equivalent)}",
            "",
            f"{'class':<15}{'samples':>9}{'slack':>9}  {'|w|^2':>10}{'|h|^2':>10}  {'nearest':<15}{'cosine':>8}",
        ]
        order, last = np.lexsort((-n, -self.slack)), -1
        rows = _rows_shown(self.slack[order] < 0)
        shown = {*order[rows].tolist(), *self.nearest[order[rows]].tolist()} - {-1}
        stubs = told_apart({k: self.names[k] for k in shown}, 15)
        for row in rows:
            lines += ["..."] * (row > last + 1) + [self._row(order[row], stubs)]
            last = row
        for note in self._notes():
            lines += ["", *textwrap.wrap(note, 80)]
        for remedy in self.remedies:
            lines += ["", *textwrap.wrap(f"Remedy by {remedy.kind}: {remedy.message}", 80)]
        return "\n".join(lines)

    def _optimum(self) -> str:
        s, K = self.solution, self.counts.size
        if self.in_bands is not None:
            proof, (least, most) = self.in_bands.proof, self.in_bands.proof.multiplier
            return (
                f"in {s.problem.groups.num_groups} bands; {self.in_bands.status.name}, relative gap "
                f"{proof.relative_gap:.0e}, multiplier from {least:.4g} to {most:.4g}"
            )
        margin = "" if np.isnan(self.dual_margin) else f" (dual margin {self.dual_margin:.2g})"
        return (
            f"{Phase(int(s.phase)).name}, rank {int(s.rank)} of {K - 1}{margin}; {Status(int(s.status)).name}, "
            f"relative gap {float(s.gap / s.value):.0e}"
        )

    def _notes(self) -> list[str]:
        if self.in_bands is not None:
            return [
                "Classes of near-equal count share a band, and its norms and cosines. "
                + ("(?) The sign of slack is open: a smaller tol narrows that. " if self.undecided.any() else "")
            ]
        if int(self.solution.status) != Status.certified:
            return ["Not certified: slack is known without solving, but not phase, rank, norms and cosines."]
        if int(self.solution.phase) == Phase.separated and self.collapsed.any():
            return ["(*) slack < 0, yet all classifiers differ: a class whose count no other has keeps a direction."]
        return []

    def _row(self, k: int, stubs: Mapping[int, str]) -> str:
        near, cosine = "-", "-"
        if self.nearest[k] >= 0:
            near, value = stubs[self.nearest[k]], self.cosine[k]
            cosine = f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"
        mark = "?" if self.undecided[k] else "*" if self.collapsed[k] else " "
        return (
            f"{stubs[k]:<15}{self.counts[k]:>9}{self.slack[k]:>9.4f}{mark:>2}"
            f"{self.w_norm2[k]:>10.4g}{self.h_norm2[k]:>10.4g}  {near:<15}{cosine:>8}"
        )


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in values.items())


def _rows_shown(collapsed: np.ndarray) -> list[int]:
    """All rows, or the first, the last and those around the first collapsed one, in order of slack."""
    K = collapsed.size
    if K <= _ROWS:
        return list(range(K))
    change = int(np.argmax(collapsed)) if collapsed.any() else 0
    return sorted({*range(5), *range(max(change - 5, 0), min(change + 5, K)), *range(K - 5, K)})
