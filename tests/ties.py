"""Tie: a closed form of ``proofs`` and the code that evaluates it, compared in value and in derivatives.

No formula is typed twice without one. SymPy is imported when a tie is measured, not before.
"""

import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpmjax.verification.formula import DIGITS, compiled, evaluate

_TINY = np.finfo(float).tiny


class Against(NamedTuple):
    """A value whose error is to be judged against a magnitude larger than itself: the terms that it is a sum of."""

    value: jax.Array
    magnitude: jax.Array


class Implicit(NamedTuple):
    """``unknown`` is the positive argument of the closed forms at which the form ``equation`` equals ``argument``."""

    unknown: str
    equation: str
    argument: str


class Errors(NamedTuple):
    """Worst errors over the points of a tie: of the value, and of its derivatives by every argument."""

    value: float
    derivative: float
    points: int


@dataclass(frozen=True)
class Tie:
    """Closed forms of one theorem and one function that evaluates them in the arithmetic of its arguments.

    Attributes
    ----------
    theorem : identifier in ``proofs.THEOREMS``.
    code : function of scalars returning closed-form name -> value (or :class:`Against`). Its parameters have the
        names of the SymPy symbols (``lambda_`` for ``lambda``); "log F" stands for the logarithm of the form F.
    box : range of each coordinate, sampled log-uniformly; its corners are the extreme points.
    place : from the coordinates of the box to the arguments of ``code`` (NumPy), where the domain is not a box.
    through : from the theorem's closed forms and the arguments of ``code`` to further arguments of the closed forms
        (SymPy), where the code has coordinates of its own.
    implicit : the one argument of the closed forms that is not explicit in those of the code.
    whole : coordinates that are integers.
    bound, derivative_bound : largest relative errors; above 1e-12 and 1e-9 only with a ``reason``.
    reason : why a form is judged :class:`Against` its terms, or with a wider bound.
    """

    theorem: str
    code: Callable[..., Mapping[str, Any]]
    box: Mapping[str, tuple[float, float]]
    place: Callable[..., tuple[Any, ...]] | None = None
    through: Callable[..., dict[str, Any]] | None = None
    implicit: Implicit | None = None
    whole: frozenset[str] = field(default=frozenset({"K", "K_A", "K_B", "n"}))
    bound: float = 1e-12
    derivative_bound: float = 1e-9
    reason: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the symbols that the code takes."""
        return tuple(name.rstrip("_") for name in inspect.signature(self.code).parameters)

    def points(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(points, arguments): up to ``count`` corners of the box, and as many random points of it."""
        corners = list(itertools.product((0.0, 1.0), repeat=len(self.box)))
        chosen = rng.permutation(len(corners))[:count]
        unit = np.concatenate([np.array(corners)[chosen], rng.uniform(size=(count, len(self.box)))])
        low, high = np.log(np.array(list(self.box.values()))).T
        columns = dict(zip(self.box, np.exp(low + (high - low) * unit).T, strict=True))
        columns = {name: np.rint(x) if name in self.whole else x for name, x in columns.items()}
        placed = columns.values() if self.place is None else self.place(**columns)
        return np.stack(np.broadcast_arrays(*placed), axis=1)

    def measure(self, points: np.ndarray, closed_forms: Mapping[str, Any] | None = None) -> dict[str, Errors]:
        """Compare every form at ``points`` with SymPy's value and derivatives in high precision.

        An error of a value is relative to it (or to the magnitude it is :class:`Against`); that of a derivative by x
        is relative to the derivative plus value / x. ``closed_forms`` replaces the theorem's own.
        """
        if closed_forms is None:
            from proofs import THEOREMS

            closed_forms = THEOREMS[self.theorem].closed_forms
        with jax.enable_x64(True):
            found = jax.tree.map(np.asarray, _values_and_slopes(self.code)(jnp.asarray(points, jnp.float64)))
        return {name: self._errors(closed_forms, name, found[name], points) for name in found}

    def _errors(self, closed_forms, name: str, found, points) -> Errors:
        value, magnitude, slopes = found
        exact = self._exact(closed_forms, name, points)
        magnitude = np.maximum(np.abs(exact[:, 0]), np.abs(magnitude))
        error = np.abs(value - exact[:, 0]) / np.maximum(magnitude, _TINY)
        scale = np.abs(exact[:, 1:]) + magnitude[:, None] / points
        slope_error = np.abs(slopes - exact[:, 1:]) / np.maximum(scale, _TINY)
        # NaN must not pass for a small error.
        worst = [float(np.nan_to_num(np.max(x), nan=np.inf)) for x in (error, slope_error)]
        return Errors(worst[0], worst[1], len(points))

    def _exact(self, closed_forms, name: str, points) -> np.ndarray:
        """(points, 1 + arguments): the closed form and its derivatives by the arguments of the code."""
        import sympy as sp

        given = {argument: sp.Symbol(argument, positive=True) for argument in self.arguments}
        known: dict[str, Any] = dict(given)
        if self.implicit is not None:
            known[self.implicit.unknown] = sp.Symbol(self.implicit.unknown, positive=True)
        if self.through is not None:
            known |= self.through(closed_forms, **given)
        expression = _applied(closed_forms, name, known)
        symbols = list(given.values())
        if self.implicit is None:
            return evaluate(symbols, [expression, *(sp.diff(expression, x) for x in symbols)], points)
        unknown = known[self.implicit.unknown]
        equation = _applied(closed_forms, self.implicit.equation, known) - given[self.implicit.argument]
        rate = sp.diff(expression, unknown) / sp.diff(equation, unknown)
        slopes = [sp.diff(expression, x) - rate * sp.diff(equation, x) for x in symbols]
        roots = _roots([*symbols, unknown], equation, points)
        return evaluate(
            [*symbols, unknown], [expression, *slopes], [(*p, y) for p, y in zip(points, roots, strict=True)]
        )


def _applied(closed_forms, name: str, known: Mapping[str, Any]):
    import sympy as sp

    form = closed_forms[name.removeprefix("log ")]
    applied = form(*(known[variable.name] for variable in form.variables))
    return sp.log(applied) if name.startswith("log ") else applied


def _values_and_slopes(code: Callable[..., Mapping[str, Any]]):
    """Per form: value, magnitude and derivatives by every argument, over a batch of points."""

    def split(point):
        forms = {name: x if isinstance(x, Against) else Against(x, x) for name, x in code(*point).items()}
        return {name: x.value for name, x in forms.items()}, {name: x.magnitude for name, x in forms.items()}

    def both(point):
        slopes, _ = jax.jacfwd(split, has_aux=True)(point)
        values, magnitudes = split(point)
        return {name: (values[name], magnitudes[name], slopes[name]) for name in values}

    return jax.jit(jax.vmap(both))


def _roots(variables, equation, points) -> list[Any]:
    """Where an increasing function of the last variable is zero, by bisection and then secants."""
    import mpmath as mp

    roots = []
    with mp.workdps(DIGITS):
        function = compiled(variables, [equation])
        for point in points:
            exact = [mp.mpf(x) for x in point]

            def at(y, exact=exact):
                return function(*exact, y)[0]

            low, high = mp.mpf(2) ** -200, mp.mpf(1)
            while at(high) < 0:
                high *= 2
            for _ in range(60):
                middle = mp.sqrt(low * high)
                low, high = (middle, high) if at(middle) < 0 else (low, middle)
            roots.append(mp.findroot(at, (low, high), solver="secant", tol=mp.mpf(10) ** (-DIGITS // 2)))
    return roots
