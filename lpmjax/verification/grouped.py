"""Any number of groups of equal classes, against dense K x K matrices of logits, probabilities and slopes."""

from typing import Any, NamedTuple

import numpy as np

from ..losses.squared_error import SquaredError
from ..results.solution import Solution
from .comparison import Comparison, Forms, claimed, decayed, full_logits, perturbed, relative, relative2, report
from .formula import closed_form

_PRESENT = 1e-7  # share of the largest singular value, or row, above which one is not zero
_TWO_OF_FOUR = ((2, 3, 0, 0), (1, 4, 0, 0))  # padded: all solutions here share one compilation
_CELLS = 12  # random problems for each of these sizes
_SIZES = ((1, 2, 3, 4), (5, 1, 1, 2), (2, 2, 2, 2))  # classes in each group


class Dense(NamedTuple):
    """A batch of K x K matrices."""

    Z: np.ndarray  #: logits, one column per class
    p: np.ndarray  #: probabilities
    slope: np.ndarray  #: minus the gradient of the loss by the logits
    loss: np.ndarray
    nuclear: np.ndarray  #: ||Z diag(omega)||_*
    norm: np.ndarray  #: ||slope diag(1 / omega)||_2
    gram: np.ndarray  #: (Z diag(omega)^2 Z^T)^(1/2)
    rank: np.ndarray


def _dense(classes, s: Solution) -> Dense:
    """The full matrices of the coordinates of ``s``, with plain cross-entropy and SVDs."""
    Z, groups = full_logits(classes, s), s.problem.groups
    pi, omega = _per_class(classes, groups.weights), _per_class(classes, np.sqrt(groups.samples))
    p = np.exp(Z - Z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(pi * np.log(np.einsum("bkk->bk", p)[:, None]), axis=(1, 2))
    slope = pi * (np.eye(len(p[0])) - p)
    gram, singular = _absolute(Z * omega)
    norm = np.linalg.norm(slope / omega, 2, axis=(1, 2))
    rank = (singular > _PRESENT * np.maximum(singular[:, :1], _PRESENT)).sum(axis=1)
    return Dense(Z, p, slope, loss, singular.sum(axis=-1), norm, gram, rank)


def _per_class(classes, values) -> np.ndarray:
    """(cells, 1, K) values of groups, to weigh columns of logits with."""
    return np.repeat(values, classes, axis=-1)[:, None]


def _absolute(M) -> tuple[np.ndarray, np.ndarray]:
    """(M M^T)^(1/2) and the singular values."""
    left, singular, _ = np.linalg.svd(M)
    return (left * singular[:, None, :]) @ np.swapaxes(left, 1, 2), singular


def _random(classes, seed: int, equal: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples (or ones), weights, and prices up to the largest active one."""
    rng = np.random.default_rng(seed)
    K = np.asarray(classes)[:, None]
    samples, factor = 10 ** rng.uniform(0, 2, (K.size, _CELLS)), 10 ** rng.uniform(-0.5, 0.5, (K.size, _CELLS))
    weights = samples * factor / np.sum(K * samples * factor, axis=0)
    samples = np.ones_like(samples) if equal else samples
    return samples, weights, np.max((K > 0) * weights / np.sqrt(samples), axis=0) * 10 ** rng.uniform(-1.5, 0, _CELLS)


def grouped(forms: Forms) -> Comparison:
    """Solutions and points near them."""
    errors, solved = [], []
    for seed, classes in enumerate(_SIZES):
        samples, weights, price = _random(classes, seed)
        s = decayed(classes, samples, (2 * price, price / 2), weights)
        dense = _dense(classes, s)
        for point, full in ((s, dense), (off := perturbed(s), _dense(classes, off))):
            errors += _coordinates(forms, classes, point, full)
        first, last, several = _places(classes)
        length, next_to = dense.gram[:, first, first], dense.gram[:, first, last]
        longest, alive = length.max(axis=1, keepdims=True), dense.nuclear > 0
        errors += [
            relative(s.value, dense.loss + price * dense.nuclear),
            relative2(s.multiplier[alive], dense.norm[alive]),
            relative(s.w_norm2, length / 2, longest),
            relative(np.where(length > 0, s.cosine * length, 0.0), next_to, longest)[:, several],
        ]
        solved.append(s)
    return report("K x K matrices, at optima and near them", solved, *errors)


def _places(classes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last class of each group, and whether there are several."""
    ends = np.cumsum(classes)
    return ends - classes, ends - 1, np.asarray(classes) > 1


def _coordinates(forms: Forms, classes, s: Solution, dense: Dense) -> list[np.ndarray]:
    """What the theorem says of the K x K matrices of coordinates that need not be optimal."""
    first, last, several = _places(classes)
    K, across = np.asarray(classes, float), ~np.eye(len(classes), dtype=bool)
    pi, omega = s.problem.groups.weights, np.sqrt(s.problem.groups.samples)
    a, B, block = s.within, s.between, s.between * omega[:, None, :]
    own = np.einsum("bgg->bg", B)

    def form(name, *columns) -> Any:
        return closed_form(forms[name], *columns)

    def between(matrix) -> np.ndarray:
        return matrix[:, first[:, None], first]

    logit = dense.Z[:, first, first]
    margin = form("margin", K[:, None], K, a[:, None], own[:, None], B)
    nuclear = np.linalg.norm(block, "nuc", axis=(1, 2))
    right, wrong = dense.p[:, first, first], dense.p[:, last, first]
    pull = form("pull_within", pi, right, wrong)
    slope = form("pull_other", K[:, None], K, pi[:, None], between(dense.p))
    slope = np.where(across, slope, form("pull_own", K, pi, right, wrong)[:, None])
    norm = np.maximum(
        np.max((pull / omega)[:, several], axis=1), np.linalg.norm(slope / omega[:, None], 2, axis=(1, 2))
    )
    gap = (
        form("gap_share", K, omega, a, pull, norm[:, None]).sum(axis=1) + norm * nuclear - (slope * B).sum(axis=(1, 2))
    )
    root, _ = _absolute(block)
    F, length = np.einsum("bgg->bg", root), dense.gram[:, first, first]
    longest = length.max(axis=1, keepdims=True)
    shown = several & (length > _PRESENT * longest)
    cosine = form("cos", *(x[shown] for x in np.broadcast_arrays(K, omega, a, F)))
    return [
        relative(form("own_logit", K, a, own), logit, np.abs(a) + np.abs(own)),
        relative(margin, logit[:, None] - between(dense.Z), 1 + np.abs(logit[:, None]))[:, across],
        relative(form("cost_share", K, omega, a).sum(axis=1) + nuclear, dense.nuclear),
        relative(norm, dense.norm),
        relative(gap, dense.norm * dense.nuclear - (dense.slope * dense.Z).sum(axis=(1, 2)), norm * dense.nuclear),
        relative(form("w_norm2", K, omega, a, F), length, longest),
        relative(form("w_inner", K[:, None], K, root), between(dense.gram), longest[:, None])[:, across],
        relative(
            cosine * length[shown], dense.gram[:, first, last][shown], np.broadcast_to(longest, length.shape)[shown]
        ),
    ]


def rank(forms: Forms) -> Comparison:
    """Ranks by SVD: with two groups, more of them, equal omega, and the counterexample of the theorem."""
    errors, solved = [], []
    for seed, classes in enumerate((*_TWO_OF_FOUR, *_SIZES, (1, 1, 1, 1))):
        for equal in (False, True):
            samples, weights, price = _random(classes, seed, equal)
            s = decayed(classes, samples, (price, price), weights)
            dense = _dense(classes, s)
            active = np.asarray(classes) * (s.slack > 0)
            A = active.sum(axis=1)
            errors += [
                claimed(dense.rank == s.rank, (dense.rank == 0) | (A >= 1), _distinct_rows(classes, s, active > 0)),
                claimed((dense.rank <= A) | ~_contracts(dense)),
            ]
            if classes in _TWO_OF_FOUR or equal:  # proved for two groups, measured where all omega are equal
                errors.append(claimed((dense.rank == A - 1) | (dense.rank == A)))
            solved.append(s)
    s, error = _more_than_active()
    return report("SVD of K x K logits", [*solved, s], *errors, error)


def _distinct_rows(classes, s: Solution, active) -> np.ndarray:
    """Whether the mean logit rows of the active groups are pairwise different."""
    rows = s.between / np.sqrt(np.maximum(classes, 1))[:, None]
    apart = (
        np.abs(rows[:, :, None] - rows[:, None]).max(axis=-1) > _PRESENT * np.abs(rows).max(axis=(1, 2))[:, None, None]
    )
    pairs = active[:, :, None] & active[:, None] & ~np.eye(len(classes), dtype=bool)
    return np.all(apart | ~pairs, axis=(1, 2))


def _contracts(dense: Dense) -> np.ndarray:
    """The theorem's condition for rank <= A."""
    left, _, _ = np.linalg.svd(dense.Z)
    u = left * (np.arange(len(left[0])) < dense.rank[:, None])[:, None]
    return np.linalg.norm(u - np.swapaxes(dense.p, 1, 2) @ u, 2, axis=(1, 2)) < 1


def _more_than_active() -> tuple[Solution, np.ndarray]:
    """One active class and logits of rank 2, at the root that the theorem encloses."""
    from proofs.rank import ACTIVE, MULTIPLIER, NEARBY, OMEGA, WEIGHTS

    price = float(MULTIPLIER) / sum(WEIGHTS)
    absent = (1,)
    s = decayed((1, 1, 1, 0), (*np.square(OMEGA), *absent), (price, price), (*WEIGHTS, *absent))
    dense = _dense((1, 1, 1, 0), s)
    near = np.abs(dense.Z[0, :2].ravel() - np.array(NEARBY, float)) < 1e-5
    return s, claimed(near.all(), (s.slack[0, :3] > 0).sum() == ACTIVE, dense.rank == s.rank, s.rank == ACTIVE + 1)


def squared_error(forms: Forms) -> Comparison:
    """Classes on both sides of the threshold."""
    classes = np.array([1, 2, 3, 4])
    rng = np.random.default_rng(0)
    n = 10 ** rng.uniform(0, 2, (4, 120))
    N = classes @ n
    limit = n[rng.integers(4, size=120), np.arange(120)] * np.repeat([0.01, 0.3, 1 - 1e-4, 1 + 1e-4, 1.5, 100], 20)
    lambda_W, lambda_H = 2 * np.sqrt(limit) / N, np.sqrt(limit) / (2 * N)
    s = decayed(classes, n, (lambda_W, lambda_H), loss=SquaredError)
    alive = (n > closed_form(forms["threshold"], N, lambda_W, lambda_H)).T

    def form(name) -> np.ndarray:
        return closed_form(forms[name], n.T, *(x[:, None] for x in (N, lambda_W, lambda_H)))

    sigma, w_norm2, h_norm2 = (np.where(alive, form(name), 0.0) for name in ("sigma", "w_norm2", "h_norm2"))
    value = np.where(alive, form("value_share"), n.T / (2 * N[:, None])) @ classes
    terms = np.sqrt(n.T)  # sigma is a difference of them and N lambda
    gram, _ = _absolute(full_logits(classes, s) * _per_class(classes, terms))
    expected = _per_class(classes, sigma) * np.eye(classes.sum())
    return report(
        "K x K matrices, both sides of the threshold",
        [s],
        claimed((s.w_norm2 > 0) == alive),
        relative2(gram, expected, terms.max(axis=1)[:, None, None]),
        relative2(s.w_norm2, w_norm2, terms / 2),
        relative2(s.h_norm2, h_norm2, 2 / terms),
        relative(s.value, value),
    )
