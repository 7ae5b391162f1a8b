"""Functions of problems and solutions survive jax.export, also in another process."""

import json
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.exporting import serializable

COUNTS = lpm.ClassGroups.from_counts([1.0, 30.0, 30.0, 1.0])
PROBLEMS = {
    "budget": lpm.LayerPeeled(COUNTS, 1.0, 5.0),
    "decay": lpm.UnconstrainedFeatures(COUNTS, 1e-2, 1e-2, dim=7),
    "nonnegative": lpm.UnconstrainedFeatures(COUNTS, 1e-3, 1e-3, nonnegative=True),
}


@pytest.mark.parametrize("name", [n if n == "budget" else pytest.param(n, marks=pytest.mark.slow) for n in PROBLEMS])
def test_a_solve_comes_back(name):
    problem = PROBLEMS[name]
    exported = jax.export.export(jax.jit(lpm.solve))(problem)
    back = jax.export.deserialize(exported.serialize(vjp_order=1))
    assert back.in_tree == exported.in_tree and back.out_tree == exported.out_tree
    there, here = back.call(problem), lpm.solve(problem)
    assert there.method == here.method and there.problem.dim == problem.dim
    assert there.problem.groups.order == COUNTS.order
    for one, other in zip(jax.tree.leaves(there), jax.tree.leaves(here), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(there.logits(), here.logits(), rtol=1e-12)
    slope = jax.grad(lambda p: back.call(p).value)(problem).groups.samples
    np.testing.assert_allclose(slope, jax.grad(lambda p: lpm.solve(p).value)(problem).groups.samples, rtol=1e-10)


LOSSES = (
    lpm.LogitAdjusted(),
    lpm.LabelSmoothing(),
    lpm.SquaredError(),
    lpm.Focal(),
    lpm.PowerSoftmax(),
    lpm.VectorScaling([1.0, 0.5]),
)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_every_loss_can_be_written(loss):
    problem = lpm.UnconstrainedFeatures(COUNTS, 1e-2, 1e-2, loss, bias_decay=0.1)
    exported = jax.export.export(jax.jit(lambda p: p.unordered.loss))(problem)
    assert jax.export.deserialize(exported.serialize()).in_tree == exported.in_tree


def test_features_alone_can_be_written():
    problem = lpm.SupervisedContrastive(lpm.ClassGroups.balanced(4, 3.0), 1.3, 0.7)
    back = jax.export.deserialize(jax.export.export(jax.jit(lpm.solve))(problem).serialize())
    there, here = back.call(problem), lpm.solve(problem)
    assert type(there) is lpm.FeatureSolution and float(there.value) == pytest.approx(float(here.value), rel=1e-14)


def test_another_process_reads_it(tmp_path):
    problem = PROBLEMS["budget"]
    (tmp_path / "solve").write_bytes(jax.export.export(jax.jit(lpm.solve))(problem).serialize())
    program = (
        "import jax, pathlib, sys; jax.config.update('jax_enable_x64', True); import lpmjax as lpm\n"
        "problem = lpm.LayerPeeled(lpm.ClassGroups.from_counts([1.0, 30.0, 30.0, 1.0]), 1.0, 5.0)\n"
        "print(float(jax.export.deserialize(pathlib.Path(sys.argv[1]).read_bytes()).call(problem).value))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "solve"], capture_output=True, text=True, check=True, timeout=300
    )
    assert json.loads(done.stdout) == pytest.approx(float(lpm.solve(problem).value), rel=1e-14)


def test_a_loss_of_one_s_own():
    @serializable
    class Halved(lpm.CrossEntropy):
        name: str = eqx.field(static=True, default="half")

    problem = lpm.LayerPeeled(COUNTS, 1.0, 5.0, loss=Halved())
    exported = jax.export.export(jax.jit(lambda p: p))(problem)
    back = jax.export.deserialize(exported.serialize())
    assert back.in_tree == exported.in_tree and back.call(problem).loss.name == "half"
    with pytest.raises(ValueError, match="Duplicate"):
        serializable(Halved)
