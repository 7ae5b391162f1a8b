"""Identity: the two sides differ by exactly zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import sympy as sp

from proofs.domain import Domain
from proofs.theorem import Finding, Step, Verdict
from proofs.verifiers import witness
from proofs.verifiers.algebra import is_zero


def decide_zero(difference: sp.Expr, domain: Domain) -> Finding:
    """Refuted at a sampled point, or zero as it stands, or zero once every symbol is put on its domain."""
    refutation = witness.find(difference, domain, lambda value: True)
    if refutation:
        return Finding(Verdict.REFUTED, refutation)
    if is_zero(difference) or is_zero(domain.rewrite(difference)):
        return Finding(Verdict.PROVED)
    return Finding(Verdict.UNDECIDED, "the difference was not reduced to zero")


@dataclass(frozen=True)
class Identity(Step):
    """`left` = `right` on all of `domain`."""

    kind: ClassVar[str] = "identity"
    left: sp.Expr
    right: sp.Expr
    domain: Domain = field(repr=False)

    def verify(self) -> Finding:
        return decide_zero(sp.sympify(self.left) - sp.sympify(self.right), self.domain)

    def latex(self) -> str:
        return f"{sp.latex(self.left)} = {sp.latex(self.right)}"


@dataclass(frozen=True)
class Derivative(Step):
    """The derivative of `objective` by `variables` (in turn), taken at `at`, equals `equals`.

    The derivative is computed from the objective; `at` is substituted only afterwards.
    """

    kind: ClassVar[str] = "derivative"
    objective: sp.Expr
    variables: tuple[sp.Symbol, ...]
    equals: sp.Expr
    domain: Domain = field(repr=False)
    at: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)

    def verify(self) -> Finding:
        gradient = sp.diff(self.objective, *self.variables).subs(self.at, simultaneous=True)
        return decide_zero(gradient - sp.sympify(self.equals), self.domain)

    def latex(self) -> str:
        d = sp.latex(sp.Derivative(self.objective, *self.variables))
        where = ", ".join(f"{sp.latex(symbol)} = {sp.latex(value)}" for symbol, value in self.at.items())
        return (rf"\left. {d} \right|_{{{where}}}" if where else d) + f" = {sp.latex(self.equals)}"


@dataclass(frozen=True)
class Limit(Step):
    """The limit of `expr`, computed by SymPy's Gruntz algorithm on the rewritten domain, equals `equals`."""

    kind: ClassVar[str] = "limit"
    expr: sp.Expr
    variable: sp.Symbol
    point: sp.Expr
    equals: sp.Expr
    domain: Domain = field(repr=False)
    direction: str = "+"

    def verify(self) -> Finding:
        others = Domain({symbol: range_ for symbol, range_ in self.domain.items() if symbol != self.variable})
        try:
            value = sp.limit(others.rewrite(self.expr), self.variable, self.point, self.direction)
        except (NotImplementedError, ValueError) as error:
            return Finding(Verdict.UNDECIDED, f"SymPy has no limit: {type(error).__name__}")
        target = others.rewrite(sp.sympify(self.equals))
        if value == target:
            return Finding(Verdict.PROVED)
        if value.is_finite and target.is_finite:
            return decide_zero(value - target, others.gaps())
        different = value.is_finite is not None and target.is_finite is not None
        return Finding(Verdict.REFUTED if different else Verdict.UNDECIDED, f"the limit is {value}")

    def latex(self) -> str:
        arrow = rf"{sp.latex(self.variable)} \to {sp.latex(self.point)}"
        return rf"\lim_{{{arrow}}} {sp.latex(self.expr)} = {sp.latex(self.equals)}"
