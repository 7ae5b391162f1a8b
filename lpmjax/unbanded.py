r"""What a solve of bands of near-equal classes proves about the problem whose classes were put into them.

In a band b of the coarse problem all classes weigh ``pi_b`` and ``omega_b``; its logits z_b and the gradient ``pi_b
y_b`` of its loss are columns of K x K matrices Z and Y. For class k of the band multiply the one by ``s_k = omega_b /
omega_k`` and the other by ``1 / s_k``: cost of the logits, spectral norm of ``Y / omega`` and the inner
product of the two stay what they were, and no matrix larger than that of the bands has to be decomposed. As a multiple
of y_b the column is ``pi_k t_k``, ``t_k = pi_b / (pi_k s_k)``. So the gap of the original problem is

    gap of the coarse problem + sum_k pi_k [loss(s_k z_b) + conjugate(t_k y_b) - <t_k y_b, s_k z_b>],

whatever ``pi_b`` and ``omega_b`` are, and of second order in the width of the bands if they are means. Where ``t_k
y_b`` is no gradient of the loss, as where a softmax would have a negative entry, or where it pays, less of y_b is
taken: the norm can only fall by that, and ``pi_k s_k (t_k - less) <-y_b, z_b>`` is added to the gap. Of classes that
are next to never predicted, all above the mean of what is wanted is too much, and this is of first order.

So classes of a band that is far from being pulled apart may also pull as they weigh: ``t_k = c`` for all of them, with
``c = (pi_b / omega_b) / rms(pi / omega)``, or 1 if that is less. Let u be their ``c pi_k / omega_k`` and a_b what is
taken off the diagonal of y_b, so that columns are ``u_k (y - a_b e_k)`` with y constant on every band. On the sum of
a band weighed by u they do what they did, and its image gains ``beta_b = a_b std(u^2) / rms(u)`` within the band; on
what is orthogonal to u they are ``-a_b diag(u)`` and stay within the band, orthogonal to its sum. With ``d_b = a_b max
u`` below the norm nu of the bands, ``(beta x + d z)^2 <= beta^2 x^2 / (1 - d^2/nu^2) + nu^2 z^2`` bounds what the two
add up to, so that the norm is at most the larger of nu and that of the bands' block with the rows of a diagonal matrix,
``beta_b / (1 - d_b^2/nu^2)^(1/2)``, below it. It grows by the square of the width of the bands.

The optimal value v is convex in a budget c, of slope -multiplier. At t times the expanded logits, which cost t times
what they do, the loss u(t) is at least v there. With v(c) at least the lower bound, chords on both sides hold the
multiplier: (lower - u(t)) / (t cost - c) <= multiplier <= (u(t) - lower) / (c - t cost). Where the gap is small, the
best of them are as far apart as its square root.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from . import symmetry
from .arguments import require_type
from .charge import Price
from .duality import Program, duality_gap, evaluate, gradient, largest_term, shrinkage
from .losses.loss import ConvexLoss
from .objectives.of_groups import GroupCoordinates
from .orders import Bands
from .results.solution import Solution
from .traced import holds_tracers

#: factors of a gradient that are tried between the gradient itself and the whole of what is wanted
_SHARES = np.linspace(0.0, 1.0, 9)
#: shares of the norm, tried in turn, below which a band is far enough from being pulled apart
_REACHES = (0.0, 0.7, 0.9, 0.95, 0.98, 0.99, 0.995)
#: relative distances from the budget that chords are tried over
_CHORDS = np.exp2(np.linspace(-20.0, -1.0, 39))


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Unbanded:
    """Proof that ``lower_bound <= optimum <= value``, in nats, for the problem with all counts as they were given.

    Attributes
    ----------
    problem : that problem, in groups of equal classes (``ClassGroups.original``).
    value : its objective at the expanded logits, which cost what those of the bands do.
    lower_bound, gap : ``value - gap``; the gap includes an allowance for its own rounding.
    multiplier : (least, largest) that the multiplier of its spectral cost can be; of a penalised problem both are the
        price.
    bands : the solution that was expanded.
    """

    problem: Any
    value: float
    lower_bound: float
    gap: float
    multiplier: tuple[float, float]
    bands: Solution

    @property
    def relative_gap(self) -> float:
        """``gap / value``."""
        return self.gap / abs(self.value) if self.value else float("nan")

    def coordinates(self) -> GroupCoordinates:
        """The expanded logits in the original problem's group coordinates, (G,) and (G, G) as in a Solution."""
        coarse, fine = (_on_host(problem) for problem in (self.bands.problem, self.problem))
        band = _band_of_group(coarse.groups, fine.groups)
        coarse, fine = Program.of(coarse), Program.of(fine)
        proof = duality_gap(coarse, *_given(self.bands))
        scale = coarse.omega[band] / fine.omega
        parts = symmetry.split(proof.within, proof.between, coarse.classes, band, fine.classes)
        return GroupCoordinates(*(scale * part for part in parts))

    def __str__(self) -> str:
        groups = self.bands.problem.groups.num_groups, self.problem.groups.num_groups
        return (
            f"{type(self.problem).__name__}, K = {int(self.problem.groups.num_classes)} in {groups[1]} groups, from "
            f"{groups[0]} bands:\n{self.lower_bound:.10g} <= optimum <= {self.value:.10g}, relative gap "
            f"{self.relative_gap:.2g}"
        )


def unbanded(solution: Solution) -> Unbanded:
    """An interval that holds the optimum of the original problem, from a solve of bands of near-equal classes.

    ``solution`` is that of a problem whose groups are by :meth:`lpmjax.ClassGroups.banded`. Its logits are expanded to
    all classes and certified there, on the host in float64: the spectral norm is that of the bands, so that it takes
    a fraction of a second where a solve takes many. Only the coordinates are trusted; whatever they are, the interval
    holds.

    Raises
    ------
    ValueError
        For anything else than a single float64 solution of such groups in :class:`lpmjax.LayerPeeled` or
        :class:`lpmjax.UnconstrainedFeatures` (without a bias, a ``dim`` or ReLU features), for losses that are not
        convex, not shift-invariant or that have parameters of each class, and under a trace.
    """
    require_type("solution", solution, Solution, "a lpmjax Solution of banded groups, as lpmjax.solve returns it")
    _require_single(solution)
    with jax.enable_x64(True):
        problem = eqx.tree_at(lambda p: p.groups, solution.problem, solution.problem.groups.original)
    coarse = _on_host(solution.problem)
    with np.errstate(all="ignore"):  # what is not finite says so in the interval
        value, gap, multiplier = _bounds(coarse, _on_host(problem), solution)
    return Unbanded(problem, value, value - gap, gap, multiplier, solution)


def _require_single(solution: Solution) -> None:
    problem = solution.problem
    if holds_tracers(solution):
        raise ValueError("unbanded works on the host: call it on the results of jit, not inside.")
    if not isinstance(problem.groups.order, Bands):
        raise ValueError(
            "solution has no bands: its groups must be by ClassGroups.banded (what has none is certified)."
        )
    if np.ndim(solution.value) or problem.groups.weights.dtype != np.float64:
        raise ValueError("solution must be a single one in float64: index a batch, and solve under jax_enable_x64.")
    loss = problem.loss
    per_class = loss.of_classes(np.zeros(1, int)) is not loss or loss.offsets(problem.groups.samples) is not None
    if not (isinstance(loss, ConvexLoss) and loss.shift_invariant) or per_class:
        raise ValueError(
            f"solution has the loss {type(loss).__name__}, of which bands prove nothing: use CrossEntropy or "
            "LabelSmoothing, or solve the problem of all distinct counts."
        )
    if not problem.is_linear or problem.dim is not None:
        raise ValueError(
            "solution has a bias, ReLU features or a dim, of which bands prove nothing: leave them out, or solve the "
            "problem of all distinct counts."
        )


def _on_host(problem: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), problem)


def _given(solution: Solution) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(solution.within), np.asarray(solution.between)


def _band_of_group(bands: Any, groups: Any) -> np.ndarray:
    """(G,) band of each group of equal classes."""
    first = np.unique(groups.class_index, return_index=True)[1]
    return bands.class_index[first]


class _Columns(NamedTuple):
    """What the loss of each original group needs of its band: rivals j by bands, g the original groups."""

    margins: Any
    rival_counts: Any
    wrong: Any
    inner: Any  #: (G,) <-y, z>, how much the loss of the band falls along the logits
    most: Any  #: (G,) by how much its gradient can be multiplied


def _bounds(coarse_problem: Any, fine_problem: Any, solution: Solution) -> tuple[float, float, tuple[float, float]]:
    """Value, gap and range of the multiplier of the original problem."""
    band = _band_of_group(coarse_problem.groups, fine_problem.groups)
    coarse, fine = Program.of(coarse_problem), Program.of(fine_problem)
    proof = duality_gap(coarse, *_given(solution))
    at = evaluate(coarse, proof.within, proof.between, None)
    margins = symmetry.margins(proof.within, proof.between, coarse.classes)
    inner = np.sum(at.rival_counts * at.loss.wrong * margins, axis=0)
    most = coarse.loss.largest_scale(at.loss, at.rival_counts)
    columns = _Columns(*(x[..., band] for x in (margins, at.rival_counts, at.loss.wrong, inner, most)))
    scale = coarse.omega[band] / fine.omega
    loss_at, gap_of = _of_columns(fine, columns, scale, proof.log_scale)
    cost = symmetry.spectral_cost(proof.within, proof.between, coarse.classes, coarse.omega)
    value = loss_at(1.0) + fine.charge.paid(cost)
    size = np.max(scale) * (1 + largest_term(coarse, proof.within, proof.between, None))
    ulps = 2 * max(2, band.size) * np.finfo(np.float64).eps
    wanted = coarse.weights[band] / (fine.weights * scale)
    felt = np.sum(np.abs(columns.rival_counts * columns.wrong), axis=0)
    moved = np.sum(fine.classes * fine.weights * np.maximum(wanted, 1.0) * felt)
    pulls = gradient(at.loss.wrong, at.rival_counts, coarse.classes, coarse.weights, at.loss.total)[0] / coarse.omega
    gap = value  # no objective is negative
    for reach in _REACHES:
        free, norm, factor = _as_they_weigh(coarse, fine, band, proof, pulls, reach)
        if isinstance(coarse.charge, Price):
            amount = np.asarray(coarse.charge.amount)
            shrunk, price = shrinkage(amount, norm), 0.0
            lost = shrinkage(amount, proof.norm) - shrunk
            more = lost * np.sum(coarse.classes * coarse.weights * inner)
        else:
            shrunk, price = 1.0, norm
            more = (norm - proof.norm) * coarse.charge.amount
            more = more + norm * np.maximum(fine.charge.amount - coarse.charge.amount, 0.0)
        rounding = ulps * (size * (value + moved) + price * cost)
        gap = np.fmin(gap, proof.direct + more + gap_of(shrunk * wanted, shrunk * factor, free[band]) + rounding)
    unscaled = np.exp(-proof.log_scale)
    if isinstance(fine.charge, Price):
        price = float(fine.charge.amount)
        return float(value * unscaled), float(gap * unscaled), (price, price)
    least, most = _between_chords(loss_at, value - gap, fine.charge.amount, cost, ulps * size)
    return float(value * unscaled), float(gap * unscaled), (float(least * unscaled), float(most * unscaled))


def _between_chords(loss_at: Any, lower: Any, budget: Any, cost: Any, rounding: Any) -> tuple[Any, Any]:
    """Least and largest multiplier; ``rounding``: relative, of losses and of what their logits cost."""

    def slope(share: float) -> Any:
        """From the lower bound at the budget to the loss of logits that cost ``share`` times as much."""
        return ((1 + rounding) * loss_at(share) - lower) / (budget - (1 + rounding) * share * cost)

    steeper = [slope(1 - step) for step in (0.0, *_CHORDS) if budget > (1 + rounding) * (1 - step) * cost]
    flatter = [slope(1 + step) for step in _CHORDS if budget < (1 - rounding) * (1 + step) * cost]
    return np.fmax(0.0, np.fmax.reduce(flatter, initial=0.0)), np.fmin.reduce(steeper, initial=np.inf)


def _as_they_weigh(coarse: Program, fine: Program, band, proof, pulls, reach: float) -> tuple[Any, Any, Any]:
    """Bands whose classes pull as they weigh, the spectral norm of all gradients then, or a bound of it, and the (G,)
    factors of those gradients.

    Those are the bands that are pulled apart, by ``pulls``, with less than the share ``reach`` of the norm.
    """
    weighed, K = fine.weights / fine.omega, np.where(coarse.classes > 0, coarse.classes, 1.0)

    def mean(x: Any) -> Any:
        return np.bincount(band, fine.classes * x, K.size) / K

    even = coarse.weights / coarse.omega
    factor = np.minimum(even / np.sqrt(mean(weighed**2)), 1.0)  # more may be no gradient of the loss
    columns = factor[band] * weighed
    square = np.where(coarse.classes > 0, mean(columns**2), 1.0)
    largest = np.zeros(K.size)
    np.maximum.at(largest, band, np.where(fine.classes > 0, columns, 0.0))
    apart = pulls * largest / even
    free = apart < reach * proof.norm
    spread = (pulls / even) ** 2 * mean((columns**2 - square[band]) ** 2) / square
    added = np.where(free, spread / (1 - (apart / proof.norm) ** 2), 0.0)
    block = proof.block * np.where(free, np.sqrt(square) / even, 1.0)
    norm = np.sqrt(np.linalg.eigvalsh(block.T @ block + np.diag(added))[-1]) if free.any() else 0.0
    rounding = 1 + 4 * K.size * np.finfo(np.float64).eps
    return free, np.maximum(norm * rounding, proof.norm), factor[band]


def _of_columns(fine: Program, columns: _Columns, scale: Any, taken: Any) -> tuple[Any, Any]:
    """Two functions: the original classes' loss, times ``exp(taken)``, at a multiple of the logits; and what the gap is
    more than that of the bands, by what is wanted of gradients and by the factors of those in ``free`` bands."""
    loss, share, rivals = fine.loss, fine.classes * fine.weights, columns.rival_counts

    def at(multiple: float) -> Any:
        margins = multiple * scale * columns.margins - taken
        margins = np.where((rivals > 0) | (taken == 0), margins, np.maximum(margins, 0.0))
        return loss.on_groups(margins, rivals)

    here = at(1.0)

    def gap(used: Any, wanted: Any) -> Any:
        open_ = loss.fenchel_gap(here, rivals, used * columns.wrong, np.zeros_like(used))
        return open_ + scale * (wanted - used) * columns.inner

    def gap_of(wanted: Any, factor: Any, free: Any) -> Any:
        possible = np.minimum(wanted, columns.most)
        least = np.full(wanted.shape, np.inf)
        for part in _SHARES:
            least = np.fmin(least, gap(np.where(possible > 1, 1 + part * (possible - 1), possible), wanted))
        return np.sum(share * np.where(free, gap(factor, wanted), least))

    return lambda multiple: np.sum(share * at(multiple).value), gap_of
