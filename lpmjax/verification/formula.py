"""SymPy expressions in high-precision arithmetic: what closed forms of ``proofs`` are worth at given numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: Some formulas subtract numbers that agree to 200 digits (exp(-chi) at chi = 400); 50 digits of the result are left.
DIGITS = 300


def compiled(variables: Sequence[Any], expressions: Sequence[Any]) -> Callable[..., list[Any]]:
    """A function of mpmath numbers that returns the values of ``expressions``."""
    import sympy as sp

    step = {"Heaviside": lambda x, *_: 1 if x > 0 else 0}  # the derivative of Max; mpmath has none
    return sp.lambdify(list(variables), list(expressions), [step, "mpmath"], cse=True)


def evaluate(variables: Sequence[Any], expressions: Sequence[Any], points: Any) -> np.ndarray:
    """(points, expressions) values, correctly rounded, at float or mpmath ``points`` of shape (points, variables)."""
    import mpmath as mp

    function = compiled(variables, expressions)
    with mp.workdps(DIGITS):
        values = [[_real(mp.mpc(value)) for value in function(*map(mp.mpf, point))] for point in points]
    return np.array(values).reshape(len(values), len(expressions))


def _real(value: Any) -> float:
    """NaN for what is not real: a formula outside its domain must not look like a number."""
    return float(value.real) if value.imag == 0 else float("nan")


def closed_form(form: Any, *columns: Any) -> np.ndarray:
    """Values of a ``sympy.Lambda`` on arrays that broadcast against each other."""
    arrays = np.broadcast_arrays(*(np.asarray(column, float) for column in columns))
    points = np.stack([array.ravel() for array in arrays], axis=1)
    return evaluate(form.variables, [form.expr], points)[:, 0].reshape(arrays[0].shape)
