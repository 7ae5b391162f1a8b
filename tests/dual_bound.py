"""Bounds on the optimum in extended precision, written from the problem statement: a reference for certificates.

Nothing of the package's losses, symmetry or certificate is used. For logits Z = W H, weights pi_k, G = (pi_k y_k)_k and
r = sum_k pi_k y_k, Fenchel's inequality ``loss(z) >= <y, z> - conjugate(y)`` gives for *every* dual point y

    optimum >= -sum_k pi_k conjugate(y_k) - budget ||G diag(1/omega)||_2        (a norm budget), or
               -sum_k pi_k conjugate(y_k)   where ||G diag(1/omega)||_2 <= penalty (weight decay),
               less |r|^2 / (2 decay) for a decayed bias; a free bias needs r = 0.

Conjugates, with p the probabilities that belong to y (c the logit offsets):

    cross-entropy   y = p - e_k                          sum p log p        (adjusted: less <y, c>)
    smoothed        y = p - (1 - eps) e_k - eps/K        sum p log p
    squared error   y = residual z + b - e_k             |y|^2 / 2 + y_k

Arrays have a leading batch axis. Invariant logits are (+)_g within_g (I - J/K_g) + sum_jg between_jg u_j u_g^T with
u_g = 1_g / sqrt(K_g); invariant dual points are a number ``wrong`` per pair of groups and ``right`` per group.

An optimum has within >= 0: below zero a class prefers another of its group to itself, so that raising ``within`` lowers
both the loss and the cost. With that as a constraint only a pull outward counts in the norm of G: ``pull`` where
G = (+)_g -pull_g (I - J/K_g) + block.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LONG = np.longdouble
ULP = np.finfo(LONG).eps
#: the bounds mean little where long doubles are doubles
EXTENDED = bool(ULP < 2e-19)


@dataclass(frozen=True)
class Statement:
    """A batch of problems as a user writes them; ``weights`` are of one class, up to scale."""

    loss: str  #: "cross-entropy", "adjusted", "smoothed" or "squared"
    classes: Any  #: (B, G); 0 is an absent group
    samples: Any  #: (B, G)
    weights: Any  #: (B, G)
    parameter: Any  #: (B,) tau of "adjusted", epsilon of "smoothed"
    first: Any  #: (B,) E_W or lambda_W
    second: Any  #: (B,) E_H or lambda_H
    decays: bool  #: whether first and second are weight decays
    bias: str = "none"  #: "none", "free" or "decayed"
    bias_decay: Any = None  #: (B,)


class _Problem:
    """The numbers that follow from a statement, in long double."""

    def __init__(self, s: Statement):
        self.loss, self.bias = s.loss, s.bias
        self.K, n, raw = (np.asarray(x, LONG) for x in (s.classes, s.samples, s.weights))
        raw = raw / raw.max(-1, keepdims=True)
        self.pi = raw / np.sum(self.K * raw, -1, keepdims=True)
        self.total = self.K.sum(-1)
        self.here = self.K > 0
        self.size = np.where(self.here, self.K, 1)
        self.eye = np.eye(self.K.shape[-1], dtype=bool)
        counts = self.K[:, :, None] - self.eye
        #: [j, g] wrong classes of group j that a class of group g has
        self.rivals = np.where(self.here[:, :, None] & self.here[:, None, :], np.maximum(counts, 0), 0)
        self.repeats = np.where(self.K >= 1, self.K - 1, 0)
        price = np.sqrt(np.asarray(s.first, LONG)) * np.sqrt(np.asarray(s.second, LONG))
        self.decays = s.decays
        self.price = price if s.decays else None
        self.budget = None if s.decays else self.total * price
        self.omega = np.sqrt(n) if s.decays else np.ones_like(n)
        self.bias_decay = None if s.bias_decay is None else np.asarray(s.bias_decay, LONG)
        self.parameter = None if s.parameter is None else np.asarray(s.parameter, LONG)
        self.offsets = self.parameter[:, None] * np.log(n) if s.loss == "adjusted" else np.zeros_like(n)
        self.floor = (self.parameter / self.total)[:, None] if s.loss == "smoothed" else np.zeros_like(n[:, :1])
        self.centred = s.loss != "squared"
        #: a few units of the last place, in every sum and factorisation below
        self.ulps = 8 * (self.K.shape[-1] + 4) * ULP


def bounds(statement: Statement, within, between, bias=None) -> tuple[Any, Any]:
    """(upper, lower) bounds (B,) on the optimum: the objective at these coordinates brought inside the budget, and the
    best of the dual points that belong to them; no objective is negative."""
    upper, lower = all_bounds(statement, within, between, bias)
    return upper, np.maximum(np.max(lower, 0), 0)


def all_bounds(statement: Statement, within, between, bias=None) -> tuple[Any, list[Any]]:
    """The same with the lower bound of each dual point; the first is the gradient, scaled down to the penalty."""
    p = _Problem(statement)
    within, between = np.asarray(within, LONG), np.asarray(between, LONG)
    bias = np.zeros_like(within) if p.bias == "none" else np.asarray(bias, LONG)
    with np.errstate(all="ignore"):
        within, between, cost = _inside(p, within, between)
        upper, at = _primal(p, within, between, bias, cost)
        return upper, [_dual(p, *point, at.size) for point in _points(p, at, within, between)]


def _inside(p, within, between):
    here = p.here[:, :, None] & p.here[:, None, :]
    within, between = np.where(p.repeats > 0, within, 0), np.where(here, between, 0)
    if p.centred:
        unit = np.sqrt(p.K / p.total[:, None])
        between = between - unit[:, :, None] * np.sum(unit[:, :, None] * between, 1, keepdims=True)
    cost = np.sum(p.repeats * p.omega * np.abs(within), -1) + _turned(between * p.omega[:, None, :]).nuclear
    if p.budget is None:
        return within, between, cost
    cut = np.where(cost > p.budget, p.budget / np.where(cost > 0, cost, 1) * (1 - 4 * ULP), 1)
    return within * cut[:, None], between * cut[:, None, None], cost * cut


@dataclass
class _At:
    wrong: Any  #: (B, G, G) gradient by the logit of one wrong class of j, of a sample of g
    right: Any  #: (B, G)
    probability: Any  #: of a wrong class
    log_right: Any
    size: Any  #: (B,) largest summand of a logit, plus one


def _primal(p, within, between, bias, cost):
    pairs = np.sqrt(p.size[:, :, None] * p.size[:, None, :])
    own = within * (1 - 1 / p.size) + np.einsum("bgg->bg", between) / p.size
    other = between / pairs - np.where(p.eye, (within / p.size)[:, None, :], 0)
    shift = bias + p.offsets
    used = np.where(p.rivals > 0, np.abs(between) / pairs, 0)
    size = (
        1 + np.max(np.abs(within), -1) + 2 * np.max(used, (-2, -1)) + 2 * np.max(np.where(p.here, np.abs(shift), 0), -1)
    )
    if p.loss == "squared":
        right = own + shift - 1
        wrong = np.where(p.rivals > 0, other + shift[:, :, None], 0)
        each = (right * right + np.sum(p.rivals * wrong * wrong, 1)) / 2
        probability = log_right = np.zeros_like(right)
    else:
        margins = np.where(p.eye, within[:, None, :], own[:, None, :] - other)
        margins = margins + shift[:, None, :] - shift[:, :, None]
        counted = np.where(p.rivals > 0, margins, np.inf)
        low = np.minimum(counted.min(1), 0)
        terms = np.exp(low[:, None, :] - counted)
        mass = np.sum(p.rivals * terms, 1)
        # exp(low) + mass = 1 + (mass + expm1(low)), and expm1 keeps what is small
        log_total = np.log1p(mass + np.expm1(low)) - low
        probability = terms / (mass + np.exp(low))[:, None, :]
        log_right = -log_total
        each = log_total + np.sum(np.where(p.rivals > 0, p.rivals * margins, 0), 1) * p.floor
        wrong = probability - p.floor[:, None, :]
        right = -np.sum(p.rivals * wrong, 1)
    at = _At(np.where(p.rivals > 0, wrong, 0), np.where(p.here, right, 0), probability, log_right, size)
    value = np.sum(p.K * p.pi * each, -1)
    if p.decays:
        value = value + p.price * cost
    if p.bias == "decayed":
        value = value + p.bias_decay / 2 * np.sum(p.K * bias * bias, -1)
    return value + p.ulps * (size * _spread(p, at.wrong, at.right) + value + (ULP * size) ** 2), at


def _spread(p, wrong, right):
    return np.sum(p.K * p.pi * (np.abs(right) + np.sum(p.rivals * np.abs(wrong), 1)), -1)


def _points(p, at, within, between):
    """Dual points (wrong, right): the gradient, and two that are within the multiplier as they are."""
    wrong, right = at.wrong, at.right
    if p.bias == "free":
        wrong, right = _balanced(p, at)
    pull, block = _matrix(p, wrong, right)
    level = p.price
    if level is None:
        level = (np.sum(p.repeats * pull * within, -1) - np.sum(block * between, (-2, -1))) / p.budget
    level = np.maximum(level, 0)
    most = level[:, None] * p.omega
    weighted = block / p.omega[:, None, :]
    cut = _cut(weighted, level) * p.omega[:, None, :]
    # On the logits' own singular vectors exactly the multiplier: what rounding of the logits left of it is gone.
    scaled = between * p.omega[:, None, :]
    if p.bias == "free":  # weighted row sums vanish where columns are orthogonal to omega sqrt(K)
        axis = np.where(p.here, p.omega * np.sqrt(p.size), 0)
        axis = axis / np.sqrt(np.sum(axis**2, -1, keepdims=True))
        scaled, weighted = (
            matrix - np.sum(matrix * axis[:, None, :], -1, keepdims=True) * axis[:, None, :]
            for matrix in (scaled, weighted)
        )
    logits = _turned(scaled)
    there = logits.lengths > 1e-12 * np.max(logits.lengths, -1, keepdims=True)
    u = np.where(there[:, None, :], logits.columns / np.where(there, logits.lengths, 1)[:, None, :], 0)
    v = np.where(there[:, None, :], logits.v, 0)
    rest = weighted - u @ (u.swapaxes(1, 2) @ weighted)
    rest = _cut(rest - (rest @ v) @ v.swapaxes(1, 2), level)
    aligned = (rest - level[:, None, None] * (u @ v.swapaxes(1, 2))) * p.omega[:, None, :]
    return [
        (wrong, right),
        _from_matrix(p, np.minimum(pull, most), cut),
        _from_matrix(p, np.where(within > 0, most, np.minimum(pull, most)), aligned),
    ]


def _cut(block, level):
    """The block with its singular values cut at ``level``."""
    turned = _turned(block)
    long = turned.lengths > level[:, None]
    keep = np.where(long, level[:, None] / np.where(long, turned.lengths, 1), 1)
    return np.einsum("bij,bj,bkj->bik", turned.columns, keep, turned.v)


def _matrix(p, wrong, right):
    """In-group coefficient (of -(I - J/K_g)) and G x G block of (pi_k y_k)_k."""
    inside = np.einsum("bgg->bg", wrong)
    pull = np.where(p.repeats > 0, p.pi * (inside - right), 0)
    across = np.sqrt(p.size[:, :, None] * p.size[:, None, :]) * p.pi[:, None, :] * wrong
    diagonal = p.pi * (right + p.repeats * inside)
    here = p.here[:, :, None] & p.here[:, None, :]
    return pull, np.where(here, np.where(p.eye, diagonal[:, None, :], across), 0)


def _from_matrix(p, pull, block):
    diagonal = np.einsum("bgg->bg", block)
    inside = (diagonal + pull) / (p.pi * p.size)
    wrong = block / (p.pi[:, None, :] * np.sqrt(p.size[:, :, None] * p.size[:, None, :]))
    wrong = np.where(p.rivals > 0, np.where(p.eye, inside[:, None, :], wrong), 0)
    if p.centred:
        return wrong, -np.sum(p.rivals * wrong, 1)
    return wrong, np.where(p.here, np.where(p.repeats > 0, inside - pull / p.pi, diagonal / p.pi), 0)


def _row_sums(p, wrong, right):
    return p.pi * right + np.sum(p.rivals.swapaxes(1, 2) * p.pi[:, None, :] * wrong, -1)


def _balanced(p, at):
    """A dual point whose weighted row sums vanish (Altschuler, Weed and Rigollet's rounding of a transport plan)."""
    if p.loss == "squared":
        wrong, right = at.wrong, at.right
        for _ in range(2):  # the second time for the rounding of the first
            mean = _row_sums(p, wrong, right)
            wrong, right = np.where(p.rivals > 0, wrong - mean[:, :, None], 0), np.where(p.here, right - mean, 0)
        return wrong, right
    excess = _row_sums(p, at.wrong, at.right)
    own = np.exp(at.log_right)
    mass = p.pi * own + np.sum(p.rivals.swapaxes(1, 2) * p.pi[:, None, :] * at.probability, -1)
    cut = np.where(p.here, np.maximum(excess, 0) / np.where(mass > 0, mass, 1), 0)
    row = np.where(p.here, np.maximum(-excess, 0), 0)
    column = own * cut + np.sum(p.rivals * at.probability * cut[:, :, None], 1)
    lacking = np.sum(p.K * row, -1)
    added = row[:, :, None] * column[:, None, :] / np.where(lacking > 0, lacking, 1)[:, None, None]
    wrong = np.where(p.rivals > 0, at.wrong - at.probability * cut[:, :, None] + added, 0)
    return wrong, -np.sum(p.rivals * wrong, 1)


def _dual(p, wrong, right, size):
    """The dual objective at any point, less what its own rounding may amount to."""
    pull, block = _matrix(p, wrong, right)
    norm = np.maximum(np.max(pull / p.omega, -1), _turned(block / p.omega[:, None, :]).norm)
    norm = norm + p.ulps * np.max(p.pi / p.omega * (np.abs(right) + np.sum(p.rivals * np.abs(wrong), 1)), -1)
    if p.decays:
        shrink = np.minimum(1, p.price / np.where(norm > 0, norm, 1))
        wrong, right = wrong * shrink[:, None, None], right * shrink[:, None]
        paid = 0
    else:
        paid = norm * p.budget
    if p.loss == "squared":
        each = -right - (right * right + np.sum(p.rivals * wrong * wrong, 1)) / 2
        terms = np.abs(right) + (right * right + np.sum(p.rivals * wrong * wrong, 1))
        feasible = True
    else:
        q = wrong + p.floor[:, None, :]
        mass = np.sum(p.rivals * q, 1)
        logs = np.where(q > 0, np.log(np.where(q > 0, q, 1)), 0)
        of_wrong, of_right = -np.sum(p.rivals * q * logs, 1), -(1 - mass) * np.log1p(-np.minimum(mass, 1 - ULP))
        of_right = np.where(mass < 1, of_right, 0)
        tilt = np.sum(p.rivals * wrong * (p.offsets[:, :, None] - p.offsets[:, None, :]), 1)
        each = of_wrong + of_right + tilt
        terms = np.sum(p.rivals * np.abs(q) * np.abs(logs), 1) + of_right + np.abs(mass) + np.abs(tilt)
        feasible = np.all((q >= 0) | (p.rivals == 0), (-2, -1)) & np.all(mass <= 1, -1)
    value = np.sum(p.K * p.pi * each, -1) - paid
    noise = np.sum(p.K * p.pi * terms, -1) + paid + size * _spread(p, wrong, right)
    sums = _row_sums(p, wrong, right)
    if p.bias == "decayed":
        slop = p.ulps * (np.abs(p.pi * right) + np.sum(p.rivals.swapaxes(1, 2) * p.pi[:, None, :] * np.abs(wrong), -1))
        value = value - np.sum(p.K * (np.abs(sums) + slop) ** 2, -1) / (2 * p.bias_decay)
    if p.bias == "free":  # a point without row sums is as near as these are small, at a price within the noise
        feasible = feasible & (np.sum(p.K * np.abs(sums), -1) <= p.ulps * _spread(p, wrong, right))
    value = value - p.ulps * noise
    return np.where(feasible & np.isfinite(value), value, -np.inf)


@dataclass
class _Turned:
    """``block = columns @ v.T`` with v orthogonal to rounding and the columns nearly so."""

    columns: Any
    v: Any
    lengths: Any
    nuclear: Any  #: no less than the nuclear norm: sum of |column_i| |v_i|
    norm: Any  #: no less than the spectral norm


def _turned(block) -> _Turned:
    """Hestenes' one-sided Jacobi rotations, begun from LAPACK's vectors; the bounds hold whatever these are."""
    G = block.shape[-1]
    scale = np.max(np.abs(block), (-2, -1), keepdims=True)
    finite = np.all(np.isfinite(block), (-2, -1), keepdims=True)
    unit = np.where(finite, block / np.where(scale > 0, scale, 1), 0)
    v = np.linalg.svd(unit.astype(np.float64))[2].swapaxes(1, 2).astype(LONG)
    for _ in range(2):  # Newton's iteration for the nearest orthogonal matrix
        v = v @ (3 * np.eye(G) - v.swapaxes(1, 2) @ v) / 2
    b = unit @ v
    for _ in range(3):
        for i in range(G - 1):
            for j in range(i + 1, G):
                x, y, inner = b[:, :, i], b[:, :, j], np.sum(b[:, :, i] * b[:, :, j], -1)
                difference = np.sum((y - x) * (y + x), -1)
                zeta = difference / np.where(inner != 0, 2 * inner, 1)
                tangent = np.where(zeta >= 0, 1, -1) / (np.abs(zeta) + np.sqrt(1 + zeta * zeta))
                tangent = np.where(inner != 0, tangent, 0)
                cos = 1 / np.sqrt(1 + tangent * tangent)
                for a in (b, v):
                    old = a[:, :, i].copy()
                    a[:, :, i] = cos[:, None] * (old - tangent[:, None] * a[:, :, j])
                    a[:, :, j] = cos[:, None] * (tangent[:, None] * old + a[:, :, j])
    b = unit @ v
    scale = np.where(finite, scale, np.nan)[:, 0, 0]
    frobenius = np.sqrt(np.sum(b * b, (-2, -1)))
    skew = np.sqrt(np.sum((v.swapaxes(1, 2) @ v - np.eye(G)) ** 2, (-2, -1))) + 4 * G * ULP
    gram = np.abs(b.swapaxes(1, 2) @ b)
    lengths = np.sqrt(np.einsum("bii->bi", gram))
    square = np.max(np.sum(gram, -1), -1) + 4 * G * G * ULP * frobenius**2
    norm = np.sqrt(square / (1 - skew))
    nuclear = (np.sum(lengths, -1) + 4 * G * G * ULP * frobenius) / (1 - skew)
    return _Turned(b * scale[:, None, None], v, lengths * scale[:, None], nuclear * scale, norm * scale)
