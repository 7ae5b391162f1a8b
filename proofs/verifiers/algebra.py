"""Exact zero test: one fraction, logarithms split, exponentials and radicals as generators."""

from __future__ import annotations

import sympy as sp


def is_zero(expr: sp.Expr) -> bool:
    """True only if `expr` is identically 0 wherever it is defined. False means "not shown", never "non-zero"."""
    expr = sp.sympify(expr)
    return bool(expr.is_zero) or any(_reduced_numerator(polynomial_form(e)) == 0 for e in (expr, _join(expr)))


def _join(expr: sp.Expr) -> sp.Expr:
    """Each exponent with one fraction per symbol: exp(x + x/(K - 1)) and exp(K x/(K - 1)) become the same."""

    def join(exponent: sp.Expr) -> sp.Expr:
        linear = sorted((v for v in exponent.free_symbols if exponent.is_polynomial(v)), key=str)
        return sp.collect(sp.expand(exponent), linear, func=lambda c: sp.factor(sp.together(c)))

    return expr.replace(lambda e: isinstance(e, sp.exp), lambda e: sp.exp(join(e.args[0])))


def polynomial_form(expr: sp.Expr, names: dict[sp.Basic, sp.Symbol] | None = None) -> sp.Expr:
    """Replace each independent logarithm, exponential and symbolic power by a symbol, recorded in `names`.

    Logarithms of products of positive factors and exponentials of sums are split first, and exp(2t) and exp(t) share
    one symbol. Treating what remains as independent is sound for a zero test and for a sign valid for all values.
    """
    names = {} if names is None else names
    expr = expr.rewrite(sp.exp) if expr.has(sp.sinh, sp.cosh, sp.tanh) else expr

    def name(atom: sp.Expr) -> sp.Expr:
        if not isinstance(atom, sp.exp | sp.log | sp.Pow):
            return atom
        return names.setdefault(atom, sp.Symbol(f"atom_{len(names)}", positive=atom.is_positive))

    def log_atoms(argument: sp.Expr) -> sp.Expr:
        split = sp.expand_log(sp.log(sp.factor(sp.together(argument))))
        return split.replace(lambda e: isinstance(e, sp.log), name)

    def power_atoms(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        out = sp.Integer(1)
        for part, power in _positive_factors(base):
            factor = visit(part)
            for term in _terms(power * exponent):
                rational, rest = term.as_coeff_Mul()
                out *= factor**term if rest == 1 else name(factor**rest) ** rational
        return out

    def visit(e: sp.Expr) -> sp.Expr:
        if not e.args or e.is_Number:
            return e
        if isinstance(e, sp.log):
            return log_atoms(e.args[0])
        if isinstance(e, sp.exp):
            return power_atoms(sp.E, e.args[0])
        if isinstance(e, sp.Pow) and not e.exp.is_Rational:
            return power_atoms(e.base, e.exp)
        e = e.func(*map(visit, e.args))
        return sp.factor(sp.together(e.base)) ** e.exp if is_radical(e) else e

    return visit(expr)


def _positive_factors(base: sp.Expr) -> list[tuple[sp.Expr, sp.Expr]]:
    """Factors and real powers whose product is `base`, split where both parts are positive: (x y)^e = x^e y^e there."""
    if base is sp.E or base.is_positive is not True:
        return [(base, sp.Integer(1))]
    factors = sp.Mul.make_args(sp.factor(sp.together(base)))
    if not all(factor.is_positive for factor in factors):
        return [(base, sp.Integer(1))]
    pairs = [factor.as_base_exp() for factor in factors]
    return [(b, e) if b.is_positive and e.is_real else (b**e, sp.Integer(1)) for b, e in pairs]


def _terms(exponent: sp.Expr) -> list[sp.Expr]:
    """The exponent as a sum; in partial fractions if one symbol is in it, so that M/(M + 1) and 1 - 1/(M + 1) agree."""
    symbols = exponent.free_symbols
    if len(symbols) == 1 and exponent.is_rational_function(*symbols):
        exponent = sp.apart(sp.together(exponent), *symbols)
    return list(sp.Add.make_args(sp.expand(exponent)))


def _reduced_numerator(expr: sp.Expr) -> sp.Expr:
    """The numerator of `expr`, radicals reduced by their minimal equations: zero only if `expr` is."""
    numerator = sp.numer(sp.together(expr))
    while True:
        radicals = sorted((p for p in numerator.atoms(sp.Pow) if is_radical(p)), key=lambda p: (p.count_ops(), str(p)))
        if not radicals:
            return sp.expand(numerator)
        # The outermost radical first: no other radicand may contain it.
        base = radicals[-1].base
        order = sp.ilcm(1, *(p.exp.q for p in radicals if p.base == base))
        root = sp.Dummy("root", positive=True)
        swapped = numerator.replace(
            lambda p, b=base: is_radical(p) and p.base == b, lambda p, r=root, o=order: r ** (p.exp * o)
        )
        swapped = sp.numer(sp.together(swapped))
        minimal = sp.numer(sp.together(root**order - base))
        numerator = sp.numer(sp.together(sp.rem(sp.expand(swapped), sp.expand(minimal), root)))


def is_radical(e: sp.Basic) -> bool:
    """A power with a fractional exponent."""
    return isinstance(e, sp.Pow) and bool(e.exp.is_Rational) and not e.exp.is_Integer
