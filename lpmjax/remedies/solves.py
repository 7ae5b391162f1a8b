"""Solves in a row, of problems alike: each announced, and with few compilations."""

import dataclasses
import itertools
from collections.abc import Callable

from ..arguments import require_callable
from ..compiling import quick_jit
from ..problems.grouped import GroupedProblem
from ..results.solution import Solution
from ..solve import as_tol, choose_solver, solve
from ..solvers.grouped import Grouped

MANY = 150  #: groups from which a solve takes so long that others are searched in bands first


def announcer(progress: Callable[[int, str], None] | None) -> Callable[[str], None]:
    """Calls ``progress`` with how often it was called before."""
    require_callable("progress", progress, "called with (solves done, what the next one is for)")
    done = itertools.count()
    return lambda purpose: None if progress is None else progress(next(done), purpose)


@dataclasses.dataclass(frozen=True, eq=False)
class Solves:
    """``announce`` is told what every solve is for, before it starts."""

    tol: float | None
    announce: Callable[[str], None]

    def first(self, problem: GroupedProblem, purpose: str = "the model") -> Solution:
        """Optimum of the model as it is."""
        self.announce(purpose)
        # The default as a number: beside None it would compile again.
        tol = float(as_tol(problem, choose_solver(problem, "auto"), self.tol))
        # The rank may be far below the number of groups, which is worth a few compilations where there are many.
        return solve(problem, tol=tol) if problem.groups.num_groups > MANY else _full_width(problem, tol)

    def next(self, problem: GroupedProblem, purpose: str) -> Solution:
        """Optimum of a problem of the same number of groups; one compilation serves all of one type."""
        self.announce(purpose)
        return _full_width(problem, self.tol)

    def from_near(self, problem: GroupedProblem, purpose: str, near: Solution, tol: float | None = None) -> Solution:
        """The same from a point nearby, for many groups that pull apart all; ``tol`` looser than what is asked for."""
        self.announce(purpose)
        limit = self.tol if tol is None or self.tol is None else max(tol, self.tol)
        return solve(problem, Grouped(width=problem.groups.num_groups), limit, start=near)


@quick_jit
def _full_width(problem: GroupedProblem, tol: float | None) -> Solution:
    # Under a trace the factorisation has full width, whatever the rank will be.
    return solve(problem, tol=tol)
