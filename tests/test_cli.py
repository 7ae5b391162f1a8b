"""The command as a user runs it: output, files, exit codes, one-line errors."""

import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from command_line import COUNTS, run

import lpmjax as lpm
from lpmjax.cli import two_groups

pytestmark = pytest.mark.usefixtures("kept_by_nobody")


def test_solve(capsys, tmp_path):
    code, out, _ = run(capsys, "solve", "--R", 100)
    assert code == 0
    assert "merged, rank 5, certified" in out
    code, out, _ = run(capsys, "solve", "--K-A", 7, "--K-B", 3, "--json", "--out", tmp_path / "a.json")
    record = json.loads(out)
    assert code == 0
    assert record["phase"] == "annihilated"
    assert record["cosine"][1] is None
    assert json.loads((tmp_path / "a.json").read_text()) == record
    code, out, _ = run(capsys, "solve", "--lambda-W", 5e-3, "--lambda-H", 2e-3, "--R", 20, "--n-B", 2, "--json")
    assert json.loads(out)["model"] == "UnconstrainedFeatures"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--counts", "500,5,500"], lpm.LayerPeeled(lpm.ClassGroups.from_counts([500, 5, 500]), 1.0, 5.0)),
        (["--long-tail", "6:10", "--E-H", 2], lpm.LayerPeeled(lpm.ClassGroups.long_tail(6, 10.0), 1.0, 2.0)),
        (
            ["--K-A", 3, "--K-B", 2, "--loss", "logit-adjusted:0.5"],
            lpm.LayerPeeled.two_group(3, 2, 10, 1, 5, lpm.LogitAdjusted(0.5)),
        ),
        (
            [
                "--counts",
                "9,9,4",
                "--weight-decay-W",
                0.05,
                "--lambda-H",
                0.02,
                "--bias",
                0.1,
                "--loss",
                "squared-error",
            ],
            lpm.UnconstrainedFeatures(
                lpm.ClassGroups.from_counts([9, 9, 4]), 0.05, 0.02, lpm.SquaredError(), bias_decay=0.1
            ),
        ),
        (
            ["--long-tail", "3:4:8", "--lambda-W", 0.05, "--lambda-H", 0.05, "--bias", "free"],
            lpm.UnconstrainedFeatures(lpm.ClassGroups.from_counts([8, 4, 2]), 0.05, 0.05, bias_decay=0.0),
        ),
        (["--R", 10, "--dim", 4], lpm.LayerPeeled.two_group(5, 5, 10, 1, 5, dim=4)),
    ],
)
def test_every_model_has_its_options(capsys, monkeypatch, arguments, problem):
    """Without a solve: what reaches the solver is the problem, leaf by leaf."""
    seen = []
    monkeypatch.setattr(two_groups, "solve_problem", lambda problem, tol: seen.append(problem) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(capsys, "solve", *arguments)
    assert jax.tree.structure(seen[0].unordered) == jax.tree.structure(problem.unordered)
    for leaf, expected in zip(jax.tree.leaves(seen[0]), jax.tree.leaves(problem), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=1e-14)
    assert seen[0].groups.class_index.tolist() == problem.groups.class_index.tolist()


def test_solve_of_a_list_of_counts(capsys):
    code, out, err = run(capsys, "solve", "--counts", "9,9,9", "--lambda-W", 0.05, "--lambda-H", 0.02, "--json")
    assert code == 0, err
    record = json.loads(out)
    expected = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(3, 9), 0.05, 0.02))
    assert record["value"] == pytest.approx(float(expected.value), rel=1e-12)
    assert (record["model"], record["loss"], record["bias"]) == ("UnconstrainedFeatures", "CrossEntropy", None)


@pytest.mark.slow
def test_sweeps_of_every_model(capsys):
    code, out, err = run(capsys, "sweep", "--lambda-W", "1e-3,1e-2", "--lambda-H", 1e-3, "--R", "1,10", "--n-B", 3)
    assert code == 0, err
    assert "grid: R (2) x lambda_W (2)" in out and "4 certified" in out
    code, out, err = run(capsys, "sweep", "--long-tail", "4:10", "--E-H", "1,5", "--loss", "logit-adjusted")
    assert code == 0, err
    assert "grid: E_H (2)" in out and "2 certified" in out
    assert "slack" not in out  # four groups are for --json and --out


def test_a_piped_table_is_never_cut(capsys):
    axes = ("--K-A", "3,4", "--K-B", "2,3", "--R", "1,10", "--E-W", "1,2", "--E-H", "5,6")
    _, out, _ = run(capsys, "sweep", *axes)
    assert "…" not in out and "..." not in out
    row = next(line for line in out.splitlines() if line.split()[:5] == ["3", "2", "1", "1", "5"])
    single = lpm.solve(lpm.LayerPeeled.two_group(3, 2, 1, 1, 5))
    assert row.split()[5:7] == [f"{float(single.value):.10g}", "separated"]
    assert row.split()[-1] == "-0.25000"


def test_sweep(capsys, tmp_path):
    out_file, figure = tmp_path / "new" / "a.nc", tmp_path / "a.png"
    code, out, err = run(capsys, "sweep", "--R", "1:1000:7", "--E-H", "1,5", "--out", out_file, "--plot", figure)
    assert code == 0, err
    assert "14 certified" in out
    assert out_file.stat().st_size > 0 < figure.stat().st_size
    assert max(map(len, out.replace(str(tmp_path), "").splitlines())) <= 80
    code, out, _ = run(capsys, "sweep", "--R", "1,10", "--variables", "value", "--json")
    assert set(json.loads(out)["data_vars"]) == {"value", "status"}


def test_boundary(capsys):
    _, out, _ = run(capsys, "boundary", "--s", 2.23606797749979)
    assert "12.19244708" in out
    assert "never" in out
    _, out, _ = run(capsys, "boundary", "--K-A", 7, "--K-B", 3, "--s", "1,2.23606797749979", "--json", "--log")
    record = json.loads(out)
    assert record["log R1"][1] == pytest.approx(math.log(5.70533), abs=1e-6)


def test_boundary_tells_overflow_from_absence(capsys):
    _, out, _ = run(capsys, "boundary", "--K-A", 1, "--K-B", 9, "--s", 100)
    assert "exp(" in out and "never" in out
    _, out, _ = run(capsys, "boundary", "--K-A", 1, "--K-B", 9, "--s", 100, "--json")
    record = json.loads(out)
    assert record["R0"] == [None] and record["log R0"][0] > 700
    assert record["R1"] == [None] == record["log R1"]


def test_a_minority_of_one_class_has_no_cosine_but_a_figure(capsys, tmp_path):
    code, _, err = run(capsys, "phase-diagram", "--K-B", 1, "--cells", 21, "--out", tmp_path)
    assert code == 0, err
    assert (tmp_path / "cosine.png").stat().st_size > 0


def test_only_regular_files_are_replaced(capsys, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run(capsys, "solve", "--out", tmp_path / "pipe")
    assert code == 2 and "not a regular file" in err
    (tmp_path / "link").symlink_to(tmp_path / "target.json")
    assert run(capsys, "solve", "--out", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink() and json.loads((tmp_path / "target.json").read_text())


def test_phase_diagram(capsys, tmp_path):
    code, out, _ = run(capsys, "phase-diagram", "--cells", 20, "--out", tmp_path / "r", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["cells"] == 400 == record["status"]["certified"]
    assert record["worst_relative_gap"] < 1e-10
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "cosine.nc",
        "cosine.png",
        "phase_diagram.nc",
        "phase_diagram.png",
    ]


@pytest.mark.slow
def test_phase_diagram_of_deep_linear_networks(capsys, tmp_path):
    deep = ["phase-diagram", "--system", "deep-linear", "--K", 3, "--out", tmp_path]
    code, out, err = run(capsys, *deep, "--lambda", "0.1,0.185,0.3", "--M", "2,3")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines() if "0.1" in line or "0.3" in line]
    assert [row[-1] for row in rows] == ["2", "1", "0", "2", "0"]
    assert "ETF" in rows[0] and "dropped" in rows[1] and "zero" in rows[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep_phases.nc", "deep_phases.png"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["phase-diagram", "--M", 2], "--M is for --system deep-linear"),
        (["phase-diagram", "--system", "deep-linear", "--cells", 3], "--cells is for --system two-groups"),
        (["phase-diagram", "--system", "deep-linear", "--K", "3.5"], "K[0] = 3.5"),
        (["phase-diagram", "--system", "deep-linear", "--K", 2], "an integer >= 3"),
        (["solve", "--R", 0], "R = 0"),
        (["solve", "--E-H", "nan"], "E_H = nan"),
        (["solve", "--K-A", 0.5], "K_A = 0.5"),
        (["solve", "--lambda-W", 1e-3], "--lambda-H"),
        (["solve", "--lambda-W", 1, "--lambda-H", 1, "--E-H", 3], "--E-H and --lambda-W exclude each other"),
        (["solve", "--E-W", 1, "--bias", "free"], "--E-W and --bias exclude each other"),
        (["solve", "--n-B", 2], "--n-B needs --lambda-W"),
        (["solve", "--bias", 1], "--bias needs --lambda-W"),
        (["solve", "--counts", "5,1", "--R", 2], "--R and --counts exclude each other"),
        (["solve", "--counts", "5,1", "--long-tail", "5:2"], "--counts and --long-tail exclude each other"),
        (["solve", "--counts", "5,x"], "--counts = '5,x'"),
        (["solve", "--counts", "5,0"], "--counts = '5,0': n_k[1] = 0"),
        (["solve", "--long-tail", "5"], "--long-tail = '5' is not K:ratio"),
        (["solve", "--long-tail", "1:10"], "--long-tail = '1:10': K = 1"),
        (["solve", "--long-tail", "5:2", "--lambda-W", 1, "--lambda-H", 1], "give K:ratio:samples"),
        (["solve", "--lambda-W", 1, "--lambda-H", 1, "--bias", "x"], "--bias = 'x'"),
        (["solve", "--loss", "hinge"], "--loss = 'hinge' is unknown"),
        (["solve", "--loss", "squared-error:1"], "--loss = 'squared-error:1' is unknown"),
        (["solve", "--loss", "label-smoothing:2"], "epsilon = 2"),
        (["solve", "--dim", 0], "dim = 0"),
        (["sweep", "--lambda-W", "1,2", "--E-H", 3], "--E-H and --lambda-W exclude each other"),
        (["sweep", "--lambda-H", "1,2"], "--lambda-W and --lambda-H go together"),
        (["sweep", "--long-tail", "5:2", "--K-A", 3], "--K-A and --long-tail exclude each other"),
        (["sweep", "--plot", "a.png", "--loss", "squared-error"], "--plot draws two groups"),
        (["sweep", "--max-bytes", 100], "max_bytes"),
        (["solve", "--tol", 0], "tol = 0"),
        (["solve", "--out", "/dev/null/a.json"], "/dev/null/a.json"),
        (["sweep", "--R", "1:2"], "--R = '1:2'"),
        (["sweep", "--R", "1,-2"], "axis R, position 1"),
        (["sweep", "--variables", "bogus"], "bogus"),
        (["sweep", "--plot", "a.bogus"], "suffix"),
        (["sweep", "--R", "0:10:5"], "positive ends"),
        (["sweep", "--R", "1:10:99999999999"], "10000000 points"),
        (["sweep", "--plot", "a.png", "--K-A", "3,5"], "--plot needs R"),
        (["sweep", "--plot", "a.png", "--variables", "value"], "--plot draws cosine"),
        (["sweep", "--out", "a.csv"], "must end in .nc"),
        (["boundary", "--s", 0], "s[0] = 0"),
        (["phase-diagram", "--cells", 1], "--cells = 1"),
        (["phase-diagram", "--R-max", 0.5], "--R-max"),
        (["phase-diagram", "--out", "/dev/null/x"], "/dev/null/x"),
        (["diagnose", "nowhere.csv"], "nowhere.csv: No such file"),
        (["diagnose", "/dev/null", "--out", "new"], "/dev/null is empty"),
        (["diagnose", COUNTS, "--counts", "--labels"], "--counts and --labels exclude each other"),
        (["diagnose", COUNTS, "--E-W", 1], "--E-W and --E-H go together"),
        (["diagnose", COUNTS, "--weight-decay-H", 1], "--lambda-W and --lambda-H go together"),
        (["diagnose", COUNTS, "--E-W", 1, "--E-H", 1, "--lambda-W", 1, "--lambda-H", 1], "exclude"),
        (["diagnose", COUNTS, "--E-W", 1, "--E-H", -1, "--out", "new"], "--E-H = -1"),
        (["diagnose", COUNTS, "--tol", 0, "--out", "new"], "--tol = 0"),
        (["diagnose", COUNTS, "--out", "/dev/null/x"], "/dev/null/x"),
        (["solve", "--bogus"], "bogus"),
        (["bogus"], "bogus"),
    ],
)
def test_errors_are_short_and_exit_with_two(capsys, monkeypatch, tmp_path, arguments, named):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert named in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_uncertified_results_exit_with_one(capsys):
    code, _, err = run(capsys, "solve", "--tol", "1e-18")
    assert code == 1
    assert "stalled" in err


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"lpmjax {lpm.__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "lpmjax", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lpmjax {lpm.__version__}\n"
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        lpm.bogus  # noqa: B018


def test_help_names_the_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("solve", "sweep", "boundary", "phase-diagram", "diagnose", "verify"):
        assert command in out
