"""The contract of every result: each model x loss x bias x number of groups x solver, in either precision.

A case is a batch of lanes from weak to strong features. Every solver of its problem answers it, and each answer must
hold together: shapes and dtypes, bounds, views of the same optimum, its value at its own factors, Clarabel's optimum.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import LOSSES, convex_optimum, mean_loss

import lpmjax as lpm
from lpmjax import Status

PARAMETERS = {"adjusted": 0.5, "smoothed": 0.1}
BUILDERS = {
    "cross-entropy": lpm.CrossEntropy,
    "adjusted": lambda: lpm.LogitAdjusted(PARAMETERS["adjusted"]),
    "smoothed": lambda: lpm.LabelSmoothing(PARAMETERS["smoothed"]),
    "squared": lpm.SquaredError,
}
BIASES = (None, 0.0, 0.05)
#: classes, samples and weights of the groups, each number exact in either precision
GROUPS = {
    1: ([4.0], [8.0], [8.0]),
    2: ([2.0, 3.0], [40.0, 3.0], [40.0, 3.0]),
    3: ([2.0, 1.0, 3.0], [40.0, 12.0, 3.0], [40.0, 6.0, 6.0]),
}
#: E_H of norm budgets, all of which bind, and weight decays of the features
STRENGTHS = {"budgets": (0.0625, 0.25, 0.75), "decays": (2.0**-5, 2.0**-7, 2.0**-10)}
E_W = LAMBDA_W = 0.5**3
#: relative gap that a certificate of float32 is asked for
TOL32 = 1e-3
EACH = ("slack", "cosine", "w_norm2", "h_norm2", "margin", "within")
NUMBERS = ("value", "log_value", "lower_bound", "gap", "tol", "multiplier")
CODES = {"status": "int8", "phase": "int8", "rank": "int32", "steps": "int32", "restarts": "int32"}


class Case(NamedTuple):
    """One cell of the matrix, except for solver and precision."""

    model: str  #: "budgets", "decays" or "nonnegative"
    loss: str
    bias: float | None
    G: int

    @property
    def strengths(self):
        return STRENGTHS["budgets" if self.model == "budgets" else "decays"]

    @property
    def classes(self):
        """Group, samples and weight of each class."""
        classes, samples, weights = (np.array(x) for x in GROUPS[self.G])
        index = np.repeat(np.arange(self.G), classes.astype(int))
        return index, samples[index], weights[index] / np.sum(classes * weights)

    def problem(self, strength):
        groups, loss = lpm.ClassGroups(*GROUPS[self.G]), BUILDERS[self.loss]()
        if self.model == "budgets":
            return lpm.LayerPeeled(groups, E_W, strength, loss=loss)
        nonnegative = self.model == "nonnegative"
        return lpm.UnconstrainedFeatures(groups, LAMBDA_W, strength, loss, self.bias, nonnegative)

    @property
    def methods(self):
        if self.model == "nonnegative":
            return ("closed_form", "factored")
        exact = ()
        if self.loss == "cross-entropy" and self.bias is None:
            exact = {1: ("closed_form",), 2: ("two_group",), 3: ()}[self.G]
        if self.loss == "squared" and (self.bias is None or (self.bias and self.G == 1)):
            exact = ("closed_form",)  # with a free bias only for weights by default, and these are given
        return (*exact, "grouped", "factored")


MODELS = [("budgets", loss, None) for loss in LOSSES]
MODELS += [("decays", *choice) for choice in itertools.product(LOSSES, BIASES)]
MODELS += [("nonnegative", "cross-entropy", None)]
CASES = [Case(*model, G) for model in MODELS for G in GROUPS]
#: one number of groups and one precision for each model, loss and bias, in turn; the whole matrix would take an hour
DRAWN = [(("float64", "float32")[i % 2], Case(*model, 1 + i % 3)) for i, model in enumerate(MODELS)]
QUICK = [("float64", Case("nonnegative", "cross-entropy", None, 3))]


def answered(case: Case, method: str) -> Any:
    """The lanes of a case, in the precision that jax is set to."""
    if method != "factored":
        lane = jax.vmap(lambda x: lpm.solve(case.problem(x), method=method))
        return jax.jit(lane)(jnp.asarray(case.strengths))
    lanes = [lpm.solve(case.problem(x), method=method) for x in case.strengths]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)


def check_form(case: Case, s: Any, dtype: str, method: str):
    """Shapes, dtypes and what is there at all."""
    lanes, G, K = len(case.strengths), case.G, len(case.classes[0])
    assert s.method == method
    shapes = dict.fromkeys(NUMBERS, ()) | dict.fromkeys(EACH, (G,)) | {"between": (G, G)}
    shapes |= {} if case.bias is None else {"bias": (G,)}
    assert (s.bias is None) == (case.bias is None)
    assert (s.W is None) == (s.H is None) == (method != "factored")
    shapes |= {} if s.W is None else {"W": (K, s.W.shape[-1]), "H": (s.H.shape[-2], K)}
    for name, shape in shapes.items():
        assert (getattr(s, name).shape, getattr(s, name).dtype) == ((lanes, *shape), dtype), name
    for name, kind in CODES.items():
        assert (getattr(s, name).shape, getattr(s, name).dtype) == ((lanes,), kind), name
    assert s.cosines().shape == (lanes, G, G)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(s.problem))


def check_bounds(s: Any):
    """A gap that holds, and finite numbers in every phase."""
    assert (np.asarray(s.gap) >= 0).all()
    assert (np.asarray(s.lower_bound) <= np.asarray(s.value)).all()
    np.testing.assert_allclose(s.lower_bound, s.value - s.gap, rtol=1e-6)
    np.testing.assert_allclose(s.log_value, np.log(s.value), atol=1e-5)
    for name in ("slack", "within", "between", "w_norm2", "h_norm2", "multiplier"):
        assert np.isfinite(getattr(s, name)).all(), name


def closed(s: Any) -> Any:
    """Lanes whose gap is what was asked for."""
    return np.asarray(s.gap) <= np.asarray(s.tol) * np.abs(s.value)


def check_status(case: Case, s: Any, method: str, proof: Status):
    """Every lane is proved, except that non-negative features may leave a descent at an optimum that is only local."""
    local = case.model == "nonnegative" and method == "factored"
    assert closed(s).all() or local
    assert s.status.tolist() == [proof if right else Status.converged for right in closed(s)]


def check_views(case: Case, s: Any, strength: float):
    """Logits, factors, norms, cosines, margins and rank are those of one optimum, and its value is attained."""
    # Classes of a group differ in W and H of a descent, by the root of what it leaves of the gap.
    close = {"float64": 1e-7, "float32": 5e-3}[s.value.dtype.name] if s.W is None else float(s.tol) ** 0.5
    index, n, weights = case.classes
    K, G, several = len(index), case.G, np.array(GROUPS[case.G][0]) > 1
    member = (index[:, None] == np.arange(G)).astype(float)
    W, H = (np.asarray(x, float) for x in s.factors())
    logits = np.asarray(s.logits(), float)
    bias = np.zeros(K) if s.bias is None else np.asarray(s.bias, float)[index]
    Z = W @ H
    scale = 1 + np.abs(logits).max()
    np.testing.assert_allclose(Z, logits - bias[:, None], atol=close * scale)
    if case.loss != "squared":  # it alone feels a number added to all logits
        assert np.abs(bias.sum()) <= close * scale

    long = max(0.01, np.max(s.w_norm2), np.max(s.h_norm2))
    np.testing.assert_allclose(np.sum(W * W, 1), np.asarray(s.w_norm2)[index], atol=close * long)
    np.testing.assert_allclose(np.sum(H * H, 0), np.asarray(s.h_norm2)[index], atol=close * long)
    rivals = np.where(np.eye(K, dtype=bool), np.inf, np.diag(Z) - Z)
    np.testing.assert_allclose(rivals.min(0), np.asarray(s.margin)[index], atol=close * scale)
    values = np.linalg.svd(Z * (1.0 if case.model == "budgets" else np.sqrt(n)), compute_uv=False)
    assert int(s.rank) == np.sum(values > close * scale)

    cosines, gram = np.asarray(s.cosines()), W @ W.T
    np.testing.assert_allclose(np.diag(cosines), s.cosine, atol=close)
    pairs = member.T @ gram @ member - np.diag(member.T @ np.diag(gram))
    with np.errstate(invalid="ignore"):
        pairs = pairs / (np.outer(member.sum(0), member.sum(0)) - np.diag(member.sum(0)))
    lengths, alone = np.sqrt(np.outer(s.w_norm2, s.w_norm2)), np.diag(~several)
    defined = ~np.isnan(cosines)
    assert not (defined & (alone | (lengths == 0))).any()
    assert (defined | alone | (lengths <= close * long)).all()
    np.testing.assert_allclose((cosines * lengths)[defined], pairs[defined], atol=close * long)
    assert (np.abs(cosines[defined]) <= 1 + close).all()

    value = float(mean_loss(case.loss, logits, n, weights, PARAMETERS.get(case.loss)).value)
    spent = np.sum(W * W), np.sum(H * H)
    if case.model == "budgets":
        assert max(spent[0] / (K * E_W), spent[1] / (K * strength)) <= 1 + close
    else:
        value += LAMBDA_W / 2 * spent[0] + strength / 2 * np.sum(n * np.sum(H * H, 0))
    if case.model == "nonnegative":
        assert H.min() >= 0
    if case.bias:
        value += case.bias / 2 * np.sum(bias * bias)
    assert value == pytest.approx(float(s.value), rel=2 * float(s.tol))


def check_optimum(case: Case, proved: dict[str, Any]):
    """Intervals that all hold the optimum, which is Clarabel's."""
    for one, other in itertools.product(proved.values(), repeat=2):
        assert (one.lower_bound <= other.value).all()
        close = np.abs(one.value - other.value) <= np.maximum(one.tol, other.tol) * np.abs(one.value)
        assert (close | ~closed(one) | ~closed(other)).all()
    if case.model == "nonnegative":
        return
    _, n, weights = case.classes
    for lane, strength in enumerate(case.strengths):
        pair = {case.model: (E_W, strength)}
        reference = convex_optimum(case.loss, n, weights, bias=case.bias, parameter=PARAMETERS.get(case.loss), **pair)
        for method, s in proved.items():
            assert s.lower_bound[lane] - 1e-8 <= reference.value <= s.value[lane] + 1e-8, method


@pytest.mark.parametrize(
    ("dtype", "case"),
    [
        pytest.param(dtype, case, id=f"{dtype}-{'-'.join(map(str, case))}", marks=() if quick else pytest.mark.slow)
        for dtype, case in dict.fromkeys([*QUICK, *DRAWN])
        for quick in [(dtype, case) in QUICK]
    ],
)
def test_every_solver_keeps_the_contract(dtype, case):
    proved = {}
    for method in case.methods:
        with jax.enable_x64(dtype == "float64"):
            s = answered(case, method)
            check_status(case, s, method, Status.certified if dtype == "float64" else Status.converged)
            check_form(case, s, dtype, method)
            check_bounds(s)
            for lane in np.flatnonzero(closed(s)):  # at a local optimum classes of a group differ
                check_views(case, jax.tree.map(lambda x, i=lane: x[i], s), case.strengths[lane])
        if dtype == "float64" and method == "factored":  # proved by itself; certify has its own tests
            proved[method] = s
            continue
        proved[method] = again = lpm.certify(s.problem, s, tol=None if dtype == "float64" else TOL32)
        check_status(case, again, method, Status.certified)
        check_form(case, jax.tree.map(jnp.asarray, again), "float64", method)
        check_bounds(again)
        np.testing.assert_allclose(again.value, s.value, rtol=1e-12 if dtype == "float64" else 1e-5)
        if dtype == "float64":  # float32 tells what is gone from what is not no closer than it can
            np.testing.assert_array_equal(again.rank, s.rank)
            np.testing.assert_array_equal(again.phase, s.phase)
    check_optimum(case, proved)


def test_nothing_has_no_rank():
    s = lpm.solve(Case("decays", "adjusted", 0.0, 3).problem(2.0**-5), method="factored")
    assert s.status == Status.certified
    assert (int(s.rank), s.phase) == (0, lpm.Phase.annihilated)


def test_factors_have_as_many_dimensions_as_the_rank():
    s = lpm.solve(Case("budgets", "squared", None, 1).problem(0.25))
    W, H = s.factors()
    np.testing.assert_allclose(W @ H, s.logits(), atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_solvers_are_those_that_apply(case):
    problem = case.problem(case.strengths[0])
    assert problem.methods == case.methods
    for method in {"closed_form", "two_group", "grouped", "factored"} - set(case.methods):
        with pytest.raises(ValueError, match="cannot solve this problem"):
            lpm.solve(problem, method=method)


def test_features_behind_a_relu_take_cross_entropy_without_a_bias():
    for loss, bias in set(itertools.product(LOSSES, BIASES)) - {("cross-entropy", None)}:
        with pytest.raises(ValueError, match="nonnegative = True"):
            Case("nonnegative", loss, bias, 2).problem(0.01)
