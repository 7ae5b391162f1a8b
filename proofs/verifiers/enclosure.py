"""Enclosure: a system of equations has a root in a small box, by Krawczyk's test in interval arithmetic.

If K(X) = c - Y f(c) + (I - Y f'(X)) (X - c), evaluated with outward rounding, lies inside the box X around c, then f
has exactly one root in X. Inequalities are then evaluated on the whole box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any, ClassVar

import mpmath
import sympy as sp
from mpmath import iv

from proofs.theorem import Finding, Step, Verdict

_DIGITS = 50
_RADIUS = mpmath.mpf(10) ** -20
_NEWTON = 20


def evaluate(expr: sp.Expr, at: Mapping[sp.Symbol, Any], context: Any) -> Any:
    """Numbers, sums, products, powers, exponentials and logarithms in an mpmath context (`iv` encloses the value).

    A power that is not an integer needs a positive base.
    """
    known: dict[sp.Basic, Any] = {**at}

    def visit(e: sp.Basic) -> Any:
        if e not in known:
            known[e] = _node(e)
        return known[e]

    def _node(e: sp.Basic) -> Any:
        if isinstance(e, sp.Rational):
            return context.mpf(e.p) / e.q
        if isinstance(e, sp.Add | sp.Mul):
            return reduce(add if isinstance(e, sp.Add) else mul, map(visit, e.args))
        if isinstance(e, sp.exp):
            return context.exp(visit(e.args[0]))
        if isinstance(e, sp.log):
            return context.log(visit(e.args[0]))
        if isinstance(e, sp.Pow):
            if e.exp.is_Integer:
                return visit(e.base) ** int(e.exp)
            return context.exp(visit(e.exp) * context.log(visit(e.base)))
        raise ValueError(f"cannot enclose {e.func.__name__}")

    return visit(expr)


@dataclass(frozen=True)
class Root(Step):
    """The equations have a root near `start`, where every one of `positive` is positive."""

    kind: ClassVar[str] = "enclosure"
    equations: tuple[sp.Expr, ...] = field(repr=False)
    start: Mapping[sp.Symbol, sp.Expr] = field(repr=False)
    positive: tuple[sp.Expr, ...] = field(repr=False)
    text: str

    def verify(self) -> Finding:
        digits = iv.dps
        iv.dps = _DIGITS
        try:
            with mpmath.workdps(_DIGITS):
                return self._decide()
        finally:
            iv.dps = digits

    def _decide(self) -> Finding:
        symbols = list(self.start)
        slopes = [[sp.diff(equation, symbol) for symbol in symbols] for equation in self.equations]
        box = _root(self.equations, slopes, symbols, [mpmath.mpf(v.p) / v.q for v in self.start.values()])
        if box is None:
            return Finding(Verdict.UNDECIDED, "no root was enclosed")
        at = dict(zip(symbols, box, strict=True))
        least = []
        for expr in self.positive:
            value = evaluate(sp.sympify(expr), at, iv)
            if value.b < 0:
                return Finding(Verdict.REFUTED, f"{expr} is {mpmath.nstr(mpmath.mpf(value.mid), 8)} at the root")
            if not value.a > 0:
                return Finding(Verdict.UNDECIDED, f"the sign of {expr} is open")
            least.append(mpmath.mpf(value.a))
        return Finding(Verdict.PROVED, f"one root within {mpmath.nstr(_RADIUS, 1)} of the {_DIGITS}-digit one; the "
                                       f"least of the inequalities is {mpmath.nstr(min(least), 3)}")  # fmt: skip

    def latex(self) -> str:
        return self.text


def _root(
    equations: Sequence[sp.Expr], slopes: Sequence[Sequence[sp.Expr]], symbols: Sequence[sp.Symbol], start: list[Any]
) -> list[Any] | None:
    """A box with exactly one root, if Krawczyk's test shows it."""

    def values(point: list[Any], context: Any) -> list[Any]:
        at = dict(zip(symbols, point, strict=True))
        return [evaluate(equation, at, context) for equation in equations]

    def jacobian(point: list[Any], context: Any) -> list[list[Any]]:
        at = dict(zip(symbols, point, strict=True))
        return [[evaluate(slope, at, context) for slope in row] for row in slopes]

    centre, size = start, range(len(start))
    try:
        for _ in range(_NEWTON):
            step = mpmath.lu_solve(mpmath.matrix(jacobian(centre, mpmath)), mpmath.matrix(values(centre, mpmath)))
            centre = [x - step[i] for i, x in enumerate(centre)]
        inverse = mpmath.matrix(jacobian(centre, mpmath)) ** -1
    except ZeroDivisionError:
        return None
    exact = [iv.mpf(x) for x in centre]
    box = [iv.mpf([x - _RADIUS, x + _RADIUS]) for x in centre]
    rows = [[iv.mpf(inverse[i, j]) for j in size] for i in size]
    at_centre, over_box = values(exact, iv), jacobian(box, iv)
    for i in size:
        image = exact[i] - sum((rows[i][k] * at_centre[k] for k in size), iv.mpf(0))
        for j in size:
            contraction = int(i == j) - sum((rows[i][k] * over_box[k][j] for k in size), iv.mpf(0))
            image += contraction * (box[j] - exact[j])
        if not (box[i].a < image.a and image.b < box[i].b):
            return None
    return box
