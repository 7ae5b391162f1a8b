"""Every theorem passes without an undecided step; wrong variants are refuted; the rendered page is current."""

import re
from dataclasses import replace

import pytest
import sympy as sp

from proofs import (
    THEOREMS,
    Domain,
    Verdict,
    above,
    annihilated_boundary,
    balanced,
    certificate,
    contrastive,
    focal,
    grouped,
    label_smoothing,
    merged_boundary,
    merging,
    minority_collapse,
    one_scalar,
    oversampling,
    probabilities,
    rank,
    relaxation,
    squared_error,
    two_group,
    unconstrained,
    uniqueness,
)
from proofs.__main__ import PAGE
from proofs.render import document
from proofs.symbols import ALPHA_A, ALPHA_B, K_A, K_B, K_SUM, KAPPA_A, KAPPA_B, K, R
from proofs.ulpm import hadamard, landscape, lower_bound, path, ray, seli
from proofs.verifiers.cited import RULES, Cited
from proofs.verifiers.sign import Sign


@pytest.mark.parametrize("identifier", THEOREMS)
def test_theorem_passes(identifier):
    report = THEOREMS[identifier].check()
    assert report.ok, str(report)
    assert report.verdict is Verdict.PROVED
    assert len(report.findings) == len(THEOREMS[identifier].steps)


@pytest.mark.parametrize("identifier", THEOREMS)
def test_citations_are_from_the_closed_list_and_nothing_else_is_cited(identifier):
    theorem = THEOREMS[identifier]
    for step, finding in zip(theorem.steps, theorem.check().findings, strict=True):
        assert (finding.verdict is Verdict.CITED) == isinstance(step, Cited)
        assert not isinstance(step, Cited) or step.rule in RULES


@pytest.mark.parametrize("identifier", THEOREMS)
def test_theorem_is_complete(identifier):
    theorem = THEOREMS[identifier]
    assert theorem.id == identifier
    assert theorem.title and theorem.source and theorem.assumptions and theorem.uniqueness and theorem.statement
    for form in theorem.closed_forms.values():
        assert isinstance(form, sp.Lambda)
        assert form.expr.free_symbols <= set(form.variables)


WRONG = {
    "sign flipped in the ETF value": lambda: balanced.theorem(
        value=sp.log(1 + (K - 1) * sp.exp(balanced.MARGIN)),
    ),
    "-1/K for -1/(K-1)": lambda: balanced.theorem(cosine=-1 / K),
    "multiplier off by K": lambda: balanced.theorem(multiplier=K * balanced.MULTIPLIER),
    "margin sK instead of sK/(K-1)": lambda: balanced.theorem(margin=balanced.BUDGET),
    "budget without the factor K": lambda: relaxation.theorem(budget=relaxation.BUDGET / K),
    "threshold Kc < 2": lambda: unconstrained.theorem(threshold=2 / K),
    "threshold Kc < 1/2": lambda: unconstrained.theorem(threshold=1 / (2 * K)),
    "alpha with its sign flipped": lambda: unconstrained.theorem(alpha_claim=-unconstrained.ALPHA),
    "smoothing spread over K - 1": lambda: label_smoothing.theorem(
        label_smoothing.ALPHA.subs(label_smoothing.epsilon, label_smoothing.epsilon * K / (K - 1))
    ),
    "focal slope without its second term": lambda: focal.theorem((1 - focal.q) ** (focal.gamma + 1)),
    "squared error shrunk by lambda, not N lambda": lambda: squared_error.theorem(
        sp.sqrt(squared_error.n_k) - squared_error.lam
    ),
    "contrastive cosine -1/K": lambda: contrastive.theorem(cosine=-1 / K),
    "two-group cosine with K_A and K_B swapped": lambda: two_group.theorem(
        cos_B=two_group.COS_B.subs({K_A: K_B, K_B: K_A}, simultaneous=True)
    ),
    "margin without the rank-one part": lambda: two_group.theorem(m_A=two_group.a),
    "kappa of the wrong group": lambda: probabilities.theorem(kappa=KAPPA_B),
    "coordinate with its sign flipped": lambda: uniqueness.theorem(-uniqueness.COORDINATE),
    "minority margin with its sign flipped": lambda: one_scalar.theorem(-one_scalar.E_ACTIVE),
    "merging slope off by K_g/(K_g - 1)": lambda: merging.theorem(-merging.pi_g * merging.K_g),
    "alpha and beta swapped in R0": lambda: merged_boundary.theorem(alpha=ALPHA_B, beta=ALPHA_A),
    "alpha alone wrong in R0": lambda: merged_boundary.theorem(alpha=ALPHA_B),
    "R1 without the square root": lambda: annihilated_boundary.theorem(r_1=annihilated_boundary.R_1**2),
    "R1 ends with K_A and K_B swapped": lambda: annihilated_boundary.theorem(
        a_end=annihilated_boundary.A_END.subs({K_A: K_B, K_B: K_A}, simultaneous=True)
    ),
    "growth rate with the wrong group": lambda: minority_collapse.theorem(rate=K_SUM / (K_A - 1 + KAPPA_B)),
    "growth rate with a sign flipped": lambda: minority_collapse.theorem(rate=K_SUM / (K_A + 1 - KAPPA_A)),
    "ETF optimal at R = 2": lambda: oversampling.theorem(full_remedy=R / 2),
    "remedy upside down": lambda: oversampling.theorem(least_remedy=oversampling.R_0 / R),
    "gap with a sign flipped": lambda: certificate.budget_theorem(certificate.GAP - 2 * certificate.TERM_A),
    "in-group singular value K_g times": lambda: grouped.theorem(repeats=grouped.K_g),
    "margin over another group without the own block": lambda: grouped.theorem(
        margin=grouped.MARGIN - grouped.B_gg / grouped.K_g
    ),
    "gradient block without the group sizes": lambda: grouped.theorem(pull_other=-grouped.pi_g * grouped.rho_j),
    "in-group cosine over K_g": lambda: grouped.theorem(cosine=grouped.ROW_SAME),
    "two classes active in the rank counterexample": lambda: rank.theorem(active=2),
    "SELI with the counts of the groups swapped": lambda: seli.theorem(
        sigma=seli.SIGMA.subs({seli.n_A: seli.n_B, seli.n_B: seli.n_A}, simultaneous=True)
    ),
    "margin without the root of n": lambda: lower_bound.theorem(reach=lower_bound.rho / (2 * (K - 1))),
    "margin of W alone": lambda: lower_bound.theorem(reach=lower_bound.REACH / 2),
    "speed of one factor only": lambda: ray.theorem(rate=ray.RATE / 2),
    "clock without the other classes": lambda: ray.theorem(clock=sp.Ei(ray.alpha)),
    "speed of a Hadamard start without its own size": lambda: hadamard.theorem(speed=hadamard.SPEED / hadamard.a_1),
    "multiplier with its sign flipped": lambda: landscape.theorem(rate=landscape.gamma + landscape.mu),
    "spread of log R, not its share": lambda: path.theorem(spread=sp.log(R)),
    "pull between equal rows with a sign flipped": lambda: rank.theorem(
        own_pull=1 - rank.P_g + rank.p_g - rank.K_g * (rank.rho - rank.p_g)
    ),
}


@pytest.mark.parametrize("variant", WRONG)
def test_wrong_variant_is_refuted(variant):
    report = WRONG[variant]().check()
    assert not report.ok
    assert report.verdict is Verdict.REFUTED, str(report)


def test_an_undecided_step_fails_the_check():
    x = sp.Symbol("x", positive=True)
    theorem = THEOREMS["lpm.balanced"]
    step = Sign("needs more than these verifiers", (x - 100) ** 2 - 1, ">", Domain({x: above(0)}))
    report = replace(theorem, steps=(*theorem.steps, step)).check()
    assert report.verdict is Verdict.UNDECIDED
    assert not report.ok
    assert "undecided" in str(report)


def test_page_is_current():
    page = PAGE.read_text(encoding="utf-8")
    version = re.search(r"under SymPy (\S+)\. Do not edit", page)
    assert version, "the header names the SymPy version"
    if version[1] != sp.__version__:
        pytest.skip(f"rendered under SymPy {version[1]}")
    assert page == document(theorem.check() for theorem in THEOREMS.values())
