"""Derivative of a minimiser by the parameters of its problem, matrix-free."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree


def attach(objective: Callable[[Any, Any], Any], minimiser: Any, parameters: Any) -> Any:
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

        def solve(matvec, b):
            return _conjugate_gradients(matvec, b)

        move = jax.lax.custom_linear_solve(product, jax.tree.map(jnp.negative, change), solve, symmetric=True)
        return x, move

    return attached(jax.lax.stop_gradient(minimiser), parameters)


def _conjugate_gradients(matvec, b):
    flat, unravel = ravel_pytree(b)
    eps = float(jnp.finfo(flat.dtype).eps)

    def product(v):
        return ravel_pytree(matvec(unravel(v)))[0]

    x, _ = jax.scipy.sparse.linalg.cg(product, flat, tol=10 * eps, maxiter=2000)
    return unravel(x)
