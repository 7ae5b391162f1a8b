"""What solvers return: a value, what proves it, and what it looks like."""
