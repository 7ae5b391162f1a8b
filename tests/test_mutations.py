"""Mutants of formulas, each with who must catch it: a test that only the right formula passes is worth keeping.

Every mutant is a copy of the package with one text replaced; its catcher runs in a process of its own and must fail.
``python tests/test_mutations.py`` prints the table; ``python tests/test_mutations.py TEXT`` only mutants named so.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
GAP = "tests/test_gap_terms.py"
WRITTEN = "tests/test_written.py"


class Mutant(NamedTuple):
    """``text`` of ``file`` becomes ``mutant``; ``catcher`` is a test (pytest's words) or a theorem of ``verify``."""

    formula: str
    file: str
    text: str
    mutant: str
    catcher: str


BOUND, TREE = "lpmjax/branch_and_bound/bound.py", "tests/test_branch_and_bound.py"
CERTIFICATE, LOSSES = "lpmjax/duality.py", "lpmjax/losses/softmax.py"
MUTANTS = (
    Mutant(
        "bias decay's share of the gap",
        CERTIFICATE,
        "slack + 0.5 / program.bias_decay",
        "slack + 0.25 / program.bias_decay",
        f"{GAP} -k decayed",
    ),
    Mutant(
        "bias decay's share of the gap",
        CERTIFICATE,
        "slack + 0.5 / program.bias_decay",
        "slack + 0.25 / program.bias_decay",
        "verify certificate.penalty",
    ),
    Mutant(
        "bias decay's share of the value",
        CERTIFICATE,
        "value + 0.5 * program.bias_decay",
        "value + 0.25 * program.bias_decay",
        f"{GAP} -k decayed",
    ),
    Mutant(
        "row sums with the bias",
        CERTIFICATE,
        "decay * at.bias + used",
        "decay * at.bias - used",
        f"{GAP} -k decayed",
    ),
    Mutant(
        "smoothing's floor in the Fenchel gap",
        LOSSES,
        "floor = self._floor(rival_counts)[..., None, :]\n        other",
        "floor = 0.5 * self._floor(rival_counts)[..., None, :]\n        other",
        f"{GAP} -k smoothed",
    ),
    Mutant(
        "smoothing's floor in the Fenchel gap",
        LOSSES,
        "floor = self._floor(rival_counts)[..., None, :]\n        other",
        "floor = 0.5 * self._floor(rival_counts)[..., None, :]\n        other",
        "verify certificate.penalty",
    ),
    Mutant("smoothing's floor", LOSSES, "/ (1 + nx.sum(rival_counts", "/ (nx.sum(rival_counts", f"{GAP} -k smoothed"),
    Mutant(
        "squared error's Fenchel gap",
        "lpmjax/losses/squared_error.py",
        "return 0.5 * (right * right + nx.sum(rival_counts * change",
        "return 0.25 * (right * right + nx.sum(rival_counts * change",
        f"{GAP} -k squared",
    ),
    Mutant(
        "divergence of the right class",
        LOSSES,
        "return of_wrong + left *",
        "return of_wrong + 0.5 * left *",
        f"{GAP} -k cross",
    ),
    Mutant(
        "row sums of the free bias left",
        LOSSES,
        "return wrong - removed + row",
        "return wrong - removed + 0 * row",
        f"{GAP} -k free",
    ),
    Mutant(
        "rows above their target kept", LOSSES, "removed = wrong * cut", "removed = 0.5 * wrong * cut", f"{GAP} -k free"
    ),
    Mutant(
        "mean gradient taken out twice",
        "lpmjax/losses/squared_error.py",
        "wrong = at.wrong - mean",
        "wrong = at.wrong - 2 * mean",
        f"{GAP} -k squared-free",
    ),
    Mutant(
        "unused budget is free",
        CERTIFICATE,
        "else price * (program.budget - at.cost)",
        "else 0 * price",
        f"{GAP} -k False",
    ),
    Mutant(
        "gap within groups",
        CERTIFICATE,
        "omega * nx.abs(at.within) - shrunk)",
        "omega * nx.abs(at.within) - price[..., None] * at.within * omega)",
        f"{GAP} -k False",
    ),
    Mutant(
        "gap across groups",
        CERTIFICATE,
        "across_groups = price * at.nuclear + used",
        "across_groups = 0 * price * at.nuclear + used",
        f"{GAP} -k False",
    ),
    Mutant(
        "norm of the in-group gradient",
        CERTIFICATE,
        "norm = nx.maximum(inside,",
        "norm = nx.maximum(0.0,",
        f"{GAP} -k none",
    ),
    Mutant(
        "gradient not scaled to the penalty",
        CERTIFICATE,
        "price / nx.where(norm > 0, norm, 1.0), 1.0)",
        "1.0, 1.0)",
        f"{GAP} -k True",
    ),
    Mutant(
        "rounding allowance",
        CERTIFICATE,
        "+ nx.maximum(slack, 0.0) + rounding",
        "+ nx.maximum(slack, 0.0)",
        f"{GAP} -k rounding",
    ),
    Mutant(
        "rounding allowance",
        CERTIFICATE,
        "+ nx.maximum(slack, 0.0) + rounding",
        "+ nx.maximum(slack, 0.0)",
        "verify certificate.budget",
    ),
    Mutant(
        "rival of an absent group taken out",
        LOSSES,
        "nx.min(nx.where(rival_counts > 0, margins, 0.0), axis=-2)",
        "nx.min(margins, axis=-2)",
        f"{GAP} -k absent",
    ),
    Mutant(
        "price of features >= 0",
        "lpmjax/objectives/orthogonal.py",
        "omega * nx.sqrt(K / (K - 1))",
        "omega * nx.sqrt((K - 1) / K)",
        f"{GAP} -k nonnegative",
    ),
    Mutant(
        "price of features >= 0",
        "lpmjax/objectives/orthogonal.py",
        "omega * nx.sqrt(K / (K - 1))",
        "omega * nx.sqrt((K - 1) / K)",
        "verify certificate.penalty",
    ),
    Mutant(
        "weights of float32 as they are",
        "lpmjax/written.py",
        "np.where(follows[..., None], default, held)",
        "groups.weights",
        f"{WRITTEN} -k restored",
    ),
    Mutant(
        "float32 parameters taken for exact",
        "lpmjax/written.py",
        "np.abs(x) < 2 / eps), 0.0, eps / 2)",
        "np.abs(x) < 2 / eps), 0.0, 0.0)",
        f"{WRITTEN} -k keeps_the_gap_open",
    ),
    Mutant(
        "end of annihilation",
        "lpmjax/boundary.py",
        "jnp.log1p(jnp.sqrt(K / K_B))",
        "jnp.log1p(jnp.sqrt(K_B / K))",
        "verify lpm.annihilated_boundary",
    ),
    Mutant(
        "remedy by loss weights",
        "lpmjax/remedies.py",
        "np.maximum(1.0, np.exp(x) * omega",
        "np.maximum(1.0, 1.01 * np.exp(x) * omega",
        "verify lpm.oversampling",
    ),
    Mutant(
        "a sign of R0",
        "proofs/merged_boundary.py",
        "return (1 + wrong - sp.exp(-within)) / wrong",
        "return (1 + wrong + sp.exp(-within)) / wrong",
        "proof lpm.merged_boundary",
    ),
    Mutant(
        "a sign of s on the curve R0",
        "proofs/merged_boundary.py",
        '"s": ((K_A - 1) * within + sigma)',
        '"s": ((K_A - 1) * within - sigma)',
        "proof lpm.merged_boundary",
    ),
    Mutant(
        "quadratic term of a cut", BOUND, "[u * np.sqrt(pull)[:, None], at.rows]", "[at.rows]", f"{TREE} -k any_multi"
    ),
    Mutant(
        "curvature of a cut",
        BOUND,
        "relaxation.weights**2 / (2 * relaxation.stiffness)",
        "relaxation.weights**2 / (4 * relaxation.stiffness)",
        f"{TREE} -k any_multi",
    ),
    Mutant(
        "negative eigenvalues of vertices",
        BOUND,
        "eta ** (s - 1) * np.minimum(values, eta)",
        "eta ** (s - 1) * np.clip(values, 0, eta)",
        f"{TREE} -k any_multi",
    ),
    Mutant(
        "multipliers that are no probabilities",
        BOUND,
        "at.probabilities / at.probabilities.sum(-1, keepdims=True)",
        "at.probabilities",
        f"{TREE} -k any_multi",
    ),
    Mutant(
        "shares of more than one",
        BOUND,
        "at.shares / at.shares.sum(-1, keepdims=True)",
        "at.shares",
        f"{TREE} -k any_multi",
    ),
    Mutant("rounding of a bound", BOUND, "+ entropy - _ULPS * size", "+ entropy", f"{TREE} -k rounding_is_allowed"),
    Mutant(
        "radius of the cover",
        "lpmjax/branch_and_bound/program.py",
        "(2 * upper / (self.L * self.price)",
        "(1.8 * upper / (self.L * self.price)",
        f"{TREE} -k radius",
    ),
    Mutant(
        "symmetries that are left",
        "lpmjax/branch_and_bound/cover.py",
        "{g for g in group if g[first] == first}",
        "group",
        f"{TREE} -k orbit",
    ),
    Mutant(
        "bounds of simplices left early",
        "lpmjax/branch_and_bound/search.py",
        "self.done = min(self.done, bound[b])",
        "pass",
        f"{TREE} -k rises",
    ),
)


def command(catcher: str) -> list[str]:
    """The process that must fail on a mutant and succeed without one."""
    kind, _, rest = catcher.partition(" ")
    if kind == "verify":
        code = f"import lpmjax as lpm; found = lpm.verify(['{rest}']); print(found); raise SystemExit(not found.ok)"
    elif kind == "proof":
        code = f"from proofs import THEOREMS; found = THEOREMS['{rest}'].check(); raise SystemExit(not found.ok)"
    else:
        words = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", str(TESTS.parent / kind), *rest.split()]
        return [sys.executable, "-m", "pytest", *words]
    return [sys.executable, "-c", code]


def caught(mutant: Mutant | None, catcher: str, folder: Path) -> bool:
    """Whether the catcher fails with the mutated package (``folder``: an empty one) in place of the real one."""
    for package in ("lpmjax", "proofs"):
        shutil.copytree(TESTS.parent / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = folder / mutant.file
        source = path.read_text()
        assert source.count(mutant.text) == 1, f"{mutant.file} has {source.count(mutant.text)} times {mutant.text!r}"
        path.write_text(source.replace(mutant.text, mutant.mutant))
    where = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "JAX_ENABLE_X64": "1"}
    done = subprocess.run(command(catcher), cwd=folder, env=os.environ | where, capture_output=True, text=True)
    ran = "Error" not in done.stderr and "no tests ran" not in done.stdout
    assert ran, done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode != 0


@cache
def passes_without(catcher: str) -> bool:
    """Whether the catcher has nothing to say of the package as it is."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return not caught(None, catcher, Path(folder))


def row(mutant: Mutant, verdict: str) -> str:
    return f"{mutant.formula:<38} {mutant.catcher:<42} {verdict}"


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.formula}: {m.catcher}")
def test_mutant_is_caught(mutant, tmp_path):
    found = caught(mutant, mutant.catcher, tmp_path)
    print(row(mutant, "caught" if found else "SURVIVES"))
    assert found, row(mutant, "survives")


@pytest.mark.slow
@pytest.mark.parametrize(
    "catcher", sorted({m.catcher for m in MUTANTS if not m.catcher.startswith(("verify", "proof"))})
)
def test_catcher_passes_without_a_mutant(catcher):
    assert passes_without(catcher)


if __name__ == "__main__":
    import tempfile

    for chosen in (m for m in MUTANTS if not sys.argv[1:] or sys.argv[1] in m.formula + m.catcher):
        with tempfile.TemporaryDirectory() as empty:
            print(row(chosen, "caught" if caught(chosen, chosen.catcher, Path(empty)) else "SURVIVES"), flush=True)
