"""Theorems with their steps and verdicts as Markdown with LaTeX: the same bytes for the same SymPy version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sympy as sp

from proofs.theorem import Finding, Report, Step, Verdict

# Longer formulas do not help a reader; the step's module has them.
_LONGEST = 700


def document(reports: Iterable[Report]) -> str:
    """The whole page."""
    reports = list(reports)
    lines = [
        "# Theorems",
        "",
        f"Written by `python -m proofs` under SymPy {sp.__version__}. Do not edit.",
        "",
        "Steps marked *cited* apply a standard result from a closed list; every other step is decided by SymPy: an "
        "identity "
        "reduces to exactly 0, a sign is decided on the rewritten domain, a derivative is computed from the objective, "
        "a matrix "
        "identity holds for all group sizes; an enclosure (of one numeric example) holds in interval arithmetic; a "
        "refutation evaluates a claim that is false, at one exact point, in interval arithmetic. Where a formula "
        "is left out for its length, the module has it.",
        "",
        "| theorem | verdict | steps | cited |",
        "|---|---|---|---|",
    ]
    for report in reports:
        steps = len(report.findings)
        lines.append(f"| `{report.theorem.id}` | {report.verdict} | {steps} | {report.count(Verdict.CITED)} |")
    for report in reports:
        lines += ["", *section(report)]
    return "\n".join(lines) + "\n"


def section(report: Report) -> Iterator[str]:
    """One theorem, under a heading of its own."""
    theorem = report.theorem
    yield f"## {theorem.title}"
    yield ""
    yield f"`{theorem.id}` · **{report.verdict}** · {theorem.source}."
    yield ""
    yield "Domain: " + ", ".join(f"${line}$" for line in theorem.domain.latex()) + "."
    yield ""
    yield "Assumptions: " + "; ".join(theorem.assumptions) + "."
    yield ""
    for relation in theorem.statement:
        yield from _display(sp.latex(relation))
    yield f"Uniqueness and tightness: {theorem.uniqueness}"
    yield ""
    for number, (step, finding) in enumerate(zip(theorem.steps, report.findings, strict=True), 1):
        yield from _step(number, step, finding)
    if theorem.closed_forms:
        yield "Closed forms: " + ", ".join(_signature(name, form) for name, form in theorem.closed_forms.items()) + "."


def _step(number: int, step: Step, finding: Finding) -> Iterator[str]:
    note = f" — {finding.note}" if finding.note else ""
    verdict = "" if step.kind == finding.verdict else f", {finding.verdict}"
    yield f"{number}. **{step.kind}**{verdict}: {step.claim}{note}"
    yield ""
    formula = step.latex()
    if formula:
        yield from _display(formula)


def _display(formula: str) -> Iterator[str]:
    if len(formula) <= _LONGEST:
        yield f"$${formula}$$"
        yield ""


def _signature(name: str, form: sp.Lambda) -> str:
    return f"`{name}({', '.join(map(str, form.variables))})`"
