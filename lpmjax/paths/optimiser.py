"""The steps of an optimiser, of which gradient descent is the simplest, as a path."""

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .path import Path
from .setting import Setting
from .velocity import Landscape, log_loss, velocity

if TYPE_CHECKING:
    import optax


def follow(setting: Setting, start: Any, steps: np.ndarray, optimizer: "optax.GradientTransformation") -> Path:
    """The factors after these numbers of steps, increasing whole numbers from 0 on."""
    at = Landscape.of(setting)
    factors, separated = _descend(start, jnp.asarray(steps), setting.log_separated, at, optimizer)
    separated = np.where(np.asarray(separated) < 0, np.nan, separated)
    reached = np.ones(len(separated), bool)
    return Path.of(start, factors, np.full(len(separated), steps[-1]), separated, reached)


def provenance(problem: Any, optimizer: "optax.GradientTransformation") -> dict[str, Any]:
    """How the path was had, for its data set."""
    method = getattr(optimizer.update, "__qualname__", "optax")
    return {"title": f"optimizer's path of {type(problem).__name__}", "method": method, "time_unit": "step"}


@partial(jax.jit, static_argnames="optimizer")
def _descend(starts: Any, steps: Any, log_separated: Any, at: Landscape, optimizer: Any) -> Any:
    """Of every seed: factors after ``steps``, and the first step whose log loss is low enough, or -1."""
    import optax

    optimizer = optax.with_extra_args_support(optimizer)  # a line search, as of optax.lbfgs, asks for values as well

    def objective(factors):
        squares = [rate / 2 * jnp.sum(A * A) for rate, A in zip(at.decays or (), factors, strict=False)]
        return jnp.exp(log_loss(factors, at)) + sum(squares)

    def step(count, carry):
        factors, state, separated = carry
        gradient = jax.tree.map(jnp.negative, velocity(factors, 0.0, at))
        known = {"value": objective(factors), "grad": gradient, "value_fn": objective}
        updates, state = optimizer.update(gradient, state, factors, **known)
        factors = optax.apply_updates(factors, updates)
        first = (separated < 0) & (log_loss(factors, at) <= log_separated)
        return factors, state, jnp.where(first, count + 1, separated)

    def one(factors):
        def to(carry, ends):
            carry = jax.lax.fori_loop(ends[0], ends[1], step, carry)
            return carry, carry[0]

        separated = jnp.where(log_loss(factors, at) <= log_separated, 0, -1)
        ends = jnp.concatenate([jnp.zeros_like(steps[:1]), steps])
        carry = (factors, optimizer.init(factors), separated)
        (_, _, separated), kept = jax.lax.scan(to, carry, (ends[:-1], ends[1:]))
        return kept, separated

    return jax.vmap(one)(starts)
