"""One timing helper: lowering, compilation, first call and warm calls apart, every sample kept, memory beside them."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.monitoring

from .settings import Settings


@dataclass
class Measured:
    """Seconds, memory and XLA's own account of one row, and the result of the last call."""

    seconds: dict[str, Any]
    memory: dict[str, Any]
    xla: dict[str, Any] | None
    result: Any


def time_jitted(function: Callable[..., Any], *arguments: Any, settings: Settings) -> Measured:
    """Lower, compile and call ``jax.jit(function)(*arguments)``, blocking on all that it returns.

    The function must return everything that it is timed for: what is not returned may be optimised away.
    """
    peak = HostPeak()
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*arguments)
    after_lower = time.perf_counter()
    compiled = lowered.compile()
    after_compile = time.perf_counter()
    result = jax.block_until_ready(compiled(*arguments))
    first = time.perf_counter() - after_compile
    warm, result = time_calls(lambda: compiled(*arguments), settings, result)
    seconds = {"lower": after_lower - start, "compile": after_compile - after_lower, "first": first, "warm": warm}
    account = xla_account(compiled) | program_size(lowered, compiled)
    return Measured(seconds, memory(peak), account, result)


def time_eager(call: Callable[[], Any], settings: Settings) -> Measured:
    """The same for a call that compiles what it needs by itself; lowering and compilation by jax's own events."""
    peak = HostPeak()
    with compile_events() as spent:
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        first = time.perf_counter() - start
    warm, result = time_calls(call, settings, result)
    rest = max(first - spent["lower"] - spent["compile"], 0.0)
    return Measured(spent | {"first": rest, "warm": warm}, memory(peak), None, result)


def time_calls(call: Callable[[], Any], settings: Settings, result: Any = None) -> tuple[list[float], Any]:
    """Wall time of repeated calls, each blocked on its whole result; and the last result."""
    samples: list[float] = []
    begin = time.perf_counter()
    while len(samples) < 2 or (len(samples) < settings.runs and time.perf_counter() - begin < settings.seconds):
        del result  # the next call must not have to find room beside it
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        samples.append(time.perf_counter() - start)
    return samples, result


@contextlib.contextmanager
def compile_events() -> Iterator[dict[str, float]]:
    """Seconds that jax reports for tracing and lowering, and for XLA's compilation, inside the block."""
    spent = {"lower": 0.0, "compile": 0.0}

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            spent["compile"] += duration_secs
        elif event.endswith(("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration")):
            spent["lower"] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield spent
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


class HostPeak:
    """Peak resident memory since this object was made, where the kernel can reset it; else since the process began."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self.method = "VmHWM, reset before the row"
        except OSError:
            self.method = "ru_maxrss since the process began"
        self.before = self.now()

    def now(self) -> int:
        """Bytes."""
        if self.method.startswith("VmHWM"):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def children_peak() -> int:
    """Bytes of the largest process that this one has started and waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(peak: HostPeak) -> dict[str, Any]:
    """Host peak and how it was had; the device allocator's figures where the backend keeps them."""
    stats = jax.local_devices()[0].memory_stats() or {}
    kept = ("peak_bytes_in_use", "bytes_in_use", "bytes_limit")
    return {
        "host_before_bytes": peak.before,
        "host_peak_bytes": peak.now(),
        "host_method": peak.method,
        "device": {name: int(stats[name]) for name in kept if name in stats} or None,
    }


def program_size(lowered: Any, compiled: Any) -> dict[str, int]:
    """Lines of StableHLO; instructions of what XLA makes of it, and how many of them are fusions."""
    with contextlib.suppress(NotImplementedError, RuntimeError):
        text = compiled.as_text() or ""
        lines = len(lowered.as_text().splitlines())
        return {"stablehlo_lines": lines, "instructions": text.count(" = "), "fusions": text.count(" fusion(")}
    return {}


def xla_account(compiled: Any) -> dict[str, Any]:
    """XLA's cost analysis (the body of a loop counted once) and its plan of the memory."""
    account: dict[str, Any] = {}
    with contextlib.suppress(NotImplementedError, RuntimeError):
        cost = compiled.cost_analysis()
        cost = (cost[0] if isinstance(cost, list) else cost) or {}
        names = {"flops": "flops", "bytes accessed": "bytes", "transcendentals": "transcendentals"}
        account |= {name: float(cost[key]) for key, name in names.items() if key in cost}
    with contextlib.suppress(NotImplementedError, RuntimeError):
        plan = compiled.memory_analysis()
        for name in ("argument", "output", "temp", "generated_code"):
            size = getattr(plan, f"{name}_size_in_bytes", None)
            if size is not None:
                account[f"{name}_bytes"] = int(size)
    return account
