"""``python -m benchmarks [--cells N] [--out FILE]``: run the cases and print, or keep, the JSON."""

import argparse
import json
import os
import platform
import resource
from importlib.metadata import version
from pathlib import Path

import jax

from . import two_group


def main() -> None:
    """Run in float64 and report the environment beside the samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cells", type=int, default=10**6, help="cells of the batched call (default 1000000)")
    parser.add_argument("--out", type=Path, help="write the JSON here instead of printing it")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    environment = {
        "device": str(jax.devices()[0].device_kind),
        "backend": jax.default_backend(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "lpmjax": version("lpmjax"),
    }
    case = two_group.run(chosen.cells)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
    text = json.dumps({"schema": 1, "environment": environment, "cases": [case], "peak_host_bytes": peak}, indent=1)
    if chosen.out is None:
        print(text)
        return
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
