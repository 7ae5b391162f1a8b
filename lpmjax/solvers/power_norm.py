"""Descents over classifier and features on budgets of their own kind, from random starts."""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ..codes import Phase
from ..compiling import quick_jit
from ..objectives.objective import Structure
from ..objectives.power_norm import Factors, PowerNormObjective
from ..results.pair import described
from ..spectral import singular_values
from .descent import LBFGS, Until, descend, norm
from .implicit import with_derivative
from .solver import Claim, RestartedSolver

#: relative stationarity that a descent aims at, and that it must reach to count as converged
_GOAL, _ACCEPT = 1e-11, 1e-7


@dataclasses.dataclass(frozen=True)
class PowerNormDescent(RestartedSolver):
    """L-BFGS over W and H from ``restarts`` random starts; the gap to the lower bound stays open."""

    max_steps: int = 4000
    name: ClassVar[str] = "factored"
    tol: ClassVar[float] = 1e-8
    exact: ClassVar[bool] = False

    def __call__(self, problem: Any, tol: Any, key: Any, start: Any = None) -> Claim:
        """Claims of ``restarts`` descents, or of one from W and H of ``start``."""
        objective, K, d = problem.objective(), problem.size, problem.dim or problem.size
        if start is not None:
            points = Factors(start.W[None], start.H[None])
        else:

            def drawn(key):
                first, second = jax.random.split(key)
                dtype = objective.weights.dtype
                return Factors(jax.random.normal(first, (K, d), dtype), jax.random.normal(second, (d, K), dtype))

            points = jax.vmap(drawn)(jax.random.split(key, self.restarts))
        with jax.default_matmul_precision("highest"):
            return _run(objective, points, tol, self.max_steps)

    def prove_again(self, problem: Any, result: Any, tol: Any, rounding: Any) -> Claim:
        """From W and H alone; ``converged`` where they are stationary."""
        objective, x = problem.objective(), Factors(result.W, result.H)
        settled = _residual(x, objective) <= _ACCEPT
        claim = _claimed(objective, x, tol, (result.steps, result.restarts, settled, jnp.bool_(True)))
        if rounding is None:
            return claim
        return claim._replace(gap=claim.value, proved=jnp.bool_(False))  # no loss is negative


@partial(quick_jit, static_argnames="max_steps")
def _run(objective: PowerNormObjective, points: Factors, tol: Any, max_steps: int) -> Claim:
    eps = float(jnp.finfo(objective.weights.dtype).eps)

    def claimed(start: Factors) -> Claim:
        until = Until(max(_GOAL, 50 * eps), jnp.asarray(max(_ACCEPT, 1e3 * eps)), max_steps)
        found = descend(_log_value, _residual, start, objective, until, LBFGS())
        ended = (found.steps, found.restarts, found.converged, found.finished)
        return _claimed(objective, with_derivative(_log_value, found.x, objective), tol, ended)

    return jax.vmap(claimed)(points)


def _claimed(objective: PowerNormObjective, x: Factors, tol: Any, ended: Any) -> Claim:
    steps, restarts, settled, finished = ended
    log_value = _log_value(x, objective)
    value, (W, H) = jnp.exp(log_value), objective.onto(x)
    bound = jax.lax.stop_gradient(jnp.maximum(objective.lower_bound(x), 0.0))
    gap = jax.lax.stop_gradient(value) - bound
    values = singular_values(jax.lax.stop_gradient(W @ H))
    proved = gap <= tol * value
    return Claim(
        value=value,
        log_value=log_value,
        gap=gap,
        log_multiplier=jnp.full_like(value, jnp.nan),
        structure=Structure(jnp.int8(Phase.separated), jnp.sum(values > 1e-6 * values[0]), jnp.int32(0)),
        description=described(W, H),
        proved=proved,
        finished=finished,
        steps=steps,
        restarts=restarts,
        stationary=settled,
        told=jnp.bool_(False),
    )


def _log_value(x: Factors, objective: PowerNormObjective):
    value = objective.value(x)
    return jnp.log(jnp.maximum(value, jnp.finfo(value.dtype).tiny))


def _residual(x: Factors, objective: PowerNormObjective):
    """Norm of the gradient times that of the factors."""
    slope = jax.grad(_log_value)(x, objective)
    return norm(slope) * norm(x)
