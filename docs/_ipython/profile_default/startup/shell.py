"""``%%sh`` for the site: output in one piece and without colours, and a command that fails fails the cell."""

import os
import subprocess
import sys

from IPython import get_ipython


def sh(line: str, cell: str) -> None:
    """Run the cell by sh. IPython's own shows output in pieces, between which MyST-NB breaks lines."""
    plain = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    done = subprocess.run(["sh", "-ec", cell], capture_output=True, text=True, env=plain)
    sys.stderr.write(done.stderr)
    sys.stdout.write(done.stdout)
    done.check_returncode()


get_ipython().register_magic_function(sh, "cell")
