"""The command as a user runs it, called in the process of the tests."""

import signal
import sys
from pathlib import Path

from lpmjax import cli

COUNTS = Path(__file__).parent / "data" / "counts.csv"


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of ``lpmjax arguments``."""
    sys.argv = ["lpmjax", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def heed_ctrl_c():
    """In the child of a test: where the tests run in the background of a script, Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
