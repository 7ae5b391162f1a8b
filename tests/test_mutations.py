"""Mutants of formulas, each with who must catch it: a test that only the right formula passes is worth keeping.

Every mutant is a copy of the package with one text replaced; its catcher runs in a process of its own and must fail.
``python tests/test_mutations.py`` prints the table; ``python tests/test_mutations.py TEXT`` only mutants named so.
"""

import os
import shlex
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
DEEP, RELU = "tests/test_deep_linear.py", "tests/test_deep_relu.py"
SEPARATED = "tests/test_separation.py"


class Mutant(NamedTuple):
    """``text`` of ``file`` becomes ``mutant``; ``catcher`` is a test (pytest's words) or a theorem of ``verify``."""

    formula: str
    file: str
    text: str
    mutant: str
    catcher: str


#: catchers are quick tests: compiled as `make test` compiles them
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
BOUND, TREE = "lpmjax/branch_and_bound/bound.py", "tests/test_branch_and_bound.py"
BANDS, BANDED = "lpmjax/unbanded.py", "tests/test_banded.py"
CERTIFICATE, LOSSES = "lpmjax/duality.py", "lpmjax/losses/softmax.py"
FLOW = "tests/test_flow.py"
MUTANTS = (
    Mutant(
        "direction of the gradient flow",
        "lpmjax/paths/velocity.py",
        "jnp.sum(push, axis=0, keepdims=True), -push)",
        "-jnp.sum(push, axis=0, keepdims=True), push)",
        f"{FLOW} -k downhill",
    ),
    Mutant(
        "own class of the gradient flow without cancellation",
        "lpmjax/paths/velocity.py",
        "jnp.where(at.own, jnp.sum(push, axis=0, keepdims=True), -push)",
        "(at.own - jax.nn.softmax(reduce(jnp.matmul, factors), axis=0)) * jnp.exp(at.log_weights + log_time)",
        f"{FLOW} -k digits",
    ),
    Mutant(
        "least loss of a norm, unequal counts",
        "lpmjax/paths/target.py",
        "np.log(weights / self.dual)",
        "np.log(weights.mean() / self.dual)",
        f"{FLOW} -k least_loss",
    ),
    Mutant(
        "dual of SELI",
        "lpmjax/paths/target.py",
        "-(u @ v) * np.sqrt(samples)",
        "-(u @ v) * np.sqrt(samples)[:, None]",
        f"{FLOW} -k below_the_bound",
    ),
    Mutant(
        "separation by the least margin",
        "lpmjax/objectives/separation.py",
        "scale = 1 / nx.where(separates, least, 1.0)",
        "scale = nx.ones_like(least)",
        f"{SEPARATED} -k whatever_coordinates",
    ),
    Mutant(
        "separation's dual norm within groups",
        "lpmjax/objectives/separation.py",
        "pull = leaving + delta * classes * symmetry.diagonal(beta)",
        "pull = leaving",
        f"{SEPARATED} -k any_dual_point",
    ),
    Mutant(
        "separation of rounded factors",
        "lpmjax/objectives/separation.py",
        "else 2 * rounding * proof.value",
        "else 0 * rounding * proof.value",
        f"{SEPARATED} -k float32",
    ),
    Mutant(
        "next order of the regularisation path",
        "lpmjax/regularisation.py",
        "np.log(weights / here)",
        "np.log(1 / here)",
        "tests/test_regularisation.py -k per_sample",
    ),
    Mutant(
        "next order of the regularisation path",
        "lpmjax/regularisation.py",
        "np.log(weights / here)",
        "np.log(1 / here)",
        "verify ulpm.path",
    ),
    Mutant(
        "zero compared with the largest root",
        "lpmjax/shrinkage.py",
        "log_size(log_price, L, jump(L)), -nx.inf)",
        "log_size(log_price, L, last_stationary(L)), -nx.inf)",
        f"{DEEP} -k largest_root",
    ),
    Mutant(
        "bound of a narrow network",
        "lpmjax/objectives/separable.py",
        "gone = targets.repeats - targets.kept",
        "gone = targets.repeats - 1.01 * targets.kept",
        f"{DEEP} -k narrow",
    ),
    Mutant(
        "proof only where weights follow from the samples",
        "lpmjax/objectives/separable.py",
        "gap = nx.where(follows, nx.maximum(value - bound, 0.0) + rounding, value)",
        "gap = nx.maximum(value - bound, 0.0) + rounding",
        f"{DEEP} -k do_not_follow",
    ),
    Mutant(
        "cost of the graph",
        "lpmjax/objectives/relu.py",
        "2 * nx.log(K) + (L - 3) * nx.log(r)",
        "2 * nx.log(K) + (L - 2) * nx.log(r)",
        f"{RELU} -k criterion",
    ),
    Mutant(
        "lower bound of networks, not of linear ones",
        "lpmjax/objectives/relu.py",
        "nx.maximum(value - self.lower_bound(value), 0.0)",
        "nx.maximum(value - nx.sum(self.targets().repeats * self.targets().best.least, -1) * self.spread, 0.0)",
        f"{RELU} -k hexagon",
    ),
    Mutant(
        "bias decay's share of the gap",
        CERTIFICATE,
        "slack + 0.5 / program.bias.decay",
        "slack + 0.25 / program.bias.decay",
        f"{GAP} -k decayed",
    ),
    Mutant(
        "bias decay's share of the gap",
        CERTIFICATE,
        "slack + 0.5 / program.bias.decay",
        "slack + 0.25 / program.bias.decay",
        "verify certificate.penalty",
    ),
    Mutant(
        "bias decay's share of the value",
        "lpmjax/bias.py",
        "return 0.5 * self.rate",
        "return 0.25 * self.rate",
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
        "lpmjax/charge.py",
        "return price * (self.amount - cost)",
        "return 0 * price",
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
        "norm = nx.maximum(in_groups,",
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
        "price of a margin",
        "lpmjax/objectives/margin_bound.py",
        "omega * (1 - 1 / K)",
        "omega * (1 + 1 / K)",
        "tests/test_nonconvex.py -k two_stationary",
    ),
    Mutant(
        "what a budget leaves of the bound",
        "lpmjax/objectives/margin_bound.py",
        "program.charge.unused(-price, 0.0)",
        "0.5 * program.charge.unused(-price, 0.0)",
        "tests/test_nonconvex.py -k from_some_budget",
    ),
    Mutant(
        "least of the convex part",
        "lpmjax/objectives/margin_bound.py",
        "nx.minimum(nx.minimum(concave, convex), rate * far)",
        "nx.minimum(concave, rate * far)",
        "tests/test_nonconvex.py -k equal_rivals",
    ),
    Mutant(
        "gap of a loss that is not convex",
        "lpmjax/objectives/nonconvex.py",
        "nx.maximum(point.value - bound, 0.0) + rounding",
        "0.0 * bound + rounding",
        "tests/test_nonconvex.py -k from_some_budget",
    ),
    Mutant(
        "line of the focal loss's minorant",
        "lpmjax/losses/focal.py",
        "value=nx.where(beyond, line, value)",
        "value=nx.where(beyond, line + 1e-3, value)",
        "tests/test_nonconvex.py -k focal_loss_is_convex",
    ),
    Mutant(
        "chords of the minorant's conjugate",
        "lpmjax/losses/focal.py",
        "less = nx.maximum(1 - other / safe, 0.0) * at.value",
        "less = 0.1 * nx.maximum(1 - other / safe, 0.0) * at.value",
        "tests/test_nonconvex.py -k fenchel",
    ),
    Mutant(
        "stationarity of W and H",
        "lpmjax/solvers/pairs.py",
        "return _residual(x, program) <= _ACCEPT",
        "return _residual(x, program) >= 0",
        "tests/test_nonconvex.py -k small_budget",
    ),
    Mutant(
        "gradient by inner products",
        "lpmjax/objectives/contrastive.py",
        "block = -0.5 * (block + nx.swapaxes(block, -1, -2))",
        "block = -block",
        "tests/test_contrastive.py -k unequal",
    ),
    Mutant(
        "largest eigenvalue within groups",
        "lpmjax/objectives/contrastive.py",
        "price = nx.maximum(largest, nx.max(nx.where(repeats > 0, found.pull, 0.0), axis=-1))",
        "price = largest",
        "tests/test_contrastive.py -k balanced",
    ),
    Mutant(
        "gap across groups of features",
        "lpmjax/objectives/contrastive.py",
        "nx.maximum(inside, 0.0) + nx.maximum(across, 0.0)",
        "nx.maximum(inside, 0.0) + 0 * nx.maximum(across, 0.0)",
        "tests/test_contrastive.py -k every_point",
    ),
    Mutant(
        "factors in the Fenchel gap",
        "lpmjax/losses/vector_scaling.py",
        "wrong / self.delta[..., :, None], total)",
        "wrong, total)",
        "tests/test_vector_scaling.py -k price",
    ),
    Mutant(
        "slopes by a logit that is scaled",
        "lpmjax/losses/vector_scaling.py",
        "(rows - columns) * wrong",
        "(columns - rows) * wrong",
        "tests/test_vector_scaling.py -k on_a_budget",
    ),
    Mutant(
        "Euclidean budget that holds all features",
        "lpmjax/objectives/power_norm.py",
        "H.size**spread",
        "H.size**0",
        "tests/test_power_norm.py -k crosses",
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
        "lpmjax/remedies/remedy.py",
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
        "conjugate of a band's classes", BANDS, "gap(factor, wanted), least)", "0.0, 0.0)", f"{BANDED} -k dense_algebra"
    ),
    Mutant("omega of a band's classes", BANDS, "(fine.weights * scale)", "fine.weights", f"{BANDED} -k dense_algebra"),
    Mutant("gap of the bands themselves", BANDS, "proof.direct + more", "more", f"{BANDED} -k any_coordinates"),
    Mutant("image of a band as it weighs", BANDS, " + np.diag(added)", "", f"{BANDED} -k as_they_weigh"),
    Mutant(
        "bands close to being pulled apart", BANDS, "1 - (apart / proof.norm) ** 2", "1", f"{BANDED} -k as_they_weigh"
    ),
    Mutant(
        "gap beneath chords",
        BANDS,
        "loss_at(share) - lower)",
        "loss_at(share) - loss_at(1.0))",
        f"{BANDED} -k chords_hold",
    ),
    Mutant("price of a larger norm", BANDS, "(norm - proof.norm) *", "0.0 *", f"{BANDED} -k what_weighs_is_paid"),
    Mutant(
        "less of a gradient than wanted",
        BANDS,
        " + scale * (wanted - used) * columns.inner",
        "",
        f"{BANDED} -k dense_algebra",
    ),
    Mutant(
        "domain of the entropy",
        LOSSES,
        "(1 - 16 * nx.finfo(wrong.dtype).eps) /",
        "1.01 /",
        f"{BANDED} -k scaled_gradients",
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
        words = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", str(TESTS.parent / kind), *shlex.split(rest)]
        return [sys.executable, "-m", "pytest", *words]
    return [sys.executable, "-c", code]


def caught(mutant: Mutant | None, catcher: str, folder: Path) -> bool:
    """Whether the catcher fails with the mutated package (``folder``: an empty one) in place of the real one."""
    for package in ("lpmjax", "proofs"):  # with what Python has compiled of it, which is most of an import's time
        shutil.copytree(TESTS.parent / package, folder / package)
    if mutant is not None:
        path = folder / mutant.file
        source = path.read_text()
        assert source.count(mutant.text) == 1, f"{mutant.file} has {source.count(mutant.text)} times {mutant.text!r}"
        path.write_text(source.replace(mutant.text, mutant.mutant))
    where = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "JAX_ENABLE_X64": "1", "XLA_FLAGS": QUICK}
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


def catchers_of_files() -> list[str]:
    """All that are tests, those of a file as one: without a mutant one process can run them."""
    words: dict[str, set[str]] = {}
    for file, _, chosen in (m.catcher.partition(" ") for m in MUTANTS):
        if file not in ("verify", "proof"):
            words.setdefault(file, set()).add(chosen.removeprefix("-k ") or "test")
    return [f'{file} -k "{" or ".join(sorted(of))}"' for file, of in sorted(words.items())]


@pytest.mark.slow
@pytest.mark.parametrize("catcher", catchers_of_files())
def test_catchers_pass_without_a_mutant(catcher):
    assert passes_without(catcher)


if __name__ == "__main__":
    import tempfile

    for chosen in (m for m in MUTANTS if not sys.argv[1:] or sys.argv[1] in m.formula + m.catcher):
        with tempfile.TemporaryDirectory() as empty:
            print(row(chosen, "caught" if caught(chosen, chosen.catcher, Path(empty)) else "SURVIVES"), flush=True)
