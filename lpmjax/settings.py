"""The caller's settings of jax and NumPy that must not reach inside."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
T = TypeVar("T")


def nan_is_a_value(function: Callable[P, T]) -> Callable[P, T]:
    """The function with ``jax_debug_nans`` and NumPy's warnings off inside: a cosine that does not exist is NaN, and so
    is a bad lane."""

    @functools.wraps(function)
    def undisturbed(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.debug_nans(False), np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return undisturbed
