"""``python -m lpmjax``."""

from .cli import main

main()
