"""Fields of modules that carry their own words: what a number is, its unit, which values are in range."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

from .arguments import is_positive, require

_WORDS = "words"


class Words(NamedTuple):
    """What is said of a parameter of a problem, or of a variable of a result."""

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()  #: beyond those of the batch
    allowed: str = ""  #: of a parameter: the range in words, "" for any value
    accepts: Callable[[Any], Any] | None = None
    remedy: str = ""


def parameter(
    long_name: str,
    remedy: str = "",
    units: str = "1",
    allowed: str = "finite and > 0",
    accepts: Callable[[Any], Any] = is_positive,
    dims: tuple[str, ...] = (),
) -> dict[str, Words]:
    """Metadata of a field with a range, for NumPy and traced arrays alike; None is in every range."""
    return {_WORDS: Words(long_name, units, dims, allowed, accepts, remedy)}


def variable(long_name: str, units: str = "1", dims: tuple[str, ...] = ()) -> dict[str, Words]:
    """Metadata of a field of a result that a sweep keeps."""
    return {_WORDS: Words(long_name, units, dims)}


def words_of(kind: Any) -> dict[str, Words]:
    """The words of every field that has some, of a module or its class, in the order of the fields."""
    return {f.name: f.metadata[_WORDS] for f in dataclasses.fields(kind) if _WORDS in f.metadata}


def check_ranges(module: Any) -> None:
    """Raise ValueError for the first concrete (also batched) field out of range, in ``module`` or a module in it."""
    words = words_of(module)
    for name, value in _fields(module):
        if isinstance(value, eqx.Module):
            getattr(value, "check", lambda value=value: check_ranges(value))()
        elif name in words and words[name].accepts is not None:
            require(name, value, words[name].allowed, words[name].accepts, words[name].remedy)


def in_range(module: Any) -> Bool[Array, "*batch"]:
    """The same as a traced flag."""
    valid, words = jnp.bool_(True), words_of(module)
    for name, value in _fields(module):
        if isinstance(value, eqx.Module):
            valid = valid & getattr(value, "is_valid", lambda value=value: in_range(value))()
        elif name in words and (accepts := words[name].accepts) is not None:
            own = tuple(range(-len(words[name].dims), 0))
            valid = valid & jnp.all(accepts(value), axis=own)
    return valid


def _fields(module: Any):
    values = ((f.name, getattr(module, f.name)) for f in dataclasses.fields(module))
    return [(name, value) for name, value in values if value is not None]
