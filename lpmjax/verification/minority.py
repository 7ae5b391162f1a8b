"""Minority Collapse: when the small classes merge or vanish, how their cosine gets there, and what prevents it."""

import numpy as np

from .. import boundary
from ..codes import Phase
from ..diagnose import diagnose
from ..results.solution import Solution
from .comparison import Comparison, Forms, claimed, decayed, grid, layer_peeled, relative, report
from .formula import closed_form

_FOUND = 1e-5  # relative error of a remedy, found by solving on both sides of it
_SIDE = 1e-9  # relative distance to a phase boundary at which the solver must be on the right side


def merging(forms: Forms) -> Comparison:
    """Exact zeros of the in-group margins."""
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e3, 1e6], [0.2, 2, 10])
    budget = layer_peeled(K_A, K_B, R, 1.0, E_H)
    K_A, K_B, n_A, n_B, decay = grid([2, 20], [2, 5], [3, 100, 5000], [1, 10], np.geomspace(1e-5, 0.1, 10))
    priced = decayed((K_A, K_B), (n_A, n_B), (decay, 2 * decay))
    N = K_A * n_A + K_B * n_B
    # Hong and Ling's count, a little more and a little less.
    count = closed_form(forms["threshold_count"], N, decay, 2 * decay)
    errors = [claimed((priced.within[:, 1] == 0) == (n_B <= count))]
    for s in (budget, priced):
        omega = np.sqrt(s.problem.groups.samples) if s is priced else np.ones_like(s.within)
        slack = closed_form(forms["slack"], s.problem.groups.weights, omega, s.multiplier[:, None])
        errors += [claimed((s.within == 0) == (slack <= 0)), relative(s.slack, slack, 1.0)]
    return report("exact zeros of the in-group margins", [budget, priced], *errors)


def _phases(expected: Phase, before: Solution, after: Solution) -> np.ndarray:
    return claimed(before.phase < expected, after.phase >= expected)


def merged_boundary(forms: Forms) -> Comparison:
    """Phases on both sides of R0."""
    K_A, K_B, y = grid([2, 5, 60], [2, 3, 40], np.geomspace(0.01, 8, 9))
    s, R = (closed_form(forms[name], K_A, K_B, y) for name in ("s", "R_0"))
    inside = R < 1e12  # beyond, the rounding of s alone moves R_0 by more than the offset
    K_A, K_B, s, R = (x[inside] for x in (K_A, K_B, s, R))
    below, at, above = (layer_peeled(K_A, K_B, R * side, s, s) for side in (1 - _SIDE, 1.0, 1 + _SIDE))
    return report(
        "phases on both sides of the curve, slack on it",
        [below, at, above],
        _phases(Phase.merged, below, above),
        relative(at.slack[:, 1], 0.0, 1 + np.log(R)),
        relative(boundary.merged(K_A, K_B, s, log=True), np.log(R), 1.0),
        outside=int((~inside).sum()),
    )


def annihilated_boundary(forms: Forms) -> Comparison:
    """Phases on both sides of R1 and past its end."""
    K_A, K_B, share = grid([2, 5, 60], [1, 3, 40], [0.01, 0.1, 0.4, 0.8, 0.95])
    end = closed_form(forms["S_end"], K_A, K_B)
    a = share * end / (K_A - 1)
    s, R = (closed_form(forms[name], K_A, K_B, a) for name in ("s", "R_1"))
    below, above = (layer_peeled(K_A, K_B, R * side, s, s) for side in (1 - _SIDE, 1 + _SIDE))
    never = (1 + _SIDE) * end / (K_A + K_B)
    last = layer_peeled(K_A, K_B, 1e200, never, never)
    return report(
        "phases on both sides of the curve and past its end",
        [below, above, last],
        _phases(Phase.annihilated, below, above),
        claimed(last.phase < Phase.annihilated),
        relative(above.within[:, 0], a),
        relative(boundary.annihilated(K_A, K_B, s, log=True), np.log(R), 1.0),
        relative(boundary.annihilation_end(K_A, K_B) * (K_A + K_B), end),
    )


def minority_collapse(forms: Forms) -> Comparison:
    """The minority cosine along R, and the growth of R0."""
    K_A, K_B, s = grid([2, 5, 60], [2, 3, 40], [0.1, 0.5, 2])
    log_R = np.asarray(boundary.merged(K_A, K_B, s, log=True))
    inside = log_R < 600
    K_A, K_B, s, log_R = (x[inside] for x in (K_A, K_B, s, log_R))
    curve = [layer_peeled(K_A, K_B, np.exp(x), s, s) for x in (0.9 * log_R, log_R + _SIDE, log_R + 60)]
    cosine = [c.cosine[:, 1] for c in curve]
    gone = [c.phase == Phase.annihilated for c in curve]
    sizes = grid([2, 5, 60], [2, 3, 40])
    far = 1e9 * sizes[0] / (sizes[0] + sizes[1])
    rise = [np.asarray(boundary.merged(sizes[0], sizes[1], far * times, log=True)) for times in (1.0, 2.0)]
    return report(
        "minority cosine as R grows; slope of log R0 at large s",
        curve,
        claimed(cosine[0] < 1 - 1e-6),
        *(relative(np.where(g, 1.0, c), 1.0) for c, g in zip(cosine[1:], gone[1:], strict=True)),
        relative((rise[1] - rise[0]) / far, closed_form(forms["growth_rate"], *sizes)),
        outside=int((~inside).sum()),
    )


def oversampling(forms: Forms) -> Comparison:
    """Phases on both sides of the least remedy, and other weights of the same ratio."""
    K_A, K_B, s, factor = grid([2, 5, 60], [2, 3, 40], [0.1, 0.5, 1.5], [2, 100])
    R_0 = np.asarray(boundary.merged(K_A, K_B, s))
    R = R_0 * factor
    least = closed_form(forms["least_remedy"], R, R_0)
    too_little, enough = (layer_peeled(K_A, K_B, R, s, s, w=least * side) for side in (1 - _SIDE, 1 + _SIDE))
    full = layer_peeled(K_A, K_B, R, s, s, w=R)
    plain = layer_peeled(K_A, K_B, closed_form(forms["effective_ratio"], R, 1.7), s, s)
    oversampled = layer_peeled(K_A, K_B, R, s, s, w=1.7)
    etf = np.broadcast_to((-1 / (K_A + K_B - 1))[:, None, None], (R.size, 2, 2))
    return report(
        "phases on both sides of w = R/R0, cosines at w = R",
        [too_little, enough, full, plain, oversampled],
        _phases(Phase.merged, enough, too_little),
        relative(full.cosines(), etf, 1.0),
        relative(oversampled.value, plain.value),
        relative(oversampled.within, plain.within, 1.0),
        *(_remedies(*case) for case in ((5, 5, 1.0), (3, 4, 0.5))),
    )


def _remedies(K_A: int, K_B: int, s: float) -> np.ndarray:
    """What ``diagnose`` says is needed, against the boundary: weights times R/R0, or the budget at which R0 = R."""
    R_0 = float(boundary.merged(K_A, K_B, s))
    R = np.ceil(3 * R_0)
    weights, budget = diagnose([R] * K_A + [1.0] * K_B, E_W=s, E_H=s).remedies
    if weights.scale is None or budget.scale is None:
        return claimed(False)
    reached = float(boundary.merged(K_A, K_B, s * np.sqrt(budget.scale)))
    close = [abs(weights.scale / (R / R_0) - 1) < _FOUND, abs(reached / R - 1) < _FOUND]
    return claimed(*close)
