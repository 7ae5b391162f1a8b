"""Training to stationarity: Adam, then L-BFGS until the gradient is small beside the pull of weight decay."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..solvers.descent import LBFGS, Until, descend, norm
from .nets import Network

if TYPE_CHECKING:
    import optax

#: steps of Adam and its largest rate; steps of L-BFGS in a round; rounds at most
_WARM, _RATE, _ROUND, _ROUNDS = 400, 3e-3, 1500, 8


class Task(NamedTuple):
    """Of a network: minimise ``sum_i weights_i CE(logits(inputs_i), labels_i) + sum_j decays_j |weight_j|² / 2``."""

    inputs: Array
    labels: Int[Array, " N"]
    weights: Float[Array, " N"]  #: of samples, with sum 1
    decays: Float[Array, " L"]  #: of the network's weights, first layer first


class Trained(NamedTuple):
    """Where training ended; every leaf has a leading axis of networks."""

    network: Network
    value: Float[Array, " lanes"]
    residual: Float[Array, " lanes"]
    steps: Int[Array, " lanes"]  #: of L-BFGS
    converged: Bool[Array, " lanes"]  #: residual <= tol


def cross_entropy(network: Network, task: Task) -> Float[Array, ""]:
    """Weighted mean over the samples, in nats."""
    import optax

    losses = optax.softmax_cross_entropy_with_integer_labels(network.logits(task.inputs), task.labels)
    return jnp.sum(task.weights * losses)


def objective(network: Network, task: Task) -> Float[Array, ""]:
    """Cross-entropy and weight decay."""
    squares = jnp.stack([jnp.sum(weight * weight) for weight in network.weights])
    return cross_entropy(network, task) + 0.5 * jnp.sum(task.decays * squares)


def residual(network: Network, task: Task) -> Float[Array, ""]:
    """Norm of the gradient over that of its part from weight decay: 0 at a stationary point."""
    pull = [decay * weight for decay, weight in zip(task.decays, network.weights, strict=True)]
    return norm(jax.grad(objective)(network, task)) / norm(pull)


def train(networks: Network, tasks: Task, tol: float = 1e-3, progress: Callable[[int], None] | None = None) -> Trained:
    """Train a batch of networks, each on its own task.

    Adam with coupled decay (the decay is in the gradient) and a falling rate comes first, then rounds of L-BFGS until
    every ``residual`` is at most ``tol``, or as many as there may be. ``progress`` is told how many networks are done.
    """
    networks = _warmed(networks, tasks)
    steps = jnp.zeros(len(networks.weights[0]), jnp.int32)
    for _ in range(_ROUNDS):
        networks, value, found, more = _polished(networks, tasks, tasks.weights.dtype.type(tol))
        steps += more
        if progress is not None:
            progress(int(jnp.sum(found <= tol)))
        if bool(jnp.all((found <= tol) | jnp.isnan(found))):
            break
    return Trained(networks, value, found, steps, jnp.asarray(found <= tol))


@jax.jit
def _warmed(networks: Network, tasks: Task) -> Network:
    """After Adam, all in lockstep."""
    import optax

    optimizer = optax.adam(optax.cosine_decay_schedule(_RATE, _WARM))

    def run(network: Network, task: Task) -> Network:
        return jax.tree.map(lambda leaf: leaf[0], first_order(objective, network, task, optimizer, 1, _WARM))

    return jax.vmap(run)(networks, tasks)


def first_order(
    loss: Callable[[Network, Task], Array],
    network: Network,
    task: Task,
    optimizer: "optax.GradientTransformation",
    looks: int,
    every: int,
) -> Network:
    """Networks (leading axis) after each ``every`` steps of an optax transformation on the loss, ``looks`` times."""

    def step(carry: Any, _: None) -> Any:
        network, state = carry
        updates, state = optimizer.update(jax.grad(loss)(network, task), state, network)
        return (eqx.apply_updates(network, updates), state), None

    def look(carry: Any, _: None) -> Any:
        carry, _ = jax.lax.scan(step, carry, length=every)
        return carry, carry[0]

    parameters: Any = network
    return jax.lax.scan(look, (network, optimizer.init(parameters)), length=looks)[1]


@jax.jit
def _polished(networks: Network, tasks: Task, tol: Array) -> tuple[Network, Array, Array, Array]:
    """After a round of L-BFGS, one network after another on CPU, so that each stops when it is done."""

    def run(network: Network, task: Task):
        found = descend(objective, residual, network, task, Until(0.3 * tol, tol, _ROUND, 25), LBFGS())
        return found.x, objective(found.x, task), found.residual, found.steps

    return jax.vmap(run)(networks, tasks)
