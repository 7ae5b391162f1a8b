"""referee: what random starts over all factors of a deep network find, width by width, against the named structures."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .arguments import require_key, require_type
from .codes import Status
from .compiling import quick_jit
from .problems.deep_linear import DeepLinear
from .results.deep import DeepSolution
from .settings import nan_is_a_value
from .solvers.multi_start import MultiStart
from .solvers.named import branches, structures
from .tries import as_tol, best, tries

#: relative distance of values within which two are the same local optimum
_SAME = 1e-8
#: relative distance of their singular values
_ALIKE = 1e-4
_branches = quick_jit(branches)


class Referee(NamedTuple):
    """Every start of a search, and what the best point is.

    ``solution`` is the best of all starts, ``structure`` the simplest named structure of the same value and spectrum,
    or "unnamed"; ``named`` the value of each structure, ``ahead`` by how much the best of them exceeds
    ``solution.value`` (where it is negative the search has missed it), and ``etf_excess`` the same of the simplex ETF,
    NaN for unequal classes.
    """

    solution: DeepSolution
    structure: str
    widths: tuple[int, ...]
    values: Float[np.ndarray, "widths restarts"]
    converged: Bool[np.ndarray, "widths restarts"]
    ranks: Int[np.ndarray, "widths restarts"]
    hits: Bool[np.ndarray, "widths restarts"]  #: which starts attained the best value
    named: dict[str, float]
    ahead: float
    etf_excess: float

    def __str__(self) -> str:
        lines = [str(self.solution), f"structure: {self.structure}; ETF excess {self.etf_excess:.6g}"]
        lines += [
            f"width {width}: {int(hit.sum())} of {hit.size} starts attain it, best {np.nanmin(row):.9f}"
            for width, hit, row in zip(self.widths, self.hits, self.values, strict=True)
        ]
        return "\n".join(lines)


@nan_is_a_value
def referee(
    problem: DeepLinear,
    key: Array | None = None,
    restarts: int = 8,
    widths: tuple[int, ...] | None = None,
    max_steps: int = 3000,
) -> Referee:
    """Minimise a deep model over all its factors from ``restarts`` random starts of each width, no symmetry assumed.

    Every class counts for itself, since equal classes need not play equal parts. Narrow starts matter: optima of low
    rank are missed by starts of full width (ten classes, four factors: the optimum of rank 3 attracts two of three
    starts of width 3, and few of width 9).

    Parameters
    ----------
    problem : DeepLinear of three or more factors, not batched.
    key : random key, by default ``jax.random.key(0)``.
    restarts : starts of each width.
    widths : inner widths to start from, a tuple; by default all of use, 1 to K - 1.

    Raises
    ------
    ValueError
        For a problem of another kind or arguments out of range.
    """
    require_type("problem", problem, DeepLinear, "a lpmjax.DeepLinear of three or more factors")
    if problem.result is not DeepSolution:
        raise ValueError("problem has two factors, which is convex: lpmjax.solve certifies its optimum.")
    solver = MultiStart(restarts=restarts, widths=widths, max_steps=max_steps)
    found = tries(problem, solver, as_tol(problem, solver, None), require_key(key))
    solution, objective = best(found), problem.objective()
    scanned = solver.scanned(objective)
    shape = (len(scanned), restarts)
    values, status, ranks = (np.asarray(x).reshape(shape) for x in (found.value, found.status, found.rank))
    hits = values <= float(solution.value) * (1 + _SAME)
    named, structure, ahead, excess = _compared(problem, objective, solution)
    converged = (status == Status.converged) | (status == Status.certified)
    return Referee(solution, structure, scanned, values, converged, ranks, hits, named, ahead, excess)


def _compared(
    problem: DeepLinear, objective: Any, solution: DeepSolution
) -> tuple[dict[str, float], str, float, float]:
    """Values of the named structures, which of them the solution is, and how far the best and the ETF are above it."""
    if not problem.loss.shift_invariant:
        return {}, "unnamed", np.nan, np.nan
    found = _branches(objective)
    value, size = float(solution.value), max(float(solution.spectrum.max()), 1.0)
    width = min(solution.spectrum.size, found.spectrum.shape[1])  # beyond it both are zero
    apart = jnp.max(jnp.abs(found.spectrum[:, :width] - solution.spectrum[:width]), axis=1)
    values = np.asarray(found.value)
    same = (np.abs(values - value) <= _SAME * value) & (np.asarray(apart) <= _ALIKE * size)
    names = [structure.name for structure in structures(objective)]
    structure = names[int(np.argmax(same))] if same.any() else "unnamed"
    named = dict(zip(names, values.tolist(), strict=True))
    return named, structure, float(values.min()) - value, named.get("ETF", np.nan) - value
