"""Refutation: a claim that has been made is false, shown at one exact point of its domain in interval arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import mpmath
import sympy as sp
from mpmath import iv

from proofs.domain import Domain, Range
from proofs.theorem import Finding, Report, Step, Verdict
from proofs.verifiers.enclosure import evaluate

_DIGITS = 50


@dataclass(frozen=True)
class Refutation(Step):
    """`refuted`, in words, says that `expr` `relation` 0 on all of `domain`; the point `witness` shows otherwise.

    The step passes if the enclosed value lies strictly on the other side of 0. A claim that holds at the witness
    makes it fail, as does a witness outside the domain.
    """

    kind: ClassVar[str] = "refutation"
    refuted: str
    expr: sp.Expr
    relation: Literal[">", ">=", "<", "<="]
    witness: Mapping[sp.Symbol, sp.Expr]
    domain: Domain = field(repr=False)

    def verify(self) -> Finding:
        digits = iv.dps
        iv.dps = _DIGITS
        try:
            return self._decide()
        finally:
            iv.dps = digits

    def _decide(self) -> Finding:
        point = {symbol: sp.sympify(self.witness[symbol]) for symbol in self.domain}
        outside = [symbol for symbol, range_ in self.domain.items() if not _inside(point[symbol], range_, point)]
        if outside:
            return Finding(Verdict.UNDECIDED, f"{outside[0]} = {point[outside[0]]} is not shown to lie in the domain")
        value = evaluate(self.expr.subs(point, simultaneous=True), {}, iv)
        above, below = value.a > 0, value.b < 0
        claimed, opposite = (above, below) if self.relation in (">", ">=") else (below, above)
        if opposite:
            where = ", ".join(f"{symbol} = {at}" for symbol, at in point.items())
            return Finding(Verdict.PROVED, f"counterexample: {mpmath.nstr(mpmath.mpf(value.mid), 8)} at {where}")
        return Finding(Verdict.REFUTED if claimed else Verdict.UNDECIDED, "the claim is not false at the witness")

    def latex(self) -> str:
        symbol = {">": ">", ">=": r"\ge", "<": "<", "<=": r"\le"}[self.relation]
        where = ", ".join(f"{sp.latex(symbol)} = {sp.latex(at)}" for symbol, at in self.witness.items())
        return rf"\text{{false: }} {sp.latex(self.expr)} {symbol} 0 \quad \text{{at }} {where}"


def _inside(value: sp.Expr, range_: Range, point: Mapping[sp.Symbol, sp.Expr]) -> bool:
    """True only if an exact number is shown to lie in the range, ends evaluated at the point."""
    if range_.integer and not value.is_Integer:
        return False
    lower, upper = range_.lower.subs(point), range_.upper.subs(point)
    if lower is not sp.S.NegativeInfinity:
        gap = evaluate(value - lower, {}, iv)
        if not (gap.a > 0 or (range_.closed and value == lower)):
            return False
    return upper is sp.oo or evaluate(upper - value, {}, iv).a > 0


def refuted(report: Report) -> Iterator[tuple[str, Finding]]:
    """The claims that the theorem shows to be false, each with its counterexample."""
    for step, finding in zip(report.theorem.steps, report.findings, strict=True):
        if isinstance(step, Refutation) and finding.verdict is Verdict.PROVED:
            yield step.refuted, finding
