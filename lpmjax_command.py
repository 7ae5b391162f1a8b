"""The ``lpmjax`` command's first lines, outside the package, whose import takes a second: Ctrl-C is quiet then, too."""

import os
import signal


def main() -> None:
    """Import the command under a handler that ends the process at once with exit code 130; then run it."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else it is ignored, as in the background of a script
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from lpmjax.cli import main as command

    signal.signal(signal.SIGINT, usual)
    command()
