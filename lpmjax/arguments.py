"""Callers' numbers become strong array leaves of one dtype, and bad ones an error that says what to do."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .forks import require_unforked


def leaves(**values: Any) -> dict[str, Array]:
    """Convert keyword arguments to arrays of one common floating dtype (float64 only if jax has it enabled).

    Python numbers and integers take the default floating dtype; float32 arrays stay float32. Strong types mean
    that a new value never retraces a compiled function.
    """
    require_unforked()
    for name, value in values.items():
        if isinstance(value, (str, bytes)) or value is None:
            raise ValueError(f"{name} must be a number or an array of numbers, got {value!r}.")
        if isinstance(value, (list, tuple)) and any(isinstance(entry, jax.Array) for entry in value):
            values[name] = value = jnp.stack([jnp.asarray(entry) for entry in value])
        if isinstance(value, jax.Array):
            if jnp.iscomplexobj(value):
                raise ValueError(f"{name} must be real, got an array of {value.dtype}.")
            continue
        try:
            entries = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} must be a number or a rectangular array of numbers, got {value!r}.") from error
        if not (np.issubdtype(entries.dtype, np.number) or entries.dtype == bool) or np.iscomplexobj(entries):
            raise ValueError(f"{name} must be a number or an array of real numbers, got {value!r}.")
    floating = [v for v in values.values() if hasattr(v, "dtype") and jnp.issubdtype(v.dtype, jnp.floating)]
    dtype = jnp.result_type(*floating) if floating else jnp.result_type(float)
    if dtype not in (jnp.float32, jnp.float64):
        raise ValueError(f"{', '.join(values)}: {dtype} is too coarse for certificates; use float32 or float64.")
    return {name: jnp.asarray(value, dtype) for name, value in values.items()}


def require(name: str, value: Any, allowed: str, accept, remedy: str = "") -> None:
    """Raise ValueError unless ``accept`` holds for every entry; traced values pass (their lane becomes ``invalid``)."""
    if isinstance(value, Tracer):
        return
    entries = np.asarray(value)
    good = np.asarray(accept(entries)) & ~np.isnan(entries)
    if good.all():
        return
    where = np.argwhere(~good)[0]
    offender = entries[tuple(where)]
    place = f"{name}[{', '.join(map(str, where))}]" if where.size else name
    raise ValueError(
        f"{place} = {offender:g} is out of range: {name} must be {allowed}.{' ' + remedy if remedy else ''}"
    )


def require_integer(name: str, value: Any, least: int) -> int:
    """The value as an int; ValueError unless it is an integer (NumPy's included) of at least ``least``."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole < least:
        raise ValueError(f"{name} = {value!r} is out of range: it must be an integer >= {least}.")
    return whole


def is_positive(x):
    """Finite and > 0, for NumPy and traced arrays alike."""
    return (x > 0) & (x < float("inf"))


def is_class_count(k):
    """Finite and >= 1 (reals allowed: counts are differentiable), for NumPy and traced arrays alike."""
    return (k >= 1) & (k < float("inf"))


def require_class_counts(**values: Any) -> None:
    """:func:`require` every value to be a number of classes."""
    for name, value in values.items():
        require(name, value, "a finite number >= 1", is_class_count, "It counts classes.")


def require_positive(remedy: str, **values: Any) -> None:
    """:func:`require` every value to be finite and > 0."""
    for name, value in values.items():
        require(name, value, "finite and > 0", is_positive, remedy)
