"""What a run was made on and from: no path, no host name."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "lpmjax", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "cvxpy", "clarabel", "scs", "moreau", "optimistix",
    "torch",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions; nothing here starts jax."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def accelerator() -> dict[str, Any]:
    """What jax computes on."""
    import jax

    device = jax.devices()[0]
    return {"backend": jax.default_backend(), "device_kind": device.device_kind, "devices": jax.device_count()}


def source(checkout: Path = ROOT) -> dict[str, Any]:
    """Commit of a checkout, and whether its tree differs (stored results and the report aside); null outside git."""
    commit = _git(checkout, "rev-parse", "HEAD")
    written = (":!benchmarks/results", ":!benchmarks/REPORT.md", ":!benchmarks/figures")
    changed = _git(checkout, "status", "--porcelain", "--", ".", *written)
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def redacted(value: Any) -> Any:
    """The same record with every absolute path and the host's name replaced."""
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if not isinstance(value, str):
        return value
    hidden = re.sub(r"(?<![\w.])/(?:[\w.@+-]+/)*[\w.@+-]+", "<path>", value)
    host = platform.node()
    return hidden.replace(host, "<host>") if len(host) > 3 else hidden


def _git(checkout: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
