"""The README's example prints what the README says it prints."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_python_examples():
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.S))
    shown = "".join(re.findall(r"```text\n(.*?)```", README, re.S))
    assert code and shown
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    # The gap is rounding noise, so its digits are not promised.
    noise = re.compile(r"gap \S+")
    assert noise.sub("gap", printed) == noise.sub("gap", shown)
