"""Closed forms at 50 digits against values obtained by independent numerical solvers."""

import mpmath as mp
import pytest
import sympy as sp

from proofs import THEOREMS


def evaluate(identifier: str, name: str, *arguments):
    """A closed form at exact or mpmath arguments, with 50 digits."""
    form = THEOREMS[identifier].closed_forms[name]
    with mp.workdps(50):
        function = sp.lambdify(form.variables, form.expr, "mpmath")
        return mp.mpf(function(*(mp.mpf(a.p) / a.q if isinstance(a, sp.Rational) else mp.mpf(a) for a in arguments)))


def near(value, target: str) -> bool:
    """Equal up to one unit of the last digit of `target`."""
    digits = len(target.partition(".")[2])
    return abs(value - mp.mpf(target)) <= mp.mpf(10) ** -digits


def rational(text: str) -> sp.Rational:
    return sp.Rational(text)


def test_balanced_layer_peeled():
    assert near(evaluate("lpm.balanced", "value", 10, 1, 5), "0.55978152")


def test_balanced_unconstrained_features():
    arguments = (4, 2, rational("0.005"), rational("0.002"))
    assert near(evaluate("ufm.balanced", "alpha", *arguments), "5.396382")
    assert near(4 * evaluate("ufm.balanced", "w_norm2", *arguments), "14.480012")


def test_label_smoothing_without_smoothing_is_plain_decay():
    c = rational("0.01")
    with mp.workdps(50):
        assert mp.almosteq(evaluate("ufm.label_smoothing", "alpha", 4, 0, c), mp.log(97))


def test_focal_has_two_roots_and_zero_can_win():
    with mp.workdps(50):
        slope = lambda q: evaluate("ufm.focal", "slope", 3, q)  # noqa: E731
        small, large = (mp.findroot(lambda q: slope(q) - mp.mpf("1.12"), start) for start in (0.0146, 0.12))
        assert near(small, "0.0146") and near(large, "0.1199")
        zero = evaluate("ufm.focal", "value_at_zero", 100, 3)
        assert evaluate("ufm.focal", "value", 100, 3, mp.mpf("1.12") / 99, large) < zero
        q = mp.findroot(lambda q: slope(q) - mp.mpf("1.18"), 0.08)
        assert evaluate("ufm.focal", "value", 100, 3, mp.mpf("1.18") / 99, q) > zero


def test_squared_error():
    total, decay = 14, rational("0.01")
    value = sum(evaluate("ufm.squared_error", "value_share", n, total, decay, decay) for n in (8, 4, 2))
    assert near(value, "0.06032641")


def test_contrastive_value_is_the_loss_of_the_frame():
    K, n, E_H, t = 4, 3, 2, rational("0.7")
    with mp.workdps(50):
        own, other = mp.mpf(2) / mp.mpf("0.7"), -mp.mpf(2) / (3 * mp.mpf("0.7"))
        direct = mp.log(n * mp.exp(own) + n * (K - 1) * mp.exp(other)) - own
        assert mp.almosteq(evaluate("supcon.balanced", "value", K, n, E_H, t), direct)


@pytest.mark.parametrize(
    "K_A, K_B, y, s, R_0",
    [
        (5, 5, 1, "1.3984", "2.8291428411"),
        (5, 5, 2, "3.1589", "80.5331994808"),
        (7, 3, 2, "5.5766", "512.3385415"),
        (10, 90, 2, "0.7389", "17.3569698703"),
    ],
)
def test_merged_boundary_points(K_A, K_B, y, s, R_0):
    assert near(evaluate("lpm.merged_boundary", "s", K_A, K_B, y), s)
    assert near(evaluate("lpm.merged_boundary", "R_0", K_A, K_B, y), R_0)


@pytest.mark.parametrize("K_A, R_0", [(3, "245.496931"), (5, "12.192447"), (7, "4.000467")])
def test_merged_boundary_at_a_given_budget(K_A, R_0):
    with mp.workdps(50):
        at = lambda y: evaluate("lpm.merged_boundary", "s", K_A, 10 - K_A, y) - mp.sqrt(5)  # noqa: E731
        y = mp.findroot(at, (0.5, 3), solver="anderson")
    assert near(evaluate("lpm.merged_boundary", "R_0", K_A, 10 - K_A, y), R_0)


def test_annihilated_boundary():
    assert near(evaluate("lpm.annihilated_boundary", "R_1", 5, 5, 2), "2.0103")
    assert near(evaluate("lpm.annihilated_boundary", "s", 5, 5, 2), "0.8")
    with mp.workdps(50):
        a = 10 * mp.sqrt(5) / 6
    assert near(evaluate("lpm.annihilated_boundary", "R_1", 7, 3, a), "5.70533")
    assert evaluate("lpm.annihilated_boundary", "S_end", 5, 5) < 10 * mp.sqrt(5)


def _optimum(R: int) -> tuple[mp.mpf, mp.mpf]:
    """Value and minority cosine at K_A = K_B = 5, s^2 = 5 from the one-scalar theorem."""
    with mp.workdps(50):
        budget = 10 * mp.sqrt(5)
        end = 1 / (1 + mp.sqrt(mp.mpf(1) / 2))
        gap = lambda h: evaluate("lpm.one_scalar", "r", 5, 5, budget, h) - mp.log(R)  # noqa: E731
        h = mp.findroot(gap, (mp.mpf("1e-6"), end - mp.mpf("1e-6")), solver="anderson", tol=1e-40)
        a, e, sigma = (evaluate("lpm.one_scalar", name, 5, 5, budget, h) for name in ("a", "e", "sigma"))
        cosine = evaluate("lpm.one_scalar", "c_hat", 5, 5, h) / mp.sqrt(2)
        x, y = sigma * cosine, sigma * mp.sqrt(1 - cosine**2)
        weights = (mp.mpf(R) / (5 * R + 5), mp.mpf(1) / (5 * R + 5))
        value = evaluate("lpm.two_group", "loss", 5, 5, *weights, a, e, x, y)
        used = evaluate("lpm.two_group", "nuclear_norm", 5, 5, 1, 1, a, e, x, y)
        assert mp.almosteq(used, budget)
        return value, evaluate("lpm.two_group", "cos_B", 5, 5, a, e, sigma)


def test_one_scalar_reaches_the_separated_and_the_merged_optimum():
    value, cosine = _optimum(10)
    assert near(value, "0.2616770386") and near(cosine, "0.51750")
    value, cosine = _optimum(100)
    assert near(value, "0.0912992") and cosine == 1


def test_kkt_probabilities_are_a_distribution_and_agree_with_the_one_scalar_form():
    K_A, K_B, t, c = 3, 4, rational("0.6"), rational("0.8")
    P, p, rho = (evaluate("lpm.kkt", name, K_A, K_B, t, c) for name in ("P_A", "p_A", "rho_A"))
    with mp.workdps(50):
        assert mp.almosteq(P + 2 * p + 4 * rho, 1)
        kappa = mp.sqrt(mp.mpf(4) / 7)
        ratio = mp.mpf(4) / 3
    coordinate = evaluate("lpm.unique", "coordinate", K_A, ratio, kappa, t, c)
    with mp.workdps(40):
        assert mp.almosteq(evaluate("lpm.kkt", "coordinate_A", K_A, K_B, t, c), coordinate)


def test_growth_rate_is_approached_on_the_curve():
    with mp.workdps(50):
        s, R_0 = (evaluate("lpm.merged_boundary", name, 5, 5, 20) for name in ("s", "R_0"))
        assert abs(mp.log(R_0) / s / evaluate("lpm.minority_collapse", "growth_rate", 5, 5) - 1) < 1e-3


def test_gap_vanishes_at_the_balanced_optimum_and_not_elsewhere():
    def gap(stretch):
        with mp.workdps(50):
            m = mp.mpf(2)
            point = (m, m, stretch * m / mp.sqrt(2), m / mp.sqrt(2))
            pi = mp.mpf(1) / 10
            a, e, x, y = point
            duals = [evaluate("certificate.budget", n, 5, 5, pi, a, x) for n in ("gamma_A", "g_x")]
            duals += [evaluate("certificate.budget", n, 5, 5, pi, e, y) for n in ("gamma_B", "g_y")]
            gamma_A, g_x, gamma_B, g_y = duals
            norm = max(gamma_A, gamma_B, evaluate("certificate.budget", "rank_one_norm", 1, 1, g_x, g_y))
            return evaluate("certificate.budget", "gap", 5, 5, 1, 1, *point, gamma_A, gamma_B, g_x, g_y, norm)

    assert abs(gap(1)) < mp.mpf(10) ** -45
    assert gap(mp.mpf("1.1")) > mp.mpf("1e-4")
