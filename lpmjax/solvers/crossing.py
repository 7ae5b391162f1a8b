"""Decays at which two structures of a balanced deep model, cross-entropy, have the same value."""

import math
from functools import partial

import jax.numpy as jnp
import numpy as np

from ..charge import Price
from ..compiling import quick_jit
from ..duality import Program
from ..groups import ClassOrder
from ..losses.softmax import CrossEntropy
from ..objectives.schatten import SchattenObjective, power
from ..structures.known import catalogue
from ..structures.structure import Structure
from .named import branches

#: cells of the grid on which a change of sign is looked for, and steps within one of them
_CELLS, _STEPS = 60, 60
#: difference of values, in nats, up to which two structures are one, as both are where they vanish
_TIE = 1e-12


def known(K: int) -> dict[str, Structure]:
    """Structures of K equal classes by their names."""
    return {structure.name: structure for structure in catalogue(ClassOrder(np.zeros(K, int)))}


def pairs(K: int) -> str:
    """Name of the structure of as many pairs as there are: an odd class is zero if there is one pair, else a
    singleton."""
    if K == 3:
        return "[2] and 1 dropped"
    return "pairs and a singleton" if K % 2 else "pairs"


def crossing(K: int, M: float, first: str, second: str, low: float, high: float) -> float:
    """Least decay in [low, high] from which on ``second`` has a lower value than ``first``; NaN if there is none.

    Newton's method in the logarithm of the decay inside a bracket, with the slope of the envelope theorem.
    """

    def ahead(x: float) -> tuple[float, float]:
        value, slope = _ahead(x, float(M), K=K, first=first, second=second)
        return float(value), float(slope)

    grid = np.linspace(math.log(low), math.log(high), _CELLS + 1)
    beats = np.flatnonzero([ahead(x)[0] > _TIE for x in grid])
    if beats.size == 0:
        return math.nan
    if beats[0] == 0:
        return low
    left, right = float(grid[beats[0] - 1]), float(grid[beats[0]])
    x = 0.5 * (left + right)
    for _ in range(_STEPS):
        value, slope = ahead(x)
        left, right = (left, x) if value > 0 else (x, right)
        step = x - value / slope if slope > 0 else math.nan
        new = step if left < step < right else 0.5 * (left + right)
        if abs(new - x) <= 1e-15 * (1 + abs(x)):
            break
        x = new
    return math.exp(x)


@partial(quick_jit, static_argnames=("K", "first", "second"))
def _ahead(log_decay, M, K: int, first: str, second: str):
    """Value of ``first`` less that of ``second``, and its derivative by the logarithm of the decay."""
    objective = _objective(K, M, jnp.exp(log_decay))
    found = branches(objective, chosen=(known(K)[first], known(K)[second]))
    paid = objective.price * jnp.sum(power(found.spectrum, 2 / objective.depth), axis=1)
    return found.value[0] - found.value[1], paid[0] - paid[1]


def _objective(K: int, M: float, decay) -> SchattenObjective:
    one = jnp.ones_like(decay)
    program = Program(CrossEntropy(), K * one[None], one[None] / K, one[None], Price(0.5 * (M + 1) * decay))
    return SchattenObjective(program, (M + 1) * one, one, None, ClassOrder(np.zeros(K, int)))
