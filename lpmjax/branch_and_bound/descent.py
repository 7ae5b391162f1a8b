"""Good points: descents over all L factors of the network, from random ones and from logits of relaxations.

    least over A_1, ..., A_L with Z diag(omega) = A_1 ... A_L of  sum_k pi_k CE(z_k, k) + (lambda/2) sum_j |A_j|^2

is F (:mod:`.program`) at inner widths of K - 1, and smooth. What is returned is F of the logits reached, so that
nothing depends on how far a descent came.
"""

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

from .program import Program

_MEMORY = 12
_STEPS = 600


def random_logits(program: Program, count: int) -> list[Float[np.ndarray, "K K"]]:
    """Products of random factors of every inner width, of the sizes that logits have."""
    rng, K = np.random.default_rng(0), len(program.weights)
    found = []
    for start in range(count):
        rank = 1 + start % (K - 1)
        Z = rng.normal(size=(K, rank)) @ rng.normal(size=(rank, K))
        found.append(np.exp(rng.uniform(0, 2.5)) * Z / np.sqrt(rank))
    return found


def descend(program: Program, starts: Iterable[Float[np.ndarray, "K K"]]) -> tuple[float, Float[np.ndarray, "K K"]]:
    """The least value of F that is reached from logits, and its Z."""
    found = []
    for Z in starts:
        left, sigma, right = np.linalg.svd(Z * program.omega)
        sigma, d = sigma[:-1] ** (1 / program.L), len(sigma) - 1
        middle = [np.diag(sigma)] * (program.L - 2)
        x = np.concatenate([a.ravel() for a in (left[:, :d] * sigma, *middle, sigma[:, None] * right[:d])])
        Z = _logits(program, _lbfgs(lambda x: _network(program, x), x))
        found.append((float(program.value(Z)), Z))
    return min(found, key=lambda point: point[0])


def _factors(program: Program, x: np.ndarray) -> list[np.ndarray]:
    K = len(program.weights)
    sizes = [(K, K - 1), *[(K - 1, K - 1)] * (program.L - 2), (K - 1, K)]
    ends = np.cumsum([0] + [a * b for a, b in sizes])
    return [x[start:end].reshape(size) for start, end, size in zip(ends, ends[1:], sizes, strict=False)]


def _logits(program: Program, x: np.ndarray) -> Float[np.ndarray, "K K"]:
    Z = np.linalg.multi_dot(_factors(program, x)) / program.omega
    return Z - Z.mean(0)


def _network(program: Program, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Objective and gradient by all factors."""
    factors = _factors(program, x)
    before = [np.eye(len(program.weights))]
    for factor in factors:
        before.append(before[-1] @ factor)
    Z = before[-1] / program.omega
    shifted = Z - Z.max(0)
    raised = np.exp(shifted)
    loss = np.log(raised.sum(0)) - np.diagonal(shifted)
    slope = (raised / raised.sum(0) - np.eye(len(Z))) * (program.weights / program.omega)
    gradients = []
    for factor, head in zip(reversed(factors), reversed(before[:-1]), strict=True):
        gradients.append(head.T @ slope + program.price * factor)
        slope = slope @ factor.T
    value = loss @ program.weights + 0.5 * program.price * (x @ x)
    return float(value), np.concatenate([g.ravel() for g in reversed(gradients)])


def _lbfgs(function: Callable[[np.ndarray], tuple[float, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """L-BFGS with halved steps; ends where no step is lower."""
    value, gradient = function(x)
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MEMORY)
    for _ in range(_STEPS):
        direction, length = -_inverse_hessian(pairs, gradient), 1.0
        slope = direction @ gradient
        while length > 1e-12:
            trial = x + length * direction
            lower, after = function(trial)
            if lower <= value + 1e-4 * length * slope:
                break
            length *= 0.5
        if not lower < value:
            break
        if (trial - x) @ (after - gradient) > 0:
            pairs.append((trial - x, after - gradient))
        x, value, gradient = trial, lower, after
    return x


def _inverse_hessian(pairs: deque, gradient: np.ndarray) -> np.ndarray:
    """Times the gradient, from the last steps and changes of the gradient."""
    direction, shares = gradient.copy(), []
    for step, change in reversed(pairs):
        shares.append((step @ direction) / (step @ change))
        direction -= shares[-1] * change
    if pairs:
        step, change = pairs[-1]
        direction *= (step @ change) / (change @ change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - (change @ direction) / (step @ change)) * step
    return direction
