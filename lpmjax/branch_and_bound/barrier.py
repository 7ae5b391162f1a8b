"""Good multipliers of a simplex: Newton's method along the central path of its convex relaxation.

    least over w >= 0, sum w = 1, X = sum w_i V_i >= 0, logits zeta, t >= the mean by w of each of the vertices' costs:
    t + sum_k pi_k CE(zeta_k, k) + (1/2) sum_k a_k zeta_k' X^-1 zeta_k,      a_k = lambda omega_k^2 / r,

is convex (the last term is matrix-fractional). Minimised less mu (sum log w + log det X + sum log of the slacks of t)
it has the multipliers P = softmax(zeta), N = mu X^-1, theta = mu / slacks, with a gap of about mu times the number of
logarithms. The last vertex is an artificial one, positive definite and dear: a point to start from. Nothing here is
part of a proof.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .bound import Multipliers, Relaxation, concave_part, holds_none, safe_bound, spread

_STEPS = 40
_DEAR = 3.0  #: cost of the artificial vertex, over the cutoff
_MU = 1.0  #: first mu, over the cutoff
_SHRINK = 0.15


class Point(NamedTuple):
    """Of each simplex of a batch."""

    w: Float[np.ndarray, "B m"]
    zeta: Float[np.ndarray, "B K d"]


class Simplices(NamedTuple):
    """With the artificial vertex last."""

    V: Float[np.ndarray, "B m d d"]
    costs: Float[np.ndarray, "B eta m"]

    def at(self, w):
        """X."""
        return np.einsum("bm,bmde->bde", w, self.V)


def softmax(basis: Float[np.ndarray, "K d"], zeta: Float[np.ndarray, "*batch K d"]):
    """Probabilities (..., K, K), row k those of class k, and cross-entropies (..., K)."""
    logits = zeta @ basis.T
    top = logits.max(-1, keepdims=True)
    raised = np.exp(logits - top)
    total = raised.sum(-1, keepdims=True)
    own = np.diagonal(logits, axis1=-2, axis2=-1)
    return raised / total, (np.log(total) + top)[..., 0] - own


def _epigraph(each, mu):
    """Least t - mu sum log((t - each) / mu) over t; the shares mu / (t - each) there; the largest of ``each``."""
    top = each.max(-1, keepdims=True)
    below = (each - top) / mu[:, None]
    t = np.ones_like(top)
    for _ in range(8):  # Newton for sum 1/(t - below) = 1 on its reciprocal, which is nearly linear
        shares = 1 / (t - below)
        total = shares.sum(-1, keepdims=True)
        t = t + (total - 1) * total / (shares**2).sum(-1, keepdims=True)
    shares = 1 / (t - below)
    least = top[:, 0] + mu * (t[:, 0] - np.log(t - below).sum(-1))
    return least, shares / shares.sum(-1, keepdims=True), top[:, 0]


def _value(relaxation: Relaxation, simplices: Simplices, point: Point, mu):
    """Objective, and with barriers; infinite outside."""
    eig, vec = np.linalg.eigh(simplices.at(point.w))
    inside = (eig[:, 0] > 0) & (point.w.min(-1) > 0)
    eig = np.where(inside[:, None], eig, 1.0)
    w = np.where(inside[:, None], point.w, 1.0)
    quadratic = ((point.zeta @ vec) ** 2 / eig[:, None, :]).sum(-1) @ relaxation.stiffness
    loss = softmax(relaxation.basis, point.zeta)[1] @ relaxation.weights + 0.5 * quadratic
    smooth, _, top = _epigraph(np.einsum("bjm,bm->bj", simplices.costs, w), mu)
    barrier = smooth - mu * (np.log(eig).sum(-1) + np.log(w).sum(-1))
    return np.where(inside, loss + top, np.inf), np.where(inside, loss + barrier, np.inf)


class _Direction(NamedTuple):
    point: Point  #: its change
    slope: np.ndarray
    longest: np.ndarray  #: step that stays inside
    multipliers: Multipliers


def _direction(relaxation: Relaxation, simplices: Simplices, point: Point, mu) -> _Direction:
    """Newton's, and the multipliers of the point."""
    w, (V, costs), a = point.w, simplices, relaxation.stiffness[:, None, None]
    eig, vec = np.linalg.eigh(simplices.at(w))
    root = vec / np.sqrt(eig)[:, None, :]
    inverse = root @ root.swapaxes(-1, -2)
    P, _ = softmax(relaxation.basis, point.zeta)
    _, shares, _ = _epigraph(np.einsum("bjm,bm->bj", costs, w), mu)
    s = point.zeta @ inverse
    moved = np.einsum("bmde,bke->bkmd", V, s)
    white = root.swapaxes(-1, -2)[:, None] @ V @ root[:, None]
    of_w = np.einsum("bj,bjm->bm", shares, costs) - 0.5 * np.einsum("bkmd,bkd->bm", moved * a, s)
    of_w -= mu[:, None] * (np.trace(white, axis1=-2, axis2=-1) + 1 / w)
    of_zeta = relaxation.weights[:, None] * ((P - np.eye(len(a))) @ relaxation.basis) + a[:, 0] * s
    mean = P @ relaxation.basis
    spread = relaxation.basis.T @ (P[..., None] * relaxation.basis) - mean[..., :, None] * mean[..., None, :]
    by_zeta = relaxation.weights[:, None, None] * spread + a * inverse[:, None]
    mixed = -a * (inverse[:, None] @ moved.swapaxes(-1, -2))
    flat = white.reshape(*white.shape[:2], -1) * np.sqrt(mu)[:, None, None]
    weighted = shares[..., None] * costs / np.sqrt(mu)[:, None, None]
    drift = (shares[:, None] @ weighted) / np.linalg.norm(shares, axis=-1)[:, None, None]
    by_w = flat @ flat.swapaxes(-1, -2) + weighted.swapaxes(-1, -2) @ weighted - drift.swapaxes(-1, -2) @ drift
    by_w -= np.einsum("bkmd,bkdn->bmn", moved, mixed)
    change = _solved(w, mu, Point(of_w, of_zeta), (by_w, mixed, by_zeta))
    turn = root.swapaxes(-1, -2) @ simplices.at(change.w) @ root
    inward = np.minimum(np.linalg.eigvalsh(turn)[:, 0], (change.w / w).min(-1))
    return _Direction(
        change,
        (of_w * change.w).sum(-1) + (of_zeta * change.zeta).sum((-1, -2)),
        np.minimum(1.0, 0.9 / np.maximum(-inward, 1e-300)),
        Multipliers(P, shares, np.sqrt(mu)[:, None, None] * root.swapaxes(-1, -2)),
    )


def _solved(w, mu, gradient: Point, hessian) -> Point:
    """Newton's change of a point, with sum w kept: zeta is eliminated class by class, and w scaled by its barrier."""
    by_w, mixed, by_zeta = hessian
    solved = np.linalg.solve(by_zeta, np.concatenate([mixed, gradient.zeta[..., None]], -1))
    schur = by_w - np.einsum("bkdm,bkdn->bmn", mixed, solved[..., :-1])
    left = gradient.w - np.einsum("bkdm,bkd->bm", mixed, solved[..., -1])
    scaled = schur * w[:, :, None] * w[:, None, :] + mu[:, None, None] * np.eye(w.shape[1])
    sides = np.linalg.solve(scaled, np.stack([-left * w, w], -1))
    balance = (sides[..., 0] * w).sum(-1, keepdims=True) / (sides[..., 1] * w).sum(-1, keepdims=True)
    change = (sides[..., 0] - balance * sides[..., 1]) * w
    return Point(change, -solved[..., -1] - np.einsum("bkdm,bm->bkd", solved[..., :-1], change))


def _step(relaxation: Relaxation, simplices: Simplices, point: Point, mu):
    """The next point, the direction to it, and the objective before."""
    direction = _direction(relaxation, simplices, point, mu)
    value, before = _value(relaxation, simplices, point, mu)
    length = direction.longest
    for _ in range(12):
        w = point.w + length[:, None] * direction.point.w
        trial = Point(w / w.sum(-1, keepdims=True), point.zeta + length[:, None, None] * direction.point.zeta)
        _, after = _value(relaxation, simplices, trial, mu)
        good = after <= before + 1e-4 * length * direction.slope + 1e-13 * np.abs(before)
        if good.all():
            break
        length = np.where(good, length, 0.3 * length)
    w = np.where(good[:, None], trial.w, point.w)
    return Point(w, np.where(good[:, None, None], trial.zeta, point.zeta)), direction, value


def lower_bounds(relaxation: Relaxation, V: Float[np.ndarray, "B m d d"], start: Point, cutoff: float, finest: float):
    """Lower bounds (B,) of simplices, and where their relaxations are least.

    A simplex is left as soon as its bound reaches ``cutoff``, or clearly never will; mu goes down to ``finest``.
    """
    bound = np.where(holds_none(V), np.inf, -np.inf)
    w = start.w / start.w.sum(-1, keepdims=True)
    found = Point(w, start.zeta.copy())
    w = 0.5 * (w + 1 / w.shape[1])
    open_ = np.flatnonzero(bound < cutoff)
    simplices = _with_artificial(relaxation, V[open_], w[open_], cutoff)
    point = Point(np.concatenate([0.5 * w, np.full((len(w), 1), 0.5)], 1)[open_], start.zeta[open_])
    mu = np.full(len(open_), _MU * cutoff)
    for _ in range(_STEPS):
        if len(open_) == 0:
            break
        before = point
        try:
            point, direction, value = _step(relaxation, simplices, point, mu)
        except np.linalg.LinAlgError:  # what is proved so far stands, and halves are easier
            break
        proved = safe_bound(relaxation, simplices.V[:, :-1], simplices.costs[..., :-1], direction.multipliers)
        bound[open_] = np.fmax(bound[open_], proved)
        found.w[open_], found.zeta[open_] = before.w[:, :-1], before.zeta
        now, settled = bound[open_], -direction.slope
        hopeless = (value - now <= 2 * (cutoff - value)) & (before.w[:, -1] < 1e-2)
        keep = ~((now >= cutoff) | hopeless | ((mu <= finest) & (settled < 1e-4 * mu)))
        mu = np.where(settled < mu, np.maximum(_SHRINK * mu, finest), mu)[keep]
        open_ = open_[keep]
        simplices, point = Simplices(*(x[keep] for x in simplices)), Point(*(x[keep] for x in point))
    return bound, Point(found.w / found.w.sum(-1, keepdims=True), found.zeta)


def _with_artificial(relaxation: Relaxation, V, w, cutoff: float) -> Simplices:
    """Simplices with a last vertex that makes half of it and half of the point w positive definite."""
    X = np.einsum("bm,bmde->bde", w, V)
    lift = np.maximum(-np.linalg.eigvalsh(X)[:, 0], 0) + 0.05 * spread(V)
    last = X + 2 * lift[:, None, None] * np.eye(V.shape[-1])
    costs = concave_part(relaxation, V)
    dear = np.full((*costs.shape[:2], 1), _DEAR * cutoff)
    return Simplices(np.concatenate([V, last[:, None]], 1), np.concatenate([costs, dear], 2))
