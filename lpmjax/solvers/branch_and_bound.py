"""Deep cross-entropy of few classes to a proven global optimum, by branch and bound on the host."""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..branch_and_bound.program import Program
from ..branch_and_bound.search import global_bounds
from ..compiling import quick_jit
from ..objectives.schatten import DeepCoordinates, SchattenObjective
from ..traced import concrete, holds_tracers
from .claims import claim_of
from .named import relaxation
from .solver import Candidate, Claim, HostSolver


@dataclasses.dataclass(frozen=True)
class BranchAndBound(HostSolver):
    """Best-first search over Gram matrices of the logits (:mod:`lpmjax.branch_and_bound`).

    Cross-entropy without a bias, three or more factors, at most five classes, inner widths of at least K - 1. The
    result is ``certified`` where ``value - lower_bound <= tol * value``; steps are simplices. On one core K = 3 takes
    seconds to 1e-6, and K = 4 with three factors a minute to 1e-3; K = 5 ends at ``max_steps`` with the lower bound
    that it has. Not under a trace, and not differentiable: other methods are, at the point that this one proves.
    """

    max_steps: int = 200_000
    name: ClassVar[str] = "branch_and_bound"
    tol: ClassVar[float] = 1e-3

    def __call__(self, problem: Any, tol: Any, key: Any, start: Any = None) -> Claim:
        """One claim. Raises ValueError under a trace."""
        if holds_tracers((problem, tol)):
            raise ValueError(
                "method = 'branch_and_bound' works on the host: call solve outside jit, vmap and grad, or use another "
                f"method of {problem.methods}."
            )
        objective = concrete(problem).objective()
        found = global_bounds(_program(objective, problem.num_factors), tol=float(tol), max_nodes=self.max_steps)
        claim = self._claim(objective, _coordinates(objective, found.Z), tol, found.lower, found.nodes)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], claim)

    def prove_again(self, problem: Any, result: Any, tol: Any, rounding: Any) -> Claim | None:
        """The search anew, from the logits of the result. Takes as long as the first."""
        if rounding is not None:
            return None
        objective = problem.objective()
        at = objective.coordinates(result)
        Z = np.asarray(objective.logits(at))
        program = _program(objective, problem.num_factors)
        found = global_bounds(program, (float(program.value(Z)), Z), float(tol), self.max_steps)
        return self._claim(objective, at, tol, found.lower, found.nodes)

    def _claim(self, objective: SchattenObjective, at: DeepCoordinates, tol: Any, lower: float, nodes: int) -> Claim:
        return _claimed(objective, at, tol, lower, np.int32(nodes), np.bool_(nodes < self.max_steps), self.exact)


@partial(quick_jit, static_argnames="exact", once=True)
def _claimed(
    objective: SchattenObjective, at: DeepCoordinates, tol: Any, lower: Any, nodes: Any, ended: Any, exact: bool
) -> Claim:
    """What the objective says of the coordinates, with the bound of the search in place of the relaxation's."""
    at = at._replace(relaxed=relaxation(objective, objective.lagrangian(at, None), tol))
    claim = claim_of(objective, Candidate(at, None, nodes, ended), tol, exact)
    eps = jnp.finfo(claim.value.dtype).eps
    gap = jnp.maximum(claim.value - lower, 0.0) + 256 * eps * claim.value
    gap = jnp.minimum(gap, claim.gap)
    return claim._replace(gap=gap, proved=gap <= tol * claim.value)


def _program(objective: SchattenObjective, L: int) -> Program:
    """The numbers of the objective, class by class."""
    classes = objective.classes
    weights, omega = (np.asarray(x, float) for x in (classes.weights, classes.omega))
    return Program(weights, omega, 2 / L * float(classes.charge.amount), L)


def _coordinates(objective: SchattenObjective, Z: Any) -> DeepCoordinates:
    """Singular value decomposition of the weighted logits, without what is left of zero."""
    program = objective.classes
    left, singular, right = np.linalg.svd(np.asarray(Z) * np.asarray(program.omega))
    d = len(singular) - 1  # the columns of the logits of an optimum sum to zero
    left, singular, right = (np.asarray(x, program.weights.dtype) for x in (left[:, :d], singular[:d], right[:d]))
    return objective.balanced((left, singular, right), None)
