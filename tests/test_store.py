"""What was saved is loaded bit by bit, and what is not a solution is refused by name."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.fields import words_of

INTEGERS = {"status": np.int8, "phase": np.int8, "rank": np.int32, "steps": np.int32, "restarts": np.int32}


def solved(rng, batch=(), dtype=jnp.float64):
    """A solution of seven classes in three groups with random numbers in every array."""
    groups = lpm.ClassGroups.from_counts([40, 7, 40, 7, 7, 1, 7], [4, 1, 4, 1, 1, 2, 1])
    problem = lpm.UnconstrainedFeatures(groups, 1e-3, 2e-3, lpm.LabelSmoothing(0.1), bias_decay=0.2)
    problem = jax.tree.map(lambda leaf: jnp.asarray(rng.random(batch + leaf.shape), dtype), problem)

    def floats(*shape):
        return jnp.asarray(rng.standard_normal(batch + shape), dtype)

    def whole(name, kind):
        return jnp.full(batch, {"status": lpm.Status.stalled, "phase": lpm.Phase.merged}.get(name, 17), kind)

    described = {
        name: floats(*(3,) * len(extra))
        for name, (_, _, extra, *_) in words_of(lpm.Solution).items()
        if name not in INTEGERS
    }
    described |= {name: whole(name, kind) for name, kind in INTEGERS.items()}
    described["slack"] = described["slack"].at[..., 0].set(jnp.nan)
    more = {
        "tol": jnp.asarray(1e-9, dtype),
        "pairwise": floats(3, 3),
        "bias": floats(3),
        "W": floats(7, 4),
        "H": floats(4, 7),
    }
    return lpm.Solution(problem=problem, method="factored", **described, **more)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, known in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (leaf.dtype, leaf.shape) == (known.dtype, known.shape)
        assert np.asarray(leaf).tobytes() == np.asarray(known).tobytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("batch", [(), (3,), (0,), (2, 3)])
def test_a_round_trip_keeps_every_bit(tmp_path, rng, batch, dtype):
    before = solved(rng, batch, dtype)
    before.save(tmp_path / "a.npz")
    after = lpm.load(str(tmp_path / "a.npz"))
    assert_same(after, before)
    assert type(after.problem.loss) is lpm.LabelSmoothing
    assert (after.method, after.problem.free_bias) == ("factored", False)
    np.testing.assert_array_equal(after.problem.groups.class_index, before.problem.groups.class_index)


def test_a_loaded_solution_serves_as_the_solved_one(tmp_path):
    problem = lpm.LayerPeeled(lpm.ClassGroups.from_counts([1, 10, 1, 10]), 1.0, 5.0, dim=3)
    before = lpm.solve(problem)
    before.save(tmp_path / "a.npz")
    after = lpm.load(tmp_path / "a.npz")
    assert_same(after, before)
    assert str(after) == str(before)
    np.testing.assert_array_equal(after.logits(), before.logits())
    assert int(lpm.certify(after.problem, after).status) == lpm.Status.certified
    assert_same(lpm.solve(after.problem), before)


def test_a_certified_solution_of_numpy_arrays_can_be_saved(tmp_path):
    problem = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), lpm.LayerPeeled.two_group(3, 2, 10, 1, 5))
    before = lpm.certify(problem, lpm.solve(problem), tol=1e-4)
    before.save(tmp_path / "a.npz")
    assert_same(lpm.load(tmp_path / "a.npz"), before)


def test_float64_survives_a_process_without_it(tmp_path, rng):
    before = solved(rng)
    before.save(tmp_path / "a.npz")
    code = "import sys, lpmjax; print(repr(float(lpmjax.load(sys.argv[1]).value)))"
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.npz")]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == float(before.value)


def changed(path, change):
    """The archive with its header and arrays changed."""
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays["header"]))
    change(header, arrays)
    np.savez(path, **(arrays | {"header": np.array(json.dumps(header))}))


CHANGES = [
    (lambda h, a: h.update(format=2), "it is of format 2"),
    (lambda h, a: h["solution"].update({"class": "Popen"}), "'Popen', which is not defined here"),
    (
        lambda h, a: h["solution"]["fields"]["problem"].update({"class": "Problem"}),
        "'Problem', which is not defined here",
    ),
    (lambda h, a: h["solution"]["fields"].pop("value"), "its Solution lacks value"),
    (lambda h, a: h["solution"]["fields"].update(bogus=1), "has bogus, unknown to this version"),
    (lambda h, a: h["solution"]["fields"].update(method=[1]), r"it holds \[1\]"),
    (lambda h, a: h.update(solution=h["solution"]["fields"]["problem"]), "does not hold a solution"),
    (lambda h, a: a.pop("solution.slack"), "solution.slack"),
    (lambda h, a: a.update({"solution.slack": a["solution.slack"][:2]}), r"slack has shape \(2,\)"),
    (lambda h, a: a.update({"solution.bias": a["solution.bias"][:2]}), r"bias has shape \(2,\)"),
    (lambda h, a: a.update({"solution.W": a["solution.W"][:, :2]}), "W has shape"),
    (lambda h, a: a.update({"solution.problem.groups.weights": np.ones(2)}), "the problem's weights has shape"),
    (lambda h, a: a.update({"solution.problem.groups.order": np.full(7, 3)}), "the class order names groups"),
    (lambda h, a: a.update({"solution.status": np.int8(9)}), "status holds a code"),
    (lambda h, a: a.update({"solution.value": np.float16(1)}), "it holds float16"),
    (lambda h, a: a.update({"solution.value": np.array("a")}), "value is not an array of numbers"),
]


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=range(len(CHANGES)))
def test_what_is_no_solution_is_refused(tmp_path, rng, change, named):
    path = tmp_path / "a.npz"
    solved(rng).save(path)
    changed(path, change)
    with pytest.raises(ValueError, match=rf"(?s)a\.npz is not a solution that lpmjax saved, or is damaged.*{named}"):
        lpm.load(path)


def test_other_files_are_refused(tmp_path, rng):
    path = tmp_path / "a.npz"
    solved(rng).save(path)
    whole = path.read_bytes()
    at = whole.index(b"solution.within.npy") + 155  # among its numbers
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:at] + b"\xff" + whole[at + 1 :]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz is not a solution that lpmjax saved, or is damaged"):
            lpm.load(path)
    np.savez(path, header=np.array([{}], dtype=object))  # a pickle
    with pytest.raises(ValueError, match="pickle"):
        lpm.load(path)
    with pytest.raises(OSError, match=r"cannot read .*nowhere\.npz: No such file or directory"):
        lpm.load(tmp_path / "nowhere.npz")
    with pytest.raises(OSError, match="cannot write"):
        solved(rng).save("/dev/null/a.npz")
    for bad in (3, "a.nc"):
        with pytest.raises(ValueError, match=r"path = .* solutions are NumPy archives"):
            lpm.load(bad)
        with pytest.raises(ValueError, match=r"path = .* solutions are NumPy archives"):
            solved(rng).save(bad)


def test_under_a_trace_there_is_nothing_to_save(tmp_path, rng):
    def traced(solution):
        solution.save(tmp_path / "a.npz")
        return solution.value

    with pytest.raises(ValueError, match="save it outside jit"):
        jax.jit(traced)(solved(rng))
