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
        require_unmasked(name, value)
        if isinstance(value, (list, tuple)) and any(isinstance(entry, jax.Array) for entry in value):
            values[name] = value = jnp.stack([jnp.asarray(entry) for entry in value])
        if isinstance(value, jax.Array):
            if jnp.iscomplexobj(value) or value.dtype == bool:
                raise ValueError(f"{name} must hold real numbers, got an array of {value.dtype}.")
            require_precision(**{name: value})
            continue
        try:
            entries = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} must be a number or a rectangular array of numbers, got {value!r}.") from error
        # True is 1 to NumPy, but a flag in the place of a number is a mistake.
        if not np.issubdtype(entries.dtype, np.number) or np.iscomplexobj(entries):
            raise ValueError(f"{name} must be a number or an array of real numbers, got {value!r}.")
    floating = [v for v in values.values() if hasattr(v, "dtype") and jnp.issubdtype(v.dtype, jnp.floating)]
    dtype = jnp.result_type(*floating) if floating else jnp.result_type(float)
    if dtype not in (jnp.float32, jnp.float64):
        raise ValueError(f"{', '.join(values)}: {dtype} is too coarse for certificates; use float32 or float64.")
    return {name: jnp.asarray(value, dtype) for name, value in values.items()}


def scalars(**values: Any) -> dict[str, Array]:
    """:func:`leaves`, each of which has to be one number."""
    arrays = leaves(**values)
    for name, array in arrays.items():
        if array.ndim:
            raise ValueError(f"{name} must be one number, got shape {array.shape}; for grids use lpmjax.sweep or vmap.")
    return arrays


def require_unmasked(name: str, value: Any) -> None:
    """ValueError for a NumPy array with masked entries, whose hidden values every computation would use."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries: leave them out (.compressed()), or give them values (.filled()).")


def require_precision(**trees: Any) -> None:
    """ValueError for float64 arrays while jax is set to float32, to which every operation would round them."""
    if jnp.result_type(float) == jnp.float64:
        return
    for name, tree in trees.items():
        if any(getattr(leaf, "dtype", None) == jnp.float64 for leaf in jax.tree.leaves(tree)):
            raise ValueError(
                f"{name} holds float64 arrays, but jax is set to float32: set jax_enable_x64, or call this inside "
                "jax.enable_x64(True)."
            )


def require_type(name: str, value: Any, kind: type | tuple[type, ...], described: str) -> None:
    """ValueError unless the value is an instance; ``described`` says in words of what, and how to make one."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {described}, got {_shown(value)}.")


def require_optimizer(value: Any, described: str) -> None:
    """:func:`require_type` of an optax transformation, or None."""
    if value is None:
        return
    import optax  # dear to import, and whoever made one has it

    require_type("optimizer", value, optax.GradientTransformation, described)


def require_flag(name: str, value: Any) -> bool:
    """The value as a bool; ValueError unless it is one: "no" and 0.0 would pass for True and False."""
    require_type(name, value, (bool, np.bool_), "True or False")
    return bool(value)


def require_callable(name: str, value: Any, described: str) -> None:
    """ValueError unless the value can be called, or is None."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} must be {described}, or None, got {_shown(value)}.")


def require_key(key: Any) -> Array:
    """A random key, by default ``jax.random.key(0)``; ValueError unless it is one, typed or raw."""
    if key is None:
        return jax.random.key(0)
    dtype, ndim = getattr(key, "dtype", None), getattr(key, "ndim", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not (typed and ndim == 0) and not (dtype == np.uint32 and ndim == 1):
        raise ValueError(f"key must be one random key, such as jax.random.key(0), got {_shown(key)}.")
    return key


def _shown(value: Any) -> str:
    """Short text of any object, for a message."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"


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
    """From 1 to 2^53, beyond which a float no longer counts (reals allowed: counts are differentiable)."""
    return (k >= 1) & (k <= 2.0**53)


def require_class_counts(**values: Any) -> None:
    """:func:`require` every value to be a number of classes."""
    for name, value in values.items():
        require(name, value, "from 1 to 2^53", is_class_count, "It counts classes.")


def require_positive(remedy: str, **values: Any) -> None:
    """:func:`require` every value to be finite and > 0."""
    for name, value in values.items():
        require(name, value, "finite and > 0", is_positive, remedy)
