"""lpmjax on the same terms as its peers: its logits go through the same judge."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

import lpmjax as lpm

from ..instances import Instance
from . import Peer


def _single(instances: Sequence[Instance], seconds: float):
    problem = instances[0].problem()

    def solve(max_steps):
        return jax.block_until_ready(lpm.solve(problem, max_steps=max_steps))

    return solve, lambda solution: [solution.logits()]


def _batch(instances: Sequence[Instance], seconds: float):
    first = instances[0].two_group
    if first is None:
        raise ValueError("the batch of this peer holds two-group instances: give it those.")
    K_A, K_B = first[:2]
    R = jnp.asarray([instance.two_group[2] for instance in instances if instance.two_group is not None])
    E_H = jnp.asarray([instance.s**2 for instance in instances])

    @jax.jit
    def every(R, E_H):
        return jax.vmap(lambda r, e: lpm.solve(lpm.LayerPeeled.two_group(K_A, K_B, r, 1.0, e)))(R, E_H)

    def logits(solutions):
        lanes = [jax.tree.map(lambda leaf, i=i: leaf[i], solutions) for i in range(len(instances))]
        return [lane.logits() for lane in lanes]

    return lambda _: jax.block_until_ready(every(R, E_H)), logits


PEERS = (
    Peer("lpmjax", _single, (None,), 10**6, precision_ladder=(10, 20, 30, 40, 60, 80, 120)),
    Peer("lpmjax, batch", _batch, (None,), 10**6, batch=True, two_groups_only=True),
)
