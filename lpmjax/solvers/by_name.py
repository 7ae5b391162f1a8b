"""Exact solvers by method name: each takes a Problem and a step limit and returns group coordinates."""

from .closed_form import solve_closed_form
from .two_group import solve_two_group

SOLVERS = {"closed_form": solve_closed_form, "two_group": solve_two_group}
