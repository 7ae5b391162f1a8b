"""One run: the ceilings and every case, each in a fresh process, into one JSON record of a versioned schema."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lpmjax.files import write_json

from . import environment, processes
from .settings import CEILINGS, Settings

SCHEMA = "lpmjax.benchmark/1"


def run(settings: Settings, only: Sequence[str] = (), folder: Path = environment.ROOT / "benchmarks/results") -> Path:
    """Run the cases (by default those of the mode), write the record atomically and return its path."""
    chosen = list(only) or settings.cases
    begin = time.perf_counter()
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "mode": settings.mode,
        "only": list(only),
        "dtype": settings.dtype,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment.source(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "environment": environment.machine(),
        "ceilings": None,
        "cases": {},
        "rows": [],
    }
    for name in (CEILINGS, *chosen):
        spent = time.perf_counter() - begin
        _say(f"{name} ({spent:.0f} s)")
        # Up to twice its share of what is left, so that every case has its turn however slow the machine is.
        share = 2 * max(settings.all_seconds - spent, 0.0) / (len(chosen) + 2 - len(record["cases"]))
        lines, ended = _one(name, settings, min(settings.case_seconds, share))
        for line in lines:
            if "row" in line:
                record["rows"].append(line["row"])
            record["environment"] |= line.get("environment", {})
            record["ceilings"] = line.get("ceilings", record["ceilings"])
        record["cases"][name] = ended
        if ended["error"]:
            _say(f"    {ended['error']}")
    record["seconds"] = round(time.perf_counter() - begin, 1)
    record = environment.redacted(record)
    check(record)
    path = folder / file_name(record)
    write_json(path, record)
    _say(f"{path.name}: {record['seconds']} s")
    return path


def file_name(record: dict[str, Any]) -> str:
    """``<date>-<device>[-float32][-quick][-<case>...].json``: a run of some cases must not replace one of all."""
    device = re.sub(r"[^a-z0-9]+", "-", record["environment"].get("device_kind", "unknown").lower()).strip("-")
    parts = [record["started"][:10], device]
    parts += [record["dtype"]] if record["dtype"] != "float64" else []
    parts += [record["mode"]] if record["mode"] != "full" else []
    parts += record["only"]
    return "-".join(parts) + ".json"


def check(record: Any) -> None:
    """ValueError, with the remedy, unless this is a record of the schema that this version reads."""
    found = record.get("schema") if isinstance(record, dict) else None
    if found != SCHEMA:
        raise ValueError(f"schema is {found!r}, not {SCHEMA!r}: make the file anew with python -m benchmarks.")
    needed = {"mode", "dtype", "started", "commit", "dirty", "xla_flags", "environment", "ceilings", "cases", "rows"}
    if missing := sorted(needed - set(record)):
        raise ValueError(f"the record lacks {', '.join(missing)}: make the file anew with python -m benchmarks.")
    for at, row in enumerate(record["rows"]):
        if missing := sorted({"case", "solver", "instance", "dtype", "outcome", "gap", "seconds"} - set(row)):
            raise ValueError(f"row {at} lacks {', '.join(missing)}: make the file anew with python -m benchmarks.")
        if row["outcome"] == "certified" and row["certified"] != row["cells"]:
            raise ValueError(f"row {at} passes for certified with failed cells: make the file anew.")


def load(path: Path) -> dict[str, Any]:
    """A stored record, checked."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a JSON file of python -m benchmarks.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): give a file that python -m benchmarks wrote.") from None
    try:
        check(record)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return record


def _one(name: str, settings: Settings, limit: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lines that the worker wrote, also if it crashed or ran out of time, and how it ended."""
    begin, error = time.perf_counter(), None
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(environment.ROOT), os.environ.get("PYTHONPATH", "")])}
    if name == "devices":  # on CPU XLA shows one device unless told otherwise; elsewhere the flag changes nothing
        flag = f"--xla_force_host_platform_device_count={os.cpu_count()}"
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines"
        command = [sys.executable, "-m", "benchmarks.worker", name, settings.mode, settings.dtype, str(file)]
        try:
            code = processes.run(command, limit, env=variables).returncode
            error = None if code == 0 else f"the process ended with exit code {code}"
        except subprocess.TimeoutExpired:
            error = f"stopped after {limit:.0f} s"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    complete = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    ended = {"seconds": round(time.perf_counter() - begin, 1), "error": error}
    return [json.loads(line) for line in complete], ended


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
