"""Derivative of a minimiser by the parameters of its problem, matrix-free."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

#: steps of conjugate gradients, and how many of them may fail to halve the residual
_MAX_STEPS, _PATIENCE = 2000, 200


def with_derivative(objective: Callable[[Any, Any], Any], minimiser: Any, parameters: Any) -> Any:
    """The same ``minimiser`` of ``objective(x, parameters)``, carrying its derivative by the parameters.

    Stationarity gives ``hessian dx = -d(gradient)/d(parameters)``, solved by conjugate gradients with Hessian-vector
    products. Minimisers are a manifold (rotations of the feature space): the Hessian is singular along it, and the
    right side has no part there, so the solution by conjugate gradients has none either. Forward and reverse mode.
    """

    def gradient(x, parameters):
        return jax.grad(objective)(x, parameters)

    @jax.custom_jvp
    def attached(x, parameters):
        return x

    @attached.defjvp
    def _rule(primals, tangents):
        x, parameters = primals
        x = attached(x, parameters)
        _, change = jax.jvp(lambda p: gradient(x, p), (parameters,), (tangents[1],))
        _, product = jax.linearize(lambda x: gradient(x, parameters), x)

        # As one vector: to be transposed, every part of the right side must depend on the tangents.
        flat, unravel = ravel_pytree(change)

        def hessian(direction):
            return ravel_pytree(product(unravel(direction)))[0]

        move = jax.lax.custom_linear_solve(hessian, -flat, _conjugate_gradients, symmetric=True)
        return x, unravel(move)

    return attached(jax.lax.stop_gradient(minimiser), parameters)


def _conjugate_gradients(matvec, b):
    """Solution of least residual. The matrix is singular: past convergence rounding grows along its null space."""
    goal = (10 * jnp.finfo(b.dtype).eps) ** 2 * jnp.vdot(b, b)

    def running(carry):
        *_, best, idle, step = carry
        return (best[1] > goal) & (idle < _PATIENCE) & (step < _MAX_STEPS)

    def body(carry):
        x, r, direction, size, best, idle, step = carry
        product = matvec(direction)
        curvature = jnp.vdot(direction, product)
        length = size / jnp.where(curvature > 0, curvature, jnp.inf)
        x, r = x + length * direction, r - length * product
        now = jnp.vdot(r, r)
        idle = jnp.where(now < 0.5 * best[1], 0, idle + 1)
        best = jax.tree.map(partial(jnp.where, now < best[1]), (x, now), best)
        return x, r, r + now / size * direction, now, best, idle, step + 1

    zero, size = jnp.zeros_like(b), jnp.vdot(b, b)
    start = (zero, b, b, size, (zero, size), jnp.int32(0), jnp.int32(0))
    *_, best, _, _ = jax.lax.while_loop(running, body, start)
    return best[0]
