"""Files appear whole or not at all, with the mode they had, and a full disk is an error like any other."""

import os
import signal
import subprocess
import sys

import matplotlib as mpl
import pytest
from matplotlib import pyplot

from lpmjax import figure_files, files

NAMELESS = hasattr(os, "O_TMPFILE")


def run(code, *arguments):
    """A Python process of this code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(params=["nameless", "named"])
def _both_ways(request, monkeypatch):
    """With files that have no name until they are whole, and as where the file system has none."""
    usual = os.open

    def refuse(path, flags, *more, **keywords):
        if NAMELESS and flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return usual(path, flags, *more, **keywords)

    if request.param == "named":
        monkeypatch.setattr(os, "open", refuse)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_replaced_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask(tmp_path, mode):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("old")
    old.chmod(mode)
    usual = os.umask(0o027)
    try:
        files.write_json(old, {"a": float("nan")})
        files.write_json(new, {})
    finally:
        os.umask(usual)
    assert old.read_text() == '{\n  "a": null\n}\n'
    assert (old.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (mode, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "old.json"]


def test_a_read_only_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write what is read-only
    with pytest.raises(OSError, match=r"a\.json: it is read-only"):
        files.write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.usefixtures("_both_ways")
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.json: No space left on device; choose another place"):
        files.write_json(tmp_path / "a.json", {})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PNG"])
def test_figures_are_of_the_format_of_their_suffix(tmp_path, suffix):
    mpl.use("Agg")
    path = tmp_path / f"a{suffix}"
    figure_files.check_figure(path)
    figure_files.write_figure(path, pyplot.figure(figsize=(1, 1)))
    pyplot.close()
    assert {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix[1:].lower()] in path.read_bytes()[:5]


def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path):
    """The limit on the size of a file stands for the disk's; HDF5 itself crashes the interpreter at its exit."""
    limited = """
import resource
from lpmjax import cli
from lpmjax.cli import grids
def write_dataset(path, ds):
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    usual(path, ds)
usual, grids.write_dataset = grids.write_dataset, write_dataset
cli.main()
"""
    (tmp_path / "a.nc").write_text("old")
    done = run(limited, "sweep", "--out", tmp_path / "a.nc")
    assert done.returncode == 2
    assert done.stderr == f"lpmjax: cannot write {tmp_path / 'a.nc'}: File too large; choose another place.\n"
    assert "41 certified" in done.stdout  # what was solved is not lost with the file
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.nc", "old")]


@pytest.mark.skipif(not NAMELESS, reason="the system has no files without a name")
def test_a_process_killed_while_it_writes_leaves_nothing(tmp_path):
    killed = """
import os, pathlib, signal, sys
from lpmjax import figure_files, files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.write_json(pathlib.Path(sys.argv[1]), list(range(10**5)))
"""
    assert run(killed, tmp_path / "a.json").returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
