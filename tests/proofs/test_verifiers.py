"""Each verifier proves true statements and refuses false ones, including those that look true where it samples."""

import numpy as np
import pytest
import sympy as sp
from mpmath import iv, log, mpf

from proofs import REAL, Domain, Uses, Verdict, above, at_least, between, integers
from proofs.balanced import theorem as balanced
from proofs.verifiers import cited
from proofs.verifiers.blocks import BlockIdentity, Blocks, gradient
from proofs.verifiers.convex import Convex
from proofs.verifiers.enclosure import Root, evaluate
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

K, K_A, K_B, x, y, c = sp.symbols("K K_A K_B x y c", positive=True)
X, Y = sp.symbols("X Y", real=True)
CLASSES = Domain({K: integers(2), x: above(0)})
GROUPS = Domain({K_A: integers(2), K_B: integers(2)})
PLANE = Domain({X: REAL, Y: REAL})


def verdict(step) -> Verdict:
    return step.verify().verdict


@pytest.mark.parametrize(
    "left, right",
    [
        (sp.log(1 + (K - 1) * sp.exp(-x)), sp.log(sp.exp(x) + K - 1) - x),
        (1 / (sp.sqrt(K) + 1), (sp.sqrt(K) - 1) / (K - 1)),
        (sp.exp(2 * x) - 1, (sp.exp(x) - 1) * (sp.exp(x) + 1)),
        (sp.exp(x + x / (K - 1)), sp.exp(K * x / (K - 1))),
        (x**K * x, x ** (K + 1)),
        ((x**2 * K) ** (1 / K), x ** (2 / K) * K ** (1 / K)),
        (x ** (1 / (K + 1)) * x ** (K / (K + 1)), x),
        ((x ** (2 / K) * K) ** (K / 2), x * K ** (K / 2)),
        (((K - 1) / K) ** (1 - 1 / K), (K - 1) / K * ((K - 1) / K) ** (-1 / K)),
    ],
)
def test_identity_proves(left, right):
    assert verdict(Identity("", left, right, CLASSES)) is Verdict.PROVED


@pytest.mark.parametrize(
    "left, right",
    [
        (sp.log(1 + (K - 1) * sp.exp(-x)), sp.log(1 + (K - 1) * sp.exp(x))),
        (-1 / (K - 1), -1 / K),
        (K**2, 3 * K - 2),  # true at K = 1, 2 only
        (sp.sqrt(x**2 + 1), x + 1),
        (sp.log(x * K), sp.log(x) * sp.log(K)),
        ((x + K) ** (1 / K), x ** (1 / K) + K ** (1 / K)),
        ((x**2 * K) ** (1 / K), x * K ** (1 / K)),
    ],
)
def test_identity_refutes(left, right):
    finding = Identity("", left, right, CLASSES).verify()
    assert finding.verdict is Verdict.REFUTED
    assert "counterexample" in finding.note


def test_identity_does_not_prove_a_difference_below_the_noise_of_sampling():
    assert verdict(Identity("", x, x + sp.Rational(1, 10**60), CLASSES)) is Verdict.UNDECIDED


def test_a_power_of_a_real_square_is_not_taken_apart():
    wrong = Identity("", (X**2) ** (1 / K), X ** (2 / K), PLANE | {K: integers(3)})  # X may be negative
    assert verdict(wrong) is not Verdict.PROVED


def test_identity_needs_a_domain_for_every_symbol():
    with pytest.raises(ValueError, match="without a domain"):
        Identity("", y, x, CLASSES).verify()


@pytest.mark.parametrize(
    "expr, relation",
    [
        (sp.exp(x) - 1 - x - x**2 / 2, ">"),
        (sp.log(1 + x) - x, "<"),
        (K * x - x, ">"),
        (x**2 - x + 1, ">"),
        ((x - 1) ** 2, ">="),
        (1 - sp.exp(-x), ">"),
    ],
)
def test_sign_proves(expr, relation):
    assert verdict(Sign("", expr, relation, CLASSES)) is Verdict.PROVED


@pytest.mark.parametrize(
    "expr, relation",
    [
        (sp.exp(x) - 1 - 2 * x, ">"),
        (x - 1, ">"),
        ((K - 2) * x, "<"),
        (K - K, ">"),
        (sp.log(x), ">="),
    ],
)
def test_sign_refutes(expr, relation):
    assert verdict(Sign("", expr, relation, CLASSES)) is Verdict.REFUTED


@pytest.mark.parametrize(
    "expr, relation",
    [
        ((x - 100) ** 2 - 1, ">"),  # negative only near 100, where nothing is sampled
        ((x - sp.pi) ** 2, ">"),  # zero at one point
        ((K - 2) * x, ">"),  # zero at the closed end K = 2
        ((sp.exp(x) - 10**4) ** 2 - 1, ">"),
        (1000 - sp.log(x), ">"),
    ],
)
def test_sign_never_proves_what_sampling_cannot_see(expr, relation):
    assert verdict(Sign("", expr, relation, CLASSES)) in (Verdict.UNDECIDED, Verdict.REFUTED)


def test_sign_respects_open_and_closed_ends():
    assert verdict(Sign("", x - 2, ">", Domain({x: above(2)}))) is Verdict.PROVED
    assert verdict(Sign("", x - 2, ">", Domain({x: at_least(2)}))) is not Verdict.PROVED
    assert verdict(Sign("", x - 2, ">=", Domain({x: at_least(2)}))) is Verdict.PROVED
    assert verdict(Sign("", 1 - K * c, ">", Domain({K: integers(2), c: between(0, 1 / K)}))) is Verdict.PROVED


def test_derivative_is_computed_from_the_objective():
    value = sp.log(1 + (K - 1) * sp.exp(-x))
    assert verdict(Derivative("", value, (x,), -(K - 1) / (sp.exp(x) + K - 1), CLASSES)) is Verdict.PROVED
    assert verdict(Derivative("", value, (x,), -K / (sp.exp(x) + K - 1), CLASSES)) is Verdict.REFUTED
    stationary = Derivative("", x**2 - 2 * K * x, (x,), sp.Integer(0), CLASSES, at={x: K})
    assert verdict(stationary) is Verdict.PROVED
    wrong = Derivative("", x**2 - 2 * K * x, (x,), sp.Integer(0), CLASSES, at={x: K + 1})
    assert verdict(wrong) is Verdict.REFUTED


def test_limit():
    value = sp.log(1 + (K - 1) * sp.exp(-x))
    assert verdict(Limit("", value, x, sp.oo, sp.Integer(0), CLASSES)) is Verdict.PROVED
    assert verdict(Limit("", value, x, sp.Integer(0), sp.log(K), CLASSES)) is Verdict.PROVED
    assert verdict(Limit("", value, x, sp.oo, sp.Integer(1), CLASSES)) is Verdict.REFUTED
    assert verdict(Limit("", value, x, sp.oo, sp.oo, CLASSES)) is Verdict.REFUTED
    assert verdict(Limit("", sp.log(x), x, sp.Integer(0), sp.Integer(0), CLASSES)) is Verdict.REFUTED


def test_convexity():
    pair = sp.log(sp.exp(X) + sp.exp(Y))
    assert verdict(Convex("", pair, (X, Y), PLANE)) is Verdict.PROVED
    assert verdict(Convex("", pair, (X, Y), PLANE, strict=True)) is Verdict.REFUTED
    assert verdict(Convex("", sp.log(1 + sp.exp(X) + sp.exp(Y)), (X, Y), PLANE, strict=True)) is Verdict.PROVED
    assert verdict(Convex("", X**3, (X,), PLANE)) is Verdict.REFUTED
    assert verdict(Convex("", X * Y, (X, Y), PLANE)) is Verdict.REFUTED  # zero diagonal, negative determinant
    assert verdict(Convex("", -(X**2) - Y**2, (X, Y), PLANE)) is Verdict.REFUTED  # positive determinant


def _root(equation, at, *positive):
    return verdict(Root("", (equation, Y * sp.exp(X) - 1), {X: at, Y: sp.Rational(1, 4)}, positive, ""))


def test_root_encloses_and_decides_signs():
    near = sp.Rational(7, 5)
    assert _root(X**2 - 2, near, X - 1, 1 - Y, 2 * X * Y - sp.Rational(1, 2)) is Verdict.PROVED
    assert _root(X**2 - 2, near, X - 1, Y - 1) is Verdict.REFUTED
    assert _root(X**2 - 2, -near, X) is Verdict.REFUTED  # the other root
    assert _root(X**2 - 2, near, X**2 - 2) is Verdict.UNDECIDED  # zero there
    assert _root(X**2 - 2, near, X**2 - 2 + sp.Rational(1, 10**30)) is Verdict.UNDECIDED


@pytest.mark.parametrize("equation", [X**2 + 1, (X - 1) ** 2, (X - 1) ** 2 + sp.Rational(1, 10**60), X - X + 1])
def test_root_does_not_enclose_what_is_not_there_or_not_simple(equation):
    assert _root(equation, sp.Rational(7, 5)) is Verdict.UNDECIDED


def test_enclosures_contain_the_value_and_know_their_functions():
    third = evaluate(sp.Rational(1, 3) * X, {X: iv.mpf(1)}, iv)
    assert third.a < sp.Rational(1, 3) < third.b
    assert iv.exp(1) in evaluate(sp.exp(X) ** 2 / sp.exp(Y), {X: iv.mpf(1), Y: iv.mpf(1)}, iv)
    root = evaluate(X ** sp.Rational(2, 3) * sp.log(Y), {X: iv.mpf(2), Y: iv.mpf(5)}, iv)
    assert root.a < mpf(2) ** (mpf(2) / 3) * log(5) < root.b
    with pytest.raises(ValueError, match="negative"):
        evaluate(sp.sqrt(X), {X: iv.mpf([-1, 1])}, iv)
    with pytest.raises(ValueError, match="sin"):
        evaluate(sp.sin(X), {X: iv.mpf(1)}, iv)


def test_block_products_agree_with_numbers():
    sizes = (K_A, K_B)
    entries = iter(range(1, 20))
    left, right = (
        Blocks.of(sizes, [next(entries), next(entries)], [[next(entries) for _ in range(2)] for _ in range(2)])
        for _ in range(2)
    )
    numbers = {K_A: 3, K_B: 4}

    def dense(blocks: Blocks) -> np.ndarray:
        group = [0, 0, 0, 1, 1, 1, 1]
        own, ones = ([float(v.subs(numbers)) for v in part] for part in (blocks.own, blocks.ones))
        return np.array(
            [[ones[2 * g + h] + own[g] * (i == j) for j, h in enumerate(group)] for i, g in enumerate(group)]
        )

    np.testing.assert_allclose(dense(left @ right), dense(left) @ dense(right))
    np.testing.assert_allclose(dense(left.T), dense(left).T)
    assert float(left.inner(right).subs(numbers)) == pytest.approx(float((dense(left) * dense(right)).sum()))


def test_block_identity():
    S, J = Blocks.centring((K,), 0), Blocks.of((K,), [0], [[1]])
    almost = Blocks.of((K,), [1], [[-1 / (K - 1)]])
    assert verdict(BlockIdentity("", S @ S, S, "", CLASSES)) is Verdict.PROVED
    assert verdict(BlockIdentity("", almost @ almost, almost, "", CLASSES)) is Verdict.REFUTED
    assert verdict(BlockIdentity("", J @ J, J * 2, "", CLASSES)) is Verdict.REFUTED  # true for K = 2 only


def test_block_gradient_of_the_squared_norm():
    Z = Blocks.of((K_A, K_B), [x, y], [[1, 2], [3, 4]])
    domain = GROUPS | {x: above(0), y: above(0)}
    G = gradient(lambda M: M.inner(M) / 2, Z)
    assert verdict(BlockIdentity("", G, Z, "", domain)) is Verdict.PROVED
    assert verdict(BlockIdentity("", G, Z * 2, "", domain)) is Verdict.REFUTED


@pytest.mark.parametrize("rule", cited.RULES, ids=lambda rule: rule.name)
def test_every_rule_is_shown_as_cited_and_passes_its_numeric_test(rule):
    finding = cited.Cited("", rule).verify()
    assert finding.verdict is Verdict.CITED
    assert rule.reference in finding.note


def _reversed_jensen(rng: np.random.Generator) -> float:
    return -cited.JENSEN.violation(rng)


def test_a_false_or_foreign_rule_is_not_accepted(monkeypatch):
    false = cited.Rule("reversed Jensen", "", "", _reversed_jensen)
    assert verdict(cited.Cited("", false)) is Verdict.UNDECIDED
    monkeypatch.setattr(cited, "RULES", (false,))
    assert verdict(cited.Cited("", false)) is Verdict.REFUTED


def test_using_a_refuted_theorem_is_refuted():
    assert verdict(Uses("", balanced())) is Verdict.PROVED
    assert verdict(Uses("", balanced(cosine=-1 / K))) is not Verdict.PROVED
