"""What a sweep does with every problem: solve it, in rounds, or run a function of the caller's."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax

from ..problems.problem import Problem
from ..results.result import Result
from ..solve import choose_solver, solve
from ..solvers.solver import AbstractSolver
from ..tries import as_tol

#: in lockstep, steps after which finished lanes are dropped; number of cells for which that second compilation pays
_FIRST_ROUND, _CELLS_FOR_ROUNDS = 40, 4096


@dataclasses.dataclass(frozen=True)
class Run:
    """What is done with every problem; equal ones share a compilation."""

    run: Callable[[Problem], Result]
    exact: ClassVar[bool] = False  #: whether it is done in microseconds
    max_steps: ClassVar[int] = 0  #: what it adds to the steps of later rounds

    @property
    def settings(self) -> dict[str, Any]:
        """For the attributes of the data set."""
        return {"run": getattr(self.run, "__qualname__", repr(self.run))}

    def __call__(self, problem: Problem, start: Any = None) -> Result:
        """The result of one problem."""
        return self.run(problem)

    def rounds(self, cells: int) -> list[Any]:
        """Tasks that follow one another, each on what the last has left."""
        return [self]


@dataclasses.dataclass(frozen=True)
class Solve:
    """Solving it by one method."""

    solver: AbstractSolver
    tol: float

    @staticmethod
    def of(problem: Problem, method: Any, tol: float | None, max_steps: int | None) -> "Solve":
        """What the arguments of :func:`lpmjax.solve` stand for, for problems like this one."""
        solver = choose_solver(problem, method, max_steps)
        bound = as_tol(problem, solver, tol)
        if bound.ndim:
            raise ValueError(f"tol must be one number, got shape {bound.shape}.")
        return Solve(solver, float(bound))

    @property
    def exact(self) -> bool:
        """A closed form or a scalar root."""
        return self.solver.exact

    @property
    def max_steps(self) -> int:
        """Of its method."""
        return self.solver.max_steps

    @property
    def settings(self) -> dict[str, Any]:
        """For the attributes of the data set."""
        return {"method": self.solver.name, "tol": self.tol}

    def __call__(self, problem: Problem, start: Any = None) -> Result:
        """The solution of one problem, from where another round has left it."""
        return solve(problem, self.solver, self.tol, start=start)

    def rounds(self, cells: int) -> list[Any]:
        """Lanes that are done after the first round are dropped from the next."""
        if self.exact or not in_lockstep() or cells < _CELLS_FOR_ROUNDS or self.max_steps <= _FIRST_ROUND:
            return [self]
        limits = (_FIRST_ROUND, self.max_steps - _FIRST_ROUND)
        return [Solve(dataclasses.replace(self.solver, max_steps=limit), self.tol) for limit in limits]


def in_lockstep() -> bool:
    """Whether a batch of descents takes all its steps together, as it does on accelerators."""
    return jax.default_backend() != "cpu"
