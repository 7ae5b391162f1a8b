"""COMPARISONS: per theorem, its closed forms against what the solvers return on a grid of its domain.

Where possible the two sides share no formula: the budget solver against the penalty solver, two groups at R = 1
against the balanced closed form, group coordinates against an SVD of the full logits, a boundary against the phases.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import boundary
from ..certificate import Program, duality_gap
from ..groups import ClassGroups
from ..losses import CrossEntropy
from ..problems import LayerPeeled, UnconstrainedFeatures
from ..solution import Phase, Solution, Status
from ..solve import solve
from .formula import closed_form

Forms = Mapping[str, Any]
_LANES = 256  # grids are padded to a multiple of it, so that all share one compilation
_SIDE = 1e-9  # relative distance to a phase boundary at which the solver must be on the right side


@dataclass(frozen=True)
class Comparison:
    """What was compared: one error per cell (inf where a yes-or-no claim fails), and how far the cells are trusted."""

    route: str
    errors: np.ndarray
    certified: int
    cells: int
    outside: int = 0  #: cells of the grid that the theorem does not speak of


@jax.jit
@jax.vmap
def _solve_layer_peeled(K_A, K_B, R, w, E_W, E_H):
    return solve(LayerPeeled(_groups(K_A, K_B, R, 1.0, R, w), E_W, E_H))


@jax.jit
@jax.vmap
def _solve_decayed(K_A, K_B, n_A, n_B, v_A, v_B, lambda_W, lambda_H):
    return solve(UnconstrainedFeatures(_groups(K_A, K_B, n_A, n_B, v_A, v_B), lambda_W, lambda_H))


def _groups(K_A, K_B, n_A, n_B, v_A, v_B):
    one = jnp.ones_like(K_A)
    classes, samples, weights = (jnp.stack([one * a, one * b]) for a, b in ((K_A, K_B), (n_A, n_B), (v_A, v_B)))
    return ClassGroups(classes, samples, weights)


def _batch(solver, *columns) -> Solution:
    arrays = np.stack([np.ravel(x) for x in np.broadcast_arrays(*(np.asarray(c, float) for c in columns))])
    cells = arrays.shape[1]
    padded = np.pad(arrays, ((0, 0), (0, -cells % _LANES)), mode="edge")
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:cells], solver(*padded))


def layer_peeled(K_A, K_B, R, E_W, E_H, w: Any = 1.0) -> Solution:
    """Solve on broadcast columns; ``w`` oversamples the second group."""
    return _batch(_solve_layer_peeled, K_A, K_B, R, w, E_W, E_H)


def decayed(K_A, K_B, n_A, n_B, lambda_W, lambda_H, weights=None) -> Solution:
    """The same with weight decay; ``weights`` defaults to the samples."""
    return _batch(_solve_decayed, K_A, K_B, n_A, n_B, *((n_A, n_B) if weights is None else weights), lambda_W, lambda_H)


def grid(*axes) -> list[np.ndarray]:
    """Columns of the product of axes."""
    return [x.ravel() for x in np.meshgrid(*map(np.asarray, axes), indexing="ij")]


def relative(found, expected, terms: Any = 0.0) -> np.ndarray:
    """Error per cell, relative to what is expected, or to the terms it is a sum of where those are larger."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    scale = np.maximum(np.maximum(np.abs(expected), terms), np.finfo(float).tiny)
    return np.nan_to_num(np.abs(found - expected) / scale, nan=np.inf)


def claimed(*statements) -> np.ndarray:
    """0 where every statement holds, inf elsewhere."""
    return np.where(np.logical_and.reduce(np.broadcast_arrays(*statements)), 0.0, np.inf)


def report(route: str, solutions: list[Solution], *errors, outside: int = 0) -> Comparison:
    """Errors of several quantities, and what is certified."""
    status = np.concatenate([np.ravel(s.status) for s in solutions])
    flat = np.concatenate([np.ravel(e) for e in errors])
    return Comparison(route, flat, int((status == Status.certified).sum()), status.size, outside)


def four_scalars(s: Solution) -> tuple[Any, ...]:
    """(a, e, x, y) of ``lpm.two_group``."""
    K_A, K_B = s.problem.groups.classes.T
    K = K_A + K_B
    x, y = s.between[:, 0, 0] * np.sqrt(K / K_B), s.between[:, 1, 1] * np.sqrt(K / K_A)
    return s.within[:, 0], s.within[:, 1], x, y


def _convex(forms: Forms) -> Comparison:
    rng = np.random.default_rng(0)
    others: Any = np.tile([[1.0, 3.0], [4.0, 2.0]], (512, 1, 1))
    near, far = rng.normal(scale=5.0, size=(2, 512, 2, 2))
    losses = [CrossEntropy().on_groups(m, others, np) for m in (near, (near + far) / 2, far)]
    low, middle, high = (loss.value for loss in losses)
    slope = -np.sum(others * losses[0].wrong * (far - near), axis=-2)
    beyond = np.maximum(middle - (low + high) / 2, low + slope - high)
    return Comparison("random segments and tangents", np.maximum(beyond, 0) / (low + high), 512, 512)


def _relaxation(forms: Forms) -> Comparison:
    errors, solved = [], []
    for K_A, K_B, R, E_W, E_H in [(3, 2, 1, 1, 1), (2, 3, 4, 0.5, 3), (4, 1, 10, 2, 2), (2, 3, 1e3, 0.2, 0.6)]:
        problem = LayerPeeled.two_group(K_A, K_B, R, E_W, E_H)
        solution = solve(problem)
        W, H = (np.asarray(x) for x in solution.factors())
        Z, K = np.asarray(solution.logits()), K_A + K_B
        nuclear = np.linalg.svd(Z, compute_uv=False).sum()
        errors += [
            relative(nuclear, closed_form(forms["budget"], K, E_W, E_H)),
            relative([(W**2).sum() / K, (H**2).sum() / K], [E_W, E_H]),
            relative(W @ H, Z, np.abs(Z).max()),
            claimed(W.shape == (K, K - 1)),
        ]
        solved.append(solution)
    return report("factors of dimension K - 1, SVD", solved, *errors)


def _balanced(forms: Forms) -> Comparison:
    K_A, K_B, E_W, E_H = grid([1, 2, 7, 5000], [1, 3, 4000], [0.01, 1, 3], [0.02, 1, 5])
    s = layer_peeled(K_A, K_B, 1.0, E_W, E_H)
    K = K_A + K_B
    exact = {name: closed_form(forms[name], K, E_W, E_H) for name in ("margin", "value", "multiplier")}
    cosine = closed_form(forms["cosine"], K)
    cosines = np.asarray(s.cosines())
    shown = np.isfinite(cosines)  # the cosine within a group of one class is not defined
    return report(
        "two-group solver at R = 1",
        [s],
        relative(s.margin, exact["margin"][:, None]),
        relative(s.value, exact["value"]),
        relative(s.multiplier, exact["multiplier"]),
        relative(cosines[shown], np.broadcast_to(cosine[:, None, None], cosines.shape)[shown]),
    )


def _weight_decay(forms: Forms) -> Comparison:
    K_A, K_B, n, share, split = grid([1, 3, 50], [2, 40], [1, 500], [1e-6, 0.1, 0.9, 1.001, 3], [0.1, 2])
    K = K_A + K_B
    c = share * closed_form(forms["threshold"], K)
    lambda_W, lambda_H = c / np.sqrt(n) * split, c / np.sqrt(n) / split
    s = decayed(K_A, K_B, n, n, lambda_W, lambda_H)
    alive = share < 1
    errors = [claimed(np.all(s.margin[~alive] == 0, axis=-1))]
    at = [x[alive] for x in (K, n, lambda_W, lambda_H)]
    for name, found in (("alpha", s.margin), ("w_norm2", s.w_norm2), ("h_norm2", s.h_norm2)):
        errors.append(relative(found[alive], closed_form(forms[name], *at)[:, None]))
    errors.append(relative(s.value[alive], closed_form(forms["value"], *at)))
    return report("two-group solver at R = 1, both sides of the threshold", [s], *errors)


def _two_group(forms: Forms) -> Comparison:
    errors, solved = [], []
    for K_A, K_B in ((2, 3), (3, 2), (4, 1)):
        R, E_W, E_H = grid([1.5, 10, 1e4], [0.5, 2], [0.3, 4])
        s = layer_peeled(K_A, K_B, R, E_W, E_H)
        a, e, x, y = four_scalars(s)
        sizes, pi = (float(K_A), float(K_B)), s.problem.groups.weights.T
        logits = jax.vmap(lambda one, K=K_A + K_B: one.logits(num_classes=K))(s)
        left, singular, _ = np.linalg.svd(np.asarray(logits))
        gram = (left * singular[:, None, :]) @ np.swapaxes(left, 1, 2)
        own = np.einsum("bkk->bk", np.asarray(logits))
        losses = np.log(np.exp(np.asarray(logits) - own[:, None, :]).sum(axis=1))
        pi_k = np.repeat(pi.T, (K_A, K_B), axis=1)
        sigma = np.hypot(x, y)
        errors += [
            relative(singular.sum(axis=-1), closed_form(forms["nuclear_norm"], *sizes, 1.0, 1.0, a, e, x, y)),
            relative((pi_k * losses).sum(axis=-1), closed_form(forms["loss"], *sizes, *pi, a, e, x, y)),
            relative(gram[:, 0, 0], closed_form(forms["w_norm2_A"], *sizes, a, e, sigma)),
            relative(gram[:, -1, -1], closed_form(forms["w_norm2_B"], *sizes, a, e, sigma)),
            relative(gram[:, 0, 1] / gram[:, 0, 0], closed_form(forms["cos_A"], *sizes, a, e, sigma), 1.0),
            relative(gram[:, 0, -1], closed_form(forms["w_inner"], *sizes, sigma), gram[:, 0, 0]),
        ]
        here = (sigma > 0) & (K_B > 1)
        exact = closed_form(forms["cos_B"], *sizes, a[here], e[here], sigma[here])
        errors.append(relative(gram[here, -1, -2], exact * gram[here, -1, -1], gram[here, 0, 0]))
        solved.append(s)
    return report("SVD of the full logit matrix", solved, *errors)


def _kkt(forms: Forms) -> Comparison:
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e6], [0.2, 2, 40])
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    a, e, x, y = four_scalars(s)
    t_A, t_B = np.exp(-s.slack).T
    length = np.hypot(x, y)
    errors = []
    for name, t, share, within, coordinate in (("A", t_A, x, a, x), ("B", t_B, y, e, y)):
        active, here = (t < 1) & (length > 0), (t >= 1) & (length > 0)
        for cells, forms_of in ((active, ("within", "coordinate")), (here, ("coordinate_merged",))):
            at = [v[cells] for v in (K_A, K_B, t)] + [(share[cells] / length[cells])]
            for form in forms_of:
                prefix, _, merged = form.partition("_")
                full = f"{prefix}{'_merged' if merged else ''}_{name}"
                found = within if form == "within" else coordinate
                # Near t = 1 both sides are small differences of a and of K_g log(p/rho).
                errors.append(relative(found[cells], closed_form(forms[full], *at), 1 + a[cells]))
    return report("budget solver's multiplier and direction", [s], *errors, outside=int((length == 0).sum()))


def _unique(forms: Forms) -> Comparison:
    K_A, K_B, R, E_H = grid([2, 5, 300], [1, 20], [1.5, 30, 1e4], np.geomspace(0.1, 10, 8))
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    # At the multiplier of the budget as the price the other solver must find the same optimum.
    priced = decayed(K_A, K_B, 1.0, 1.0, s.multiplier, s.multiplier, weights=(R, 1.0))
    a, _, x, y = four_scalars(s)
    alive = np.hypot(x, y) > 0
    share = np.sqrt(K_B / (K_A + K_B))
    at = (K_A, K_B / K_A, share, np.exp(-s.slack[:, 0]), np.where(alive, x / np.where(alive, np.hypot(x, y), 1), share))
    falling = np.diff(s.multiplier.reshape(-1, 8), axis=1) < 0
    return report(
        "budget solver against penalty solver",
        [s, priced],
        relative(priced.within, s.within, 1 + a[:, None]),
        relative(priced.between, s.between, 1 + a[:, None, None]),
        relative(x, closed_form(forms["coordinate"], *at), 1 + a)[alive],
        claimed(falling),
    )


def _one_scalar(forms: Forms) -> Comparison:
    K_A, K_B, S, share = grid([2, 5, 300], [2, 20], [0.05, 1, 10], np.linspace(0.02, 0.98, 13))
    S = S * (K_A + K_B)
    end = 1 / (1 + np.sqrt(K_B / (K_A + K_B)))
    h = share * np.minimum(end, -np.expm1(-S / (K_A * (K_A - 1))))
    r = closed_form(forms["r"], K_A, K_B, S, h)
    s = layer_peeled(K_A, K_B, np.exp(r), S / (K_A + K_B), S / (K_A + K_B))
    a, e, x, y = four_scalars(s)
    return report(
        "solution at R = exp(r(h)) against h",
        [s],
        *(
            relative(found, closed_form(forms[name], K_A, K_B, S, h), S / (K_A + K_B))
            for name, found in (("a", a), ("e", e), ("sigma", np.hypot(x, y)))
        ),
        claimed(np.diff(r.reshape(-1, 13), axis=1) > 0),
    )


def _merging(forms: Forms) -> Comparison:
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e3, 1e6], [0.2, 2, 10])
    budget = layer_peeled(K_A, K_B, R, 1.0, E_H)
    K_A, K_B, n_A, n_B, decay = grid([2, 20], [2, 5], [3, 100, 5000], [1, 10], np.geomspace(1e-5, 0.1, 10))
    priced = decayed(K_A, K_B, n_A, n_B, decay, 2 * decay)
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


def _merged_boundary(forms: Forms) -> Comparison:
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
        outside=int((~inside).sum()),
    )


def _annihilated_boundary(forms: Forms) -> Comparison:
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
    )


def _minority_collapse(forms: Forms) -> Comparison:
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


def _oversampling(forms: Forms) -> Comparison:
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
    )


def _bounded(s: Solution) -> tuple[Any, ...]:
    """Optimal coordinates pushed off the optimum, what the certificate then claims, and whether it is true."""
    rng = np.random.default_rng(0)
    noise = np.exp(rng.uniform(-6, 0, s.value.shape) * np.log(10))
    within = s.within * (1 + noise[:, None] * rng.uniform(-1, 1, s.within.shape))
    between = s.between * (1 + noise[:, None, None] * rng.uniform(-1, 1, s.between.shape))
    with jax.enable_x64(True):
        program = jax.tree.map(np.asarray, Program.of(s.problem))
    proof = duality_gap(program, within, between, np)
    return np.maximum(proof.value - s.value - proof.gap, 0) / s.value, proof.gap, proof.within, proof.between


def _budget_gap(forms: Forms) -> Comparison:
    K_A, K_B, R, E_H = grid([2, 5, 300], [2, 20], [1.5, 30, 1e4], [0.2, 2, 10])
    s = layer_peeled(K_A, K_B, R, 1.0, E_H)
    violated, gap, within, between = _bounded(s)
    a, e, x, y = four_scalars(s.replace(within=within, between=between))
    pi_A, pi_B = s.problem.groups.weights.T
    slopes = [closed_form(forms[name], K_A, K_B, pi_A, a, x) for name in ("gamma_A", "g_x")]
    gamma_A, g_x, gamma_B, g_y = slopes + [closed_form(forms[n], K_A, K_B, pi_B, e, y) for n in ("gamma_B", "g_y")]
    norm = np.maximum(np.maximum(gamma_A, gamma_B), closed_form(forms["rank_one_norm"], 1.0, 1.0, g_x, g_y))
    exact = closed_form(forms["gap"], K_A, K_B, 1.0, 1.0, a, e, x, y, gamma_A, gamma_B, g_x, g_y, norm)
    cost = (K_A - 1) * np.abs(a) + (K_B - 1) * np.abs(e) + np.hypot(x, y)
    # The certificate also charges for the unused part of the budget.
    exact = exact + norm * (s.problem.groups.num_classes * np.sqrt(E_H) - cost)
    return report("perturbed optima", [s], violated, relative(gap, exact, s.value))


def _penalty_gap(forms: Forms) -> Comparison:
    K_A, K_B, n_A, decay = grid([2, 5, 50], [2, 20], [3, 100, 5000], np.geomspace(1e-5, 0.1, 9))
    s = decayed(K_A, K_B, n_A, 1.0, decay, 2 * decay)
    return report("perturbed optima", [s], _bounded(s)[0])


COMPARISONS: dict[str, Callable[[Forms], Comparison]] = {
    "ce.convex": _convex,
    "lpm.relaxation": _relaxation,
    "lpm.balanced": _balanced,
    "ufm.balanced": _weight_decay,
    "lpm.two_group": _two_group,
    "lpm.kkt": _kkt,
    "lpm.unique": _unique,
    "lpm.one_scalar": _one_scalar,
    "lpm.merging": _merging,
    "lpm.merged_boundary": _merged_boundary,
    "lpm.annihilated_boundary": _annihilated_boundary,
    "lpm.minority_collapse": _minority_collapse,
    "lpm.oversampling": _oversampling,
    "certificate.budget": _budget_gap,
    "certificate.penalty": _penalty_gap,
}
