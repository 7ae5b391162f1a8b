"""`verify`: what it says of true theorems, of false ones, and of solutions that are not certified."""

import dataclasses
import json

import pytest
import sympy as sp
from typer.testing import CliRunner

import lpmjax as lpm
import proofs
from lpmjax import cli
from lpmjax.verification import balanced, convexity, grouped
from lpmjax.verification.registry import COMPARISONS
from lpmjax.verify import TOLERANCE, Verdict

_UNSOLVED = {"ufm.focal", "supcon.balanced", "deep_relu.graph"} | {
    f"deep_ce.{name}" for name in ("pairs", "pair_death", "kappa", "lower_bound", "branching")
}


def with_form(identifier: str, name: str, change) -> proofs.Theorem:
    """The theorem with one closed form replaced; the proof steps are untouched."""
    theorem = proofs.THEOREMS[identifier]
    form = theorem.closed_forms[name]
    wrong = sp.Lambda(form.variables, change(form.expr))
    return dataclasses.replace(theorem, closed_forms={**theorem.closed_forms, name: wrong})


#: theorems whose comparison takes seconds to compile, or whose steps take seconds to check
_LONG = {
    "lpm.relaxation", "ufm.label_smoothing", "lpm.oversampling", "lpm.grouped", "lpm.rank", "deep.schatten",
    "deep_mse.separable", "deep_mse.threshold", "deep_mse.free_bias", "ulpm.path",
    "certificate.penalty",
}  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[
        pytest.param([name for name in proofs.THEOREMS if name not in _LONG], id="most"),
        pytest.param(sorted(_LONG), id="long", marks=pytest.mark.slow),
    ],
)
def verified(request):
    """Rows, the calls of ``progress``, and which theorems were asked for."""
    steps = []
    found = lpm.verify(request.param, progress=lambda done, total: steps.append((done, total)))
    return found, steps, request.param


def test_every_theorem_holds(verified):
    found, steps, asked = verified
    assert found.ok
    assert {row.theorem for row in found.rows} == set(asked)
    assert steps[0] == (0, len(found.rows)) and steps[-1] == (len(found.rows), len(found.rows))
    for row in found.rows:
        assert row.undecided == row.refuted == 0 and row.proved > 0
        if row.theorem in _UNSOLVED:
            assert row.verdict is Verdict.no_solver and row.worst is None and row.cells == 0
        else:
            assert row.verdict is Verdict.agrees and row.worst <= TOLERANCE and row.certified == row.cells > 0


def test_table_and_record(verified):
    found, _, asked = verified
    assert max(map(len, str(found).splitlines()[: len(asked) + 1])) <= 80
    assert ("NOT checked numerically" in str(found)) == bool(_UNSOLVED & set(asked))
    record = json.loads(json.dumps(found.record()))
    assert record["ok"] is True and len(record["theorems"]) == len(asked)


@pytest.mark.parametrize(
    ("identifier", "name", "change"),
    [
        ("lpm.relaxation", "budget", lambda f: f * sp.Rational(1001, 1000)),
        ("lpm.balanced", "multiplier", lambda f: f * (1 + sp.Rational(1, 10**9))),
        ("ufm.balanced", "threshold", lambda f: 2 * f),
        ("lpm.two_group", "nuclear_norm", lambda f: f.subs(proofs.two_group.K_A, proofs.two_group.K_A + 1)),
        ("lpm.kkt", "coordinate_merged_B", lambda f: -f),
        ("lpm.unique", "coordinate", lambda f: 2 * f),
        ("lpm.one_scalar", "r", lambda f: f / 2),
        ("lpm.merging", "slack", lambda f: -f),
        ("lpm.merging", "threshold_count", lambda f: 2 * f),
        ("lpm.merged_boundary", "R_0", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("lpm.annihilated_boundary", "R_1", lambda f: f * (1 - sp.Rational(1, 10**8))),
        ("lpm.annihilated_boundary", "S_end", lambda f: f * sp.Rational(9, 10)),
        ("lpm.minority_collapse", "growth_rate", lambda f: f + sp.Rational(1, 10**8)),
        ("lpm.oversampling", "least_remedy", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("lpm.oversampling", "effective_ratio", lambda f: 1 / f),
        ("certificate.budget", "gap", lambda f: f * (1 - sp.Rational(1, 10**6))),
        pytest.param("lpm.grouped", "pull_other", lambda f: -f, marks=pytest.mark.slow),
        ("ulpm.seli", "value", lambda f: f * (1 + sp.Rational(1, 10**9))),
        ("ulpm.seli", "beta_AB", lambda f: f * (1 + sp.Rational(1, 10**9))),
        ("ulpm.lower_bound", "bound", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("ulpm.hadamard", "speed", lambda f: f * (1 + sp.Rational(1, 10**9))),
        ("ulpm.landscape", "tied", lambda f: f * (1 + sp.Rational(1, 10**9))),
        ("ulpm.landscape", "rate", lambda f: f * sp.Rational(1001, 1000)),
        ("ulpm.ray", "clock", lambda f: f + proofs.symbols.alpha / 10**8),
    ],
)
def test_a_falsified_closed_form_has_a_counterexample(identifier, name, change):
    found = lpm.verify([with_form(identifier, name, change)])
    assert found.rows[0].verdict is Verdict.counterexample
    assert not found.ok
    assert "counterexample to the statement as given here" in str(found)


@pytest.mark.parametrize(
    ("identifier", "name", "change"),
    [
        ("deep.schatten", "factor2", lambda f: f**2),
        ("deep_mse.separable", "b", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("deep_mse.threshold", "threshold", lambda f: f * (1 + sp.Rational(1, 10**5))),
        ("deep_mse.threshold", "last", lambda f: f * (1 - sp.Rational(1, 10**5))),
        ("deep_mse.geometry", "w_norm2", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("deep_mse.free_bias", "between", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("deep_mse.bias_transition", "transition", lambda f: f * sp.Rational(5, 4)),
        ("deep_mse.decayed_bias", "value_share", lambda f: f * (1 + sp.Rational(1, 10**8))),
        ("deep_mse.two_layers", "largest_decay_product", lambda f: f * (1 + sp.Rational(1, 10**5))),
        pytest.param("ulpm.path", "rate", lambda f: f * (1 + sp.Rational(1, 10**8)), marks=pytest.mark.slow),
    ],
)
def test_a_falsified_form_has_a_counterexample_by_itself_has_a_counterexample(identifier, name, change):
    wrong = dataclasses.replace(with_form(identifier, name, change), steps=())  # those are checked with the proofs
    assert lpm.verify([wrong]).rows[0].verdict is Verdict.counterexample


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        pytest.param(identifier, name, marks=pytest.mark.slow if identifier in _LONG else ())
        for identifier in ("ufm.label_smoothing", "ufm.squared_error", "lpm.grouped")
        for name in proofs.THEOREMS[identifier].closed_forms
    ],
)
def test_every_closed_form_is_compared(identifier, name):
    wrong = with_form(identifier, name, lambda f: f * sp.Rational(1001, 1000))
    row = lpm.verify([dataclasses.replace(wrong, steps=())]).rows[0]
    assert row.worst > 10 * TOLERANCE and row.verdict is Verdict.counterexample


@pytest.mark.parametrize(
    ("identifier", "module", "change"),
    [
        pytest.param(
            "ufm.label_smoothing",
            balanced,
            lambda s: dataclasses.replace(s, margin=1.001 * s.margin),
            marks=pytest.mark.slow,
        ),
        ("ufm.squared_error", grouped, lambda s: dataclasses.replace(s, within=1.001 * s.within)),
        pytest.param(
            "lpm.grouped",
            grouped,
            lambda s: dataclasses.replace(s, between=1.001 * s.between),
            marks=pytest.mark.slow,
        ),
        pytest.param("lpm.rank", grouped, lambda s: dataclasses.replace(s, slack=-s.slack), marks=pytest.mark.slow),
        ("lpm.rank", grouped, lambda s: dataclasses.replace(s, between=0 * s.between)),
    ],
)
def test_wrong_solutions_are_counterexamples(monkeypatch, identifier, module, change):
    right = module.decayed
    monkeypatch.setattr(module, "decayed", lambda *given, **named: change(right(*given, **named)))
    assert lpm.verify([identifier]).rows[0].verdict is Verdict.counterexample


def test_the_counterexample_for_the_rank_is_as_stated(monkeypatch):
    monkeypatch.setattr("proofs.rank.ACTIVE", 2)
    assert lpm.verify(["lpm.rank"]).rows[0].verdict is Verdict.counterexample


def test_a_false_statement_has_a_counterexample():
    from proofs.balanced import K, theorem

    row = lpm.verify([theorem(cosine=-1 / K)]).rows[0]
    assert row.refuted == 1 and row.worst > 1e-4 and row.verdict is Verdict.counterexample


def test_certificates_that_lie_are_caught(monkeypatch):
    """A gap ten times too small no longer bounds the suboptimality."""
    honest = convexity.duality_gap

    def lying(*arguments):
        proof = honest(*arguments)
        return proof._replace(gap=proof.gap / 10)

    monkeypatch.setattr(convexity, "duality_gap", lying)
    assert not lpm.verify(["certificate.penalty"]).ok


def test_uncertified_solutions_contradict_nothing(monkeypatch):
    def uncertified(forms):
        good = convexity.cross_entropy(forms)
        return dataclasses.replace(good, certified=good.cells - 1, errors=good.errors + 1)

    monkeypatch.setitem(COMPARISONS, "ce.convex", uncertified)
    row = lpm.verify(["ce.convex"]).rows[0]
    assert row.verdict is Verdict.uncertified and not row.ok


def test_unknown_theorem():
    with pytest.raises(
        ValueError, match=r"theorems holds 'lpm.balance', which is unknown: choose from ce.convex, lpm.relaxation"
    ):
        lpm.verify(["lpm.balance"])


def test_command(tmp_path):
    out = tmp_path / "verification.json"
    result = CliRunner().invoke(cli.app, ["verify", "lpm.balanced", "supcon.balanced", "--json", "--out", str(out)])
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert [row["verdict"] for row in record["theorems"]] == ["agrees", "no solver yet"]
    assert json.loads(out.read_text()) == record


def test_command_fails_on_a_counterexample(monkeypatch):
    wrong = with_form("lpm.balanced", "value", lambda f: 2 * f)
    monkeypatch.setattr(proofs, "THEOREMS", {"lpm.balanced": wrong})
    result = CliRunner().invoke(cli.app, ["verify"])
    assert result.exit_code == 1
    assert "counterexample" in result.output
    assert max(map(len, result.stdout.splitlines()[:5])) <= 80


def test_command_names_the_known_theorems(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lpmjax", "verify", "nonsense"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    message = capsys.readouterr().err
    assert stopped.value.code == 2 and message.count("\n") == 1 and "lpm.balanced" in message
