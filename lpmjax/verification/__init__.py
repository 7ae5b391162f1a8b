"""What ``verify`` compares: closed forms of ``proofs`` with the code that evaluates them, and with the solvers."""
