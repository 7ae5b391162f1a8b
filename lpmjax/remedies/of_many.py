"""Remedies of the Layer-Peeled Model with many distinct counts: searched in bands of near-equal weights, then verified.

A solve of all groups takes seconds to a minute, of bands a fraction of a second, and their thresholds are some
thousandths apart. So bands are asked where the threshold is and how slack rises there; one loose solve of all groups
says how far that is off, and two close by, the one above as exact as was asked for, tell its sides apart. Where there
are too many groups for that, narrower bands prove it, in intervals.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from .. import symmetry
from ..problems.layer_peeled import LayerPeeled
from ..results.solution import Solution
from .narrow_bands import NarrowBands
from .regrouped import compact, in_bands, raised
from .solves import Solves
from .thresholds import Found, Shown, approached, approached_from_above, enclosed, root_between

_MARGIN = 1e-4  #: relative, to either side of a threshold
_ROUGH = 10 * _MARGIN  #: the same, where the model itself is known in bands only
_LOOSE = 1e-2 * _MARGIN  #: tolerance of solves that only have to tell its sides apart
_CLOSE = 1e-7  #: how well bands are asked for a threshold, in slack, which may hardly rise above it
_STEP = 0.02  #: over which they are asked how slack rises
_FARTHEST = 64.0  #: log of a factor on E_H beyond which none is looked for
_SPARE = 4  #: groups that may come to lie above the level of raised weights while it moves


def budget_of_many(model: LayerPeeled, slack: float, solves: Solves, narrow: NarrowBands | None = None) -> Found | None:
    """Log of the factor on E_H; ``slack``: the model's least one."""

    def with_more(x: float) -> LayerPeeled:
        return LayerPeeled(model.groups, model.E_W, model.E_H * np.exp(x))

    search = _Search(with_more, solves, "E_H", in_bands(model.groups)[0].num_groups, narrow)
    low, x = (0.0, slack), 1.0
    while not (slack := search.slack_in_bands(x)) > 0:
        low, x = (x, slack), 2 * x
        if not x <= _FARTHEST:
            return None
    near = search.near_threshold(low, (x, slack))
    if near is None:
        return None
    return approached(search.of_all, *near, _MARGIN) if narrow is None else enclosed(search.proved, *near)


def weights_of_many(
    model: LayerPeeled, slack: float, solves: Solves, narrow: NarrowBands | None = None
) -> Found | None:
    """Log of the level that weights are raised to."""
    if narrow is not None and solves.tol is not None:
        solves = dataclasses.replace(solves, tol=min(solves.tol, _LOOSE))
    weights = np.asarray(model.groups.weights)

    def with_raised(x: float) -> LayerPeeled:
        return LayerPeeled(raised(model.groups, np.exp(x)), model.E_W, model.E_H)

    search = _Search(with_raised, solves, "the weights", in_bands(model.groups)[0].num_groups, narrow)
    top = float(np.log(weights.max()))  # at equal weights nothing collapses
    near = search.near_threshold((float(np.log(weights.min())), slack), (top, search.slack_in_bands(top)))
    if near is None:
        return None
    if narrow is None:
        return approached(search.of_all, *near, _MARGIN)
    # Slack is too flat above for an interval; but classes that are raised are one group, which leaves fewer.
    return approached_from_above(lambda x: search.of_all(x, True), search.proved, *near, _ROUGH)


@dataclasses.dataclass
class _Search:
    """Solves of a model as it is changed: in ``bands`` of near-equal weights, and in ``narrow`` ones or all groups."""

    change: Callable[[float], LayerPeeled]
    solves: Solves
    purpose: str
    bands: int
    narrow: NarrowBands | None
    size: int = 0  #: groups of a solve of all
    last: Solution | None = None

    def near_threshold(self, low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float] | None:
        """A point near the threshold between two points (x, least slack), and the slope there."""
        x = root_between(lambda x: -self.slack_in_bands(x), (low[0], -low[1]), (high[0], -high[1]), _CLOSE)
        # From below: above a threshold, where classes come apart, slack can be flat, and its root would be far.
        slope = (self.slack_in_bands(x) - self.slack_in_bands(x - _STEP)) / _STEP
        return (x, slope) if 0 < slope < np.inf else None

    def slack_in_bands(self, x: float) -> float:
        """Least slack, by the multiplier of the bands."""
        groups = self.change(x).groups
        lightest = np.min(np.asarray(groups.weights)[np.asarray(groups.classes) > 0])
        return float(np.log(lightest / float(self._in_bands(x)[0].multiplier)))

    def proved(self, x: float) -> Shown:
        """Of narrow bands."""
        assert self.narrow is not None
        bands = self.narrow.of(self.change(x), self.solves, f"verifying {self.purpose}, in narrow bands")
        low, high = map(np.min, bands.slack)
        return Shown((float(low), float(high)), bands.status, bands.proof.problem)

    def of_all(self, x: float, exact: bool) -> Solution:
        """Optimum of all groups, from the last one or that of the bands."""
        model = self.change(x)
        present = int(np.sum(np.asarray(model.groups.classes) > 0))
        if present > self.size:
            self.size = min(present + _SPARE, model.groups.num_groups)
        model = LayerPeeled(compact(model.groups, self.size), model.E_W, model.E_H)
        near = self.last
        if near is None or not np.array_equal(near.problem.groups.classes, model.groups.classes):
            near = self._expanded(x, model)
        purpose = f"verifying {self.purpose}" if exact else f"{self.purpose} needed"
        self.last = self.solves.from_near(model, purpose, near, None if exact else _LOOSE)
        return self.last

    def _in_bands(self, x: float) -> tuple[Solution, np.ndarray]:
        model = self.change(x)
        groups, band = in_bands(model.groups, self.bands)
        coarse = LayerPeeled(groups, model.E_W, model.E_H)
        return self.solves.next(coarse, f"{self.purpose} needed, in bands"), band

    def _expanded(self, x: float, model: LayerPeeled) -> Solution:
        """The optimum of the bands in coordinates of all groups."""
        _, band = in_bands(model.groups, self.bands)
        solution, _ = self._in_bands(x)
        classes = solution.problem.groups.classes
        parts = symmetry.split(solution.within, solution.between, classes, band, model.groups.classes)
        within, between = (jnp.asarray(part) for part in parts)
        return dataclasses.replace(solution, within=within, between=between, slack=solution.slack[band])
