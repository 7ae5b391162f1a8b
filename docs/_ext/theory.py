"""Theory: a page for each family of theorems, checked and written at every build, and links to the code and back."""

from pathlib import Path

from evaluated_by import EVALUATED_BY

from proofs import THEOREMS
from proofs.render import section
from proofs.theorem import Report, Verdict

#: families in the order of the pages: prefix of the theorems' names, title
FAMILIES = {
    "ce": "Cross-entropy",
    "lpm": "Layer-Peeled Model",
    "ufm": "Unconstrained features with weight decay",
    "supcon": "Supervised contrastive features",
    "certificate": "Certificates",
    "ulpm": "No decay: gradient flow and minimum-norm separation",
    "deep": "Deep linear networks: the reduction",
    "deep_mse": "Deep linear networks, squared error",
    "deep_relu": "Deep ReLU networks, squared error",
    "deep_ce": "Deep linear networks, cross-entropy",
}
_HEAD = """# Theory

Every closed form that the library evaluates is derived here, step by step, for symbolic numbers of classes. This
section is written at each build of the site: each step below was decided by SymPy in that build, and one that is not
decided breaks it.

A step marked *cited* applies a standard result by its name, from a closed list. Every other step is decided: an
identity reduces to exactly 0, a sign is decided on the rewritten domain, a derivative is computed from the objective,
a matrix identity holds for all group sizes. An enclosure, of one numeric example, holds in interval arithmetic. A
refutation evaluates a false claim at one exact point, in interval arithmetic.

The same check in a shell is `python -m proofs`. `lpmjax verify` compares the closed forms with certified solutions on
a grid; the tests tie each of them to the code at 300 digits, derivatives included. Whose the statements are is on the
page of [claims](../claims.md).

"""


def write(folder: Path) -> None:
    """The pages, from theorems checked now; RuntimeError names those that fail."""
    reports = [theorem.check() for theorem in THEOREMS.values()]
    failed = [report.theorem.id for report in reports if not report.ok]
    if failed:
        raise RuntimeError(f"not proved: {', '.join(failed)}; `python -m proofs` says where.")
    folder.mkdir(exist_ok=True)
    families = {family: [r for r in reports if r.theorem.id.partition(".")[0] == family] for family in FAMILIES}
    if sum(map(len, families.values())) != len(reports):
        raise RuntimeError("a theorem has no page: its family is missing in FAMILIES of docs/_ext/theory.py.")
    (folder / "index.md").write_text(_HEAD + _contents(families) + _toctree(families), encoding="utf-8")
    for family, own in families.items():
        text = "\n".join(line for report in own for line in _linked(report))
        (folder / f"{family}.md").write_text(f"# {FAMILIES[family]}\n\n{text}\n", encoding="utf-8")


def _contents(families: dict[str, list[Report]]) -> str:
    lines = ["| theorem | | steps | of these cited | evaluated by |", "|---|---|---|---|---|"]
    for own in families.values():
        for report in own:
            name, counts = report.theorem.id, f"{len(report.findings)} | {report.count(Verdict.CITED)}"
            lines.append(f"| [{report.theorem.title}](#{_label(name)}) | `{name}` | {counts} | {_roles(name)} |")
    return "\n".join(lines) + "\n\n"


def _toctree(families: dict[str, list[Report]]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", "", *families, "```", ""])


def _linked(report: Report) -> list[str]:
    """The theorem as `proofs` renders it, with a label and the code that evaluates it."""
    heading, *rest = section(report)
    return [f"({_label(report.theorem.id)})=", heading, "", f"Evaluated by {_roles(report.theorem.id)}.", *rest, ""]


def _roles(name: str) -> str:
    return ", ".join(f"{{py:obj}}`~{where}`" for where in EVALUATED_BY[name])


def _label(name: str) -> str:
    return "theorem-" + name.replace(".", "-").replace("_", "-")


def _theorems_of(app, what, name, obj, options, lines):
    """Under the docstring of what evaluates theorems, links to them."""
    known = [theorem for theorem, places in EVALUATED_BY.items() if name in places]
    if known:
        links = ", ".join(f":ref:`{theorem} <{_label(theorem)}>`" for theorem in known)
        lines += ["", f"Proofs: {links}.", ""]


def setup(app):
    """Sphinx calls it."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "theory"))
    app.connect("autodoc-process-docstring", _theorems_of, priority=900)
    return {"parallel_read_safe": True}
