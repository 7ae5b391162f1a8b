"""Intervals in ball arithmetic contain the optimum, are narrow at an optimum, and the checker refuses altered files."""

import ast
import dataclasses
import json
import math
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import jax
import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax import check_interval
from lpmjax.rigorous import prove, rigorous

PROBLEMS = {
    "separated": lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0),
    "merged": lpm.LayerPeeled.two_group(5, 5, 100.0, 1.0, 5.0),
    "annihilated": lpm.LayerPeeled.two_group(7, 3, 10.0, 1.0, 5.0),
    "balanced": lpm.LayerPeeled(lpm.ClassGroups.balanced(10), 1.0, 5.0),
    "single": lpm.LayerPeeled.two_group(1, 1, 3.0, 2.0, 2.0),
    "decay": lpm.UnconstrainedFeatures(lpm.ClassGroups([3, 4], [40.0, 2.0]), 5e-3, 4e-3),
    "absent": lpm.UnconstrainedFeatures(lpm.ClassGroups([0, 7], [40.0, 2.0]), 5e-3, 4e-3),
    "nothing": lpm.UnconstrainedFeatures(lpm.ClassGroups([3, 4], [40.0, 2.0]), 5e1, 4e1),
    "weighted": lpm.LayerPeeled(lpm.ClassGroups([4, 6], [10.0, 1.0], [1.0, 0.3]), 2.0, 1.0),
}
KNOWN = {"separated": 0.2616770386, "merged": 0.0912992, "balanced": 0.55978152, "nothing": math.log(7)}


def checked(record, folder):
    """Exit code of the checker for a record or a text."""
    path = folder / "interval.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return check_interval.main([str(path)])


def factored(K, weights, omega, budget=None, penalty=None, bias=False, decay=0.0, start=0):
    """(Z, b) of a dense K x K problem by L-BFGS on factors, Z diag(omega) = W H or, on a budget, in proportion."""
    size, eye = K * K, np.eye(K)

    def objective(x):
        W, H, b = x[:size].reshape(K, K), x[size : 2 * size].reshape(K, K), x[2 * size :] * bias
        norm = x[: 2 * size] @ x[: 2 * size] / 2
        scale = 1.0 if budget is None else budget / norm
        P = W @ H / omega
        logits = scale * P + b[:, None]
        p = np.exp(logits - logits.max(0))
        p /= p.sum(0)
        value = -weights @ np.log(np.diag(p)) + decay / 2 * b @ b
        D = weights * (p - eye)
        price = penalty if budget is None else -scale * np.sum(D * P) / norm
        value += 0.0 if penalty is None else penalty * norm
        G = scale * D / omega
        return value, np.concatenate(
            [(G @ H.T + price * W).ravel(), (W.T @ G + price * H).ravel(), (D.sum(1) + decay * b) * bias]
        )

    x = np.random.default_rng(start).normal(size=2 * size + K) / np.sqrt(K)
    options = {"maxiter": 5000, "maxfun": 9000, "ftol": 0, "gtol": 1e-14, "maxcor": 30}
    x = minimize(objective, x, jac=True, method="L-BFGS-B", options=options).x
    scale = 1.0 if budget is None else 2 * budget / np.sum(x[: 2 * size] ** 2)
    return scale * x[:size].reshape(K, K) @ x[size : 2 * size].reshape(K, K) / omega, x[2 * size :] * bias


def long_tail(K):
    """K distinct counts, ratio 100, E_W = E_H = 1."""
    return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(K, 100.0), 1.0, 1.0))


@pytest.fixture(scope="module")
def bounds():
    solutions = {name: lpm.solve(problem) for name, problem in PROBLEMS.items()}
    return {name: rigorous(solution) for name, solution in (solutions | {"tail": long_tail(10)}).items()}


@pytest.mark.parametrize("name", PROBLEMS)
def test_interval_is_narrow_and_agrees_with_the_float_certificate(name, bounds, tmp_path):
    s, bound = lpm.solve(PROBLEMS[name]), bounds[name]
    assert bound.lower < bound.upper
    assert bound.certified(1e-13)
    assert bound.relative_width < 1e-13
    # The two certificates bound the same number, so each lower bound is below the other's upper bound.
    assert float(s.lower_bound) <= bound.upper
    assert bound.lower <= float(s.value) * (1 + 1e-15)
    assert float(s.value) == pytest.approx(bound.upper, rel=1e-14)
    if name in KNOWN:
        assert KNOWN[name] == pytest.approx(bound.lower, rel=1e-6 if name == "merged" else 1e-8)
    assert checked(json.loads(bound.to_json()), tmp_path) == 0
    assert str(bound.lower) in str(bound) and "ball arithmetic" in str(bound)


@pytest.mark.parametrize("K, s", [(10, 5.0), (2, 0.1), (1000, 3.0), (4, 50.0)])
def test_balanced_interval_contains_the_closed_form_to_40_digits(K, s):
    problem = lpm.LayerPeeled(lpm.ClassGroups.balanced(K), s, s)
    bound = rigorous(lpm.solve(problem))
    with mpmath.workdps(60):
        m = mpmath.mpf(s) * K / (K - 1)
        value = Fraction(mpmath.nstr(mpmath.log1p((K - 1) * mpmath.exp(-m)), 50))
    assert Fraction(bound.lower) < value < Fraction(bound.upper)
    with check_interval.ctx.workprec(check_interval.BITS):
        lower, upper = check_interval.bounds(bound.record)
        optimum = check_interval.arb(value.numerator) / value.denominator
        # The rounding of the coordinate is scaled out, or else leaves a gap of its own size.
        assert float(abs(upper - optimum) / optimum) < 1e-13
        if not lower <= optimum <= upper:  # then equal to the digits of ``value``
            assert float(abs(lower - optimum) / optimum) < 1e-40 and float(abs(upper - optimum) / optimum) < 1e-40


@pytest.mark.parametrize("name", ["separated", "annihilated", "decay", "weighted"])
@pytest.mark.parametrize("size", [0.0, 1e-3, 0.3])
def test_bounds_are_those_of_50_digit_dense_algebra(name, size, rng):
    s = lpm.solve(PROBLEMS[name])
    within = np.asarray(s.within) * (1 - size * rng.random(2))
    between = np.asarray(s.between) * (1 - size * rng.random())
    record = rigorous(dataclasses.replace(s, within=within, between=between)).record
    given, proof = record["problem"], record["proof"]
    with mpmath.workdps(50):
        K = [int(k) for k in given["classes"]]
        index = [g for g, k in enumerate(K) for _ in range(k)]
        size = len(index)
        omega = [mpmath.sqrt(n) if name == "decay" else mpmath.mpf(1) for n in given["samples"]]
        inner = [(k - 1) * w * abs(mpmath.mpf(x)) for k, w, x in zip(K, omega, proof["within"], strict=True)]
        raw = [mpmath.mpf(given["weights"][g]) for g in index]
        weights = [w / mpmath.fsum(raw) for w in raw]
        root = [mpmath.sqrt(mpmath.mpf(given[x])) for x in check_interval.PARAMETERS[given["type"]]]
        M = mpmath.zeros(2)
        for left, right in zip(proof["left"], proof["right"], strict=True):
            M += mpmath.matrix(left) * mpmath.matrix(right).T

        def logit(j, k):
            g, h = index[j], index[k]
            own = mpmath.mpf(proof["within"][g]) * ((j == k) - mpmath.mpf(1) / K[g]) if g == h else 0
            return own + M[g, h] / omega[h] / mpmath.sqrt(K[g] * K[h])

        Z = mpmath.matrix(size, size)
        scaled = mpmath.matrix(size, size)
        for j in range(size):
            for k in range(size):
                Z[j, k] = logit(j, k)
                scaled[j, k] = Z[j, k] * omega[index[k]]
        # The proof's factors are floats, balanced to rounding: they cost more than the nuclear norm by its square, and
        # how much more depends on the processor. What follows from the proof's own cost must agree to all digits.
        squares = mpmath.fsum(mpmath.mpf(x) ** 2 for side in ("left", "right") for row in proof[side] for x in row)
        cost = mpmath.fsum(inner) + squares / 2
        nuclear = mpmath.fsum(mpmath.svd_r(scaled, compute_uv=False))
        assert -(mpmath.mpf(10) ** -40) < cost / nuclear - 1 < mpmath.mpf(10) ** -28
        price, budget = root[0] * root[1], size * root[0] * root[1]
        onto = 1 if name == "decay" else min(1, budget / cost)
        p = mpmath.matrix(size, size)
        value, G = mpmath.mpf(0), mpmath.matrix(size, size)
        for k in range(size):
            column = [mpmath.exp(onto * Z[j, k]) for j in range(size)]
            for j in range(size):
                p[j, k] = column[j] / mpmath.fsum(column)
                G[j, k] = weights[k] * (p[j, k] - (j == k)) / omega[index[k]]
            value -= weights[k] * mpmath.log(p[k, k])
        norm = mpmath.svd_r(G, compute_uv=False)[0]
        c = min(1, price / norm) if name == "decay" else 1
        lower = mpmath.mpf(0) if name == "decay" else -budget * norm
        for k in range(size):
            for j in range(size):
                x = c * p[j, k] + (1 - c) * (j == k)
                lower -= weights[k] * x * mpmath.log(x)
        upper = value + (price * cost if name == "decay" else 0)
        with check_interval.ctx.workprec(check_interval.BITS):
            balls = check_interval.bounds(record)
            low, high = (mpmath.mpf(ball.mid().str(50, radius=False)) for ball in balls)
        assert abs(high - upper) < mpmath.mpf(10) ** -40 * upper
        # The spectral norm is bounded through a floating factor, so the proved bound is a little lower.
        assert -(mpmath.mpf(10) ** -40) < lower - low < mpmath.mpf(10) ** -13
        assert Fraction(record["interval"]["lower"]) <= Fraction(mpmath.nstr(low, 45))
        assert Fraction(record["interval"]["upper"]) >= Fraction(mpmath.nstr(high, 45))


@pytest.mark.parametrize("name", ["separated", "merged", "annihilated"])
def test_perturbed_coordinates_are_not_certified(name, bounds):
    s = lpm.solve(PROBLEMS[name])
    for entry in ("within", "between"):
        coordinates = np.array(getattr(s, entry))
        largest = np.unravel_index(np.abs(coordinates).argmax(), coordinates.shape)
        # Shrunk: growing is scaled back onto the budget. The annihilated block is zero: something is put there.
        coordinates[largest] = coordinates[largest] * (1 - 1e-3) or 1e-3
        wide = rigorous(dataclasses.replace(s, **{entry: coordinates}))
        assert not wide.certified(1e-6)
        # Still true: all intervals contain the same optimum.
        assert wide.lower <= bounds[name].upper and bounds[name].lower <= wide.upper


@pytest.mark.parametrize("R, s", [(1e20, 1e-6), (1e20, 30.0), (1e20, 1.0), (1.0, 1e-6), (1e6, 100.0)])
def test_extreme_parameters(R, s, tmp_path):
    bound = rigorous(lpm.solve(lpm.LayerPeeled.two_group(5, 7, R, s, s)))
    assert 0 < bound.lower < bound.upper
    assert bound.certified(1e-10)
    assert checked(bound.record, tmp_path) == 0


def test_an_underflowing_optimum_has_an_interval_but_no_relative_width():
    bound = rigorous(lpm.solve(lpm.LayerPeeled.two_group(1, 1, 3.0, 1e3, 1e3)))
    assert bound.lower == 0 < bound.upper < 1e-300
    assert bound.relative_width == math.inf and not bound.certified(1e300)


SLOW = (pytest.param(K, value, marks=pytest.mark.slow) for K, value in ((50, 1.5690977396), (200, 2.5460093472)))


@pytest.mark.parametrize("K, value", [(10, 0.6193952491), *SLOW])
def test_distinct_counts(K, value, tmp_path):
    solution = long_tail(K)
    bound = rigorous(solution)
    assert bound.certified(1e-10)
    assert value == pytest.approx(bound.lower, rel=1e-9)
    bound.to_json(tmp_path / "bound.json")
    assert check_interval.main([str(tmp_path / "bound.json")]) == 0
    moved = np.array(solution.between)
    moved[0, 0] += 1e-3
    assert not rigorous(dataclasses.replace(solution, between=moved)).certified(1e-6)


# ---------------------------------------------------------------- bias and weak duality


def statement(kind, bias, classes=(2, 1, 3), samples=(30.0, 4.0, 1.0)):
    values = {"E_W": 1.5, "E_H": 0.7} if kind == "LayerPeeled" else {"lambda_W": 4e-3, "lambda_H": 3e-3}
    classes, samples = np.array(classes, float), np.array(samples)
    return {
        "type": kind,
        "classes": classes,
        "samples": samples,
        "weights": samples,
        "dim": None,
        "bias": bias,
    } | values


@pytest.mark.parametrize("kind", list(check_interval.PARAMETERS))
@pytest.mark.parametrize("bias", [None, "free", 0.05])
def test_weak_duality_holds_between_any_two_candidates(kind, bias, rng):
    given = statement(kind, bias)
    proved = []
    for size in (0.01, 0.1, 0.3, 1.0) * 8:
        within, between = size * rng.normal(size=3) ** 2, size * (rng.normal(size=(3, 3)) + 2 * np.eye(3))
        proved.append(prove(given, within, between, None if bias is None else size * rng.normal(size=3)))
    assert max(bound.lower for bound in proved) <= min(bound.upper for bound in proved)


@pytest.mark.parametrize("kind", list(check_interval.PARAMETERS))
@pytest.mark.parametrize("bias", [None, "free", 0.05])
def test_bias_intervals_close_at_the_optimum(kind, bias, tmp_path):
    given = statement(kind, bias, (1, 1, 1, 1), (30.0, 9.0, 4.0, 1.0))
    weights, penalised = given["samples"] / given["samples"].sum(), kind == "UnconstrainedFeatures"
    Z, b = factored(
        4, weights, np.sqrt(given["samples"]) if penalised else np.ones(4),
        budget=None if penalised else 4 * math.sqrt(1.5 * 0.7), penalty=math.sqrt(12e-6) if penalised else None,
        bias=bias is not None, decay=bias if isinstance(bias, float) else 0.0,
    )  # fmt: skip
    bound = prove(given, np.zeros(4), Z, b)
    assert bound.certified(1e-6)
    assert checked(bound.record, tmp_path) == 0
    assert (np.abs(b).max() > 0.01) == (bias is not None)


# ---------------------------------------------------------------- the checker refuses


def altered(record, path, change):
    """A deep copy with the entry at ``path`` changed."""
    copy = json.loads(json.dumps(record))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = change(at[path[-1]])
    return copy


def times(factor):
    return lambda x: x * factor


def becomes(value):
    return lambda x: value


WORSE = {
    "lower raised": (("interval", "lower"), times(1 + 1e-9)),
    "upper lowered": (("interval", "upper"), times(1 - 1e-9)),
    "budget up": (("problem", "E_H"), times(1 + 1e-9)),
    "budget down": (("problem", "E_H"), times(1 - 1e-9)),
    "other budget": (("problem", "E_W"), times(2.0)),
    "weight": (("problem", "weights", 0), times(1 + 1e-6)),
    "classes": (("problem", "classes", 1), becomes(6)),
    "type": (("problem", "type"), becomes("UnconstrainedFeatures")),
    "dim": (("problem", "dim"), becomes(8)),
    "free bias": (("problem", "bias"), becomes("free")),
    "bias": (("problem", "bias"), becomes(0.1)),
    "within": (("proof", "within", 0), times(1 - 1e-3)),
    "within grows": (("proof", "within", 1), times(1 + 1e-3)),
    "left": (("proof", "left", 0, 0), times(1 + 1e-3)),
    "right": (("proof", "right", 0, 1), times(1 - 1e-3)),
    "norm": (("proof", "norm"), times(1 + 1e-3)),
    "factor": (("proof", "factor", 0, 0), times(1 + 1e-3)),
    "no factor": (("proof", "factor"), becomes([])),
    "bias in the candidate": (("proof", "bias", 0), becomes(1e-3)),
}
WRONG = [
    (("schema",), "lpmjax.interval/2"),
    (("problem",), None),
    (("problem", "type"), "DeepLinear"),
    (("problem", "type"), ["LayerPeeled"]),
    (("problem", "classes"), 5),
    (("problem", "classes"), []),
    (("problem", "classes"), "55"),
    (("problem", "classes", 0), 4.5),
    (("problem", "classes", 0), -5),
    (("problem", "classes", 0), True),
    (("problem", "weights"), [1.0]),
    (("problem", "weights", 1), 0.0),
    (("problem", "weights", 1), -0.1),
    (("problem", "weights", 1), "0.1"),
    (("problem", "samples", 1), 0),
    (("problem", "E_H"), -5.0),
    (("problem", "E_H"), 0),
    (("problem", "E_H"), None),
    (("problem", "E_H"), [5.0]),
    (("problem", "E_H"), "5"),
    (("problem", "E_H"), float("nan")),
    (("problem", "E_H"), float("inf")),
    (("problem", "E_H"), 10**400),
    (("problem", "dim"), 9.5),
    (("problem", "dim"), "9"),
    (("problem", "bias"), "fixed"),
    (("problem", "bias"), -0.1),
    (("problem", "bias"), False),
    (("proof",), []),
    (("proof", "within"), [1.0]),
    (("proof", "within", 0), float("nan")),
    (("proof", "within", 0), "nan"),
    (("proof", "within", 0), -1e308),
    (("proof", "left"), None),
    (("proof", "left", 0), [1.0]),
    (("proof", "left"), []),
    (("proof", "left", 0, 0), 1e308),
    (("proof", "norm"), 0.0),
    (("proof", "norm"), -1.0),
    (("proof", "norm"), 1e308),
    (("proof", "factor", 0, 0), float("-inf")),
    (("interval", "lower"), float("nan")),
    (("interval", "lower"), float("inf")),
    (("interval", "lower"), "0.1"),
    (("interval", "upper"), None),
    (("interval", "upper"), float("nan")),
    (("interval", "upper"), -1.0),
]


@pytest.mark.parametrize("name", WORSE)
def test_checker_refuses_a_changed_statement_or_proof(name, bounds, tmp_path, capsys):
    record = bounds["separated"].record
    assert checked(altered(record, *WORSE[name]), tmp_path) == 1
    assert capsys.readouterr().out.startswith("REFUSED")


@pytest.mark.parametrize(
    "path, change",
    [
        (("interval", "lower"), times(1 + 1e-14)),
        (("interval", "upper"), times(1 - 1e-14)),
        (("proof", "norm"), times(1 - 1e-3)),  # true for two groups, where a block of rank 1 needs no other proof
        (("proof", "norm"), times(1 + 1e-3)),
        (("proof", "norm"), becomes(5e-324)),
        (("proof", "factor"), lambda F: F[:-1]),
        (("proof", "left", 3, 4), times(-1)),
        (("problem", "weights"), lambda w: w[::-1]),
        (("problem", "E_W"), times(1 - 1e-7)),
    ],
)
def test_checker_refuses_a_changed_long_tail(path, change, bounds, tmp_path):
    assert checked(bounds["tail"].record, tmp_path) == 0
    assert checked(altered(bounds["tail"].record, path, change), tmp_path) == 1


@pytest.mark.parametrize("path, value", WRONG)
def test_checker_refuses_what_is_not_a_number_or_out_of_range(path, value, bounds, tmp_path, capsys):
    assert checked(altered(bounds["separated"].record, path, becomes(value)), tmp_path) == 1
    assert capsys.readouterr().out.startswith("REFUSED")


def test_checker_refuses_missing_and_unknown_keys_and_broken_text(bounds, tmp_path, capsys):
    record = bounds["separated"].record
    for part in (None, "problem", "proof", "interval"):
        whole = record if part is None else record[part]
        for key in whole:
            less = {k: v for k, v in whole.items() if k != key}
            assert checked(less if part is None else record | {part: less}, tmp_path) == 1
        more = whole | {"label_smoothing": 0.1}
        assert checked(more if part is None else record | {part: more}, tmp_path) == 1
    text = bounds["separated"].to_json()
    for broken in (
        "",
        "[]",
        "null",
        text[:-20],
        text.replace("0.", "0,"),
        "[" * 100_000,
        text.replace(":", ": 1e999,"),
    ):
        assert checked(broken, tmp_path) == 1
    assert check_interval.main([str(tmp_path / "absent.json")]) == 1
    assert check_interval.main([]) == 2
    assert "REFUSED" in capsys.readouterr().out


def test_decay_and_dim_are_part_of_the_statement(bounds, tmp_path):
    record = bounds["decay"].record
    for name in ("lambda_W", "lambda_H"):
        for factor in (1 + 1e-6, 1 - 1e-6):
            assert checked(altered(record, ("problem", name), times(factor)), tmp_path) == 1
    assert checked(altered(record, ("problem", "samples", 0), times(1.001)), tmp_path) == 1
    # The true rank of the separated optimum is K - 1 = 9, and a wider interval is true as well.
    record = bounds["separated"].record
    assert checked(altered(record, ("problem", "dim"), becomes(9)), tmp_path) == 0
    assert checked(altered(record, ("interval", "lower"), times(0.5)), tmp_path) == 0
    assert checked(altered(record, ("problem", "samples", 0), times(2)), tmp_path) == 0  # no part of this statement


def test_checker_runs_alone(bounds, tmp_path):
    source = Path(check_interval.__file__)
    shutil.copy(source, tmp_path)
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names == {"json", "math", "sys", "typing", "flint"}
    bounds["decay"].to_json(tmp_path / "good.json")
    (tmp_path / "bad.json").write_text(
        json.dumps(altered(bounds["decay"].record, ("interval", "lower"), times(1 + 1e-9)))
    )
    for name, code, word in (("good", 0, "proved"), ("bad", 1, "REFUSED")):
        run = subprocess.run(
            [sys.executable, "-I", "check_interval.py", f"{name}.json"], cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == code and run.stdout.startswith(word) and not run.stderr


# ---------------------------------------------------------------- what rigorous refuses


def test_dim_below_the_rank():
    s = lpm.solve(PROBLEMS["separated"])
    narrow = {dim: lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0, dim=dim) for dim in (7, 8, 9)}
    assert rigorous(dataclasses.replace(s, problem=narrow[9])).certified(1e-13)
    truncated = rigorous(dataclasses.replace(s, problem=narrow[8]))  # the two in-group blocks have rank 8
    assert truncated.lower <= 0.2616770386 < 0.27 < truncated.upper
    with pytest.raises(ValueError, match="dim = 7 is below the rank"):
        rigorous(dataclasses.replace(s, problem=narrow[7]))


def test_refusals():
    s = lpm.solve(PROBLEMS["separated"])
    batch = jax.vmap(lambda R: lpm.solve(lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)))(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="batched"):
        rigorous(batch)
    assert rigorous(jax.tree.map(lambda leaf: leaf[1], batch)).certified(1e-13)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda s: rigorous(s).lower)(s)
    with pytest.raises(ValueError, match=r"solution.within is not finite .*check\(\)"):
        rigorous(dataclasses.replace(s, within=np.array([np.nan, 1.0])))
    with pytest.raises(ValueError, match="2 groups"):
        rigorous(dataclasses.replace(s, within=np.ones(3)))
    decay, nothing = lpm.solve(PROBLEMS["decay"]), lpm.solve(PROBLEMS["nothing"])
    with pytest.raises(ValueError, match="no finite upper bound"):
        rigorous(dataclasses.replace(nothing, within=np.array([1e308, 1e308])))
    with pytest.raises(ValueError, match="no finite upper bound"):
        rigorous(dataclasses.replace(nothing, between=np.array([[1e308, -1e308], [-1e308, 1e308]])))
    far = rigorous(dataclasses.replace(decay, within=np.array([-1e4, 1e4])))  # true, if of little use
    assert far.lower <= float(decay.value) <= far.upper
    real = lpm.LayerPeeled.two_group(5, 5.5, 10.0, 1.0, 5.0)
    with pytest.raises(ValueError, match="whole numbers"):
        rigorous(lpm.solve(real))


def test_what_the_proof_does_not_cover_is_refused():
    class Smoothed(lpm.CrossEntropy):
        pass

    class Other:
        pass

    s = lpm.solve(PROBLEMS["separated"])
    smoothed = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0, loss=Smoothed())
    with pytest.raises(ValueError, match="needs plain CrossEntropy"):
        rigorous(dataclasses.replace(s, problem=smoothed))
    with pytest.raises(ValueError, match="covers only LayerPeeled and UnconstrainedFeatures"):
        rigorous(dataclasses.replace(s, problem=Other()))


def test_float32_solutions_get_a_true_but_wider_interval(bounds):
    problem = jax.tree.map(lambda leaf: leaf.astype(np.float32), PROBLEMS["separated"])
    bound = rigorous(lpm.solve(problem))
    assert bound.certified(1e-4)


def test_missing_flint_says_what_to_install(monkeypatch):
    s = lpm.solve(PROBLEMS["separated"])
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.delitem(sys.modules, "lpmjax.check_interval")
    monkeypatch.delattr(lpm, "check_interval")
    with pytest.raises(ImportError, match=r"pip install 'lpmjax\[rigor\]'"):
        rigorous(s)


def test_json_is_written_whole_and_round_trips(bounds, tmp_path):
    bound = bounds["merged"]
    text = bound.to_json(tmp_path / "new" / "bound.json")
    assert (tmp_path / "new" / "bound.json").read_text() == text + "\n"
    assert json.loads(text) == bound.record
    assert json.loads(text)["interval"] == {"lower": bound.lower, "upper": bound.upper}
