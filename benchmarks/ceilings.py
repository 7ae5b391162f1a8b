"""What this machine can do at most, measured in the same run: every row is compared with these."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .rows import on_accelerator
from .settings import Settings
from .timing import time_calls

_CHAIN = 32  #: elementwise operations applied one after another, so that memory does not matter


def measure(settings: Settings) -> dict[str, Any]:
    """Rates per second (best of the samples, which are kept) and the latencies of a call and of a loop trip."""
    large = settings.pick(1 << 16, 1 << 24, 1 << 25) * (8 if on_accelerator() else 1)
    lanes = settings.pick(1 << 12, 1 << 18, 1 << 20) * (64 if on_accelerator() else 1)
    side = settings.pick(64, 1024, 2048) * (4 if on_accelerator() else 1)
    dtype = np.dtype(settings.dtype)
    vector, short = jnp.ones(large, dtype), jnp.full(lanes, 0.5, dtype)
    trips = settings.pick(100, 10_000, 10_000)
    found = {
        "copy_bytes": _rate(lambda x: x + 1, vector, 2 * large * dtype.itemsize, settings),
        f"matmul_{settings.dtype}_flops": _matmul(side, dtype, settings),
        "exp": _rate(_chain(lambda x: jnp.exp(-x)), short, _CHAIN * lanes, settings),
        "log": _rate(_chain(lambda x: jnp.log(x + 2)), short, _CHAIN * lanes, settings),
        "elementwise_flops": _rate(_chain(lambda x: x * 0.5 + 1), short, 2 * _CHAIN * lanes, settings),
        "calls": _rate(lambda x: x + 1, jnp.ones((), dtype), 1, settings),
        "loop_trips": _rate(_loop(trips), jnp.ones((), dtype), trips, settings),
    }
    if settings.dtype == "float64":
        found["matmul_float32_flops"] = _matmul(side, np.dtype("float32"), settings)
    return found


def _rate(function, argument, amount: float, settings: Settings) -> dict[str, Any]:
    compiled = jax.jit(function).lower(argument).compile()
    jax.block_until_ready(compiled(argument))
    samples, _ = time_calls(lambda: compiled(argument), Settings("tiny" if settings.mode == "tiny" else "quick"))
    return {"amount": amount, "samples": samples, "per_second": amount / min(samples)}


def _matmul(side: int, dtype: np.dtype, settings: Settings) -> dict[str, Any]:
    def product(x):
        with jax.default_matmul_precision("highest"):  # as the solvers do
            return x @ x

    return _rate(product, jnp.ones((side, side), dtype), 2.0 * side**3, settings)


def _chain(step):
    def chain(x):
        # Unrolled: on a GPU every trip would be a kernel of its own, and memory all that is measured.
        return jax.lax.fori_loop(0, _CHAIN, lambda _, y: step(y), x, unroll=True)

    return chain


def _loop(trips: int):
    def loop(x):
        return jax.lax.while_loop(lambda c: c[1] < trips, lambda c: (c[0] * 1.0001, c[1] + 1), (x, 0))

    return loop
