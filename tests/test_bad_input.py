"""Every argument of every public function, given what it is not, raises a ValueError that names it."""

import dataclasses
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import lpmjax as lpm
from lpmjax.plot.flow import VARIABLES as DRAWN
from lpmjax.rigorous import RigorousBound, rigorous

WRONG = {
    "None": None,
    "5": 5,
    "x": "x",
    "[1, 2]": [1, 2],
    "[1, x]": [1, "x"],
    "ragged": [[1], [2, 3]],
    "1j": 1j,
    "True": True,
    "[True, False]": [True, False],
    "object": object(),
    "{}": {},
    "set": {1.0, 2.0},
    "function": lambda *_: 1,
    "nan": float("nan"),
    "masked": np.ma.array([1.0, 2.0], mask=[False, True]),
}
#: what a kind of argument takes, of the above; "or None" is added by a question mark
TAKES = {
    "number": {"5"},
    "numbers": {"[1, 2]"},
    "number or numbers": {"5", "[1, 2]"},
    "integer": {"5"},
    "flag": {"True"},
    "callable": {"function"},
    "path": {"x"},
    "object": set(),
}

SEPARATION, POINT = lpm.Separation(lpm.ClassGroups.balanced(3)), (np.eye(3), np.eye(3))
GROUPS = lpm.ClassGroups([2, 3], [4.0, 1.0])
PROBLEM = lpm.LayerPeeled.two_group(2, 2, 3.0, 1.0, 1.0)
SOLVED = lpm.solve(PROBLEM)
FEATURES, LABELS, KERNEL = np.eye(4), np.arange(4), np.eye(4) + 1
STREAM = lpm.metrics.NeuralCollapseStream(4)
STREAM.update(FEATURES, LABELS)
DATASET = xr.Dataset(
    {"phase": ("R", np.zeros(2)), "cosine": (("R", "group"), np.zeros((2, 2)))},
    {"R": [1.0, 2.0], "group": ["A", "B"], "K_A": 2.0, "K_B": 2.0, "E_W": 1.0, "E_H": 1.0},
)
LEVELS = lpm.landscape.critical_points(SEPARATION, norm2=9.0, restarts=1)
DEEP_DATASET = xr.Dataset(
    {
        "best": ("lambda_", np.zeros(2)),
        "value": ("lambda_", np.ones(2)),
        "value_of": (("lambda_", "structure"), np.ones((2, 1))),
    },
    {"lambda_": [0.1, 0.2], "structure": ["ETF"], "K": 3, "M": 2},
)
PATH = xr.Dataset(
    {
        "cosine": (("decay", "group"), np.zeros((1, 2))), "distance": ("decay", np.ones(1)), "rate": 1.0,
        "limit_cosine": ("group", np.zeros(2)),
    },
    {"decay": [0.1], "group": ["A", "B"]},
)  # fmt: skip
FLOW_DATASET = xr.Dataset(
    {name: (("seed", "time"), np.ones((1, 2))) for name in DRAWN},
    {"seed": [0], "time": [1.0, 2.0]},
)
#: a function and its arguments: kind, and a value in the place of those that are not tried
CALLS = {
    "ClassGroups": (lpm.ClassGroups, {
        "classes": ("numbers", [2, 3]), "samples": ("numbers", [4, 1]), "weights": ("numbers?", None),
        "order": ("object?", None),
    }),
    "balanced": (lpm.ClassGroups.balanced, {"K": ("number", 4), "n": ("number", 2)}),
    "groups of two": (lpm.ClassGroups.two_group, {"K_A": ("number", 2), "K_B": ("number", 2), "R": ("number", 3)}),
    "long_tail": (lpm.ClassGroups.long_tail, {
        "K": ("integer", 4), "ratio": ("number", 10), "size": ("integer?", 5),
    }),
    "per_class": (lpm.ClassGroups.per_class, {"n_k": ("numbers", [3, 2]), "weights": ("numbers?", None)}),
    "from_counts": (lpm.ClassGroups.from_counts, {"n_k": ("numbers", [3, 2]), "weights": ("numbers?", None)}),
    "banded": (lpm.ClassGroups.banded, {
        "n_k": ("numbers", [3, 2]), "rtol": ("number", 0.5), "weights": ("numbers?", None),
        "sample_weights": ("numbers?", None),
    }),
    "unbanded": (lpm.certificate.unbanded, {"solution": ("object", None)}),
    "LogitAdjusted": (lpm.LogitAdjusted, {"tau": ("number", 1)}),
    "LabelSmoothing": (lpm.LabelSmoothing, {"epsilon": ("object", 0.1)}),
    "Focal": (lpm.Focal, {"gamma": ("number", 2)}),
    "PowerSoftmax": (lpm.PowerSoftmax, {"q": ("number", 2)}),
    "VectorScaling": (lpm.VectorScaling, {"delta": ("numbers", [1, 1]), "iota": ("numbers?", None)}),
    "SupervisedContrastive": (lpm.SupervisedContrastive, {
        "groups": ("object", GROUPS), "E_H": ("number", 1), "temperature": ("number", 1), "dim": ("integer?", None),
    }),
    "PowerNormPeeled": (lpm.PowerNormPeeled, {
        "groups": ("object", lpm.ClassGroups.per_class([1.0, 1.0, 1.0])), "E_W": ("number", 1), "E_H": ("number", 1),
        "q": ("number", 3), "dim": ("integer?", None),
    }),
    "dropped_class": (lpm.boundary.dropped_class, {
        "K": ("number or numbers", 5), "loss": ("object", lpm.PowerSoftmax(2.0)),
    }),
    "LayerPeeled": (lpm.LayerPeeled, {
        "groups": ("object", GROUPS), "E_W": ("number", 1), "E_H": ("number", 1), "loss": ("object?", None),
        "dim": ("integer?", None),
    }),
    "two_group": (lpm.LayerPeeled.two_group, {
        "K_A": ("number", 2), "K_B": ("number", 2), "R": ("number", 3), "E_W": ("number", 1), "E_H": ("number", 1),
        "loss": ("object?", None), "dim": ("integer?", None),
    }),
    "two groups under decay": (lpm.UnconstrainedFeatures.two_group, {
        "K_A": ("number", 2), "K_B": ("number", 2), "R": ("number", 3), "lambda_W": ("number", 1),
        "lambda_H": ("number", 1), "n_B": ("number", 1), "loss": ("object?", None), "bias_decay": ("number?", None),
        "dim": ("integer?", None),
    }),
    "UnconstrainedFeatures": (lpm.UnconstrainedFeatures, {
        "groups": ("object", GROUPS), "lambda_W": ("number", 1), "lambda_H": ("number", 1), "loss": ("object?", None),
        "bias_decay": ("number?", None), "nonnegative": ("flag", False), "dim": ("integer?", None),
    }),
    "DeepLinear": (lpm.DeepLinear, {
        "groups": ("object", GROUPS), "lambda_W": ("numbers", (1, 1)), "lambda_H": ("number", 1),
        "loss": ("object?", None), "bias_decay": ("number?", None), "relu": ("flag", False), "dim": ("integer?", None),
    }),
    "Separation": (lpm.Separation, {
        "groups": ("object", GROUPS), "dim": ("integer?", None), "delta": ("numbers?", None),
        "norm": ("object", "per_sample"),
    }),
    "regularisation_path": (lpm.regularisation_path, {
        "limit": ("object", lpm.Separation(GROUPS)), "decay": ("number or numbers", 0.1),
    }),
    "solve": (lpm.solve, {
        "problem": ("object", PROBLEM), "method": ("object", "auto"), "tol": ("number?", None),
        "max_steps": ("integer?", None), "start": ("object?", None), "key": ("object?", None),
        "restarts": ("integer", 8),
    }),
    "factored": (lpm.factored, {
        "problem": ("object", PROBLEM), "key": ("object?", None), "restarts": ("integer", 1), "tol": ("number?", None),
        "max_steps": ("integer?", 1), "optimizer": ("object?", None), "per_sample": ("flag", False),
        "projected": ("flag", False), "start": ("object?", None),
    }),
    "flow": (lpm.flow, {
        "problem": ("object", lpm.Separation(GROUPS)), "ts": ("numbers", [1.0, 2.0]), "start": ("object?", None),
        "key": ("object?", None), "dim": ("integer?", None), "scale": ("number?", None), "seeds": ("integer?", None),
        "depth": ("integer?", None), "optimizer": ("object?", None),
    }),
    "ClosedForm": (lpm.ClosedForm, {"max_steps": ("integer", 60)}),
    "TwoGroup": (lpm.TwoGroup, {"max_steps": ("integer", 60)}),
    "Grouped": (lpm.Grouped, {"max_steps": ("integer", 60), "width": ("integer?", None)}),
    "Factored": (lpm.Factored, {
        "max_steps": ("integer", 1), "restarts": ("integer", 1), "optimizer": ("object?", None),
        "per_sample": ("flag", False), "projected": ("flag", False),
    }),
    "Named": (lpm.Named, {"max_steps": ("integer", 60)}),
    "BranchAndBound": (lpm.BranchAndBound, {"max_steps": ("integer", 60)}),
    "MultiStart": (lpm.MultiStart, {
        "max_steps": ("integer", 60), "restarts": ("integer", 1), "widths": ("object?", None),
    }),
    "referee": (lpm.referee, {
        "problem": ("object", None), "key": ("object?", None), "restarts": ("integer", 1), "widths": ("object?", None),
        "max_steps": ("integer", 1),
    }),
    "classify": (lpm.landscape.classify, {
        "problem": ("object", SEPARATION), "factors": ("object", POINT), "tol": ("number", 1e-6),
        "lower_bound": ("number?", None),
    }),
    "measured_rate": (lpm.landscape.measured_rate, {
        "problem": ("object", SEPARATION), "factors": ("object", POINT), "direction": ("object", POINT),
    }),
    "extreme_eigenvalues": (lpm.landscape.extreme_eigenvalues, {
        "problem": ("object", SEPARATION), "factors": ("object", POINT),
    }),
    "set_partitions": (lpm.landscape.set_partitions, {"problem": ("object", SEPARATION)}),
    "tied_minimum": (lpm.landscape.tied_minimum, {
        "problem": ("object", SEPARATION), "blocks": ("object", (0, 0, 1)), "norm2": ("number", 9.0),
        "dim": ("integer?", None), "key": ("object?", None), "restarts": ("integer", 1),
    }),
    "critical_points": (lpm.landscape.critical_points, {
        "problem": ("object", SEPARATION), "norm2": ("number", 9.0), "dim": ("integer?", None),
        "key": ("object?", None), "restarts": ("integer", 1), "tol": ("number", 1e-6),
    }),
    "descents": (lpm.landscape.descents, {
        "problem": ("object", SEPARATION), "norm2": ("number", 9.0), "starts": ("integer", 5),
        "dim": ("integer?", None), "key": ("object?", None), "tol": ("number", 1e-6),
    }),
    "phases": (lpm.phases, {
        "K": ("number or numbers", 3), "M": ("number or numbers", 2), "lambda_": ("number or numbers", 0.1),
        "R": ("number or numbers?", None),
    }),
    "best": (lpm.best, {"solutions": ("object", None)}),
    "certify": (lpm.certify, {
        "problem": ("object", PROBLEM), "solution": ("object", SOLVED), "tol": ("object?", None),
    }),
    "rigorous": (rigorous, {"solution": ("object", None)}),
    "RigorousBound.certified": (RigorousBound(1.0, 1.0, {}).certified, {"tol": ("number", 1e-9)}),
    "merged": (lpm.boundary.merged, {
        "K_A": ("number or numbers", 5), "K_B": ("number or numbers", 5), "s": ("number or numbers", 1),
        "log": ("flag", False),
    }),
    "annihilated": (lpm.boundary.annihilated, {
        "K_A": ("number or numbers", 5), "K_B": ("number or numbers", 5), "s": ("number or numbers", 1),
        "log": ("flag", False),
    }),
    "annihilation_end": (lpm.boundary.annihilation_end, {
        "K_A": ("number or numbers", 5), "K_B": ("number or numbers", 5),
    }),
    "deep_mse": (lpm.boundary.deep_mse, {
        "M": ("number or numbers", 2), "N": ("number or numbers", 5), "decay": ("number or numbers", 1),
        "stationary": ("flag", False),
    }),
    "pairs_beat_etf": (lpm.boundary.pairs_beat_etf, {"K": ("integer", 4), "M": ("number", 3)}),
    "deep_crossing": (lpm.boundary.deep_crossing, {
        "K": ("integer", 3), "M": ("number", 2), "first": ("object", "zero"), "second": ("object", "ETF"),
        "low": ("number", 1e-7), "high": ("number", 1),
    }),
    "deep_annihilated": (lpm.boundary.deep_annihilated, {
        "K_A": ("number or numbers", 2), "K_B": ("number or numbers", 2), "M": ("number or numbers", 2),
        "lambda_": ("number or numbers", 0.1),
    }),
    "simplex_etf": (lpm.frames.simplex_etf, {"K": ("integer", 4), "d": ("integer?", None)}),
    "seli": (lpm.frames.seli, {"counts": ("numbers", [3, 2]), "d": ("integer?", None)}),
    "diagnose": (lpm.diagnose, {
        "E_W": ("number?", 1), "E_H": ("number?", 1), "remedies": ("flag", False),
        "tol": ("number?", None), "progress": ("callable?", None),
    }),
    "diagnose with decay": (lpm.diagnose, {"lambda_W": ("number?", 1), "lambda_H": ("number?", 1)}),
    "NeuralCollapseStream": (lpm.metrics.NeuralCollapseStream, {"K": ("integer", 4)}),
    "update": (lpm.metrics.NeuralCollapseStream(4).update, {
        "features": ("object", FEATURES), "labels": ("object", LABELS),
    }),
    "result": (STREAM.result, {
        "W": ("object", KERNEL), "b": ("object?", None), "second_pass": ("object?", None),
        "normalisation": ("object", "zhu"),
    }),
    "mismatches": (STREAM.mismatches, {
        "features": ("object", FEATURES), "W": ("object", KERNEL), "b": ("object?", None),
    }),
    "neural_collapse": (lpm.metrics.neural_collapse, {
        "features": ("object", FEATURES), "labels": ("object", LABELS), "W": ("object", KERNEL),
        "b": ("object?", None), "normalisation": ("object", "zhu"),
    }),
    "verify": (lpm.verify, {"theorems": ("object?", []), "progress": ("callable?", None)}),
    "Status.message": (lpm.Status.message, {"code": ("integer", 0)}),
    "logits": (SOLVED.logits, {"num_classes": ("object?", None)}),
    "factors": (SOLVED.factors, {"dim": ("integer?", None)}),
    "load": (lpm.load, {"path": ("object", None)}),
    "phase_diagram": (lpm.plot.phase_diagram, {"ds": ("object", None), "ax": ("object?", None)}),
    "deep_phases": (lpm.plot.deep_phases, {"ds": ("object", None), "ax": ("object?", None)}),
    "plot.critical_points": (lpm.plot.critical_points, {"ds": ("object", None), "ax": ("object?", None)}),
    "deep_values": (lpm.plot.deep_values, {"ds": ("object", None), "ax": ("object?", None)}),
    "plot.regularisation_paths": (lpm.plot.regularisation_paths, {
        "paths": ("object", {"SELI": PATH}), "axes": ("object?", None), "group": ("object?", None),
    }),
    "plot.cosine": (lpm.plot.cosine, {"ds": ("object", None), "ax": ("object?", None), "group": ("object", "B")}),
    "plot.flow": (lpm.plot.flow, {"ds": ("object", None), "axes": ("object?", None)}),
    "geometry": (lpm.plot.geometry, {"sol": ("object", None), "ax": ("object?", None)}),
    "gram": (lpm.plot.gram, {
        "sol": ("object", None), "ax": ("object?", None), "of": ("object", "features"), "label": ("flag", True),
    }),
    "spectrum": (lpm.plot.spectrum, {"sol": ("object", None), "ax": ("object?", None)}),
    "open_sweep": (lpm.open_sweep, {"path": ("path", "grid.zarr")}),
    "audit": (lpm.audit, {
        "store": ("path", "grid.zarr"), "sample": ("integer", 10), "seed": ("integer", 0), "reopen": ("flag", False),
    }),
    "reproduce": (lpm.reproduce, {"name": ("object", "fang-cosine")}),
    "plot.diagnosis": (lpm.plot.diagnosis, {"found": ("object", None), "axes": ("object?", None)}),
}  # fmt: skip
#: what these need to get as far as the argument that is tried (counts and their names: test_counts.py)
GIVEN = {
    "diagnose": {"counts": [5, 1]},
    "diagnose with decay": {"counts": [5, 1]},
    "phase_diagram": {"ds": DATASET},
    "geometry": {"sol": SOLVED},
    "gram": {"sol": SOLVED},
    "spectrum": {"sol": SOLVED},
    "referee": {"problem": lpm.DeepLinear(lpm.ClassGroups.balanced(3), (1.0, 1.0), 1.0)},
    "plot.cosine": {"ds": DATASET},
    "deep_phases": {"ds": DEEP_DATASET},
    "plot.critical_points": {"ds": LEVELS},
    "deep_values": {"ds": DEEP_DATASET},
    "plot.flow": {"ds": FLOW_DATASET},
    "plot.diagnosis": {"found": object.__new__(lpm.Diagnosis)},
}


@pytest.mark.parametrize(
    "call, argument", [(call, argument) for call, (_, arguments) in CALLS.items() for argument in arguments]
)
@pytest.mark.filterwarnings("error")
def test_a_wrong_type_names_the_argument(call, argument):
    function, arguments = CALLS[call]
    kind = arguments[argument][0]
    taken = TAKES[kind.rstrip("?")] | ({"None"} if kind.endswith("?") else set())
    given = {name: value for name, (_, value) in arguments.items()} | GIVEN.get(call, {})
    for label, wrong in WRONG.items():
        if label in taken:
            continue
        found = "accepted"
        try:
            function(**given | {argument: wrong})
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        assert found.startswith("ValueError: ") and argument in found, f"{argument} = {label}: {found}"


def test_every_public_function_is_tried():
    tried = {getattr(function, "__qualname__", None) for function, _ in CALLS.values()}
    modules = (lpm, lpm.boundary, lpm.frames, lpm.metrics)
    public = {
        value.__qualname__
        for module in modules
        for name, value in vars(module).items()
        if name[0] != "_" and callable(value) and getattr(value, "__module__", "").startswith(("lpmjax", "lpm"))
        and (module is lpm or value.__module__ == module.__name__)
    }  # fmt: skip
    made_by_functions = {
        "Audit",
        "Diagnosis",
        "Phase",
        "Result",
        "Solution",
        "FeatureSolution",
        "DeepSolution",
        "Referee",
        "PairSolution",
        "SeparationSolution",
        "StoredSweep",
        "Verification",
        "SimplexDeviations",
        "NeuralCollapse",
    }
    without_arguments = {"Status", "Loss", "ConvexLoss", "Problem", "GroupedProblem", "CrossEntropy", "SquaredError"}
    assert public - tried <= made_by_functions | without_arguments | {"sweep"}  # sweep: test_sweep.py


def test_flags_are_no_numbers_and_zero_is_no_flag():
    with pytest.raises(ValueError, match=r"bias_decay must be a number .*False"):
        lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, bias_decay=False)
    with pytest.raises(ValueError, match="nonnegative must be True or False, got 'no'"):
        lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, nonnegative="no")
    with pytest.raises(ValueError, match="per_sample must be True or False, got 0"):
        lpm.factored(PROBLEM, per_sample=0)
    with pytest.raises(ValueError, match=r"classes .*bool"):
        lpm.ClassGroups(jnp.array([True, True]), [1, 1])
    free = lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, bias_decay=0)
    assert free.free_bias and free.bias_decay is None
    assert lpm.UnconstrainedFeatures(GROUPS, 1e-2, 1e-2, nonnegative=np.bool_(True)).nonnegative


def test_numbers_that_have_to_be_alone():
    with pytest.raises(ValueError, match=r"epsilon must be one number, got shape \(2,\).*vmap"):
        lpm.LabelSmoothing([0.1, 0.2])
    with pytest.raises(ValueError, match=r"K_A of shape \(2,\), K_B of shape \(3,\).* do not broadcast"):
        lpm.boundary.merged([1, 2], [1, 2, 3], 1.0)
    with pytest.raises(ValueError, match=r"tol has shape \(2,\)"):
        lpm.certify(PROBLEM, SOLVED, tol=[1e-3, 1e-4])
    batch = jax.vmap(lambda e: lpm.LabelSmoothing(e).epsilon)(jnp.array([0.1, 0.2]))
    np.testing.assert_array_equal(batch, [0.1, 0.2])


@pytest.mark.parametrize("dtype, R", [("float64", 1e308), ("float32", 1e35)])
def test_a_ratio_too_wide_for_weights_is_blamed_on_the_ratio(dtype, R):
    with jax.enable_x64(dtype == "float64"):
        for build in (lpm.ClassGroups.two_group, lpm.ClassGroups.long_tail):
            with pytest.raises(ValueError, match=rf"(R|ratio) = .*out of range: (R|ratio) must be from .* in {dtype}"):
                build(*(2, 3)[: 2 if build is lpm.ClassGroups.two_group else 1], R)
        with pytest.raises(ValueError, match=r"samples from .* are too far apart"):
            lpm.ClassGroups([1, 1], [jnp.finfo(dtype).max / 2, 1.0])
        widest = lpm.ClassGroups.two_group(2, 3, 1e300 if dtype == "float64" else 1e30)
        assert widest.is_valid()


def test_random_keys():
    for key in (jax.random.key(3), jax.random.PRNGKey(3)):
        assert lpm.solve(PROBLEM, key=key).certified  # not used there, but looked at
    with pytest.raises(ValueError, match=r"key must be one random key, such as jax.random.key\(0\), got 0"):
        lpm.factored(PROBLEM, key=0)
    with pytest.raises(ValueError, match="key must be one random key"):
        lpm.factored(PROBLEM, key=jax.random.split(jax.random.key(0)))
    with pytest.raises(ValueError, match=r"optimizer must be an optax.GradientTransformation .*, got 'adam'"):
        lpm.factored(PROBLEM, optimizer="adam")
    with pytest.raises(ValueError, match=r"optimizer must be an optax.GradientTransformation"):
        lpm.factored(PROBLEM, optimizer=optax.adam)


@pytest.mark.filterwarnings("error")
def test_float64_problems_need_float64():
    with jax.enable_x64(False):
        for call in (
            lambda: lpm.solve(PROBLEM),
            lambda: lpm.factored(PROBLEM),
            lambda: lpm.LayerPeeled(GROUPS, 1.0, 1.0),
            SOLVED.logits,
            SOLVED.factors,
        ):
            with pytest.raises(ValueError, match=r"holds float64 arrays, but jax is set to float32: .*enable_x64"):
                call()
        assert lpm.certify(PROBLEM, SOLVED).certified  # on the host
        assert "certified" in str(SOLVED)
        assert SOLVED.cosines().dtype == np.float64  # nothing is computed


def test_verify_takes_one_identifier():
    with pytest.raises(ValueError, match=r"theorems holds 'lpm.none', which is unknown: choose from .*lpm.kkt"):
        lpm.verify("lpm.none")
    with pytest.raises(ValueError, match="theorems is empty"):
        lpm.verify([])
    assert [row.theorem for row in lpm.verify("lpm.kkt").rows] == ["lpm.kkt"]


def test_no_dataclass_compares_arrays():
    for module in pkgutil.walk_packages(lpm.__path__, "lpmjax."):
        if module.name.endswith("__main__"):
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__.startswith("lpmjax"):
                held = [f.name for f in dataclasses.fields(kind) if f.compare and "ndarray" in str(f.type)]
                assert not held or kind.__eq__ is object.__eq__, kind
    found = object.__new__(lpm.Diagnosis)
    assert found == found and found != object.__new__(lpm.Diagnosis)


def test_certified_is_asked_for_by_name():
    assert SOLVED.certified and SOLVED.status == lpm.Status["certified"]
    batch = dataclasses.replace(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), SOLVED), status=jnp.int8([0, 2]))
    np.testing.assert_array_equal(batch.certified, [True, False])


@pytest.mark.slow
def test_a_traced_parameter_of_a_loss_out_of_range_spoils_its_own_lane_alone():
    def solved(epsilon):
        return lpm.solve(lpm.LayerPeeled(GROUPS, 1.0, 1.0, lpm.LabelSmoothing(epsilon)))

    lanes = jnp.array([0.1, 2.0, 0.2])
    found = jax.vmap(solved)(lanes)
    assert found.status.tolist() == [lpm.Status.certified, lpm.Status.invalid, lpm.Status.certified]
    assert np.isnan(found.value[1])
    slopes = jax.grad(lambda x: jnp.nansum(jax.vmap(lambda e: solved(e).value)(x)))(lanes)
    assert slopes[1] == 0
    assert np.isfinite(slopes).all()
