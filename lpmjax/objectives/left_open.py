"""What the rounding of a problem's numbers leaves open of its certificate."""

from typing import Any

import jax
import numpy as np

from ..bias import DecayedBias
from ..charge import Budget
from ..duality import Certificate, Program, evaluate, largest_term
from ..written import Rounding, worst


def left_open(program: Program, proof: Certificate, bias: Any, rounding: Rounding | None):
    """(...,) by how much the optimum of what was written can be below what ``proof`` says, to first order.

    At the dual point of the proof every number of the problem enters the bound linearly or as a factor of the norm.
    """
    if rounding is None:
        return np.zeros_like(proof.value)
    classes, weights = program.classes, program.weights
    loss, rival_counts, *_ = evaluate(program, proof.within, proof.between, bias)
    each = np.abs(loss.wrong)
    moved = weights * (np.abs(loss.total) + np.sum(rival_counts * each, axis=-2))
    moved_at_all = np.sum(classes * moved, axis=-1)
    paid = proof.norm * program.charge.amount if isinstance(program.charge, Budget) else proof.value
    size = 1 + largest_term(program, proof.within, proof.between, bias)
    parameter = sum(worst(np.abs(x), proof.value.ndim) for x in jax.tree.leaves(program.loss))
    exposed = moved_at_all if program.offsets is not None else moved_at_all + parameter
    change = rounding.weights * (proof.value + 2 * paid + 2 * size * moved_at_all)
    change = change + (rounding.omega + rounding.price) * paid + 2 * rounding.loss * (size + parameter) * exposed
    if isinstance(program.bias, DecayedBias):
        received = np.sum(np.swapaxes(rival_counts, -1, -2) * weights[..., None, :] * each, axis=-1)
        unbalanced = np.sum(classes * (rounding.weights[..., None] * (moved + received)) ** 2, axis=-1)
        change = change + unbalanced / program.bias.decay
        change = change + 2 * rounding.bias_decay * program.bias.paid(bias, classes)
    return change
