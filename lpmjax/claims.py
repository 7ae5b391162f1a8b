"""The page of claims: every statement that the library decides, whose it is, the verdict, and what command shows it.

Rows come from ``proofs`` (theorems, and the claims that they refute), from what ``verify`` compares with solvers, and
from the reproductions; nothing is typed here but the words around them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .reproduce import described, names

_HEAD = """# Claims

Written by `lpmjax claims`, which runs everything below. Do not edit.

*Proved here*: every step of the proof is decided by SymPy or applies a standard result by name (how many is said),
whoever stated it first; *solvers agree*: certified solutions on a grid have the values of its closed forms, to 1e-10.
*Counterexample*: the statement is false, at one exact point in interval arithmetic or in the figure. *Reproduced*: the
numbers of the figure agree to every digit that is known from elsewhere. "Derived here" says where a derivation stands,
not that nobody had it before; an empty last column is no claim of novelty. Statements on deep models with their decays,
and what is only observed: [published_statements.md](published_statements.md); the proofs:
[THEOREMS.md](../proofs/THEOREMS.md).

Every solve of a convex (two-factor) model returns a duality gap, evaluated in float64 and on demand enclosed in ball
arithmetic. Of deep networks with cross-entropy the library gives crossing values of best known upper bounds, with
global lower bounds; certified for K ≤ 4.
"""
_COLUMNS = ("statement", "source", "verdict", "what shows it", "prior work")


@dataclass(frozen=True)
class Row:
    """One statement, decided by the theorem or reproduction ``name``, and its ``verdict`` if that passes."""

    name: str
    statement: str
    source: str
    verdict: str
    command: str
    prior: str


def theorems() -> Iterator[Row]:
    """Statements that are proved."""
    from proofs import THEOREMS
    from proofs.verifiers.cited import Cited

    from .verification.registry import COMPARISONS

    for name, theorem in THEOREMS.items():
        cited = sum(isinstance(step, Cited) for step in theorem.steps)
        verdict = "proved here" + (f", {cited} of {len(theorem.steps)} steps cited" if cited else "")
        verdict += "; solvers agree" if name in COMPARISONS else ""
        yield Row(name, theorem.title, theorem.source, verdict, f"lpmjax verify {name}", theorem.prior)


def refutations() -> Iterator[Row]:
    """Claims that theorems show to be false."""
    from proofs import THEOREMS
    from proofs.verifiers.refutation import Refutation

    for name, theorem in THEOREMS.items():
        for step in theorem.steps:
            if isinstance(step, Refutation):
                yield Row(
                    name, step.refuted, f"refuted in `{name}`", "counterexample", "python -m proofs", theorem.prior
                )


def reproductions() -> Iterator[Row]:
    """Statements of papers that a figure or table decides."""
    for name in names():
        for claim in described(name).claims:
            command = f"lpmjax reproduce {name}"
            yield Row(name, claim.statement, claim.source, claim.verdict.value, command, claim.prior)


def page(holds: Callable[[str], bool] = lambda name: True) -> str:
    """The page in Markdown; ``holds`` says whether the theorem or reproduction of a name passes, by default all do."""
    sections = {"Theorems": theorems(), "Refuted": refutations(), "Figures and tables": reproductions()}
    lines = [_HEAD]
    for title, rows in sections.items():
        lines += [f"## {title}", "", _line(_COLUMNS), _line("---" for _ in _COLUMNS)]
        for row in rows:
            verdict = row.verdict if holds(row.name) else "**not shown**"
            lines.append(_line((row.statement, row.source, verdict, f"`{row.command}`", row.prior)))
        lines.append("")
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
