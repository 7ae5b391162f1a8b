"""A process that is not waited for without end: when its time is up it ends, and with it all that it has started."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any


def run(command: list[str], seconds: float, **how: Any) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run(command, timeout=seconds, **how)``, which would leave the children of the process running."""
    with subprocess.Popen(command, start_new_session=True, **how) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:  # Ctrl-C, too: a session of its own does not hear it
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
