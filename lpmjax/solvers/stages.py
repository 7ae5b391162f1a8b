"""Grouped solves outside of a trace, in stages: where shapes and programs may follow what the stage before has found.

``run(problem, tol, start, solver)`` is one compiled solve.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import require_type
from ..codes import Status
from ..compiling import quick_jit
from ..objectives.of_groups import GroupCoordinates
from ..results.solution import Solution

_SCOUTING = 100  #: steps of the descent in single precision that tells how wide the factorisation has to be

Run = Callable[[Any, Any, Any, Any], Solution]


def coordinates_of(start: Any, problem: Any) -> GroupCoordinates:
    """Those that a descent starts from."""
    require_type("start", start, Solution, "a lpmjax Solution, or None")
    G = problem.size
    if start.within.shape != (G,):
        raise ValueError(f"start has groups of shape {start.within.shape}, the problem has {G} groups.")
    if (start.bias is None) == problem.has_bias:
        raise ValueError("start and problem disagree on a last-layer bias.")
    return GroupCoordinates(start.within, start.between, start.bias, start.slack)


def widening(run: Run, problem: Any, tol: Any, start: GroupCoordinates | None, solver: Any) -> Solution:
    """Of many groups: a factorisation just wider than the rank, as far as slack lets it be guessed."""
    G, taken, again = problem.size, 0, 0
    part = max(8, G // 16)  # widths in few sizes, so that few are compiled

    def rank_by(slack) -> float:
        return float(jnp.sum(jnp.where(slack > 0, problem.groups.classes > 0, False)))

    def width_for(slack) -> int:
        return min(G, part * int(np.ceil((rank_by(slack) + 8) / part)))

    width = G // 4 if start is None else width_for(start.slack)
    if start is None and solver.max_steps > _SCOUTING:
        scout = dataclasses.replace(solver, max_steps=_SCOUTING, width=width)
        single, loose = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (problem, jnp.asarray(tol)))
        steps, value, found = _scout(run, single, loose, scout)
        taken, again = int(steps), 1
        if jnp.isfinite(value):
            if rank_by(found.slack) < width:  # else directions are lacking, and would grow from next to nothing
                start = jax.tree.map(lambda leaf: leaf.astype(problem.dtype), found)
            width = width_for(found.slack)
    pruned = start is not None  # once: what was left out wrongly would be left out again
    while True:
        narrow = dataclasses.replace(solver, max_steps=solver.max_steps - taken, width=width, pruned=pruned)
        solution, pruned = run(problem, tol, start, narrow), False
        taken, again = taken + int(solution.steps), again + int(solution.restarts)
        failed = solution.status in (Status.max_steps, Status.stalled)
        if not failed or taken >= solver.max_steps or (width >= G and solution.status == Status.stalled):
            return dataclasses.replace(solution, steps=jnp.int32(taken), restarts=jnp.int32(again))
        again += 1
        width = max(width_for(solution.slack), min(G, width + part))
        start = coordinates_of(solution, problem)


@partial(quick_jit, static_argnames=("run", "solver"))
def _scout(run: Run, problem: Any, tol: Any, solver: Any) -> tuple[Any, Any, GroupCoordinates]:
    """Steps, value and coordinates of a solve; what else a solution says is not computed."""
    found = run(problem, tol, None, solver)
    return found.steps, found.value, coordinates_of(found, problem)


def newton_if_it_rests(run: Run, problem: Any, tol: Any, start: GroupCoordinates | None, solver: Any) -> Solution:
    """Of few groups that pay a penalty: Newton's method, a quarter of the program, is compiled where it is needed."""
    solution = run(problem, tol, start, dataclasses.replace(solver, newton=False))
    return run(problem, tol, start, solver) if (solution.status == Status.stalled).any() else solution
