"""Domains of symbols: rewritten as "lower end + non-negative symbol", and sampled for counterexamples."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import sympy as sp

# Gaps used for sampling: both sides of 1, and a factor of a hundred apart.
_GAPS = [sp.Rational(*pq) for pq in ((1, 1), (1, 2), (2, 1), (1, 5), (3, 1), (7, 2), (1, 10), (6, 1), (3, 4))]


@dataclass(frozen=True)
class Range:
    """An interval from `lower` (attained if `closed`) to `upper` (never attained); bounds may use earlier symbols."""

    lower: sp.Expr
    upper: sp.Expr = field(default=sp.oo)
    closed: bool = False
    integer: bool = False

    def at(self, gap: sp.Expr) -> sp.Expr:
        """The point of the interval at `gap` in [0, oo): a bijection, increasing in `gap`."""
        if self.lower is sp.S.NegativeInfinity:
            raise ValueError("a real line has no lower end")
        return self.lower + (gap if self.upper is sp.oo else (self.upper - self.lower) * gap / (1 + gap))


def at_least(lower: object) -> Range:
    """[lower, oo)"""
    return Range(sp.sympify(lower), closed=True)


def above(lower: object) -> Range:
    """(lower, oo)"""
    return Range(sp.sympify(lower))


def between(lower: object, upper: object, closed: bool = False) -> Range:
    """(lower, upper), or [lower, upper) if `closed`."""
    return Range(sp.sympify(lower), sp.sympify(upper), closed)


def integers(lower: int) -> Range:
    """lower, lower + 1, ...; proofs treat it as [lower, oo), which is stronger, counterexamples are integers."""
    return Range(sp.Integer(lower), closed=True, integer=True)


REAL = Range(sp.S.NegativeInfinity)


class Domain(Mapping[sp.Symbol, Range]):
    """The domain of every symbol of a statement, in the order in which bounds may refer to one another."""

    def __init__(self, ranges: Mapping[sp.Symbol, Range]):
        self._ranges = dict(ranges)

    def __getitem__(self, symbol: sp.Symbol) -> Range:
        return self._ranges[symbol]

    def __iter__(self) -> Iterator[sp.Symbol]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def __or__(self, other: Mapping[sp.Symbol, Range]) -> Domain:
        return Domain(self._ranges | dict(other))

    def rewrite(self, expr: sp.Expr) -> sp.Expr:
        """Put every symbol on its domain, as in K = 2 + k; all that is known of the new symbols is their sign."""
        for symbol, range_ in reversed(self._ranges.items()):
            gap = _gap(symbol, range_)
            expr = expr.subs(symbol, gap if range_.lower is sp.S.NegativeInfinity else range_.at(gap))
        return expr

    def gaps(self) -> Domain:
        """The domain of the symbols that `rewrite` introduces."""
        ends = {
            symbol: range_ if range_.lower is sp.S.NegativeInfinity else Range(sp.S.Zero, closed=range_.closed)
            for symbol, range_ in self._ranges.items()
        }
        return Domain({_gap(symbol, self[symbol]): range_ for symbol, range_ in ends.items()})

    def points(self, count: int) -> Iterator[dict[sp.Symbol, sp.Expr]]:
        """Deterministic exact points of the domain, the first one with every symbol at a lower end that it attains."""
        choose = random.Random(1)
        for index in range(count):
            point: dict[sp.Symbol, sp.Expr] = {}
            for symbol, range_ in self._ranges.items():
                gap = choose.choice(_GAPS)
                if range_.lower is sp.S.NegativeInfinity:
                    point[symbol] = gap - choose.choice(_GAPS)
                    continue
                if range_.integer:
                    gap = sp.Integer(choose.randint(0, 6))
                if range_.closed and index == 0:
                    gap = sp.Integer(0)
                point[symbol] = range_.at(gap).subs(point)
            yield point

    def latex(self) -> list[str]:
        """One LaTeX line per symbol."""
        return [_range_latex(symbol, range_) for symbol, range_ in self._ranges.items()]


def _gap(symbol: sp.Symbol, range_: Range) -> sp.Symbol:
    if range_.lower is sp.S.NegativeInfinity:
        return sp.Symbol(f"{symbol.name}_", real=True)
    return sp.Symbol(f"{symbol.name}_", **({"nonnegative": True} if range_.closed else {"positive": True}))


def _range_latex(symbol: sp.Symbol, range_: Range) -> str:
    name, lower, upper = sp.latex(symbol), sp.latex(range_.lower), sp.latex(range_.upper)
    if range_.lower is sp.S.NegativeInfinity:
        return rf"{name} \in \mathbb{{R}}"
    if range_.integer:
        return rf"{name} \in \{{{lower}, {sp.latex(range_.lower + 1)}, \dots\}}"
    if range_.upper is sp.oo:
        return " ".join((name, r"\ge" if range_.closed else ">", lower))
    return " ".join((lower, r"\le" if range_.closed else "<", name, "<", upper))
