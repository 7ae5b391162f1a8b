"""What every solver is, and what it returns."""

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from ..arguments import require_integer
from ..objectives.objective import Structure

#: relative gap asked of any method in float32, where no gap certifies
_TOL_FLOAT32 = 1e-3


class Candidate(NamedTuple):
    """Where a solver came to rest; no certificate, no view of it. Differentiable by the objective's numbers."""

    coordinates: Any
    #: of the spectral cost; None: the objective knows it from the coordinates, or as a price
    log_multiplier: Float[Array, ""] | None
    steps: Int[Array, ""]
    converged: Bool[Array, ""]  #: ended by its own criterion, not by the step limit
    restarts: Int[Array, ""] | int = 0  #: times that a descent began anew from where it had come to rest


class Claim(NamedTuple):
    """What is said of coordinates, before it is told whether that may be said."""

    value: Any
    log_value: Any
    gap: Any
    log_multiplier: Any
    structure: Structure
    description: dict[str, Any]  #: the fields that the kind of result adds
    proved: Any  #: the gap closes
    finished: Any  #: ended by a criterion of its own, not by a step limit
    steps: Any
    restarts: Any
    stationary: Any = False  #: by a test of its own, where the gap does not close
    told: Any = True  #: whether the phase is known
    applies: Any = True  #: whether the numbers are what the solver took them for, which a trace hides


@dataclasses.dataclass(frozen=True)
class AbstractSolver(abc.ABC):
    """A method with its constants, as an object: ``solve(problem, method=Grouped(max_steps=10**5))``.

    Equal solvers share compilations. ``max_steps`` limits steps of root-finding or of a descent.
    """

    max_steps: int = 60
    name: ClassVar[str]
    #: relative duality gap of ``certified`` in float64
    tol: ClassVar[float] = 1e-10
    #: whether coordinates are exactly zero where the optimum's are; then phases are known without the gap
    exact: ClassVar[bool] = True

    def __post_init__(self):
        require_integer("max_steps", self.max_steps, 1)

    def default_tol(self, dtype: Any) -> float:
        """Relative gap asked for in a precision."""
        return self.tol if dtype == "float64" else _TOL_FLOAT32


class TracedSolver(AbstractSolver):
    """A solver that works under ``jax.jit`` and ``vmap``."""

    @abc.abstractmethod
    def __call__(self, objective: Any, tol: Any, start: Any = None) -> Candidate:
        """Coordinates of least objective. ``start``: those of a nearby optimum; ``tol``: relative gap that will be
        asked for."""

    def begins_at(self, start: Any, problem: Any) -> Any:
        """What to begin at, given the result of a nearby problem; ValueError if it does not fit. None: nothing."""
        return None

    def eagerly(self, run: Any, problem: Any, tol: Any, start: Any) -> Any:
        """The result outside of a trace, of one or more compiled ``run(problem, tol, start, solver)``: shapes and
        programs may follow what the one before has found."""
        return run(problem, tol, start, self)


class HostSolver(AbstractSolver):
    """A solver that takes the problem itself and chooses shapes by what it finds, so that under a trace it does what it
    can with fixed ones. It makes several tries and claims of its own."""

    @abc.abstractmethod
    def __call__(self, problem: Any, tol: Any, key: Any, start: Any = None) -> Claim:
        """Claims, with a leading axis of tries. ``start``: a result to start from."""

    def prove_again(self, problem: Any, result: Any, tol: Any, rounding: Any) -> Claim | None:
        """What one result proves, in float64 on the host; None: what the objective proves of its coordinates.
        ``rounding`` as in :meth:`lpmjax.objectives.objective.AbstractObjective.left_open`."""
        return None


@dataclasses.dataclass(frozen=True)
class RestartedSolver(HostSolver):
    """A descent from ``restarts`` random starts, each a try."""

    restarts: int = 8

    def __post_init__(self):
        super().__post_init__()
        require_integer("restarts", self.restarts, 1)
