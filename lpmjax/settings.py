"""The caller's settings of jax that must not reach inside."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")


def nan_is_a_value(function: Callable[P, T]) -> Callable[P, T]:
    """The function with ``jax_debug_nans`` off inside: a cosine that does not exist is NaN, and so is a bad lane."""

    @functools.wraps(function)
    def undisturbed(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.debug_nans(False):
            return function(*args, **kwargs)

    return undisturbed
