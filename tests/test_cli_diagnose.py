"""``lpmjax diagnose``: what it reads, prints and writes."""

import contextlib
import io
import json
from types import SimpleNamespace

import pytest
from command_line import COUNTS, run

from lpmjax import cli

pytestmark = pytest.mark.usefixtures("kept_by_nobody")


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
