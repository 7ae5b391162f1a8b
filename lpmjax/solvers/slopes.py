"""Loss and gradient at some logits in group coordinates, and the multiplier that they tell."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .. import symmetry
from ..charge import Price
from ..duality import Program, evaluate, gradient
from ..losses.loss import GroupLoss


class Slopes(NamedTuple):
    """The loss at some coordinates, and its gradient there as of :func:`lpmjax.duality.gradient`."""

    loss: GroupLoss
    rival_counts: Array
    log_scale: Array
    pull: Array
    block: Array


def slopes_at(within, between, bias, program: Program) -> Slopes:
    """Evaluate both."""
    loss, rival_counts, log_scale = evaluate(program, within, between, bias)
    pull, block = gradient(loss.wrong, rival_counts, program.classes, program.weights, loss.total)
    return Slopes(loss, rival_counts, log_scale, pull, block)


def log_multiplier_at(within, between, at: Slopes, program: Program):
    """Logarithm of the multiplier of the spectral cost: of the penalty, or of what one more unit of budget is worth."""
    if isinstance(program.charge, Price):
        return jnp.log(program.charge.amount)
    repeats = symmetry.repeats(program.classes)
    worth = (jnp.sum(repeats * at.pull * within) - jnp.sum(at.block * between)) / program.charge.amount
    return program.charge.log_multiplier(worth, at.log_scale)
