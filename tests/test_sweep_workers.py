"""Who fills a store: workers of a Dask cluster, several devices, rounds that end half-way; and the command.

``python tests/test_sweep_workers.py 10 3000`` sweeps 3000 x 3000 cells by threads and by two workers, one of which is
killed 10 times, and compares the stores and the rates; ``python tests/test_sweep_workers.py rounds`` ends 2000 cells
of 10 groups in their second round.
"""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import run

import lpmjax as lpm
from benchmarks import scale
from lpmjax.sweeps.chunks import recommended_cells
from lpmjax.sweeps.rounds import Spill

stored, fill, task, cluster = (
    importlib.import_module(f"lpmjax.sweeps.{n}") for n in ("stored", "fill", "task", "cluster")
)
KEPT = ["value", "phase", "status", "gap"]


def grid(side):
    return {"K_A": 5, "K_B": 5, "R": np.geomspace(1, 1e4, side), "E_W": 1.0, "E_H": np.linspace(0.01, 16, side)}


def hashes(path):
    found = lpm.open_sweep(path)
    assert found.complete
    return {chunk: entry.sha256 for chunk, entry in found.entries.items()}


def scaled(R, E_H):
    """A builder that workers get by value, for they do not import the tests."""
    return lpm.LayerPeeled.two_group(5, 5, R, 1.0, E_H)


# --- several devices

DEVICES = """
import sys, jax, numpy as np, lpmjax as lpm
from compilations import names
assert len(jax.devices()) == int(sys.argv[2])
def tail(R, E_H):
    return lpm.LayerPeeled(lpm.ClassGroups.long_tail(4, R), 1.0, E_H)
axes = {"R": np.geomspace(1, 1e4, 90), "E_H": np.linspace(0.01, 16, 100)}
two = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, E_W=1.0, **axes)
many = lpm.sweep(tail, R=np.geomspace(1, 1e4, 15), E_H=[0.1, 3.0, 30.0], store=sys.argv[1] + ".zarr")
compilations = names.count("jit(_batch)")
np.savez(sys.argv[1], compilations=compilations, **two.data_vars, **{"many_" + n: many[n] for n in many})
"""


@pytest.mark.slow
def test_eight_devices_share_the_lanes(tmp_path):
    found = {}
    for devices in (1, 8):
        flags = f"--xla_backend_optimization_level=0 --xla_force_host_platform_device_count={devices}"
        command = [sys.executable, "-c", DEVICES, str(tmp_path / f"{devices}.npz"), str(devices)]
        subprocess.run(
            command, check=True, env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(Path(__file__).parent)}
        )
        found[devices] = np.load(tmp_path / f"{devices}.npz")
    for name in found[1].files:
        if "steps" not in name:  # one more or less, where the last changes the last digit
            np.testing.assert_allclose(found[8][name], found[1][name], rtol=1e-13, atol=1e-13, err_msg=name)
    assert found[8]["compilations"] == 2  # one each


# --- rounds


def ends_in_its_second_round(folder, patch, classes, side, chunk):
    """End a grouped sweep in the second round of its first chunk, go on, and compare with one that did not end."""
    for name, value in (("in_lockstep", lambda: True), ("_CELLS_FOR_ROUNDS", 1), ("_FIRST_ROUND", 20)):
        patch.setattr(task, name, value)
    patch.setattr(stored, "recommended_cells", lambda _: chunk)
    patch.setattr(stored, "at_once", lambda: 1)
    real, worked, ended = fill._batch, [], False

    def long_tail(R, E_H):
        return lpm.LayerPeeled(lpm.ClassGroups.long_tail(classes, R), 1.0, E_H)

    def batch(problems, start, names, task, last, *where):
        worked.append(last)
        if last and ended:
            raise KeyboardInterrupt
        return real(problems, start, names, task, last, *where)

    patch.setattr(fill, "_batch", batch)
    asked = {"R": np.geomspace(1, 1e4, side), "E_H": np.geomspace(0.1, 30, 20 if side > 20 else 3)}
    steps = lpm.sweep(long_tail, **asked, store=folder / "a.zarr")["steps"].load()
    assert (steps > 20).any() and (steps <= 20).any()
    first, second = worked.count(False), worked.count(True)
    ended = True
    worked.clear()
    with pytest.raises(KeyboardInterrupt):
        lpm.sweep(long_tail, **asked, store=folder / "b.zarr")
    before = worked.count(False)
    rounds = folder / "b.zarr" / ".lpmjax" / "rounds"
    assert lpm.open_sweep(folder / "b.zarr").done == 0 and before >= 1 and list(rounds.iterdir())
    ended = False
    worked.clear()
    lpm.sweep(long_tail, **asked, store=folder / "b.zarr")
    assert worked.count(False) == first - before and worked.count(True) == second  # no first round is worked on again
    assert hashes(folder / "a.zarr") == hashes(folder / "b.zarr") and not list(rounds.iterdir())
    return before, first, second


@pytest.mark.slow
def test_a_sweep_that_ends_in_its_second_round_goes_on_there(tmp_path, monkeypatch):
    ends_in_its_second_round(tmp_path, monkeypatch, classes=4, side=8, chunk=12)


def test_what_a_round_has_reached_is_of_its_rounds(tmp_path):
    from lpmjax.sweeps.rounds import Reached

    spill, out = Spill(tmp_path / "rounds" / "0.npz"), {"value": np.arange(3.0)}
    start = lpm.ClassGroups([4.0, 6.0], [50.0, 1.0])  # any tree of the library's; as a rule results
    assert spill.load((40, 60), out) is None
    spill.save((40, 60), Reached(1, 40, np.array([2]), start), out)
    back = {"value": np.zeros(3)}
    reached = spill.load((40, 60), back)
    assert reached.number == 1 and reached.before == 40 and reached.index.tolist() == [2]
    assert back["value"].tolist() == [0, 1, 2] and (reached.start.samples == start.samples).all()
    assert spill.load((60,), back) is None and spill.load((40, 60), {"value": np.zeros(4)}) is None
    (tmp_path / "rounds" / "0.npz").write_bytes(b"cut")
    assert spill.load((40, 60), back) is None
    spill.remove()
    assert not list((tmp_path / "rounds").iterdir())


# --- workers


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
        yield client


@pytest.mark.slow
def test_workers_fill_the_store_as_threads_do(tmp_path, client, monkeypatch):
    monkeypatch.setattr(stored, "recommended_cells", lambda _: 100)
    seen, asked = [], {name: grid(30)[name] for name in ("R", "E_H")} | {"variables": KEPT}
    lpm.sweep(scaled, **asked, store=tmp_path / "a.zarr")
    told = {"client": client, "progress": lambda *done: seen.append(done)}
    ds = lpm.sweep(scaled, **asked, store=tmp_path / "b.zarr", **told)
    assert hashes(tmp_path / "a.zarr") == hashes(tmp_path / "b.zarr")
    assert seen[-1] == (900, 900) and len(seen) == 10 and (ds["status"] == lpm.Status.certified).all()
    # a task that the scheduler repeats does nothing
    entry = lpm.open_sweep(tmp_path / "b.zarr").entries[3]
    assert cluster.do_chunk(b"", tmp_path / "b.zarr", 3) == entry


@pytest.mark.slow
def test_what_workers_raise_reaches_the_caller(tmp_path, client, monkeypatch):
    monkeypatch.setattr("lpmjax.sweeps.identity.version", lambda _: "0.0.9")  # here, not on the workers
    with pytest.raises(ValueError, match=r"would do another sweep: lpmjax version is .*, in the store 0\.0\.9"):
        lpm.sweep(scaled, R=[1.0], E_H=[2.0], store=tmp_path / "a.zarr", client=client)
    assert lpm.open_sweep(tmp_path / "a.zarr").done == 0
    with pytest.raises(OSError, match=r"finds no store at .*workers need a folder that all of them share"):
        client.submit(cluster.do_chunk, b"", tmp_path / "none.zarr", 0).result()
    locked = threading.Lock()
    with pytest.raises(ValueError, match=r"cannot be sent to workers .*: define functions in a module"):
        lpm.sweep(lambda R: scaled(R, 1.0) if locked else None, R=[1.0], store=tmp_path / "b.zarr", client=client)
    assert not (tmp_path / "b.zarr").exists()


def test_clients_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="client needs a store"):
        lpm.sweep(scaled, R=[1.0], E_H=2.0, client=3)
    with pytest.raises(ValueError, match=r"client must be a dask\.distributed\.Client, got int"):
        lpm.sweep(scaled, R=[1.0], E_H=2.0, store=tmp_path / "a.zarr", client=3)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"workers need dask\.distributed: pip install 'lpmjax\[cluster\]'"):
        lpm.sweep(scaled, R=[1.0], E_H=2.0, store=tmp_path / "a.zarr", client=3)


# --- the command


@pytest.mark.usefixtures("kept_by_nobody")
def test_the_command_fills_and_audits_a_store(capsys, tmp_path):
    path = tmp_path / "a.zarr"
    asked = ("sweep", "--R", "1:100:5", "--E-H", "1,5", "--variables", "value,phase,gap", "--store", path)
    code, out, err = run(capsys, *asked)
    assert code == 0, err
    assert "10 of 10 cells done (100 %), 1 of 1 chunks of 5 x 2" in out and "status: 10 certified" in out
    (file,) = (path / ".lpmjax" / "done").iterdir()
    file.unlink()
    code, out, err = run(capsys, "audit", path)
    assert code == 1 and "0 of 10 cells done (0 %)" in out and "cells are missing: call the same sweep" in err
    code, out, _ = run(capsys, *asked, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and lines[0]["done"] == lines[0]["certified"] == 10 and lines[0]["cells_per_second"] > 0
    assert lines[-1] == {"store": str(path), "cells": 10, "done": 10, "status": {"certified": 10}}
    code, out, _ = run(capsys, "audit", path, "--json")
    assert code == 0 and json.loads(out)["ok"] and json.loads(out)["sampled"] == 10
    (path / "value" / "c" / "0" / "0").write_bytes(b"cut")
    code, out, _ = run(capsys, "audit", path, "--sample", 0, "--reopen")
    assert code == 1 and "damaged: value/c/0/0" in out and lpm.open_sweep(path).done == 0


@pytest.mark.usefixtures("kept_by_nobody")
@pytest.mark.parametrize(
    "options, told",
    [
        (["--workers", "2"], "--workers needs --store"),
        (["--scheduler", "tcp://127.0.0.1:7"], "--scheduler needs --store"),
        (["--store", "a.zarr", "--workers", "0"], "--workers = 0 is out of range: it must be at least 1"),
        (["--store", "a.zarr", "--workers", "2", "--scheduler", "x"], "--workers and --scheduler exclude each other"),
        (["--store", "a.zarr", "--out", "a.nc"], "--out and --store exclude each other"),
    ],
)
def test_options_that_go_nowhere(capsys, options, told):
    code, _, err = run(capsys, "sweep", *options)
    assert code == 2 and err.startswith(f"lpmjax: {told}")


@pytest.mark.usefixtures("kept_by_nobody")
def test_a_scheduler_that_does_not_answer(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("lpmjax.cli.stores._PATIENCE", 0.2)
    code, _, err = run(capsys, "sweep", "--store", tmp_path / "a.zarr", "--scheduler", "tcp://127.0.0.1:7")
    assert code == 2 and "--scheduler = 'tcp://127.0.0.1:7' does not answer within 0.2 seconds" in err
    assert not (tmp_path / "a.zarr").exists()


def test_the_bar_tells_what_it_knows():
    from lpmjax.cli.stores import told

    tally = stored.Tally(cells=10**6, before=10**5, done=3 * 10**5, certified=299999, seconds=10.0)
    assert told(tally) == "3e+05 of 1e+06 cells, 99.9 % certified, 2e+04/s, 0:00:35 left"
    assert told(stored.Tally(10, 0, 0, 0, 0.0)) == "0 of 10 cells"


@pytest.mark.slow
def test_the_page_has_the_cost_model():
    machine = scale.Machine()
    assert scale.table(machine) in (Path(__file__).parents[1] / "docs" / "large_sweeps.md").read_text()
    for cells, workers in [(10**7, 2), (10**8, 8), (10**9, 64)]:
        grid, exact = SimpleNamespace(shape=(cells,)), SimpleNamespace(exact=True)
        chunk = recommended_cells(SimpleNamespace(grid=grid, task=exact, on_host=False))
        best = min(scale.simulated(machine, cells, 2**power, workers) for power in range(15, 23))
        assert scale.simulated(machine, cells, chunk, workers) < 1.1 * best


# --- a worker that is killed, at full size


def killed_workers(folder, kills, side):
    from distributed import Client, LocalCluster

    asked = {**grid(side), "variables": KEPT}
    begin = time.perf_counter()
    lpm.sweep(lpm.LayerPeeled.two_group, **asked, store=folder / "a.zarr")
    alone = time.perf_counter() - begin
    killed, over = [], threading.Event()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:

        def kill():
            while len(killed) < kills and not over.wait(random.uniform(0.5, 2)):
                alive = [worker.pid for worker in local.workers.values() if worker.pid]
                if alive:
                    killed.append(random.choice(alive))
                    os.kill(killed[-1], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        begin = time.perf_counter()
        killer.start()
        lpm.sweep(lpm.LayerPeeled.two_group, **asked, store=folder / "b.zarr", client=client)
        seconds = time.perf_counter() - begin
        over.set()
        killer.join()
    assert hashes(folder / "a.zarr") == hashes(folder / "b.zarr")
    assert lpm.audit(folder / "b.zarr").ok
    busy = {name: lpm.open_sweep(folder / f"{name}.zarr").seconds for name in "ab"}
    print(f"{side**2} cells, {len(hashes(folder / 'a.zarr'))} chunks; threads {side**2 / alone:.3g} cells/s, ", end="")
    print(f"two workers of which {len(killed)} were killed {side**2 / seconds:.3g} cells/s; seconds busy {busy}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if sys.argv[1] == "rounds":
            before, first, _ = ends_in_its_second_round(Path(name), patch, classes=10, side=100, chunk=500)
            print(f"ended after {before} of {first} batches of first rounds, which were not worked on again")
        else:
            killed_workers(Path(name), int(sys.argv[1]), int(sys.argv[2]))
