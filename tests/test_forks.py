"""A forked child says what is wrong in the place of waiting for ever."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
import lpmjax as lpm
problem = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0) if sys.argv[1] == "after use" else None
child = os.fork()
if child == 0:
    for what in (lambda: lpm.solve(problem), lambda: lpm.diagnose([2, 1]), lambda: lpm.ClassGroups.balanced(3)):
        try:
            print(type(what()).__name__)
        except (RuntimeError, ValueError) as error:
            print(error)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("when", ["after use", "before use"])
def test_a_forked_child_does_not_hang(when):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    lines = done.stdout.splitlines()
    if when == "after use":
        assert len(lines) == 3 and all("get_context('spawn')" in line for line in lines)
    else:
        assert lines == [
            "problem must be a lpmjax Problem such as LayerPeeled, got None.",
            "Diagnosis",
            "ClassGroups",
        ]
