"""The README's example prints what the README says it prints."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_python_example():
    code = re.search(r"```python\n(.*?)```", README, re.S)
    shown = re.search(r"```text\n(.*?)```", README, re.S)
    assert code is not None and shown is not None
    printed = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, check=True).stdout
    # The gap is rounding noise, so its digits are not promised.
    noise = re.compile(r"gap \S+")
    assert noise.sub("gap", printed) == noise.sub("gap", shown[1])
