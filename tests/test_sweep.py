import dataclasses
import importlib
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import lpmjax as lpm
from lpmjax.fields import variable
from lpmjax.files import write_dataset
from lpmjax.sweeps.order import in_tiles

fill = importlib.import_module("lpmjax.sweeps.fill")
task = importlib.import_module("lpmjax.sweeps.task")
GRID = {"K_A": 5, "K_B": 5, "R": [1, 10, 100], "E_W": 1.0, "E_H": np.array([1.0, 5.0])}


@pytest.fixture(scope="module")
def ds():
    return lpm.sweep(lpm.LayerPeeled.two_group, **GRID)


def test_every_cell_is_the_single_solve(ds):
    assert dict(ds.sizes) == {"R": 3, "E_H": 2, "group": 2, "logit_group": 2}
    for R in (1, 10, 100):
        for E_H in (1.0, 5.0):
            cell, single = ds.sel(R=R, E_H=E_H), lpm.solve(lpm.LayerPeeled.two_group(5, 5, R, 1.0, E_H))
            for name in ds.data_vars:
                expected = np.asarray(getattr(single, name))
                np.testing.assert_allclose(cell[name], expected, rtol=1e-11, atol=1e-13, err_msg=name)


def test_metadata(ds):
    assert ds["value"].attrs["units"] == "nat"
    assert ds["phase"].attrs["flag_meanings"].split() == [p.name for p in lpm.Phase]
    assert ds["phase"].attrs["flag_values"].tolist() == list(lpm.Phase)
    assert ds["R"].attrs["long_name"].startswith("imbalance ratio")
    assert float(ds["E_W"]) == 1.0
    assert ds.attrs["dtype"] == "float64"
    assert ds.attrs["tol"] == 1e-10
    assert ds.attrs["jax_version"] == jax.__version__
    assert ds["group"].values.tolist() == ["A", "B"]


def test_netcdf_round_trip(ds, tmp_path):
    write_dataset(tmp_path / "a.nc", ds)
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back.load(), ds)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def long_tail(R, E_H):
    return lpm.LayerPeeled(lpm.ClassGroups.long_tail(4, R), 1.0, E_H)


@pytest.mark.slow
def test_descents_drop_finished_lanes_between_rounds(monkeypatch):
    grid = {"R": np.geomspace(1, 1e4, 7), "E_H": [0.1, 3.0, 30.0]}
    at_once = lpm.sweep(long_tail, **grid)
    assert (at_once["status"] == lpm.Status.certified).all()
    monkeypatch.setattr(task, "in_lockstep", lambda: True)
    monkeypatch.setattr(task, "_CELLS_FOR_ROUNDS", 1)
    monkeypatch.setattr(task, "_FIRST_ROUND", 20)
    seen = []
    rounds = lpm.sweep(long_tail, **grid, progress=lambda *done: seen.append(done))
    assert (rounds["status"] == lpm.Status.certified).all()
    for name in ("value", "slack", "between", "rank", "phase"):
        np.testing.assert_allclose(rounds[name], at_once[name], atol=1e-8, err_msg=name)
    assert seen[-1] == (21, 21)
    early = np.asarray(at_once["steps"] <= 20)
    assert 0 < early.sum() < 21
    xr.testing.assert_equal(rounds["steps"].where(early), at_once["steps"].where(early))
    assert (rounds["steps"].values[~early] >= 20).all()
    assert rounds["steps"].max() > 20
    # a lane that no round finishes says so, with the steps of all rounds
    short = lpm.sweep(long_tail, **grid, max_steps=23)
    left = short["status"].values == lpm.Status.max_steps
    assert 0 < left.sum() < 21
    assert (short["steps"].values[left] == 23).all()


def test_more_cells_than_one_piece_and_progress():
    seen = []
    ds = lpm.sweep(
        lpm.LayerPeeled.two_group,
        K_A=[4, 5],
        K_B=5,
        R=np.geomspace(1, 50, 4500),
        E_W=1.0,
        E_H=5.0,
        variables=["value", "status"],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert set(ds.data_vars) == {"value", "status"}
    assert seen == [(8192, 9000), (9000, 9000)]
    for i, j in [(0, 0), (1, 3691), (1, 3692), (1, 4499)]:
        single = lpm.solve(lpm.LayerPeeled.two_group(4 + i, 5, float(ds["R"][j]), 1.0, 5.0))
        assert float(ds["value"][i, j]) == pytest.approx(float(single.value), rel=1e-13)


def test_no_bit_depends_on_threads_or_the_length_of_a_call(monkeypatch):
    grid = GRID | {"R": np.geomspace(1, 1e4, 37), "E_H": np.linspace(0.1, 16, 23)}
    found, kept = [], ["value", "cosine", "steps"]
    for lanes, threads in ((8192, 1), (512, 3)):
        monkeypatch.setattr(fill, "_LANES_ON_CPU", lanes)
        monkeypatch.setattr(fill, "at_once", lambda threads=threads: threads)
        seen = []
        tell = lambda *done, seen=seen: seen.append(done)  # noqa: E731
        found.append(lpm.sweep(lpm.LayerPeeled.two_group, **grid, variables=kept, progress=tell))
        assert seen[-1] == (37 * 23, 37 * 23)
        assert len(seen) == -(-37 * 23 // lanes)
    assert len(np.unique(found[0]["steps"])) > 3
    xr.testing.assert_identical(*found)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (700,), (37, 23, 3), (2, 3, 2, 3), (1, 64, 1)])
def test_tiles_hold_every_cell_once(shape):
    order = in_tiles(shape, 16)
    assert sorted(order) == list(range(int(np.prod(shape))))
    np.testing.assert_array_equal(in_tiles(shape, 1), np.arange(order.size))


def test_a_tile_is_a_box_of_neighbours():
    points = np.stack(np.unravel_index(in_tiles((64, 32, 2), 16), (64, 32, 2)), axis=-1).reshape(-1, 16, 3)
    assert (np.ptp(points, axis=1) + 1 == [8, 2, 1]).all()  # the axis of two values is not mixed


def test_other_builders_and_static_arguments():
    def decayed(n_B, decay):
        return lpm.UnconstrainedFeatures(lpm.ClassGroups([4, 6], [50.0, n_B]), decay, decay)

    ds = lpm.sweep(decayed, n_B=[1.0, 50.0], decay=1e-2)
    assert ds["phase"].values.tolist() == [lpm.Phase.merged, lpm.Phase.separated]
    groups = lpm.ClassGroups.balanced(10)
    line = lpm.sweep(lpm.LayerPeeled, groups=groups, E_W=1.0, E_H=[1.0, 5.0], dim=9)
    assert float(line["value"][1]) == pytest.approx(0.55978152, abs=5e-9)
    point = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=10.0, E_W=1.0, E_H=5.0)
    assert point["value"].shape == ()


def test_float32_opts_out():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, **(GRID | {"R": [1.0]}), dtype="float32")
    assert ds["value"].dtype == np.float32
    assert (ds["status"] == lpm.Status.converged).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"R": []}, "axis R has shape"),
        ({"R": [[1, 2]]}, "axis R has shape"),
        ({"R": ["a"]}, "axis R must hold numbers"),
        ({"R": [1.0, -2.0]}, "axis R, position 1: R = -2"),
        ({"K_A": [5, 0]}, "axis K_A, position 1: K_A = 0"),
        ({"E_H": [np.nan]}, "first value of every axis: E_H = nan"),
        ({"E_H": -1.0, "R": [1.0]}, "E_H = -1"),
        ({"ratio": [1.0]}, "does not take 'ratio'"),
        ({"variables": ["valu"]}, "variables has 'valu'"),
        ({"variables": []}, "variables has no name"),
        ({"dtype": "float16"}, "dtype"),
        ({"max_bytes": 100}, "keep fewer variables"),
        ({"max_bytes": "1"}, "max_bytes = '1' is out of range"),
        ({"max_bytes": 0}, "max_bytes = 0 is out of range"),
        ({"variables": 3}, "variables must be a list of names, .* got 3"),
        ({"variables": "value"}, "variables must be a list of names, .* got 'value'"),
        ({"variables": [3]}, "variables has '3'"),
        ({"progress": "x"}, "progress must be a function .* got 'x'"),
        ({"tol": "x"}, "tol must be a number"),
        ({"tol": [1e-8, 1e-6]}, "tol must be one number"),
        ({"max_steps": "x"}, "max_steps = 'x'"),
        ({"method": 3}, "method must be 'auto' or one of"),
        ({"dtype": None}, "dtype = None"),
        ({"R": "1:10:3"}, "R must be a number"),
        ({"R": None}, "R must be a number"),
        ({"R": [1.0] * 65536, "E_W": [1.0] * 65536, "E_H": [1.0] * 65536, "K_A": [5] * 65536}, "keep fewer variables"),
        ({"R": ["1", "2"]}, "axis R must hold numbers"),
        ({"tol": -1.0}, "tol = -1"),
        ({"max_steps": 0}, "max_steps = 0"),
    ],
)
def test_bad_input_is_named_before_any_work(changes, named):
    with pytest.raises(ValueError, match=named):
        lpm.sweep(lpm.LayerPeeled.two_group, **(GRID | changes))


def test_float32_parts_are_refused_in_float64():
    with jax.enable_x64(False):
        groups = lpm.ClassGroups.two_group(5, 5, 7.3)
        with pytest.raises(ValueError, match="groups holds float32"):
            lpm.sweep(lpm.LayerPeeled, groups=groups, E_W=1.0, E_H=[1.0, 5.0])
        ds = lpm.sweep(lpm.LayerPeeled, groups=groups, E_W=1.0, E_H=[1.0, 5.0], dtype="float32")
    assert (ds["status"] == lpm.Status.converged).all()


def test_zero_dimensional_arguments_are_scalar_coordinates():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=np.array(5), K_B=5, R=xr.DataArray([1.0, 2.0]), E_W=1.0, E_H=5.0)
    assert float(ds["K_A"]) == 5
    assert ds.sizes["R"] == 2
    assert ds.attrs["method"] == "two_group"


def test_names_of_the_result_are_reserved():
    with pytest.raises(ValueError, match=r"'value' of .* is the name of a variable"):
        lpm.sweep(lambda value: lpm.LayerPeeled.two_group(5, 5, value, 1.0, 5.0), value=[1.0])


def test_missing_argument_is_named():
    with pytest.raises(ValueError, match="also needs E_H"):
        lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1.0], E_W=1.0)


def lapack_ranks(function, *arguments):
    """Ranks of the matrices (3 and more: batches of them) that a program hands to LAPACK."""
    text = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cpu",)).as_text()
    calls = re.findall(r"custom_call @lapack_\w+\(.*?\) -> \(?tensor<([\dx]+)xf64>", text)
    return {shape.count("x") + 1 for shape in calls}


def test_no_batch_reaches_lapack_on_cpu():
    """jaxlib's batched decompositions wait on the threads that they run on: two at once can wait for ever."""

    def tail(ratio):
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(4, ratio), 1.0, 1.0))

    ratios = jnp.linspace(2.0, 9.0, 5)
    assert lapack_ranks(jax.vmap(tail), ratios) == {2}
    assert lapack_ranks(jax.vmap(jnp.linalg.svd), jnp.ones((5, 4, 4))) == {3}


@pytest.mark.parametrize("builder", [None, 5, "LayerPeeled"])
def test_the_builder_must_be_a_function(builder):
    with pytest.raises(ValueError, match="builder must be a function that returns a Problem"):
        lpm.sweep(builder, R=[1.0])


def test_values_of_an_axis_may_repeat():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, **(GRID | {"R": [10, 1, 10]}), variables=["value"])
    assert ds["R"].values.tolist() == [10, 1, 10]
    np.testing.assert_array_equal(ds["value"][0], ds["value"][2])
    assert (ds["value"][0] != ds["value"][1]).all()


class Weight(lpm.Result):
    lightest: jax.Array = eqx.field(metadata=variable("least loss weight of a class"))


def lightest(problem):
    """Any function of a problem will do that ends in a Result."""
    s = lpm.solve(problem, "two_group")
    kept = {f.name: getattr(s, f.name) for f in dataclasses.fields(lpm.Result)}
    return Weight(**kept, lightest=jnp.min(problem.groups.weights))


def test_run_replaces_the_solve_and_its_result_names_the_variables():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, run=lightest, **GRID)
    assert ds["lightest"].dims == ("R", "E_H")
    np.testing.assert_allclose(ds["lightest"][:, 0], 1 / (5 * np.array([1, 10, 100]) + 5), rtol=1e-14)
    assert ds["lightest"].attrs["long_name"] == "least loss weight of a class"
    assert ds.attrs["run"] == "lightest" and "tol" not in ds.attrs
    solved = lpm.sweep(lpm.LayerPeeled.two_group, **GRID)
    np.testing.assert_allclose(ds["value"], solved["value"], rtol=1e-14)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"run": 3}, "run must be a function of a Problem that returns a Result, or None, got 3"),
        ({"run": lightest, "method": "grouped"}, "method, tol and max_steps are for solve"),
        ({"run": lambda p: p.groups.weights}, "run must return a lpmjax Result, got ShapeDtypeStruct"),
        ({"run": lightest, "variables": ["slack"]}, "variables has 'slack': choose from value"),
    ],
)
def test_a_run_that_is_none_is_told(bad, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lpm.sweep(lpm.LayerPeeled.two_group, **GRID, **bad)


@pytest.mark.slow
def test_methods_that_choose_their_shapes_go_cell_by_cell():
    groups, seen = lpm.ClassGroups.balanced(3), []
    deep = {"groups": groups, "lambda_W": (0.1, 0.1), "lambda_H": [0.05, 0.1]}
    ds = lpm.sweep(lpm.DeepLinear, **deep, method="branch_and_bound", progress=lambda *done: seen.append(done))
    assert (ds["status"] == lpm.Status.certified).all() and seen == [(1, 2), (2, 2)]
    assert (ds["lower_bound"] >= 0.998 * ds["value"]).all()
    same = lpm.sweep(lpm.DeepLinear, **deep)  # named structures, under vmap
    np.testing.assert_allclose(same["value"], ds["value"], rtol=1e-6)
    focal = lpm.sweep(lpm.LayerPeeled, groups=groups, E_W=1.0, E_H=[1.0, 4.0], loss=lpm.Focal(2.0))
    for i, E_H in enumerate([1.0, 4.0]):
        one = lpm.solve(lpm.LayerPeeled(groups, 1.0, E_H, loss=lpm.Focal(2.0)))
        assert float(focal["value"][i]) == pytest.approx(float(one.value), rel=1e-8)
