"""What is measured along a path, on the host and from the factors alone."""

import itertools
from functools import reduce
from typing import Any

import numpy as np

from ..fields import Words
from .path import Path
from .setting import Setting
from .target import Target

#: relative to the largest singular value of centred class means, what is zero
_RANK = 1e-12

WORDS = {
    "log_loss": Words("log of the weighted cross-entropy, without decay"),
    "log_lower_bound": Words("log of a bound that no factors of this norm2 are below; neural collapse attains it"),
    "objective": Words("cross-entropy and weight decay", "nat"),
    "margin": Words("least margin, of all samples and rivals", "nat"),
    "norm2": Words("|W|^2 + |H|^2, of all factors", "nat"),
    "normalised_margin": Words("least margin over norm2, for L factors over norm2^(L/2)"),
    "margin_ratio": Words("least margin over the largest that norm2 allows (for L >= 3 factors over a bound of that)"),
    "smoothed_margin": Words("-log(expm1(N loss)) over norm2, for L factors over norm2^(L/2)"),
    "margin_spread_within": Words("root mean square of margins less their mean in a class", "nat"),
    "margin_spread_between": Words("root mean square of mean margins of pairs of classes less their mean", "nat"),
    "nc0": Words("|1ᵀW|^2 / K", "nat"),
    "nc1": Words("Tr(Sigma_W Sigma_B^+) / K of the features"),
    "nc2": Words("Frobenius distance of the directions of the centred W Wᵀ and of SELI's (ETF balanced)"),
    "nc3": Words("Frobenius distance of the directions of the centred W and of the centred class means"),
    "w_cosine_min": Words("least cosine between centred classifier rows"),
    "w_cosine_max": Words("largest cosine between centred classifier rows"),
    "h_cosine_min": Words("least cosine between centred class means"),
    "h_cosine_max": Words("largest cosine between centred class means"),
    "direction_distance": Words("Frobenius distance of the directions of the centred logits and SELI's (ETF balanced)"),
    "balance_drift": Words("change of A_jᵀA_j - A_(j+1)A_(j+1)ᵀ since the start over norm2, the largest of all j"),
    "column_sum_drift": Words("change of 1ᵀW since the start over |W|"),
}  # fmt: skip


def measured(path: Path, setting: Setting, target: Target) -> dict[str, np.ndarray]:
    """Every variable over (seed, time) that depends on the factors; NaN where a direction does not exist."""
    factors = path.factors
    W, features = factors[0], reduce(np.matmul, factors[1:])
    norm2 = np.sum([_square(factor) for factor in factors], axis=0)
    reach = (norm2 / setting.depth) ** (setting.depth / 2)  # of the nuclear norm of the logits, by Schatten's identity
    with np.errstate(all="ignore"):
        out = {"norm2": norm2} | _margins(W @ features, norm2, reach, setting, target)
        out["log_lower_bound"] = target.log_least_loss(setting.weights, reach)
        out |= _collapse(W, features, setting, target)
        if setting.decays is None:
            out |= _drifts(path, norm2)
        else:
            decay = sum(rate / 2 * _square(factor) for rate, factor in zip(setting.decays, factors, strict=True))
            out["objective"] = np.exp(out["log_loss"]) + decay
    return out


def class_logits(path: Path, setting: Setting) -> np.ndarray:
    """(S, T, K, K) mean logits, column k those of class k."""
    return path.factors[0] @ _class_means(reduce(np.matmul, path.factors[1:]), setting)


def _margins(logits: Any, norm2: Any, reach: Any, setting: Setting, target: Target) -> dict[str, np.ndarray]:
    own = np.arange(setting.K)[:, None] == setting.labels
    margins = np.where(own, np.inf, np.sum(np.where(own, logits, 0.0), axis=-2, keepdims=True) - logits)
    least = margins.min((-2, -1))
    log_loss = _log_sum_exp(setting.log_weights + _log_log1p_exp(_log_sum_exp(-margins, -2)), -1)
    # log(expm1(x)) of x = N loss, neither overflowing where x is large nor losing its digits where it is small.
    log_x = log_loss - setting.log_weights.min()
    x = np.exp(log_x)
    log_expm1 = np.where(x > 1, x + np.log1p(-np.exp(-x)), log_x + np.log(np.expm1(x) / np.where(x > 0, x, 1.0)))
    log_expm1 = np.where(x > 1e-12, log_expm1, log_x)
    finite = np.where(own, 0.0, margins)
    mean = _class_means(finite, setting)
    rivals, off = setting.K - 1, ~np.eye(setting.K, dtype=bool)
    within = np.where(own, 0.0, finite - np.repeat(mean, setting.samples, axis=-1))
    between = mean[..., off] - mean[..., off].mean(-1, keepdims=True)
    scale = norm2 ** (setting.depth / 2)
    return {
        "log_loss": log_loss,
        "margin": least,
        "normalised_margin": least / scale,
        "margin_ratio": least * target.gamma / reach,
        "smoothed_margin": -log_expm1 / scale,
        "margin_spread_within": np.sqrt(_square(within) / (setting.labels.size * rivals)),
        "margin_spread_between": np.sqrt((between**2).mean(-1)),
    }


def _collapse(W: Any, features: Any, setting: Setting, target: Target) -> dict[str, np.ndarray]:
    means = _class_means(features, setting)
    within = features - np.repeat(means, setting.samples, axis=-1)
    M = means - means.mean(-1, keepdims=True)
    centred = W - W.mean(-2, keepdims=True)
    logits = centred @ features
    seli = (np.eye(setting.K) - 1 / setting.K)[:, setting.labels]
    rows = _cosine_range(centred), _cosine_range(np.swapaxes(M, -1, -2))
    return {
        "nc0": (W.sum(-2) ** 2).sum(-1) / setting.K,
        "nc1": _square(_pseudo_inverse(M) @ within) / setting.labels.size,
        "nc2": _apart(centred @ np.swapaxes(centred, -1, -2), target.gram),
        "nc3": _apart(centred, np.swapaxes(M, -1, -2)),
        "w_cosine_min": rows[0][0],
        "w_cosine_max": rows[0][1],
        "h_cosine_min": rows[1][0],
        "h_cosine_max": rows[1][1],
        "direction_distance": _apart(logits, seli),
    }


def _drifts(path: Path, norm2: Any) -> dict[str, np.ndarray]:
    W = path.factors[0]
    balance = [now - then[:, None] for now, then in zip(_balances(path.factors), _balances(path.start), strict=True)]
    sums = W.sum(-2) - path.start[0].sum(-2)[:, None]
    return {
        "balance_drift": np.max([np.sqrt(_square(change)) for change in balance], axis=0) / norm2,
        "column_sum_drift": np.linalg.norm(sums, axis=-1) / np.sqrt(_square(W)),
    }


def _balances(factors: Any) -> list[np.ndarray]:
    """A_jᵀA_j - A_(j+1)A_(j+1)ᵀ of neighbours: for two factors WᵀW - HHᵀ."""
    return [np.swapaxes(A, -1, -2) @ A - B @ np.swapaxes(B, -1, -2) for A, B in itertools.pairwise(factors)]


def _class_means(columns: Any, setting: Setting) -> np.ndarray:
    starts = np.concatenate([[0], np.cumsum(setting.samples)[:-1]])
    return np.add.reduceat(columns, starts, axis=-1) / setting.samples


def _cosine_range(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest cosine between different rows."""
    units = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    cosines = (units @ np.swapaxes(units, -1, -2))[..., ~np.eye(rows.shape[-2], dtype=bool)]
    return cosines.min(-1), cosines.max(-1)


def _pseudo_inverse(M: Any) -> np.ndarray:
    """NaN where M is zero or not finite."""
    known = np.isfinite(M).all((-2, -1)) & (M != 0).any((-2, -1))
    inverse = np.linalg.pinv(np.where(known[..., None, None], M, 1.0), rcond=_RANK)
    return np.where(known[..., None, None], inverse, np.nan)


def _apart(A: Any, B: Any) -> np.ndarray:
    """Frobenius distance of two directions."""
    return np.sqrt(_square(A / np.sqrt(_square(A))[..., None, None] - B / np.sqrt(_square(B))[..., None, None]))


def _square(x: Any) -> Any:
    return (x * x).sum((-2, -1))


def _log_sum_exp(x: Any, axis: int) -> np.ndarray:
    top = x.max(axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(x - top).sum(axis))


def _log_log1p_exp(x: Any) -> np.ndarray:
    """log log(1 + e^x): x to rounding where it is far below zero."""
    return np.where(x < -40, x, np.log(np.logaddexp(0, np.maximum(x, -40))))
