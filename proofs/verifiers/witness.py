"""Counterexamples: exact points of a domain, evaluated with 50 digits. They refute; they never prove."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import sympy as sp

from proofs.domain import Domain

_DIGITS = 50
_NOISE = mpmath.mpf(10) ** -25
_POINTS = 8


def find(expr: sp.Expr, domain: Domain, violates: Callable[[Any], bool]) -> str | None:
    """The first sampled point whose value is beyond the noise of 50 digits and `violates` the claim, in words."""
    for point, value in _values(expr, domain):
        if abs(value) > _NOISE and violates(value):
            where = ", ".join(f"{symbol} = {at}" for symbol, at in point.items() if symbol in expr.free_symbols)
            return f"counterexample: {mpmath.nstr(value, 8)} at {where or 'every point'}"
    return None


def _values(expr: sp.Expr, domain: Domain) -> Iterator[tuple[dict[sp.Symbol, sp.Expr], Any]]:
    symbols = list(domain)
    unknown = expr.free_symbols - set(symbols)
    if unknown:
        raise ValueError(f"symbols without a domain: {sorted(map(str, unknown))}")
    function = sp.lambdify(symbols, expr, "mpmath")
    with mpmath.workdps(_DIGITS):
        for point in domain.points(_POINTS):
            try:
                value = function(*(mpmath.mpmathify(sp.N(point[s], _DIGITS)) for s in symbols))
            except ZeroDivisionError:
                continue
            if isinstance(value, mpmath.mpc):
                if abs(value.imag) > _NOISE:
                    continue
                value = value.real
            yield point, mpmath.mpf(value)
