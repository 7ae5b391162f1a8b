"""A model in bands of near-equal counts and weights, as narrow as a gap asks for, and what they prove of it."""

import dataclasses

import equinox as eqx
import numpy as np

from ..codes import Status
from ..groups import ClassGroups
from ..problems.grouped import GroupedProblem
from ..unbanded import Unbanded, unbanded
from .solves import Solves

_GAP = 0.2  #: relative gap over the square of the relative width of bands, or less (observed: 0.02 to 0.11)
_TRIES = 3  #: widths, each half of the last
_SHARE = 1e-2  #: of the gap that is asked for, which the solve of bands may leave


@dataclasses.dataclass(frozen=True, eq=False)
class NarrowBands:
    """Counts and weights of a band differ by at most ``rtol``; ``tol``: relative gap asked of the ``proof``."""

    rtol: float
    tol: float
    proof: Unbanded

    @property
    def status(self) -> Status:
        """Of the model itself."""
        return Status.certified if self.proof.relative_gap <= self.tol else Status.stalled

    @property
    def slack(self) -> tuple[np.ndarray, np.ndarray]:
        """(G,) least and largest slack of the model's groups that the multiplier leaves open; inf of absent groups."""
        problem = self.proof.problem
        classes, weights, omega = map(np.asarray, (problem.groups.classes, problem.groups.weights, problem.omega))
        least, most = self.proof.multiplier
        with np.errstate(divide="ignore"):
            pull = np.where(classes > 0, np.log(weights / omega), np.inf)
            return pull - np.log(most), pull - np.log(least)

    def of(self, model: GroupedProblem, solves: Solves, purpose: str) -> "NarrowBands":
        """What bands as narrow, and no more of them, prove of another model; one compilation serves all."""
        bands = _banded(model, self.rtol, self.proof.bands.problem.groups.num_groups)
        solution = _closely(solves, self.tol).next(bands.unordered, purpose)
        return dataclasses.replace(self, proof=unbanded(dataclasses.replace(solution, problem=bands)))


def in_narrow_bands(model: GroupedProblem, tol: float, solves: Solves) -> NarrowBands | None:
    """None where more than half as many bands as groups would be needed."""
    rtol = float(np.sqrt(tol / _GAP))
    for _ in range(_TRIES):
        bands = _banded(model, rtol)
        number = bands.groups.num_groups
        if number > model.groups.num_groups / 2:
            return None
        solution = _closely(solves, tol).first(bands.unordered, f"the model, in {number} bands")
        found = NarrowBands(rtol, tol, unbanded(dataclasses.replace(solution, problem=bands)))
        if found.status == Status.certified:
            return found
        rtol /= 2
    return None


def _closely(solves: Solves, tol: float) -> Solves:
    return dataclasses.replace(solves, tol=_SHARE * tol)


def _banded(model: GroupedProblem, rtol: float, size: int = 0) -> GroupedProblem:
    """With absent bands where there are fewer than ``size``."""
    groups, index = model.groups, model.groups.class_index
    samples, weights = np.asarray(groups.samples)[index], np.asarray(groups.weights)[index]
    bands = ClassGroups.banded(samples.tolist(), rtol, None if groups.default_weights else weights.tolist())
    more = max(size - bands.num_groups, 0)
    values = (np.asarray(x) for x in (bands.classes, bands.samples, bands.weights))
    absent = zip(values, (0.0, 1.0, np.max(bands.weights)), strict=True)
    bands = ClassGroups(*(np.append(x, np.full(more, fill)) for x, fill in absent), order=bands.order)
    return eqx.tree_at(lambda p: p.groups, model, bands)
