"""Unconstrained features without decay: separation and its dual, what it bounds, the exact flow, and the way to it."""

import jax
import numpy as np

from ..compiling import quick_jit
from ..groups import ClassGroups
from ..problems.separation import Separation
from ..regularisation import regularisation_path
from ..solve import solve
from .comparison import Comparison, Forms, claimed, decayed, grid, in_lanes, relative, report, rows
from .formula import closed_form

_FACTORS = 64  # random W and H for each K and n
_STEPS = 1500  # of a Runge-Kutta method of order 4, in log time


@quick_jit
@jax.vmap
def _separate(row):
    classes, samples = row.reshape(2, -1)
    return solve(Separation(ClassGroups(classes, samples)))


def seli(forms: Forms) -> Comparison:
    """Value, geometry and dual of two groups."""
    at = grid([2, 5, 300], [2, 40], [1, 30, 1e4, 1e8], [1, 7])
    s = in_lanes(_separate, rows(*at))
    weighted = s.between * np.sqrt(np.stack(at[2:], axis=-1))[:, None]
    found = {"value": s.value, "sigma": np.linalg.norm(weighted, axis=(1, 2))}
    for g, name in enumerate("AB"):
        found |= {f"{view}_{name}": getattr(s, view)[:, g] for view in ("w_norm2", "h_norm2")}
        found |= {f"beta_{other}{name}": s.dual[:, j, g] for j, other in enumerate("AB")}
    errors = [relative(value, closed_form(forms[name], *at)) for name, value in found.items()]
    errors += [relative(s.cosine[:, g], closed_form(forms[f"cos_{name}"], *at), 1.0) for g, name in enumerate("AB")]
    return report("two groups, whose duality gap closes", [s], *errors)


def lower_bound(forms: Forms) -> Comparison:
    """Attained by optima at equal decays of W and H, not crossed by any other W and H."""
    K_A, K_B, n, share = grid([1, 3, 50], [2, 40], [1, 500], [1e-6, 0.1, 0.9])
    K = K_A + K_B
    decay = share / K / np.sqrt(n)
    s = decayed((K_A, K_B), (n, n), (decay, decay))
    norm2 = np.sum(np.stack([K_A, K_B], -1) * (s.w_norm2 + n[:, None] * s.h_norm2), axis=-1)
    balanced = in_lanes(_separate, rows(K_A, K_B, n, n))
    return report(
        "two-group solver at R = 1; random W and H",
        [s, balanced],
        relative(s.value - decay * norm2 / 2, closed_form(forms["bound"], K, n, norm2)),
        relative(s.margin[:, 0], closed_form(forms["reach"], K, n, norm2)),
        relative(balanced.value, closed_form(forms["separation"], K, n)),
        *(_not_crossed(forms, classes, samples) for classes, samples in ((3, 1), (4, 2))),
    )


def _not_crossed(forms: Forms, K: int, n: int) -> np.ndarray:
    rng, d = np.random.default_rng(0), 3
    W = rng.normal(size=(_FACTORS, K, d)) * np.exp(rng.normal(size=(_FACTORS, 1, 1)))
    H = rng.normal(size=(_FACTORS, d, K, n))
    Z = np.einsum("bkd,bdjn->bkjn", W, H)
    right = np.einsum("bkkn->bkn", Z)
    loss = np.mean(np.log(np.sum(np.exp(Z - right[:, None]), axis=1)), axis=(1, 2))
    norm2 = np.sum(W * W, axis=(1, 2)) + np.sum(H * H, axis=(1, 2, 3))
    return claimed(loss > closed_form(forms["bound"], K, n, norm2))


def landscape(forms: Forms) -> Comparison:
    """The multiplier of optima with weight decay, and the saddle of classes tied in two halves."""
    K_A, K_B, n, share = grid([1, 3, 50], [2, 40], [1, 500], [1e-6, 0.1, 0.9])
    decay = share / (K_A + K_B) / np.sqrt(n)
    s = decayed((K_A, K_B), (n, n), (decay, decay))
    errors = [relative(decay, closed_form(forms["collapsed"], K_A + K_B, n, s.margin[:, 0]))]
    for classes, samples, size in ((4, 2, 1.5), (6, 1, 0.7), (10, 3, 2.0)):
        side = np.where(np.arange(classes) < classes // 2, 1.0, -1.0)
        label, zero = np.repeat(np.arange(classes), samples), np.zeros(classes)
        # Balanced, so critical by its symmetry; the second dimension is free.
        W = np.stack([side * samples**0.25 * size, zero], axis=1)
        H = np.stack([side * samples**-0.25 * size, zero])[:, label]
        G = _gradient(W @ H, label)
        mu = -np.sum(G * (W @ H)) / np.sum(W * W)
        left, singular, right = np.linalg.svd(G)
        step, rho = 1e-3, 2 * np.sum(W * W)
        moved = [W + step * np.outer(left[:, 0], [0, 1]), H - step * np.outer([0, 1], right[0])]
        scale = rho / (rho + 2 * step**2)
        fall = _loss(W @ H, label) - _loss(scale * moved[0] @ moved[1], label)
        errors += [
            relative(singular[0], closed_form(forms["tied"], classes, samples)),
            claimed(abs(fall / step**2 / closed_form(forms["rate"], singular[0], mu) - 1) < 1e-4),
            relative(np.linalg.norm(G @ H.T + mu * W) / (mu * np.linalg.norm(W)), 0.0, 1.0),
        ]
    return report("two-group solver at R = 1; saddles of classes tied in two halves", [s], *errors)


def _loss(Z, label) -> float:
    """Mean cross-entropy of samples."""
    return float(np.mean(np.log(np.sum(np.exp(Z - Z[label, np.arange(label.size)]), axis=0))))


def _gradient(Z, label) -> np.ndarray:
    """Its gradient."""
    P = np.exp(Z - Z.max(axis=0))
    return (P / P.sum(axis=0) - np.eye(len(Z))[:, label]) / label.size


def ray(forms: Forms) -> Comparison:
    """The flow of all entries of W and H, stepped in log time, from neural collapse to t = 200."""
    K, n, start = grid([2, 4, 7], [1, 3], [0.5])
    end = 200.0
    errors = []
    for k, m, a in zip(K.astype(int), n.astype(int), start, strict=True):
        S = np.eye(k) - 1 / k
        W, H = np.sqrt(np.sqrt(m) * a) * S, np.repeat(np.sqrt(a / np.sqrt(m)) * S, m, axis=1)
        W, H = _flow(W, H, np.repeat(np.arange(k), m), end)
        found = (W @ H)[:, ::m]
        margins = np.diag(found)[None, :] - found
        alpha = np.sum(margins) / (k * (k - 1))
        clock = closed_form(forms["clock"], k, np.array([a, alpha]))
        errors += [relative(clock[1] - clock[0], 2 * end / np.sqrt(m)), relative(margins + alpha * np.eye(k), alpha)]
    return Comparison("Runge-Kutta on all of W and H", np.concatenate([e.ravel() for e in errors]), K.size, K.size)


def hadamard(forms: Forms) -> Comparison:
    """The flow of all entries of W and H to t = 200: logits are still of that kind, and move as the theorem says."""
    chi = np.array([[(-1.0) ** (i & g).bit_count() for g in range(4)] for i in range(4)])
    errors, starts = [], ([0.2, 0.5, 1.0], [0.5, 0.5, 0.5], [3.0, 0.1, 0.7])
    for start in starts:
        root = (chi.T * np.sqrt([0.0, *start])) @ chi / 4
        W, H = _flow(root, root.T, np.arange(4), 200.0)
        G = _gradient(W @ H, np.arange(4))
        sizes, speed = (chi @ M @ chi.T / 4 for M in (W @ H, -G @ H.T @ H - W @ W.T @ G))
        a = np.diag(sizes)
        errors.append(relative(sizes - np.diag(a), 0.0, np.max(a)))
        for i, j, k in ((1, 2, 3), (2, 1, 3), (3, 1, 2)):
            errors.append(relative(speed[i, i], closed_form(forms["speed"], a[i], a[j], a[k])))
    return Comparison("Runge-Kutta on all of W and H", np.concatenate([np.ravel(e) for e in errors]), 3, len(starts))


def _flow(W, H, label, end: float) -> tuple[np.ndarray, np.ndarray]:
    """W and H at time ``end``."""

    def speed(W, H):
        G = _gradient(W @ H, label)
        return -G @ H.T, -W.T @ G

    first = 1e-2  # times are first (exp(u) - 1)
    u, step = 0.0, np.log1p(end / first) / _STEPS
    for _ in range(_STEPS):
        moves = []
        for part in (0.0, 0.5, 0.5, 1.0):
            dW, dH = moves[-1] if moves else (0.0, 0.0)
            pace = step * first * np.exp(u + part * step)
            moves.append(tuple(pace * move for move in speed(W + part * dW, H + part * dH)))
        W, H = (x + (a + 2 * b + 2 * c + d) / 6 for x, a, b, c, d in zip((W, H), *moves, strict=True))
        u += step
    return W, H


def path(forms: Forms) -> Comparison:
    """Directions of optima at decays down to 1e-200: the rate, and that they keep it."""
    points, errors = [], []
    for K_A, K_B, n_A in ((2, 2, 10.0), (5, 5, 10.0), (3, 40, 500.0)):
        for norm, name, at in (
            ("per_sample", "rate", (K_A, K_B, n_A, 1.0)),
            ("class_average", "rate_class_average", (K_A, K_B, n_A)),
        ):
            limit = Separation(ClassGroups.two_group(K_A, K_B, n_A), norm=norm)
            ds = regularisation_path(limit, [1e-50, 1e-100, 1e-200])
            rate = closed_form(forms[name], *at)
            errors.append(relative(ds["rate"].values, rate))
            across = np.log(1 / ds["decay"].values)
            off = np.abs(ds["distance"].values * across - rate)  # halves with every square of the decay
            errors.append(claimed(off[1:] < 0.66 * off[:-1], off[-1] < 0.06 * rate))
            points.append(ds)
    return report("certified optima of two groups", points, *errors)
