"""Solvers: each takes the numbers of a problem and a step limit, and returns coordinates."""
