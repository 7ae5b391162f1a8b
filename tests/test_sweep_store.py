"""Sweeps in a store: every end of a process, every damage, every other sweep.

``python tests/test_sweep_store.py 20 1000`` kills a sweep of 1000 x 1000 cells 20 times at random moments, resumes it
each time, and compares its store with that of an uninterrupted one.
"""

import dataclasses
import errno
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import lpmjax as lpm
from lpmjax.sweeps.chunks import divided, recommended_cells
from lpmjax.sweeps.layout import read_layout
from lpmjax.sweeps.ledger import Ledger

PARTS = ("stored", "layout", "recheck", "identity")
stored, layouts, recheck, identity = (importlib.import_module(f"lpmjax.sweeps.{name}") for name in PARTS)
GRID = {"K_A": 5, "K_B": 5, "R": np.geomspace(1, 300, 6), "E_W": 1.0, "E_H": np.linspace(0.5, 8, 7)}
KEPT = ["status", "value", "phase", "gap"]


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    """14 cells a chunk: three of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lpmjax.sweeps.fill._LANES_ON_CPU", 16)
        patch.setattr(stored, "recommended_cells", lambda *_: 14)
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "grid.zarr"


def sweep(path, **changes):
    return lpm.sweep(lpm.LayerPeeled.two_group, **(GRID | changes), store=path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two stores, solved once: with all variables, and with a few."""
    folder = tmp_path_factory.mktemp("made")
    sweep(folder / "all.zarr")
    sweep(folder / "few.zarr", variables=KEPT)
    return folder


@pytest.fixture
def filled(path, made):
    shutil.copytree(made / "all.zarr", path)
    return path


@pytest.fixture
def lean(path, made):
    shutil.copytree(made / "few.zarr", path)
    return path


def content(path):
    """Bytes of every file of the arrays."""
    files = (file for file in path.rglob("*") if file.is_file() and ".lpmjax" not in file.parts)
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


class Killed(Exception):
    pass


def end_after(monkeypatch, chunks):
    """End the sweep where the ledger is told of one chunk more: between a chunk and its entry."""
    add, left = Ledger.add, iter(range(chunks))

    def one(self, entry):
        if next(left, None) is None:
            raise Killed
        add(self, entry)

    monkeypatch.setattr(Ledger, "add", one)


def test_a_stored_sweep_is_the_sweep_and_lazy(filled):
    ds, memory = sweep(filled), lpm.sweep(lpm.LayerPeeled.two_group, **GRID)
    assert all(type(ds[name].data).__module__.startswith("dask") for name in ds.data_vars)
    assert ds["value"].chunks == ((2, 2, 2), (7,)) and list(ds.data_vars) == list(memory.data_vars)
    for name in memory.data_vars:
        assert ds[name].dtype == memory[name].dtype
        np.testing.assert_array_equal(ds[name], memory[name], err_msg=name)
        assert {key: np.asarray(value).tolist() for key, value in memory[name].attrs.items()} == ds[name].attrs
    assert ds["cosine"].sel(group="B").shape == (6, 7) and float(ds["E_W"]) == 1.0
    assert ds.attrs.items() >= memory.attrs.items()
    xr.testing.assert_identical(xr.open_zarr(filled)[list(ds.data_vars)], ds)


def test_a_sweep_goes_on_where_it_ended(path, made, monkeypatch):
    with monkeypatch.context() as ended:
        end_after(ended, 1)
        with pytest.raises(Killed):
            sweep(path, variables=KEPT)
    half = lpm.open_sweep(path)
    assert half.done == 14 and not half.complete and half.status == {"certified": 14}
    block = half.dataset.isel(half.missing[0])
    assert len(half.missing) == 2
    assert "14 of 42 cells done (33.3 %), 1 of 3 chunks of 2 x 7" in str(half) and "missing: R [" in str(half)
    # what was written before its entry is there, and done again all the same; the rest reads as missing
    assert set(np.unique(half.dataset["status"])) <= {-1, 0}
    seen = []
    sweep(path, variables=KEPT, progress=lambda *done: seen.append(done))
    assert seen == [(28, 42), (42, 42)]
    assert lpm.open_sweep(path).complete and not np.isnan(block["value"]).any()
    assert content(path) == content(made / "few.zarr")
    assert {c: lpm.open_sweep(path).entries[c] for c in half.entries} == half.entries  # nothing is done twice


def test_nothing_is_computed_where_nothing_is_missing(filled, monkeypatch):
    monkeypatch.setattr(stored, "worker", None)
    for file in (filled / ".lpmjax" / "done", filled / ".lpmjax"):
        file.chmod(0o555)
    assert sweep(filled)["value"].shape == (6, 7)
    for file in (filled / ".lpmjax", filled / ".lpmjax" / "done"):
        file.chmod(0o755)


def other(K_A, K_B, R, E_W, E_H):
    return lpm.LayerPeeled.two_group(K_A, K_B, R, E_W, 2 * E_H)


def test_another_sweep_is_refused_and_told_what_differs(lean):
    for changes, told in [
        ({"E_W": 2.0}, "argument E_W is 2.0, in the store 1.0"),
        ({"R": np.array([*GRID["R"][:-1], 300.1])}, "argument R is 6 values from 1 to 300"),
        ({"tol": 1e-9}, "tol is 1e-09, in the store 1e-10"),
        ({"dtype": "float32"}, "dtype is float32, in the store float64"),
        ({"variables": ["value"]}, "variables is value, in the store gap, phase, status, value"),
        ({"run": lpm.solve}, "run is solve, in the store none"),
    ]:
        with pytest.raises(ValueError, match=f"grid.zarr holds another sweep: .*{told}"):
            sweep(lean, **({"variables": KEPT} | changes))
    with pytest.raises(ValueError, match=r"builder is other, in the store LayerPeeled\.two_group"):
        lpm.sweep(other, **GRID, variables=KEPT, store=lean)
    sweep(lean, K_A=5.0, E_W=1, variables=KEPT[::-1])  # the same in other words


def test_a_builder_of_the_same_name_that_builds_others_is_refused(path):
    def make(factor):
        return lambda R: lpm.LayerPeeled.two_group(5, 5, R, 1.0, factor)

    lpm.sweep(make(5.0), R=[1.0, 10.0], variables=KEPT, store=path)
    lpm.sweep(make(5.0), R=[1.0, 10.0], variables=KEPT, store=path)
    with pytest.raises(ValueError, match="holds another sweep: what the builder computes is"):
        lpm.sweep(make(6.0), R=[1.0, 10.0], variables=KEPT, store=path)


def test_of_another_jax_only_what_functions_compute_is_not_compared():
    ours = {"jax version": "1", "what the builder computes": "a", "tol": "1e-9"}
    assert identity.differences(ours, ours | {"what the builder computes": "b"}) == [
        "what the builder computes is a, in the store b"
    ]
    other = {"jax version": "2", "what the builder computes": "b"}
    assert identity.differences(ours, ours | other) == []
    assert identity.differences(ours, ours | other | {"tol": "1e-8"}) == ["tol is 1e-9, in the store 1e-8"]


def test_a_store_of_another_version_is_refused(filled, monkeypatch):
    monkeypatch.setattr("lpmjax.sweeps.identity.version", lambda _: "0.0.9")
    with pytest.raises(ValueError, match=r"lpmjax version is 0\.0\.9, in the store 0"):
        sweep(filled)
    assert lpm.audit(filled, sample=3).ok  # another version may audit it
    monkeypatch.setattr(layouts, "FORMAT", 0)
    with pytest.raises(ValueError, match="is of format 1, of a later lpmjax: update lpmjax"):
        lpm.open_sweep(filled)


def test_places_that_cannot_be_a_store(tmp_path, filled):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for name, told in [("file", "it is a file"), ("folder", "it is a folder that holds no sweep")]:
        with pytest.raises(OSError, match=f"cannot write .*{name}: {told}; give a path that does not exist"):
            sweep(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} (is a file|holds no sweep): give the folder"):
            lpm.open_sweep(tmp_path / name)
    with pytest.raises(OSError, match="cannot write"):
        sweep(tmp_path / "file" / "grid.zarr")
    with pytest.raises(ValueError, match=r"store must be the path of a folder, as 'grid\.zarr', got 3"):
        sweep(3)
    with pytest.raises(ValueError, match="store must be the path of a folder"):
        lpm.open_sweep(3)
    with pytest.raises(ValueError, match=r"1 cells x 17 variables take .* above max_bytes"):
        sweep(tmp_path / "b.zarr", max_bytes=10)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder", "grid.zarr"]
    assert read_layout(filled).chunks.shape == (2, 7)
    sweep(tmp_path / "c.zarr", variables=KEPT, max_bytes=200)  # of a chunk
    assert read_layout(tmp_path / "c.zarr").chunks.shape == (1, 7)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o555)
    with pytest.raises(OSError, match=r"cannot write .*grid\.zarr: Permission denied"):
        sweep(tmp_path / "shut" / "grid.zarr")


def test_a_full_disk_is_told_and_what_is_done_is_kept(path, monkeypatch):
    real, left = layouts.write_bytes, iter(range(7))

    def full(file, data):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, data)

    with monkeypatch.context() as disk:
        disk.setattr(stored, "at_once", lambda: 1)
        disk.setattr(layouts, "write_bytes", full)
        with pytest.raises(OSError, match=r"No space left on device.*the same call goes on"):
            sweep(path, variables=KEPT)
    assert lpm.open_sweep(path).done == 14 and lpm.audit(path, sample=0).ok
    sweep(path, variables=KEPT)
    assert lpm.open_sweep(path).complete and lpm.audit(path, sample=0).ok


def test_a_second_process_is_refused(path, monkeypatch):
    refused = []
    real = Ledger.add

    def meanwhile(self, entry):
        if not refused:
            with pytest.raises(
                OSError, match=f"grid.zarr is being filled by process {os.getpid()} on .*: wait"
            ) as told:
                sweep(path, variables=KEPT)  # a lock is of an open file, so it holds within a process as well
            refused.append(told)
        real(self, entry)

    monkeypatch.setattr(stored, "at_once", lambda: 1)
    monkeypatch.setattr(Ledger, "add", meanwhile)
    sweep(path, variables=KEPT)
    assert refused and lpm.open_sweep(path).complete


@pytest.mark.parametrize("lacks, needs", [("zarr", "zarr and dask"), ("dask", "zarr and dask")])
def test_without_the_extra(path, monkeypatch, lacks, needs):
    monkeypatch.setitem(sys.modules, lacks, None)
    monkeypatch.setitem(sys.modules, f"{lacks}.array", None)
    with pytest.raises(ImportError, match=rf"a sweep in a store needs {needs}: pip install 'lpmjax\[cluster\]'"):
        sweep(path)


# --- audit


def test_arguments_of_any_kind_are_found_again(path):
    """Numbers of NumPy, tuples, modules: what an archive gives back is the same sweep."""
    asked = {"groups": lpm.ClassGroups.two_group(5, 5, 10.0), "E_W": np.float64(1), "E_H": [1.0, 5.0]}
    lpm.sweep(lpm.LayerPeeled, **asked, variables=KEPT, store=path)
    assert lpm.audit(path).ok
    lpm.sweep(lpm.LayerPeeled, **(asked | {"E_W": np.array(1)}), variables=KEPT, store=path)
    assert identity._plain((np.float64(0.1), 2)) == (0.1, 2)


def test_an_audit_proves_and_solves_again(filled, made):
    found = lpm.audit(filled, sample=10)
    assert found.ok and 0 < found.sampled <= 10 and found.record()["status"] == {"certified": 42}
    assert "nothing is damaged or wrong" in str(found)
    few = lpm.audit(made / "few.zarr", sample=100)
    assert few.ok and few.sampled == 42


@pytest.mark.parametrize(
    "file", ["value/c/1/0", "between/c/0/0/0/0", "status/c/2/0", "R/c/0", "zarr.json", "gap/zarr.json"]
)
def test_a_flipped_byte_is_found(filled, file):
    data = bytearray((filled / file).read_bytes())
    at = (
        7
        if file.startswith(("value", "between", "status", "R"))
        else data.index(b"builder" if file == "zarr.json" else b"nat")
    )
    data[at] ^= 1
    (filled / file).write_bytes(data)
    found = lpm.audit(filled, sample=5)
    assert not found.ok and file in found.damaged_files and "NOT as it should be" in str(found)
    in_chunk = "/c/" in file and file != "R/c/0"
    assert len(found.damaged_chunks) == in_chunk
    if not in_chunk:
        with pytest.raises(ValueError, match=f"is damaged: {file} is not what was laid out"):
            sweep(filled)


def test_damaged_chunks_are_done_again_after_reopening(lean):
    before = content(lean)
    (lean / "value" / "c" / "1" / "0").unlink()
    (lean / "phase" / "c" / "0" / "0").write_bytes(b"nonsense")
    (lean / ".lpmjax" / "done" / "00000002.json").write_text("{")
    found = lpm.audit(lean, sample=5, reopen=True)
    assert found.damaged_chunks == (0, 1) and "00000002.json" in found.damaged_files
    assert lpm.open_sweep(lean).done == 0
    sweep(lean, variables=KEPT)
    assert lpm.audit(lean).ok and content(lean) == before


def rewrite(path, chunk, **lies):
    """Change numbers of a chunk, hashes and ledger as well: what only mathematics can find."""
    layout = read_layout(path)
    ledger, writer = Ledger(layout.own / "done"), layouts.Writer(layout)
    arrays = {}
    for name in layout.variables:
        array = lpm.open_sweep(path).dataset[name].values[layout.chunks.slices(chunk)].copy()
        arrays[name] = lies[name](array) if name in lies else array
    entry = ledger.read()[0][chunk]
    status, nan = stored.counted(arrays)
    ledger.add(dataclasses.replace(entry, sha256=writer.write(chunk, arrays), status=status, nan=nan))


@pytest.mark.parametrize(
    "name, lies, told",
    [
        ("all", {"within": lambda v: v * (1 + 1e-4)}, "status stored as certified, stalled proved again"),
        ("all", {"phase": lambda v: (v + 1) % 3}, "phase stored as"),
        ("few", {"value": lambda v: v * (1 + 1e-9)}, "value stored as"),
        ("few", {"phase": lambda v: (v + 1) % 3}, "phase stored as"),
        ("few", {"value": lambda v: v * np.nan}, "value stored as nan"),
        ("few", {"status": lambda v: v + 9}, "status stored as code 9"),
    ],
)
def test_a_lie_with_a_right_hash_is_found(path, made, name, lies, told):
    shutil.copytree(made / f"{name}.zarr", path)
    rewrite(path, 1, **lies)
    assert lpm.audit(path, sample=0).ok
    found = lpm.audit(path, sample=100)
    assert not found.ok and not found.damaged_files and len(found.faults) >= 10
    assert told in found.faults[0] and found.faults[0].startswith("R = 9.79")


def test_without_its_gap_a_value_is_held_to_the_tolerance():
    one = np.float64(1.0)
    assert recheck._close({"value": one}, {"value": one + 1e-10}, 2e-10)
    assert not recheck._close({"value": one}, {"value": one + 3e-10}, 2e-10)
    assert not recheck._close({"value": one, "gap": 1e-12}, {"value": one + 1e-10, "gap": np.nan}, 2e-10)


@pytest.mark.slow
def test_a_stalled_cell_called_certified_is_found(path):
    sweep(path, max_steps=1, variables=KEPT)
    assert set(lpm.open_sweep(path).status) > {"certified"}
    assert lpm.audit(path).ok  # cells that failed and say so are not wrong
    rewrite(path, 1, status=np.zeros_like)
    assert any("status stored as certified" in fault for fault in lpm.audit(path).faults)


def test_a_ledger_that_counts_wrong_is_found(filled):
    file = filled / ".lpmjax" / "done" / "00000001.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"status": {"certified": 13, "stalled": 1}}))
    assert lpm.audit(filled, sample=0).damaged_files == ("ledger entry of chunk 1",)


def test_what_an_audit_cannot_find_it_asks_for(path):
    def local(R, scale):
        return lpm.LayerPeeled.two_group(5, 5, R, 1.0, scale["E_H"])

    asked = {"R": [1.0, 10.0], "scale": {"E_H": 5.0}}
    lpm.sweep(local, **asked, variables=KEPT, store=path)
    with pytest.raises(
        ValueError, match=r"the builder of this sweep is .*local of module .*import .* or give builder="
    ):
        lpm.audit(path)
    with pytest.raises(ValueError, match=r"grid\.zarr does not hold scale: give the argument"):
        lpm.audit(path, builder=local)
    with pytest.raises(ValueError, match="holds another sweep than what is given: argument scale is a dict"):
        lpm.audit(path, builder=local, scale={"E_H": 4.0})
    assert lpm.audit(path, builder=local, scale={"E_H": 5.0}).ok
    assert lpm.audit(path, sample=0).ok


# --- chunks


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 7), (3, 1, 50), (1000, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("cells", [1, 4, 14, 10**6])
def test_chunks_cover_every_cell_once(shape, cells):
    chunks, seen = divided(shape, cells), np.zeros(shape, int)
    for number in range(chunks.count):
        seen[chunks.slices(number)] += 1
        assert chunks.cells(number) <= cells
    assert (seen == 1).all()


@pytest.mark.parametrize(
    "cells, exact, rows, size",
    [
        (10**4, True, 1, 2**15),
        (10**7, True, 1, 2**18),
        (10**9, True, 1, 2**18),
        (10**11, True, 1, 2**20),
        (2000, False, 10, 62),
        (10**6, False, 10, 5000),
        (10**6, False, 1000, 1),
    ],
)
def test_chunks_are_as_large_as_the_cost_model_says(cells, exact, rows, size):
    grid, task, first = SimpleNamespace(shape=(cells,)), SimpleNamespace(exact=exact), SimpleNamespace(size=rows)
    assert recommended_cells(SimpleNamespace(grid=grid, task=task, first=first, on_host=False)) == size


# --- kill -9

SWEEP = """
import sys, numpy as np, lpmjax as lpm
cells = int(sys.argv[2])
lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=np.geomspace(1, 1e4, cells), E_W=1.0,
          E_H=np.linspace(0.01, 16, cells), variables=["value", "phase", "status", "gap"], store=sys.argv[1],
          progress=lambda done, total: print(done, total, flush=True))
"""


def run_killed(path, side, seconds, kills):
    """Kill the sweep at random moments and call it again, ``kills`` times and then to its end; entries of each time."""
    entries, timed = {}, []
    command = [sys.executable, "-c", SWEEP, str(path), str(side)]
    for kill in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if kill % 4 == 0:  # while it imports, lays out, compiles
            time.sleep(random.uniform(0, 4))
        else:
            process.stdout.readline()  # a chunk is done
            time.sleep(random.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = lpm.open_sweep(path).entries if path.exists() else {}
        assert {chunk: found.get(chunk) for chunk in entries} == entries  # what was done stays, done once
        timed.append(len(found))
        entries = found
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = lpm.open_sweep(path).entries
    assert {chunk: found.get(chunk) for chunk in entries} == entries
    return timed


def killed_equals_uninterrupted(folder, side, seconds, kills):
    subprocess.run(
        [sys.executable, "-c", SWEEP, str(folder / "a.zarr"), str(side)], check=True, stdout=subprocess.DEVNULL
    )
    done = run_killed(folder / "b.zarr", side, seconds, kills)
    assert content(folder / "a.zarr") == content(folder / "b.zarr")
    assert lpm.audit(folder / "b.zarr").ok
    return done


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path):
    assert killed_equals_uninterrupted(tmp_path, 400, 0.1, 3)[-1] >= 1


@pytest.mark.slow
def test_two_processes_at_once(tmp_path):
    command = [sys.executable, "-c", SWEEP, str(tmp_path / "a.zarr"), "700"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[1] for process in both]
    for process, text in zip(both, told, strict=True):  # it is refused, or comes when all is done
        assert process.returncode == 0 or "is being filled by process" in text
    assert any(process.returncode == 0 for process in both)
    assert lpm.open_sweep(tmp_path / "a.zarr").complete and lpm.audit(tmp_path / "a.zarr").ok
    assert [file.name for file in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.slow
def test_a_disk_that_is_full(tmp_path):
    """A small file system with ballast, that is thrown out when nothing more fits."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root mounts file systems")
    try:
        (disk / "ballast").write_bytes(bytes(4 << 20))
        command = [sys.executable, "-c", SWEEP, str(disk / "a.zarr"), "400"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "No space left on device" in done.stderr and "the same call goes on" in done.stderr.splitlines()[-1]
        found = lpm.open_sweep(disk / "a.zarr")
        assert 0 < found.done < found.cells and lpm.audit(disk / "a.zarr").ok
        (disk / "ballast").unlink()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*command[:-2], str(tmp_path / "b.zarr"), "400"], check=True, stdout=subprocess.DEVNULL)
        assert content(disk / "a.zarr") == content(tmp_path / "b.zarr")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    kills, side = int(sys.argv[1]), int(sys.argv[2])
    folder = Path(tempfile.mkdtemp())
    print("chunks done after each kill:", killed_equals_uninterrupted(folder, side, 0.05, kills))
    print("every byte of the arrays equals that of the uninterrupted sweep; no chunk was done twice")
    shutil.rmtree(folder)
