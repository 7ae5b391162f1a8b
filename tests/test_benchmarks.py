"""The benchmark package: records, verdicts, report and command. No time is asserted."""

import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from benchmarks import against, environment, processes, suite
from benchmarks.__main__ import main
from benchmarks.cases import CASES, side_by_side
from benchmarks.compare import compare
from benchmarks.executions import run_counted
from benchmarks.instances import long_tail, relative_gap, two_group
from benchmarks.peers import Peer, all_peers, conic, descents
from benchmarks.report import derive, figures, limits, pairs
from benchmarks.rows import judge
from benchmarks.settings import CASES as LISTED
from benchmarks.settings import Settings
from benchmarks.work import count, count_solve

TINY = Settings("tiny")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A record of a real tiny run through the command, processes and all."""
    folder = tmp_path_factory.mktemp("results")
    return suite.run(TINY, ["boundary"], folder)


@pytest.fixture(scope="module")
def record(stored):
    """The same with rows of every kind added, their numbers made up."""
    found = json.loads(stored.read_text())
    model = next(row for row in found["rows"] if row["case"] == "boundary")

    def like(case, solver, outcome, **instance):
        good = outcome == "certified"
        verdict = {"outcome": outcome, "failed": 0 if good else 1, "cells": 1, "certified": int(good)}
        verdict |= {"status": {"certified" if good else "stalled": 1}, "steps": {"mean": 5.0, "max": 8}}
        return model | verdict | {"case": case, "solver": solver, "instance": instance}

    absent = {"outcome": "not installed", "reason": "not installed", "gap": 1e-8, "seconds": None, "dtype": "float64"}
    points = [{"knob": 1e-4, "samples": [0.1, 0.2], "gap": 1e-5}, {"knob": 1e-8, "samples": [0.4], "gap": 1e-9}]
    quantiles = {"median": 1e-12, "99 %": 1e-11, "largest": 1e-10}
    found["rows"] += [
        like("two_group", "lpmjax", "certified", how="one call", cells=1),
        like("grouped", "lpmjax", "certified", G=20, K=20, how="solve"),
        like("grouped", "lpmjax", "failed", G=50, K=50, how="solve"),
        like("precision", "lpmjax", "certified", how="two groups") | {"gap_quantiles": quantiles},
        like("phase_diagram", "lpmjax", "certified", how="first command") | {"work": None, "seconds_solving": 1e-6},
        like("peers", "lpmjax", "certified", kind="two groups", K=4) | {"knob": None},
        like("peers", "SCS", "failed", kind="two groups", K=4) | {"knob": 1e-8},
        like("peers", "lpmjax", "certified", kind="long tail", K=10) | {"knob": None},
        absent | {"case": "peers", "solver": "PyTorch", "instance": {"kind": "two groups", "K": 4}},
        absent | {"case": "work_precision", "solver": "lpmjax", "instance": {"K": 3}, "points": points,
                  "outcome": "measured"},
    ]  # fmt: skip
    suite.check(found)
    return found


def test_record_of_a_run_has_what_the_schema_says(stored):
    record = suite.load(stored)
    assert stored.name == f"{record['started'][:10]}-cpu-tiny-boundary.json"
    assert record["environment"]["device_kind"] == "cpu" and record["environment"]["versions"]["jax"] == jax.__version__
    assert all(rate["per_second"] > 0 and rate["samples"] for rate in record["ceilings"].values())
    assert [case["error"] for case in record["cases"].values()] == [None] * 2
    for row in record["rows"]:
        assert row["outcome"] == "certified" and sum(row["status"].values()) == row["cells"]
        assert row["worst_relative_gap"] <= row["gap"] and len(row["seconds"]["warm"]) >= 2
        assert row["seconds"]["lower"] > 0 and row["seconds"]["compile"] > 0
        assert row["memory"]["host_peak_bytes"] > 0 and row["xla"]["output_bytes"] > 0


def test_a_record_names_no_path_and_no_host(stored):
    assert not re.search(r'"[^"]*(?<![\w.<])/(home|work|tmp|root|usr)/', stored.read_text())
    flags = environment.redacted({"a": ["--xla_dump_to=/home/me/dump --other=1", "pages 3/4"]})
    assert flags == {"a": ["--xla_dump_to=<path> --other=1", "pages 3/4"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in CASES if n not in ("peers", "tails", "work_precision")])
def test_tiny_cases_certify(name):
    for row in CASES[name](TINY):
        if row["outcome"] == "skipped":
            assert row["reason"] == "one device" and name == "devices"
            continue
        assert row["outcome"] == "certified", row
        assert row["certified"] == row["cells"] == sum(row["status"].values())
        json.dumps(row)


@pytest.mark.slow
def test_float32_cases_are_certified_on_the_host():
    with jax.enable_x64(False):
        rows = [row for name in ("two_group", "grouped") for row in CASES[name](Settings("tiny", "float32"))]
    assert {row["outcome"] for row in rows} == {"certified"} and {row["gap"] for row in rows} == {1e-3}


def test_cases_are_those_that_the_command_lists():
    assert list(CASES) == list(LISTED)


def test_a_lane_that_is_not_certified_counts_as_failed():
    solution = jax.vmap(lambda r: lpm.solve(lpm.LayerPeeled.two_group(2, 3, r, 1.0, 5.0)))(jnp.array([2.0, -1.0]))
    verdict = judge(solution, 1e-10)
    assert (verdict["cells"], verdict["certified"]) == (2, 1)
    assert verdict["status"] == {"certified": 1, "invalid": 1}
    assert judge(solution, 1e-30)["certified"] == 0  # a gap that is stated beyond reach is not reached


def test_the_judge_of_logits_agrees_with_the_package():
    for instance in (two_group(6), two_group(5, R=1e3)):
        solution = lpm.solve(instance.problem())
        Z = np.asarray(solution.logits())
        assert relative_gap(instance, Z) < 1e-8
        assert relative_gap(instance, 1.01 * Z) < 1e-8  # scaled back onto the budget
        assert relative_gap(instance, Z.T + 0.1 * np.eye(instance.K)) > 1e-6
        for bad in (Z[:-1], Z * np.nan, np.full_like(Z, np.inf)):
            assert relative_gap(instance, bad) == np.inf


def _fake(answer, ladder=(1e-4, 1e-8)):
    return Peer("fake", lambda instances, seconds: (answer, lambda Z: [Z]), ladder, 100)


def test_a_peer_with_a_wrong_answer_is_failed_and_never_fast():
    instance = two_group(4)
    Z = np.asarray(lpm.solve(instance.problem()).logits())
    right = side_by_side.compare(_fake(lambda _: Z), [instance], 1e-8, TINY)
    assert right["outcome"] == "certified" and right["knob"] == 1e-4 and derive.per_cell(right) > 0
    wrong = side_by_side.compare(_fake(lambda _: Z + 1e-3 * np.eye(4)[::-1]), [instance], 1e-8, TINY)
    assert wrong["outcome"] == "failed" and wrong["worst_relative_gap"] > 1e-8 and wrong["certified"] == 0
    assert derive.rate(wrong) is None and derive.per_cell(wrong) is None
    tuned = side_by_side.compare(_fake(lambda tol: Z + tol * np.eye(4)[::-1], (1e-2, 1e-12)), [instance], 1e-8, TINY)
    assert tuned["outcome"] == "certified" and tuned["knob"] == 1e-12


def test_a_peer_that_raises_or_is_absent_says_so():
    def absent(instances, seconds):
        raise ImportError("no module")

    def broken(_):
        raise RuntimeError("solver failed\nin many lines")

    instance = two_group(4)
    row = side_by_side.compare(Peer("absent", absent, (1,), 100), [instance], 1e-8, TINY)
    assert row["outcome"] == "not installed" and row["seconds"] is None
    row = side_by_side.compare(_fake(broken), [instance], 1e-8, TINY)
    assert row["outcome"] == "failed" and row["reason"] == "RuntimeError: solver failed"
    row = side_by_side.compare(Peer("small", absent, (1,), 3, "too large"), [instance], 1e-8, TINY)
    assert row["outcome"] == "skipped" and row["reason"] == "K > 3: too large"


@pytest.mark.parametrize("name", ["CVXPY + Clarabel, nuclear norm", "CVXPY + Clarabel, four scalars", "lpmjax"])
def test_peers_reach_the_same_certificate(name):
    row = side_by_side.compare(all_peers()[name], [two_group(4)], 1e-7, TINY)
    assert row["outcome"] == "certified", row


def test_both_gradients_of_the_factored_form_agree():
    instance = long_tail(4)
    x, weights = descents.start(4), instance.weights
    value, gradient = descents.loss_and_gradient(x, weights, instance.budget)
    expected, slope = jax.value_and_grad(descents.loss_of)(jnp.asarray(x), jnp.asarray(weights), instance.budget)
    assert value == pytest.approx(float(expected), rel=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-13)


def test_every_conic_form_has_every_solver():
    assert len(conic.PEERS) == 9 and len(all_peers()) == len(conic.PEERS) + len(descents.PEERS) + 2


def test_work_is_counted_by_shapes_and_trips():
    def program(A, x):
        def body(carry):
            y, i = carry
            return jnp.exp(A @ y), i + 1

        return jax.lax.while_loop(lambda carry: carry[1] < x.sum(), body, (x, 0.0))

    A, x = jnp.ones((3, 3)), jnp.ones(3)
    work = count(program, A, 7 / 3 * x)
    assert work["matmul_flops"] == 7 * 2 * 9 and work["transcendentals"] == 7 * 3
    assert work["bytes"] == 8 * (9 + 3 + 3 + 1) and work["trips"] == 7


def test_loops_in_loops_and_branches_count_as_often_as_they_run():
    def inner(x, trips):
        return jax.lax.while_loop(lambda c: c[1] < trips, lambda c: (jnp.exp(c[0]), c[1] + 1), (x, 0))[0]

    def outer(x):
        def body(i, x):
            return jax.lax.cond(i % 3 == 0, lambda x: inner(x, i), lambda x: jnp.log(jnp.log(x)), x)

        return jax.lax.fori_loop(0, jnp.int32(x.sum()) + 4, body, x) + jax.lax.map(lambda y: inner(y, 5), x).sum()

    # 8 trips: at 0, 3 and 6 as many exponentials of four numbers, else two logarithms; then five of each number.
    work = count(jax.jit(outer), jnp.ones(4))
    assert work["transcendentals"] == 4 * (0 + 3 + 6) + 4 * 2 * 5 + 4 * 5
    assert work["trips"] == 8 + (0 + 3 + 6) + 4 + 4 * 5


def test_lanes_in_lockstep_trip_as_often_as_the_slowest_and_keep_their_results():
    def lane(trips):
        return jax.lax.while_loop(lambda c: c[1] < trips, lambda c: (jnp.exp(-c[0]), c[1] + 1), (trips, 0.0))[0]

    trips = jnp.array([1.0, 4.0, 2.0])
    work = count(jax.vmap(lane), trips)
    assert work["trips"] == 4 and work["transcendentals"] == 3 * 4
    program = jax.make_jaxpr(jax.vmap(lane))(trips)
    np.testing.assert_array_equal(run_counted(program, [trips])[0][0], jax.vmap(lane)(trips))


# Of many groups a scout tells how wide the factorisation has to be.
@pytest.mark.parametrize("G", [3, pytest.param(66, marks=pytest.mark.slow)])
def test_an_eager_solve_is_counted_at_the_widths_that_it_chooses(G):
    problem = lpm.LayerPeeled(lpm.ClassGroups.long_tail(G, 100.0), 1.0, 1.0)
    work = count_solve(lambda: lpm.solve(problem, tol=1e-2))
    assert work["trips"] > int(lpm.solve(problem, tol=1e-2).steps) > 0 and work["matmul_flops"] > 0


@pytest.mark.slow
def test_report_regenerates_byte_for_byte(record, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "2026-01-01-cpu.json").write_text(json.dumps(record))
    (results / "older.json").write_text('{"schema": 1}')
    pages = []
    for name in ("a", "b"):
        main(["report", "--results", str(results), "--out", str(tmp_path / name)])
        pages.append((tmp_path / name / "REPORT.md").read_bytes())
    assert pages[0] == pages[1]
    page = pages[0].decode()
    assert "**failed** 1 of 1" in page and "not installed" in page and "Not run on a GPU or TPU" in page
    assert page.count("![") == len(list((tmp_path / "a" / "figures").glob("*.png"))) == len(figures.FIGURES)
    assert str(tmp_path) not in page


def test_report_does_not_pass_a_failure_for_fast(record):
    failed = [row for row in record["rows"] if row["outcome"] == "failed"]
    assert len(failed) == 2
    for name in ("scaling", "peers", "roofline"):
        drawn = sum(len(points) for points in figures.series(name, record).values())
        without = sum(
            len(points)
            for points in figures.series(
                name, record | {"rows": [row for row in record["rows"] if row["outcome"] != "failed"]}
            ).values()
        )
        assert drawn == without


def test_no_figure_is_kept_that_the_page_does_not_show():
    folder = environment.ROOT / "benchmarks"
    page = (folder / "REPORT.md").read_text()
    kept = [path.name for path in (folder / "figures").glob("*.png")]
    assert kept and [name for name in kept if f"(figures/{name})" not in page] == []


def test_figures_plot_what_the_record_says(record):
    for name, draw in figures.FIGURES.items():
        figure = draw(record)
        lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
        expected = figures.series(name, record)
        assert [line.get_label() for line in lines] == list(expected)
        for line, points in zip(lines, expected.values(), strict=True):
            assert sorted(map(tuple, line.get_xydata().tolist())) == sorted(points)
        figures.close(figure)
    assert figures.series("precision", record) == {"lpmjax": [(0.1, 1e-5), (0.4, 1e-9)]}
    row = next(row for row in record["rows"] if row["case"] == "grouped")
    assert figures.series("scaling", record)["all counts distinct, G = K"] == [
        (20.0, pytest.approx(min(row["seconds"]["warm"]), rel=1e-12))
    ]


def test_limits_name_the_largest_share(record):
    row = next(row for row in record["rows"] if row["case"] == "boundary")
    ceilings = {name: {"per_second": 1e12} for name in record["ceilings"]}

    def limit(row, name):
        """With one ceiling so low that what is asked for takes nearly all of the time; and lower than it can be."""
        fake = record | {"ceilings": ceilings | {name: {"per_second": 1.0}}}
        found = limits.limit_of(fake, row)
        assert found["limit"] == "unknown"
        total = sum(found["shares"].values())
        return limits.limit_of(fake | {"ceilings": ceilings | {name: {"per_second": total / 0.95}}}, row)["limit"]

    for name, verdict in {"exp": "compute", "copy_bytes": "memory", "loop_trips": "latency"}.items():
        assert limit(row | {"steps": None}, name) == verdict
    assert limit(row | {"steps": {"mean": 1.0, "max": 10}, "cells": 8}, "exp") == "stragglers"


def test_compare_finds_what_became_faster(record):
    faster = json.loads(json.dumps(record))
    for row in faster["rows"]:
        if row["seconds"]:
            row["seconds"]["warm"] = [s / 2 for s in row["seconds"]["warm"]]
    lines = [line for line in compare(record, faster).splitlines() if line.startswith("| grouped")]
    assert lines[0].split("|")[6].strip() == "2"
    assert lines[1].count("failed") == 2 and lines[1].split("|")[6].strip() == ""


@pytest.mark.slow
def test_two_checkouts_are_timed_in_turns(tmp_path, capsys):
    against.main([str(environment.ROOT), "--only", "import", "--out", str(tmp_path)])
    record = json.loads(next(tmp_path.glob(pairs.FILES)).read_text())
    assert all(len(record["targets"]["import"][side]) == 5 for side in ("before", "after"))
    file = next(tmp_path.glob(pairs.FILES))
    file.write_text(json.dumps(record | {"targets": {"another": record["targets"]["import"]}}))
    capsys.readouterr()
    against.main([str(environment.ROOT), "--only", "import", "--out", str(tmp_path)])
    record = json.loads(file.read_text())
    assert list(record["targets"]) == ["another", "import"]
    assert capsys.readouterr().out == pairs.table_of(record) and pairs.page(tmp_path).endswith(pairs.table_of(record))


def test_what_fails_or_takes_too_long_says_so(tmp_path, monkeypatch):
    script = tmp_path / "target.py"
    monkeypatch.setattr(against.targets, "__file__", str(script))
    monkeypatch.setitem(against.targets.TARGETS, "it", against.targets.Target(dict, "1 s", 2))
    for body, reason in {
        "import time; time.sleep(9)": "stopped after 1 s",
        "1 / 0": "ZeroDivisionError: division",
    }.items():
        script.write_text(body)
        [found] = against.measure(tmp_path, ["it"], 1.0, lambda line: None)
        row = found["it"]
        assert len(row["before"]) == len(row["after"]) == 1 and row["after"][0]["error"].startswith(reason)
        assert pairs.table_of({"targets": {"it": row}}).count(reason) == 2


def test_a_process_whose_time_is_up_takes_its_children_along():
    child = "import os, sys, time; time.sleep(3); os.write(int(sys.argv[1]), b'alive')"
    call = f"subprocess.run([sys.executable, '-c', {child!r}, sys.argv[1]], pass_fds=[int(sys.argv[1])])"
    listening, speaking = os.pipe()
    command = [sys.executable, "-c", f"import subprocess, sys; {call}", str(speaking)]
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run(command, 1.0, pass_fds=[speaking])
    os.close(speaking)
    assert os.read(listening, 5) == b""
    os.close(listening)


def test_pairs_show_medians_and_how_many_times_faster():
    before, after = [{"samples": [3.0]}, {"samples": [1.0, 2.0]}], [{"samples": [0.5], "cells": 100}]
    page = pairs.table_of({"targets": {"it": {"asked": "1 s", "before": before, "after": after}}})
    assert "| it | 2 s | 0.5 s, 200 cells/s | 4 | 0.5 to 0.5 (1) | 1 s |" in page


@pytest.mark.parametrize(
    "words, remedy", [(["nowhere"], "no folder lpmjax"), ([".", "--only", "x"], "choose among import")]
)
def test_bad_arguments_of_against_say_what_to_do(words, remedy, capsys, monkeypatch):
    monkeypatch.chdir(environment.ROOT)
    with pytest.raises(SystemExit):
        against.main(words)
    assert remedy in capsys.readouterr().err


def test_compare_from_the_command(stored, capsys):
    main(["--compare", str(stored), str(stored)])
    first = capsys.readouterr().out
    main(["compare", str(stored), str(stored)])
    assert capsys.readouterr().out == first and "| boundary |" in first


@pytest.mark.parametrize(
    "words, remedy",
    [
        (["fast"], "use quick, device, full"),
        (["quick", "--only", "nothing"], "choose among eager"),
        (["compare", "a.json"], "needs two files"),
        (["compare", "a.json", "b.json"], "give a JSON file"),
        (["quick", "a.json"], "choose cases with --only"),
        (["report", "--results", "nowhere"], "run python -m benchmarks first"),
        (["quick", "--dtype", "float16"], "choose from"),
    ],
)
def test_bad_arguments_say_what_to_do(words, remedy, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and remedy in capsys.readouterr().err


def test_a_record_that_hides_failures_is_refused(record, tmp_path):
    tampered = json.loads(json.dumps(record))
    row = next(row for row in tampered["rows"] if row["outcome"] == "failed")
    row["outcome"] = "certified"
    with pytest.raises(ValueError, match="passes for certified"):
        suite.check(tampered)
    with pytest.raises(ValueError, match="make the file anew"):
        suite.check({"schema": 1})
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        suite.load(path)


def test_every_case_has_its_turn_on_a_machine_too_slow_for_any(monkeypatch, tmp_path):
    clock, limits = [0.0], []

    def stopped(name, settings, limit):
        limits.append(limit)
        clock[0] += limit
        return [], {"seconds": limit, "error": f"stopped after {limit:.0f} s"}

    monkeypatch.setattr(suite, "_one", stopped)
    monkeypatch.setattr(suite.time, "perf_counter", lambda: clock[0])
    settings = Settings("full")
    record = suite.load(suite.run(settings, folder=tmp_path))
    assert list(record["cases"]) == ["ceilings", *LISTED]
    assert sum(limits) <= settings.all_seconds * (1 + 1e-12) and min(limits) > 5
    assert limits[-3:] == sorted(limits[-3:], reverse=True) and limits[0] > 100
