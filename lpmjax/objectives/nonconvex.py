"""A loss that is not convex, with the nuclear norm of ``Z Omega`` on a budget or at a price: no duality gap exists.

What coordinates prove is their distance to a lower bound that holds for all logits: one from the margins of the classes
(:mod:`.margin_bound`), or that of a convex loss below this one. The optimum itself need not reach either; then the best
that is known is a stationary point.
"""

from typing import Any

import equinox as eqx

from ..duality import Certificate, duality_gap, slopes
from .margin_bound import margin_bound
from .nuclear import NuclearObjective
from .objective import AbstractObjective
from .of_groups import GroupCoordinates


class NonconvexObjective(NuclearObjective):
    """Value, gradient and spectral cost are those of :class:`NuclearObjective`; the proof is another."""

    def prove(self, at: GroupCoordinates) -> Certificate:
        """Distance to the best bound at hand; without any, to the least that a loss is, 0."""
        program = self.program
        nx = program.weights.__array_namespace__()
        point, (*_, pull, block), norm, weighted, log_scale, noise = slopes(program, at.within, at.between, at.bias)
        price = nx.exp(program.charge.log_multiplier(norm, log_scale) + log_scale)
        bound = nx.zeros_like(point.value)
        if program.loss.sigmoidal and not program.bias.present:
            bound = nx.maximum(bound, margin_bound(program, nx.maximum(price, nx.finfo(price.dtype).tiny)))
        ulps = 8 * max(2, program.classes.shape[-1]) * nx.finfo(point.value.dtype).eps
        if program.loss.minorant is not None:
            below = eqx.tree_at(lambda p: p.loss, program, program.loss.minorant)
            convex = duality_gap(below, at.within, at.between, at.bias)
            bound = nx.fmax(bound, convex.value - convex.gap)
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
