"""Good points: F is the least over Q of a function of Z and Q that is easy in each, and steps in turn never raise it.

    sum_k pi_k CE(z_k, k) + (lambda/2) sum_k omega_k^2 z_k' Q^-1 z_k + kappa tr Q^s        (:mod:`.program`)

is smooth and convex in Z = Q^(1/2) Y, class by class, and least at Q = (Z diag(omega)^2 Z')^((L-1)/L).
"""

import numpy as np
from jaxtyping import Float

from .barrier import softmax
from .program import Program, centred_basis

_LENGTHS = np.array([1.0, 0.5, 0.2, 0.05, 0.0])  #: of Newton's steps, of which the best is taken


def random_grams(program: Program, upper: float, count: int) -> Float[np.ndarray, "S d d"]:
    """Starts of every rank, inside the set that holds the minimisers."""
    rng, d = np.random.default_rng(0), len(program.weights) - 1
    left = rng.normal(size=(count, d, d)) * (np.arange(d) <= np.arange(count)[:, None] % d)[:, None]
    values, vectors = np.linalg.eigh(left @ left.swapaxes(-1, -2))
    cost = np.maximum(values, 0) ** program.power
    cost *= rng.uniform(0.2, 0.9, (count, 1)) * program.radius(upper) ** program.power / cost.sum(-1, keepdims=True)
    return (vectors * cost[:, None, :] ** (1 / program.power)) @ vectors.swapaxes(-1, -2)


def descend(program: Program, Q: Float[np.ndarray, "S d d"], steps: int = 300) -> tuple[float, np.ndarray]:
    """The least value F that is reached from Gram matrices on the centred basis, and its Z (K, K)."""
    basis = centred_basis(len(program.weights))
    Y = np.zeros((len(Q), len(basis), Q.shape[-1]))
    for _ in range(steps):
        root = _power(Q, 0.5)
        Y = _newton(program, basis, root, Y)
        Z = Y @ root  # row k the logits of class k
        scaled = Z * program.omega[:, None]
        last, Q = Q, _power(scaled.swapaxes(-1, -2) @ scaled, (program.L - 1) / program.L)
        if np.abs(Q - last).max() <= 1e-14 * np.abs(last).max():
            break
        # The same Z, from the new root.
        Y = Z @ np.linalg.pinv(_power(Q, 0.5), rcond=1e-9, hermitian=True)
    logits = (Z @ basis.T).swapaxes(-1, -2)
    values = program.value(logits)
    best = int(np.argmin(values))
    return float(values[best]), logits[best]


def gram(program: Program, Z: Float[np.ndarray, "K K"]) -> Float[np.ndarray, "d d"]:
    """The Q at which the relaxation is least, of logits."""
    scaled = (Z * program.omega).T @ centred_basis(len(Z))
    return _power(scaled.T @ scaled, (program.L - 1) / program.L)


def _newton(program: Program, basis, root, Y):
    """A step for every class, of the best of some lengths."""
    price = program.price * program.omega[:, None] ** 2

    def value(Y):
        loss = softmax(basis, Y @ root)[1]
        return program.weights * loss + 0.5 * price[:, 0] * (Y**2).sum(-1)

    P, _ = softmax(basis, Y @ root)
    B = basis @ root  # logits = B y; one for each start
    gradient = program.weights[:, None] * ((P - np.eye(len(basis))) @ B) + price * Y
    mean = P @ B
    spread = np.einsum("skj,sja,sjb->skab", P, B, B) - mean[..., :, None] * mean[..., None, :]
    hessian = program.weights[:, None, None] * spread + price[..., None] * np.eye(Y.shape[-1])
    step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
    trials = Y - _LENGTHS[:, None, None, None] * step
    best = np.argmin([value(trial) for trial in trials], axis=0)
    return np.take_along_axis(trials, best[None, ..., None], 0)[0]


def _power(Q, exponent: float):
    values, vectors = np.linalg.eigh(Q)
    return (vectors * np.maximum(values, 0)[..., None, :] ** exponent) @ vectors.swapaxes(-1, -2)
