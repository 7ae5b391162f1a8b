"""A loss that is not convex, with the nuclear norm of ``Z Omega`` on a budget or at a price: no duality gap exists.

What coordinates prove is their distance to a lower bound that holds for all logits (:mod:`.margin_bound`), which the
optimum itself need not reach: then it is at best a stationary point.
"""

from typing import Any

from ..duality import Certificate, slopes
from .margin_bound import margin_bound
from .nuclear import NuclearObjective
from .objective import AbstractObjective
from .of_groups import GroupCoordinates


class NonconvexObjective(NuclearObjective):
    """Value, gradient and spectral cost are those of :class:`NuclearObjective`; the proof is another."""

    def prove(self, at: GroupCoordinates) -> Certificate:
        """Distance to the bound; of a loss without one, and with a last-layer bias, to the least that any is, 0."""
        program = self.program
        nx = program.weights.__array_namespace__()
        point, (*_, pull, block), norm, weighted, log_scale, noise = slopes(program, at.within, at.between, at.bias)
        price = nx.exp(program.charge.log_multiplier(norm, log_scale) + log_scale)
        bound = nx.zeros_like(point.value)
        if program.loss.sigmoidal and not program.bias.present:
            bound = nx.maximum(bound, margin_bound(program, nx.maximum(price, nx.finfo(price.dtype).tiny)))
        ulps = 8 * max(2, program.classes.shape[-1]) * nx.finfo(point.value.dtype).eps
        rounding = ulps * point.size * (point.value + price * point.cost)
        gap = nx.minimum(nx.maximum(point.value - bound, 0.0) + rounding, point.value)
        # Of the linearised loss, for the structure: zero where the coordinates are stationary.
        repeated = nx.where(program.classes > 1, program.classes - 1, 0) * pull * point.within
        inner = nx.sum(block * point.between, axis=(-2, -1)) - nx.sum(repeated, axis=-1)
        direct = nx.maximum(price * point.cost + inner, 0.0) + rounding
        return Certificate(point.value, gap, point.within, point.between, norm, -weighted, log_scale, direct, noise)

    def left_open(self, proof: Certificate, at: GroupCoordinates, rounding: Any) -> Any:
        """All of it: what rounded numbers of the problem change in the bound is not known."""
        left = AbstractObjective.left_open(self, proof, at, rounding)
        return left.__array_namespace__().minimum(left, proof.value - proof.gap)
