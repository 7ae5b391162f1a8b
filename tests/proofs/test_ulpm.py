"""Theorems of unconstrained features without decay, at 50 digits against values and quadrature from elsewhere."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from test_closed_forms import evaluate, near

from proofs import THEOREMS


@pytest.mark.parametrize(
    ("R", "cosine", "ratio"), [(7, 0, "2.31660"), (10, "0.0333689", "2.67210"), (100, "0.3380261", "5.76621")]
)
def test_separation_of_two_groups(R, cosine, ratio):
    at = (5, 5, R, 1)
    assert near(evaluate("ulpm.seli", "cos_B", *at), str(cosine))
    assert near(evaluate("ulpm.seli", "w_norm2_A", *at) / evaluate("ulpm.seli", "w_norm2_B", *at), ratio)


def test_rates_of_the_path():
    assert near(evaluate("ulpm.path", "rate", 2, 2, 10, 1), "0.776599")
    with mp.workdps(50):
        assert mp.almosteq(evaluate("ulpm.path", "rate_class_average", 2, 2, 10), mp.log(10) / 2)


def test_clock_of_the_ray():
    with mp.workdps(50):
        start = evaluate("ulpm.ray", "clock", 4, mp.mpf("0.5"))
        alpha = mp.findroot(lambda x: evaluate("ulpm.ray", "clock", 4, x) - start - 400 / mp.sqrt(3), 7)
    assert near(alpha, "7.187624572")


def test_the_bound_is_neural_collapse_and_below_the_saddles():
    bound = evaluate("ulpm.lower_bound", "bound", 4, 2, 20)
    assert near(bound, "0.2500622156")
    assert all(bound < mp.mpf(value) for value in ("0.4549022888", "0.7218737853", "0.8345637134"))


@pytest.mark.parametrize(
    ("start", "end"), [((0.2, 0.5, 1), (6.40210949, 8.60982269, 8.93469066)), ((0.5, 0.5, 0.5), (7.86275378,) * 3)]
)
def test_hadamard_start(start, end):
    """The reduced equations, integrated."""
    form = THEOREMS["ulpm.hadamard"].closed_forms["speed"]
    speed = sp.lambdify(form.variables, form.expr, "numpy")
    found = solve_ivp(
        lambda t, a: [speed(a[i], a[j], a[k]) for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1))],
        (0, 200), start, method="DOP853", rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(found.y[:, -1], end, atol=1e-8)


def test_the_root_has_negative_entries_off_the_diagonal():
    """The integral of the proof, by quadrature, against the eigenvalues of M, for three classes and factors."""
    n, delta = [7, 3, 2], [mp.mpf(1), mp.mpf("0.7"), mp.mpf("1.4")]
    with mp.workdps(30):
        v = [1 / x for x in delta]
        d, size = [x * mp.sqrt(m) for x, m in zip(v, n, strict=True)], mp.sqrt(sum(x * x for x in v))
        a, b = [x * x for x in d], [x * y / size for x, y in zip(d, v, strict=True)]
        M = mp.matrix(3, 3)
        for j in range(3):
            for k in range(3):
                M[j, k] = (a[k] if j == k else 0) - b[j] * b[k]
        values, vectors = mp.eigsy(M)
        root = vectors * mp.diag([mp.sqrt(abs(x)) for x in values]) * vectors.T
        for j, k in ((0, 1), (0, 2), (1, 2)):

            def entry(t, j=j, k=k):
                s = sum(y * y / (x * (x + t)) for x, y in zip(a, b, strict=True))
                return -b[j] * b[k] / ((a[j] + t) * (a[k] + t) * s) / mp.sqrt(t) / mp.pi

            integral = mp.quad(lambda u: entry(u * u) * 2 * u, [0, 1, 10, mp.inf])
            assert integral < 0 and mp.almosteq(integral, root[j, k], rel_eps=mp.mpf(10) ** -15)
