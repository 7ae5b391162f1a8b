"""A theorem as an object: what is stated, where, from which source, and the ordered steps that show it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import ClassVar

import sympy as sp

from proofs.domain import Domain


class Verdict(StrEnum):
    """What a verifier can say of a step. Only `PROVED` and `CITED` let a theorem pass."""

    PROVED = "proved"
    CITED = "cited"
    UNDECIDED = "undecided"
    REFUTED = "refuted"


@dataclass(frozen=True)
class Finding:
    """A verdict and, in words, its reason: the route of the proof, or the counterexample."""

    verdict: Verdict
    note: str = ""


@dataclass(frozen=True)
class Step(ABC):
    """One claim that a machine can decide; `claim` is Markdown with LaTeX and says what the step contributes."""

    kind: ClassVar[str]
    claim: str

    @abstractmethod
    def verify(self) -> Finding:
        """Decide the claim."""

    @abstractmethod
    def latex(self) -> str:
        """The formula that is decided."""


@dataclass(frozen=True)
class Report:
    """The findings for the steps of one theorem, in order."""

    theorem: Theorem
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if every step is proved or cited."""
        return all(finding.verdict in (Verdict.PROVED, Verdict.CITED) for finding in self.findings)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a step that is not a citation; `PROVED` if none is worse."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((v for v in (Verdict.REFUTED, Verdict.UNDECIDED) if v in verdicts), Verdict.PROVED)

    def count(self, verdict: Verdict) -> int:
        """How many steps have this verdict."""
        return sum(finding.verdict is verdict for finding in self.findings)

    def summary(self) -> str:
        """One line: identifier, verdict, number of steps per verdict."""
        counts = ", ".join(f"{self.count(v)} {v}" for v in Verdict if self.count(v))
        return f"{self.theorem.id:<26} {self.verdict:<10} {counts}"

    def __str__(self) -> str:
        lines = [self.summary()]
        for number, (step, finding) in enumerate(zip(self.theorem.steps, self.findings, strict=True), 1):
            lines.append(f"  {number:>2} {step.kind:<12} {finding.verdict:<10} {step.claim}")
            if finding.note:
                lines.append(f"     {finding.note}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Theorem:
    """A statement about an optimisation problem, with everything needed to check it.

    `domain` gives each symbol and where it lives; `statement` holds SymPy relations built from the objects that the
    steps decide; `closed_forms` maps a name to a `sympy.Lambda`, whose `variables` are the ordered arguments.
    """

    id: str
    title: str
    source: str
    domain: Domain
    assumptions: tuple[str, ...]
    statement: tuple[sp.Basic, ...]
    steps: tuple[Step, ...]
    uniqueness: str
    closed_forms: Mapping[str, sp.Lambda] = field(default_factory=dict)
    prior: str = ""  #: who said it, or its counterpart in another model, first, where `source` does not say so

    def check(self) -> Report:
        """Verify every step, once; `Report.ok` is False if one is undecided or refuted."""
        return self._report

    @cached_property
    def _report(self) -> Report:
        return Report(self, tuple(step.verify() for step in self.steps))


@dataclass(frozen=True)
class Uses(Step):
    """The claim is another theorem of this package, which must itself pass."""

    kind: ClassVar[str] = "theorem"
    theorem: Theorem = field(repr=False)

    def verify(self) -> Finding:
        report = self.theorem.check()
        return Finding(report.verdict, f"theorem `{self.theorem.id}`")

    def latex(self) -> str:
        return ""
