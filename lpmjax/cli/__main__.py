"""``python -m lpmjax.cli``."""

from . import main

main()
