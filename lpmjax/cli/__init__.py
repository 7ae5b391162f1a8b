"""The ``lpmjax`` command, assembled from a file for each subcommand."""

import io
import os
import sys
from pathlib import Path

import jax

from .claims import claims
from .common import app
from .diagnosis import diagnose
from .experiments import experiment
from .explore import explore
from .flow import flow
from .grids import sweep
from .interrupt import INTERRUPTED, leave
from .phase_diagram import phase_diagram
from .reproduce import reproduce
from .stores import audit
from .theorems import verify
from .two_groups import boundary, solve

studies = (solve, sweep, boundary, phase_diagram, flow, diagnose, explore, experiment)
for command in (*studies, verify, audit, reproduce, claims):
    app.command()(command)


def main() -> None:
    """Entry point: float64 throughout; errors are one line on standard error and exit code 2, Ctrl-C exit code 130."""
    try:
        jax.config.update("jax_enable_x64", True)
        _keep_compilations()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show loses no result
        leave(_printed(_run()))
    except KeyboardInterrupt:
        leave(INTERRUPTED)


def _run() -> int:
    """Exit code of the command."""
    try:
        app()
    except SystemExit as stop:  # typer's way to return
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"lpmjax: {error}", file=sys.stderr)
        return 2
    return 0


def _printed(code: int) -> int:
    """The exit code, or that of standard output that could not be written: a disk is full, or a reader has gone."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python tries again at its exit
        if not isinstance(error, BrokenPipeError):
            print(f"lpmjax: cannot write standard output: {error.strerror}; choose another place.", file=sys.stderr)
        return code or 2
    return code


def _keep_compilations() -> None:
    """Compile once per machine, not per command, unless the user has set jax's own cache."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpmjax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a read-only home only costs time
    if os.access(folder, os.W_OK):
        kept = {"compilation_cache_dir": str(folder), "persistent_cache_min_compile_time_secs": 0.0}
        for name, value in kept.items():
            jax.config.update(f"jax_{name}", value)
            os.environ[f"JAX_{name.upper()}"] = str(value)  # for processes that the command starts
