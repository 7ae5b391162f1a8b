"""Quasi-Newton descents on the plain factored form, the logarithm of the loss of ``budget W H / (|W|^2 + |H|^2) 2``.

No budget is left to hold, and no local minimum is spurious at this width; what differs is the solver. Each stops by a
tolerance of its own, tuned here on the instance: the loosest value of its ladder that certifies is the one timed.
"""

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..instances import Instance, relative_gap
from . import Peer

_MEMORY, _MOST_STEPS, _RESTARTS = 20, 20_000, 5


def start(K: int) -> np.ndarray:
    """W and H of K - 1 dimensions, one after the other, Gaussian."""
    return np.random.default_rng(0).normal(size=2 * K * (K - 1)) / np.sqrt(K)


def _split(x: Any, K: int):
    half = K * (K - 1)
    return x[:half].reshape(K, K - 1), x[half:].reshape(K - 1, K)


def logits_of(x: Any, budget: Any, K: int):
    """Z on the budget from the factors."""
    W, H = _split(x, K)
    return 2 * budget * (W @ H) / (x @ x)


def loss_of(x: Any, weights: Any, budget: Any):
    """The objective for jax."""
    with jax.default_matmul_precision("highest"):
        Z = logits_of(x, budget, weights.size)
        each = jax.nn.logsumexp(Z, axis=0) - jnp.diagonal(Z)
        return jnp.log(weights @ each)


def loss_and_gradient(x: np.ndarray, weights: np.ndarray, budget: float) -> tuple[float, np.ndarray]:
    """The same for NumPy, with its gradient written out."""
    K = weights.size
    W, H = _split(x, K)
    product, scale = W @ H, 2 * budget / (x @ x)
    Z = scale * product
    top = Z.max(axis=0)
    powers = np.exp(Z - top)
    sums = powers.sum(axis=0)
    value = weights @ (np.log(sums) + top - np.diagonal(Z))
    slope = powers / sums
    slope[np.diag_indices(K)] -= 1
    slope *= weights / value
    gradient = np.concatenate([(slope @ H.T).ravel(), (W.T @ slope).ravel()]) * scale
    return float(np.log(value)), gradient - 2 * np.sum(slope * Z) / (x @ x) * x


def _scipy(instances: Sequence[Instance], seconds: float):
    from scipy.optimize import minimize

    instance = instances[0]
    arguments = (instance.weights, instance.budget)

    def solve(gap: float):
        begin, steps = time.perf_counter(), 0

        def stop(intermediate_result):
            nonlocal steps
            steps += 1
            late = time.perf_counter() - begin > seconds
            # Its own stop leaves gaps of 4e-8: it is stopped by the certificate instead, looked at now and then.
            if late or (steps % 20 == 0 and relative_gap(instance, logits(intermediate_result)[0]) <= gap):
                raise StopIteration

        options = {"maxcor": _MEMORY, "maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "ftol": 0.0, "gtol": 1e-15}
        x = start(instance.K)
        for _ in range(_RESTARTS):  # a line search that fails at rounding is helped by forgetting the past
            found = minimize(loss_and_gradient, x, arguments, "L-BFGS-B", jac=True, callback=stop, options=options)
            x = found.x
            if time.perf_counter() - begin > seconds or relative_gap(instance, logits(found)[0]) <= gap:
                break
        return found

    def logits(found: Any) -> list[Any]:
        return [logits_of(found.x, instance.budget, instance.K)]

    return solve, logits


def _lanes(instances: Sequence[Instance]):
    weights = jnp.asarray(np.stack([instance.weights for instance in instances]))
    budgets = jnp.asarray([instance.budget for instance in instances])
    first = jnp.asarray(start(instances[0].K), weights.dtype)

    def logits(found: Any) -> list[Any]:
        return list(jax.vmap(lambda x, b: logits_of(x, b, instances[0].K))(found, budgets))

    return weights, budgets, first, logits


def _optax(instances: Sequence[Instance], seconds: float):
    import optax

    weights, budgets, first, logits = _lanes(instances)
    transform = optax.lbfgs(memory_size=_MEMORY)

    def descend(weights, budget, tol):
        def objective(x):
            return loss_of(x, weights, budget)

        def step(carry):
            x, state, count = carry
            value, gradient = optax.value_and_grad_from_state(objective)(x, state=state)
            updates, state = transform.update(gradient, state, x, value=value, grad=gradient, value_fn=objective)
            return optax.apply_updates(x, updates), state, count + 1

        def more(carry):
            x, state, count = carry
            slope = optax.tree.norm(optax.tree.get(state, "grad")) * jnp.linalg.norm(x)
            return (count == 0) | ((slope > tol) & (count < _MOST_STEPS // 4))

        return jax.lax.while_loop(more, step, (first, transform.init(first), 0))[0]

    every = jax.jit(jax.vmap(descend, in_axes=(0, 0, None)))
    return lambda tol: jax.block_until_ready(every(weights, budgets, tol)), logits


def _optimistix(instances: Sequence[Instance], seconds: float):
    import optimistix as optx

    weights, budgets, first, logits = _lanes(instances)

    def descend(weights, budget, tol):
        solver = optx.LBFGS(rtol=tol, atol=tol, history_length=_MEMORY)
        found = optx.minimise(
            lambda x, _: loss_of(x, weights, budget), solver, first, max_steps=_MOST_STEPS // 4, throw=False
        )
        return found.value

    every = jax.jit(jax.vmap(descend, in_axes=(0, 0, None)))
    return lambda tol: jax.block_until_ready(every(weights, budgets, tol)), logits


def _torch(instances: Sequence[Instance], seconds: float):
    import torch  # pyright: ignore[reportMissingImports]

    instance = instances[0]
    weights, budget = torch.tensor(instance.weights), instance.budget

    def solve(tol: float):
        x = torch.tensor(start(instance.K), requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [x], max_iter=_MOST_STEPS, history_size=_MEMORY, tolerance_grad=tol, tolerance_change=tol**2,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure():
            optimizer.zero_grad()
            Z = logits_of(x, budget, instance.K)
            loss = torch.log(weights @ (torch.logsumexp(Z, 0) - torch.diagonal(Z)))
            loss.backward()
            return loss

        optimizer.step(closure)
        return x.detach().numpy()

    return solve, lambda x: [logits_of(x, budget, instance.K)]


_GAPS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
_SLOPES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
_SLOW = "a solve takes minutes"

PEERS = (
    Peer("SciPy L-BFGS-B", _scipy, _GAPS[-2:], 1000, _SLOW, precision_ladder=_GAPS),
    Peer("optax L-BFGS", _optax, _SLOPES, 100, _SLOW),
    Peer("optax L-BFGS, vmapped", _optax, _SLOPES, 20, _SLOW, batch=True),
    Peer("optimistix L-BFGS", _optimistix, _SLOPES, 100, _SLOW),
    Peer("optimistix L-BFGS, vmapped", _optimistix, _SLOPES, 20, _SLOW, batch=True),
    Peer("PyTorch L-BFGS", _torch, _SLOPES, 100, _SLOW),
)
