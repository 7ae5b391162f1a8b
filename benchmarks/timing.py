"""One timing helper: lowering, compilation, first call and warm calls apart, every sample kept."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Timing(NamedTuple):
    """Seconds. ``warm`` holds every sample, in order."""

    lower: float
    compile: float
    first: float
    warm: list[float]

    @property
    def best(self) -> float:
        """Least warm time: the one least disturbed by the rest of the machine."""
        return min(self.warm)


def time_jitted(function: Callable[..., Any], *arguments: Any, runs: int = 20, seconds: float = 30.0) -> Timing:
    """Time ``jax.jit(function)(*arguments)``, blocking on the whole result.

    Warm calls stop after ``runs`` or ``seconds``, whichever comes first, but never before two.
    """
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*arguments)
    after_lower = time.perf_counter()
    compiled = lowered.compile()
    after_compile = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    after_first = time.perf_counter()
    warm = time_calls(lambda: compiled(*arguments), runs, seconds)
    return Timing(after_lower - start, after_compile - after_lower, after_first - after_compile, warm)


def time_calls(call: Callable[[], Any], runs: int = 20, seconds: float = 30.0) -> list[float]:
    """Wall time of repeated calls, each blocked on its whole result."""
    samples: list[float] = []
    begin = time.perf_counter()
    while len(samples) < 2 or (len(samples) < runs and time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        samples.append(time.perf_counter() - start)
    return samples
