"""Phase boundaries against a 50-digit inversion of the explicit curves, and against the solver's phases."""

import jax
import mpmath as mp
import numpy as np
import pytest

import lpmjax as lpm

mp.mp.dps = 50


def merged_curve(K_A, K_B, y):
    """(s, log R0) on the merged boundary, parameter y > 0."""
    K = K_A + K_B
    alpha, beta = mp.sqrt(K / K_B) / K_A, mp.sqrt(K / K_A) / K_B
    q = K_A * K_B * beta * mp.exp(-beta * y) / (K_B + K_A * mp.exp(-beta * y))
    sigma = y / q
    x = sigma * mp.sqrt(1 - q * q)
    cosine = mp.sqrt(1 - q * q)
    a = K_A * (alpha * x + mp.log(K_A * cosine / (K_B * (K_A * alpha - cosine))))
    wrong = K_A * mp.exp(-a) + K_B * mp.exp(-(a * (1 - 1 / K_A) + alpha * x))
    return ((K_A - 1) * a + sigma) / K, mp.log((1 - mp.exp(-a) + wrong) / wrong)


def log_R0(K_A, K_B, s):
    K_A, K_B, s = mp.mpf(K_A), mp.mpf(K_B), mp.mpf(s)
    low, high = mp.mpf(0), mp.mpf(1)
    while merged_curve(K_A, K_B, high)[0] < s:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if merged_curve(K_A, K_B, middle)[0] < s else (low, middle)
    return merged_curve(K_A, K_B, low)[1]


def log_R1(K_A, K_B, s):
    """Annihilated boundary: explicit."""
    K_A, K_B, s = mp.mpf(K_A), mp.mpf(K_B), mp.mpf(s)
    K = K_A + K_B
    a = K * s / (K_A - 1)
    m = a * (1 - 1 / K_A)
    D = 1 + (K_A - 1) * mp.exp(-a) + K_B * mp.exp(-m)
    p, rho = mp.exp(-a) / D, mp.exp(-m) / D
    q = K_A * p + K_B * rho
    inside = q * q - K * K_B * rho * rho
    return mp.log(mp.sqrt(K_A / K) / mp.sqrt(inside)) if inside > 0 else mp.inf


@pytest.mark.parametrize(("K_A", "R0"), [(3, 245.496931), (5, 12.192447), (7, 4.000467)])
def test_published_boundaries(K_A, R0):
    s = np.sqrt(5.0)
    found = float(lpm.boundary.merged(K_A, 10 - K_A, s))
    assert found == pytest.approx(R0, abs=5e-7)
    assert found == pytest.approx(float(mp.exp(log_R0(K_A, 10 - K_A, s))), rel=1e-13)


def test_published_points_on_the_curves():
    for K_A, K_B, y, s, R0 in [
        (5, 5, 1, 1.3984, 2.8291428411),
        (5, 5, 2, 3.1589, 80.5331994808),
        (7, 3, 2, 5.5766, 512.3385415),
        (10, 90, 2, 0.7389, 17.3569698703),
    ]:
        exact_s, log_R = merged_curve(mp.mpf(K_A), mp.mpf(K_B), mp.mpf(y))
        assert float(exact_s) == pytest.approx(s, abs=5e-5)
        assert float(lpm.boundary.merged(K_A, K_B, float(exact_s))) == pytest.approx(R0, rel=1e-9)
        assert float(mp.exp(log_R)) == pytest.approx(R0, rel=1e-9)
    assert float(lpm.boundary.annihilated(5, 5, 0.8)) == pytest.approx(2.0103, abs=5e-5)
    assert float(lpm.boundary.annihilated(7, 3, np.sqrt(5.0))) == pytest.approx(5.70533, abs=5e-6)


def test_whole_range_against_fifty_digits(rng):
    for _ in range(40):
        K_A, K_B = (int(np.ceil(10 ** rng.uniform(0.31, 6))) for _ in range(2))
        s = float(10 ** rng.uniform(-6, 2))
        assert float(lpm.boundary.merged(K_A, K_B, s, log=True)) == pytest.approx(float(log_R0(K_A, K_B, s)), rel=1e-12)
        exact, found = log_R1(K_A, K_B, s), float(lpm.boundary.annihilated(K_A, K_B, s, log=True))
        assert found == pytest.approx(float(exact), rel=1e-9)


def test_steps_are_short_beside_the_pole_too():
    """The merging angle of so large a majority is far below its guess: a step may be short where no root is."""
    K_A, K_B, s = 118211, 2, 0.08280446952936124
    found = float(lpm.boundary.merged(K_A, K_B, s, log=True))
    assert found == pytest.approx(float(log_R0(K_A, K_B, s)), rel=1e-12)


@pytest.mark.parametrize("curve", [lpm.boundary.merged, lpm.boundary.annihilated])
def test_phase_flips_at_the_boundary(curve, rng):
    before, after = {
        lpm.boundary.merged: (lpm.Phase.separated, lpm.Phase.merged),
        lpm.boundary.annihilated: (lpm.Phase.merged, lpm.Phase.annihilated),
    }[curve]
    cases = [(3, 7, np.sqrt(5.0)), (5, 5, np.sqrt(5.0)), (7, 3, np.sqrt(5.0)), (5, 5, 0.8)]
    cases += [
        (int(a), int(b), float(s))
        for a, b, s in zip(*rng.integers(2, 40, (2, 12)), rng.uniform(0.3, 4, 12), strict=True)
    ]
    tried = 0
    for K_A, K_B, s in cases:
        R = float(curve(K_A, K_B, s))
        if not 1.01 < R < 1e12:
            continue
        tried += 1
        for offset, phase in ((-1e-9, before), (1e-9, after)):
            assert lpm.solve(lpm.LayerPeeled.two_group(K_A, K_B, R * (1 + offset), s, s)).phase == phase
    assert tried >= 4


def test_where_there_is_no_boundary():
    assert np.isinf(lpm.boundary.merged(5, 1, 1.0))
    assert np.isinf(lpm.boundary.annihilated(1, 5, 1.0))
    end = float(lpm.boundary.annihilation_end(5, 5))
    assert np.isinf(lpm.boundary.annihilated(5, 5, end * (1 + 1e-12)))
    assert float(lpm.boundary.annihilated(5, 5, end * (1 - 1e-12))) > 1e4
    assert end == pytest.approx(20 * np.log(5 / (np.sqrt(50) - 5)) / 10, rel=1e-14)


def test_overflow_needs_the_log():
    assert np.isinf(lpm.boundary.merged(2, 500, 90.0))
    assert np.isfinite(lpm.boundary.merged(2, 500, 90.0, log=True))


def test_shapes_and_derivatives():
    s = np.array([0.5, 1.0, 2.0])
    assert lpm.boundary.merged(np.array([[3], [5]]), 5, s).shape == (2, 3)
    slope = jax.vmap(jax.grad(lambda s: lpm.boundary.merged(5, 5, s, log=True)))(s)
    h = 1e-5
    centred = (lpm.boundary.merged(5, 5, s + h, log=True) - lpm.boundary.merged(5, 5, s - h, log=True)) / (2 * h)
    np.testing.assert_allclose(slope, centred, rtol=1e-7)
    assert float(jax.grad(lambda s: lpm.boundary.annihilated(5, 5, s, log=True))(5.0)) == 0.0


@pytest.mark.parametrize(("K_A", "K_B", "s"), [(0, 5, 1.0), (5, 0.5, 1.0), (5, 5, 0.0), (5, 5, np.nan), (5, 5, "x")])
def test_bad_input_is_named(K_A, K_B, s):
    with pytest.raises(ValueError, match=r"K_A|K_B|s\b"):
        lpm.boundary.merged(K_A, K_B, s)
