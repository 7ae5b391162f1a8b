"""Solves in a row, of problems alike: each announced, few compilations, warm starts where those are worth one."""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import numpy as np

from ..arguments import require_callable
from ..problems.grouped import GroupedProblem
from ..results.solution import Solution
from ..solve import as_tol, choose_solver, solve

_WIDE = 150  #: groups from which a solve is worth more than the compilations that make it cheaper


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

    def first(self, problem: GroupedProblem) -> Solution:
        """Optimum of the model as it is."""
        self.announce("the model")
        # The default as a number: beside None it would compile again.
        tol = float(as_tol(problem, choose_solver(problem, "auto"), self.tol))
        # The rank may be far below the number of groups, which is worth a few compilations where there are many.
        return solve(problem, tol=tol) if problem.groups.num_groups > _WIDE else _full_width(problem, tol, None)

    def next(self, problem: GroupedProblem, purpose: str, near: Solution | None = None) -> Solution:
        """Optimum of a problem of the same number of groups; one compilation serves all of one type.

        ``near`` : where to start from, for which many groups are worth a compilation more.
        """
        self.announce(purpose)
        if near is None or problem.groups.num_groups <= _WIDE:
            return _full_width(problem, self.tol, None)
        same = np.array_equal(near.problem.groups.classes, problem.groups.classes)
        return _full_width(problem, self.tol, dataclasses.replace(near, problem=problem) if same else None)


@jax.jit
def _full_width(problem: GroupedProblem, tol: float | None, start: Solution | None) -> Solution:
    # Under a trace the factorisation has full width, whatever the rank will be.
    return solve(problem, tol=tol, start=start)
