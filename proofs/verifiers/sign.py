"""Sign: decided exactly on a rewritten domain.

After K = 2 + k, c = t/(1 + t), ... all symbols are non-negative. A fraction is factored and each factor is decided by
the first of: all coefficients have one sign (exponentials, logarithms and powers replaced by new non-negative symbols,
which only enlarges the domain); a polynomial in one symbol has no root in (0, oo), by Sturm's theorem; the factor has
the claimed sign at the lower end of one symbol and its derivative has the same sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import sympy as sp

from proofs.domain import Domain
from proofs.theorem import Finding, Step, Verdict
from proofs.verifiers import witness
from proofs.verifiers.algebra import is_radical, is_zero, polynomial_form

_CHAIN = 4


def is_positive(expr: sp.Expr, strict: bool, chain: int = _CHAIN) -> bool:
    """True only if `expr` > 0 (>= 0 if not `strict`) for all values that the assumptions on its symbols allow."""
    expr = sp.sympify(expr)
    if expr.is_positive or (not strict and expr.is_nonnegative):
        return True
    return _fraction_positive(expr, strict, chain)


def _fraction_positive(expr: sp.Expr, strict: bool, chain: int) -> bool:
    names: dict[sp.Basic, sp.Symbol] = {}
    form = polynomial_form(expr, names)
    roots: dict[sp.Basic, sp.Symbol] = {}
    form = form.replace(is_radical, lambda p: _name_root(p, roots))
    numerator, denominator = sp.fraction(sp.together(form))
    back = {symbol: atom for atom, symbol in (roots | names).items()}
    sign = 1
    for part, may_vanish in ((numerator, not strict), (denominator, False)):
        part = sp.expand(part)
        constant, factors = (part, []) if part.is_number else sp.factor_list(part)
        if constant.is_zero:
            return may_vanish
        if not constant.is_positive and not constant.is_negative:
            return False
        sign = sign if constant.is_positive else -sign
        for factor, power in factors:
            factor = factor.xreplace(back).xreplace(back)
            if power % 2 == 0 and may_vanish:
                continue
            if _factor_positive(factor, not may_vanish, chain):
                continue
            if not _factor_positive(-factor, not may_vanish, chain):
                return False
            sign = sign if power % 2 == 0 else -sign
    return sign > 0


def _name_root(power: sp.Pow, names: dict[sp.Basic, sp.Symbol]) -> sp.Expr:
    root = power.base ** sp.Rational(1, power.exp.q)
    return names.setdefault(root, sp.Symbol(f"root_{len(names)}", positive=root.is_positive)) ** power.exp.p


def _factor_positive(factor: sp.Expr, strict: bool, chain: int) -> bool:
    if factor.is_positive or (not strict and factor.is_nonnegative):
        return True
    return (
        _coefficients_positive(factor, strict)
        or _sturm_positive(factor)
        or (chain > 0 and _chain_positive(factor, strict, chain))
    )


def _coefficients_positive(factor: sp.Expr, strict: bool) -> bool:
    """Every monomial is non-negative, and one of them positive if `strict`, after relaxing the atoms."""
    relaxed, divisor = sp.fraction(sp.together(_relax(factor)))
    terms, divisor_terms = (sp.Add.make_args(sp.expand(part)) for part in (relaxed, divisor))
    if not all(term.is_positive for term in divisor_terms) or not all(term.is_nonnegative for term in terms):
        return False
    return not strict or any(term.is_positive for term in terms)


def _relax(expr: sp.Expr) -> sp.Expr:
    """exp(t) = 1 + new and log(1 + t) = new for t >= 0, their mirror images for t <= 0; an enlarged domain."""
    names: dict[sp.Basic, sp.Symbol] = {}
    form = polynomial_form(expr, names)
    relaxed = {}
    for atom, symbol in names.items():
        new = sp.Symbol(f"{symbol.name}_gap", positive=True)
        if isinstance(atom, sp.exp):
            if is_positive(atom.args[0], True, chain=0):
                relaxed[symbol] = 1 + new
            elif is_positive(-atom.args[0], True, chain=0):
                relaxed[symbol] = 1 / (1 + new)
        elif isinstance(atom, sp.log):
            if is_positive(atom.args[0] - 1, True, chain=0):
                relaxed[symbol] = new
            elif is_positive(1 - atom.args[0], True, chain=0):
                relaxed[symbol] = -new
    return form.subs(relaxed)


def _sturm_positive(factor: sp.Expr) -> bool:
    """A polynomial in one positive symbol, positive at 1 and without a root in (0, oo)."""
    symbols = list(factor.free_symbols)
    if len(symbols) != 1 or not factor.is_polynomial(*symbols):
        return False
    polynomial = sp.Poly(factor, symbols[0])
    if not polynomial.domain.is_QQ and not polynomial.domain.is_ZZ:
        return False
    if symbols[0].is_positive:
        return polynomial.count_roots(0, None) == (polynomial.eval(0) == 0) and polynomial.eval(1) > 0
    if symbols[0].is_nonnegative:
        return polynomial.count_roots(0, None) == 0 and polynomial.eval(1) > 0
    return polynomial.count_roots(None, None) == 0 and polynomial.eval(1) > 0


def _chain_positive(factor: sp.Expr, strict: bool, chain: int) -> bool:
    """At the lower end of a symbol the factor is >= 0, and it increases from there."""
    for symbol in sorted(factor.free_symbols, key=str):
        if not symbol.is_nonnegative:
            continue
        end = factor.subs(symbol, 0)
        if not end.is_finite and end.has(sp.oo, sp.zoo, sp.nan, -sp.oo):
            continue
        slope = sp.diff(factor, symbol)
        if is_zero(slope):
            continue
        # A symbol that may be zero gains nothing from a positive slope there.
        end_strict = strict and not symbol.is_positive
        if is_positive(end, end_strict, chain - 1) and is_positive(slope, strict and not end_strict, chain - 1):
            return True
    return False


@dataclass(frozen=True)
class Sign(Step):
    """`expr` `relation` 0 on all of `domain`."""

    kind: ClassVar[str] = "sign"
    expr: sp.Expr
    relation: Literal[">", ">=", "<", "<="]
    domain: Domain = field(repr=False)

    def verify(self) -> Finding:
        return decide_sign(self.expr, self.relation, self.domain)

    def latex(self) -> str:
        symbol = {">": ">", ">=": r"\ge", "<": "<", "<=": r"\le"}[self.relation]
        return f"{sp.latex(self.expr)} {symbol} 0"


def decide_sign(expr: sp.Expr, relation: str, domain: Domain) -> Finding:
    """Look for a counterexample, then for a proof on the rewritten domain."""
    upward = sp.sympify(expr) if relation in (">", ">=") else -sp.sympify(expr)
    refutation = witness.find(upward, domain, lambda value: value < 0)
    if refutation:
        return Finding(Verdict.REFUTED, refutation)
    strict = relation in (">", "<")
    if strict and is_zero(upward):
        return Finding(Verdict.REFUTED, "identically zero")
    if is_positive(domain.rewrite(upward), strict):
        return Finding(Verdict.PROVED)
    return Finding(Verdict.UNDECIDED, "no sign was found on the rewritten domain")
