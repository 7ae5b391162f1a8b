"""Problem: what is asked, in the papers' words, as a frozen pytree."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool

from ..arguments import require_integer
from ..fields import check_ranges, in_range
from ..objectives.objective import AbstractObjective
from ..results.result import Result
from ..solvers.solver import AbstractSolver


class Problem(eqx.Module):
    """A problem: parameters, the objective that they make, and which solvers can minimise it.

    Every array leaf is a parameter that can be swept and differentiated, of one common dtype; shapes and choices of
    formula are static. Ranges and words of the parameters are in the metadata of their fields
    (:func:`lpmjax.fields.parameter`).
    """

    dim: eqx.AbstractVar[int | None]
    #: kind of its solutions
    result: ClassVar[type[Result]] = Result

    @abc.abstractmethod
    def objective(self) -> AbstractObjective:
        """Every number that a solver or a proof needs, computed once, traced or on the host."""

    @property
    @abc.abstractmethod
    def solvers(self) -> tuple[AbstractSolver, ...]:
        """Solvers whose static conditions hold, preferred first."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the solvers, preferred first."""
        return tuple(solver.name for solver in self.solvers)

    @property
    def dtype(self) -> Any:
        """Of every leaf."""
        return jax.tree.leaves(self)[0].dtype

    @property
    def size(self) -> int:
        """Number of rows of the square block that a solver works on: memory goes with its square."""
        return 1

    @property
    def unordered(self) -> "Problem":
        """The same without what is static but changes no optimum: it must not cost a compilation per data set."""
        return self

    def as_written(self) -> tuple["Problem", Any]:
        """The problem in float64 on the host, and what rounding leaves open of it (None if it was float64 already)."""
        exact = None if self.dtype == np.float64 else "unknown"
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), self), exact

    def check(self) -> None:
        """Raise ValueError for the first bad entry of concrete (also batched) leaves."""
        check_ranges(self)

    def is_valid(self) -> Bool[Array, "*batch"]:
        """The same conditions as a traced flag: a bad traced lane becomes NaN with status ``invalid``."""
        return in_range(self)


def as_dim(dim: Any) -> int | None:
    """The feature dimension as an int or None."""
    return None if dim is None else require_integer("dim", dim, 1)
