"""The page of claims: written by the registries alone, a command in every row, and what fails is not shown."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import run

import proofs
from lpmjax import claims
from lpmjax.reproduce import names

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"


@pytest.fixture(scope="module")
def rows():
    return [*claims.theorems(), *claims.refutations(), *claims.reproductions()]


def test_the_page_is_current():
    """Verdicts are those of everything passing, as tests/proofs, test_verify and test_reproductions have it."""
    assert PAGE.read_text(encoding="utf-8") == claims.page(), "run `lpmjax claims`"


def test_every_row_has_a_command_that_exists(rows):
    for row in rows:
        verb, name = re.fullmatch(r"(?:lpmjax (verify|reproduce) (\S+)|python -m proofs)", row.command).groups()
        assert verb is None or name in (proofs.THEOREMS if verb == "verify" else names())
        assert row.statement and row.source and row.verdict
    assert {row.name for row in rows} == {*proofs.THEOREMS, *names()}


def test_neighbours_of_the_thresholds_are_named(rows):
    row = next(row for row in rows if row.name == "lpm.merged_boundary")
    assert all(paper in row.prior for paper in ("2309.09725", "2401.02058", "2301.00437", "2605.11291"))
    refuted = [row for row in rows if row.verdict == "counterexample"]
    assert len(refuted) == 6 and all("ETF" not in row.statement or "2410.23169" in row.prior for row in refuted)


def test_what_fails_is_not_shown(rows):
    shown = claims.page(lambda name: name != "lpm.kkt").splitlines()
    assert ["lpm.kkt" in line for line in shown if "**not shown**" in line] == [True]


def test_the_command_runs_everything_once(capsys, monkeypatch, tmp_path):
    asked = []

    def answer(name):
        asked.append(name)
        return SimpleNamespace(ok=name != "ji-flow")

    module = sys.modules["lpmjax.cli.claims"]  # as an attribute of the package it is the command
    monkeypatch.setattr(module, "verify", answer)
    monkeypatch.setattr(module, "reproduce", answer)
    code, out, err = run(capsys, "claims", "--out", tmp_path / "claims.md")
    assert code == 1 and err == "not shown: ji-flow.\n" and "ji-flow                    NOT SHOWN" in out
    assert sorted(asked) == sorted([*proofs.THEOREMS, *names()])
    assert (tmp_path / "claims.md").read_text() == claims.page(lambda name: name != "ji-flow")
