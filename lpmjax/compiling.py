"""Compiling: jit of programs that take XLA longer to compile than to run."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax

from .traced import is_traced

P = ParamSpec("P")
T = TypeVar("T")

#: On CPU, XLA's older generator of loops. Our programs are hundreds of small kernels, which it compiles in a third to
#: two thirds of the time and half of the memory; what it makes of them runs as fast.
_QUICK = {"xla_cpu_use_fusion_emitters": False}
_ONCE = _QUICK | {"xla_backend_optimization_level": 0}


def quick_jit(
    function: Callable[P, T], static_argnames: str | Sequence[str] = (), once: bool = False
) -> Callable[P, T]:
    """``jax.jit``, compiled quickly where it is called to be run, and with ``once`` not optimised either; under a
    transformation it is part of the caller's program, which is compiled as the caller wants."""
    inside = jax.jit(function, static_argnames=static_argnames)

    @functools.cache
    def alone() -> Any:
        options = _known(once) if jax.default_backend() == "cpu" else None
        return jax.jit(function, static_argnames=static_argnames, compiler_options=options)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return (inside if is_traced((args, kwargs)) else alone())(*args, **kwargs)

    return call


@functools.cache
def _known(once: bool) -> dict[str, Any] | None:
    """The options, or None where this XLA does not know them any more."""
    options = _ONCE if once else _QUICK
    try:
        jax.jit(lambda: 0.0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options
