"""``python -m lpmjax``."""

from .cli import main

if __name__ == "__main__":  # workers import it under another name
    main()
