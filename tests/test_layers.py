"""Every module can be imported first, imports go down one floor at a time, and nothing heavy comes with the package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lpmjax"
#: optional, or dear to import: whoever needs one imports it then
HEAVY = "matplotlib typer rich cvxpy flint xarray pandas h5py scipy sympy proofs mpmath optax".split()
HEAVY += ["lpmjax.experiment", "lpmjax.landscape", "lpmjax.plot"]
#: An empty package stands for lpmjax: the imports of its __init__ would come before the module's own.
FIRST = """
import importlib, sys, types
for name in sys.argv[2:]:
    for known in [m for m in sys.modules if m.split(".")[0] == "lpmjax"]:
        del sys.modules[known]
    sys.modules["lpmjax"] = types.ModuleType("lpmjax")
    sys.modules["lpmjax"].__path__ = [sys.argv[1]]
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {error}")
"""


def run(*command):
    """Output of a command in the repository."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def modules():
    """Names of all modules and packages below lpmjax that are not programs."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "lpmjax" and parts[-1] != "__main__":
            yield name


@pytest.mark.slow
def test_every_module_can_be_imported_first():
    done = run(sys.executable, "-c", FIRST, str(PACKAGE), *modules())
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr


def test_nothing_heavy_comes_with_the_package():
    done = run(sys.executable, "-c", f"import sys, lpmjax; print(*set({HEAVY}).intersection(sys.modules))")
    assert (done.stdout, done.returncode) == ("\n", 0), done.stdout + done.stderr


def test_packages_that_come_later_are_named_and_found():
    code = "import lpmjax as lpm; print(*(name in dir(lpm) and getattr(lpm, name).__name__ for name in lpm._LATER))"
    done = run(sys.executable, "-c", code)
    assert done.stdout.split() == ["lpmjax.experiment", "lpmjax.landscape", "lpmjax.plot"], done.stderr


def test_imports_go_down():
    done = run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout
