"""The command as a user runs it: output, files, exit codes, one-line errors."""

import contextlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lpmjax import cli

COUNTS = Path(__file__).parent / "data" / "counts.csv"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    """Commands called in this process must not leave a cache behind in its jax, nor in the home of whoever tests."""
    monkeypatch.setattr(cli, "_keep_compilations", lambda: None)


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of ``lpmjax arguments``."""
    sys.argv = ["lpmjax", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


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


def test_diagnose(capsys, monkeypatch, tmp_path):
    code, out, err = run(capsys, "diagnose", COUNTS, "--out", tmp_path / "new", "--E-W", 1, "--E-H", 5)
    assert code == 0, err
    assert "merged, rank 2 of 3" in out
    assert "Remedy by weights: loss weight times 2.0971" in out and "Remedy by budget: E_H times 1.3057" in out
    assert max(map(len, out.replace(str(tmp_path), "").splitlines())) <= 80
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["diagnosis.json", "diagnosis.png"]
    _, plain, _ = run(capsys, "diagnose", COUNTS, "--json")
    record = json.loads(plain)
    assert record == json.loads((tmp_path / "new" / "diagnosis.json").read_text())
    assert record["names"] == ["cat", "dog", "emu", "fox"]
    assert record["num_collapsed"] == 2
    assert record["reading"] == "class,count rows under the header 'class,count'"

    labels = b"a\n" * 8 + b"b\n" * 8 + b"c\nd\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(labels)))
    decays = ("--weight-decay-W", 0.1, "--weight-decay-H", 0.1, "--no-remedies", "--json")
    code, out, _ = run(capsys, "diagnose", "-", *decays)
    record = json.loads(out)
    assert code == 0
    assert (record["model"], record["counts"], record["remedies"]) == ("UnconstrainedFeatures", [8, 8, 1, 1], [])
    assert record["collapsed"] == [False, False, True, True]  # n <= N^2 lambda_W lambda_H = 3.24


def test_numbers_one_per_line_are_taken_as_the_flag_says(capsys, tmp_path):
    path = tmp_path / "numbers"
    path.write_text("100\n100\n1\n1\n")
    code, out, err = run(capsys, "diagnose", path, "--no-remedies")
    assert (code, out) == (2, "")
    assert "4 classes, 202 samples" in err and "2 classes, 4 samples" in err and "--counts or --labels" in err
    code, out, _ = run(capsys, "diagnose", path, "--no-remedies", "--counts")
    assert code == 0
    assert out.splitlines()[1] == "read as one count per line"
    assert "4 classes, 202 samples" in out
    assert "merged, rank 2 of 3" in out
    _, out, _ = run(capsys, "diagnose", path, "--no-remedies", "--labels", "--json")
    assert json.loads(out)["names"] == ["100", "1"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_the_terminal_cannot_encode_loses_no_result(monkeypatch, tmp_path, encoding):
    (tmp_path / "c.csv").write_text("猫,100\nLöwe,100\nемь,1\nfox,1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command, shown in (
        (("diagnose", "c.csv", "--no-remedies"), r"\u732b"),
        (("sweep", "--R", "1,100", "--out", "猫.nc"), r"wrote \u732b.nc"),
        (("sweep", "--R", "1,100", "--out", "猫\udcff.nc"), r"wrote \u732b\udcff.nc"),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setattr("sys.argv", ["lpmjax", *command])
        with contextlib.suppress(SystemExit):
            cli.main()
        stream.flush()
        out = stream.buffer.getvalue().decode(encoding)
        assert shown in out
        assert "certified" in out


def test_an_uncertified_diagnosis_exits_with_one(capsys):
    code, out, err = run(capsys, "diagnose", COUNTS, "--tol", "1e-18", "--no-remedies")
    assert code == 1
    assert "stalled" in out and "stalled" in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["solve", "--R", 0], "R = 0"),
        (["solve", "--E-H", "nan"], "E_H = nan"),
        (["solve", "--K-A", 0.5], "K_A = 0.5"),
        (["solve", "--lambda-W", 1e-3], "--lambda-H"),
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
        (["diagnose", COUNTS, "--weight-decay-H", 1], "--weight-decay-W and --weight-decay-H go together"),
        (["diagnose", COUNTS, "--E-W", 1, "--E-H", 1, "--weight-decay-W", 1, "--weight-decay-H", 1], "exclude"),
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


def test_help_names_the_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("solve", "sweep", "boundary", "phase-diagram", "diagnose", "verify"):
        assert command in out


def test_import_is_light():
    heavy = ["xarray", "matplotlib", "typer", "sympy", "cvxpy", "scipy.optimize"]
    code = f"import sys, lpmjax; print([m for m in {heavy!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_second_command_finds_the_compilations_of_the_first(tmp_path):
    def kept(home):
        command = [sys.executable, "-m", "lpmjax.cli", "boundary", "--json"]
        done = subprocess.run(
            command, env=os.environ | {"XDG_CACHE_HOME": str(home)}, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout, {file.name: file.stat().st_mtime_ns for file in home.glob("lpmjax/*-cache")}

    first, files = kept(tmp_path)
    assert files
    assert kept(tmp_path) == (first, files)
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file")[0] == first  # no folder can be made there
