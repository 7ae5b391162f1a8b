"""No step is idle: slightly changed, each one fails."""

from dataclasses import replace
from functools import singledispatch

import pytest
import sympy as sp

from proofs import THEOREMS, Uses, Verdict
from proofs.theorem import Step
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.enclosure import Root
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.refutation import Refutation
from proofs.verifiers.sign import Sign

_SMALL = sp.Rational(1, 10**6)
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


@singledispatch
def changed(step: Step) -> Step:
    raise NotImplementedError(step.kind)


@changed.register
def _(step: Identity) -> Step:
    return replace(step, right=step.right + _SMALL)


@changed.register
def _(step: Derivative) -> Step:
    return replace(step, equals=step.equals + _SMALL)


@changed.register
def _(step: Limit) -> Step:
    return replace(step, equals=step.equals + 1 if step.equals.is_finite else sp.Integer(0))


@changed.register(Sign)
@changed.register(Refutation)
def _(step: Sign | Refutation) -> Step:
    return replace(step, relation=_OPPOSITE[step.relation])


@changed.register
def _(step: Convex) -> Step:
    return replace(step, function=-step.function)


@changed.register
def _(step: BlockIdentity) -> Step:
    count = len(step.right.sizes)
    more = Blocks.of(step.right.sizes, [0] * count, [[_SMALL] * count] * count)
    return replace(step, right=step.right + more)


@changed.register
def _(step: Root) -> Step:
    return replace(step, positive=tuple(-expr for expr in step.positive))


@changed.register
def _(step: Cited) -> Step:
    return replace(step, rule=replace(step.rule, name="another"))


@changed.register
def _(step: Uses) -> Step:
    false = Sign("", sp.Integer(-1), ">", step.theorem.domain)
    return replace(step, theorem=replace(step.theorem, steps=(false,)))


@pytest.mark.parametrize("identifier", THEOREMS)
def test_every_changed_step_fails(identifier):
    for number, step in enumerate(THEOREMS[identifier].steps, 1):
        expected = Verdict.UNDECIDED if isinstance(step, Cited) else Verdict.REFUTED
        finding = changed(step).verify()
        assert finding.verdict is expected, f"step {number}: {step.claim} — {finding}"
