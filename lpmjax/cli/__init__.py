"""The ``lpmjax`` command: solve, sweep, boundary, phase-diagram, diagnose, verify."""

import sys

import jax

from .common import app
from .diagnosis import diagnose
from .grids import phase_diagram, sweep
from .theorems import verify
from .two_groups import boundary, solve

for command in (solve, sweep, boundary, phase_diagram, diagnose, verify):
    app.command()(command)


def main() -> None:
    """Entry point: float64 throughout, and errors as one line on standard error with exit code 2."""
    jax.config.update("jax_enable_x64", True)
    try:
        app()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"lpmjax: {error}", file=sys.stderr)
        raise SystemExit(2) from None
