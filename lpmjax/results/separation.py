"""SeparationSolution: the result of minimum-norm separation."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ..fields import variable
from .logits import LogitSolution


class SeparationSolution(LogitSolution):
    """Optimum of :class:`lpmjax.Separation` with its certificate.

    Leaves carry leading batch axes after ``jax.vmap``. ``value`` and the fields below are differentiable by samples,
    numbers of classes and ``delta``. Value and bounds are half sums of squared norms, not nats.

    Attributes
    ----------
    value, lower_bound, gap : ``lower_bound = value - gap <= optimum <= value``; ``2 value`` is ``|W|^2 + |H|^2`` (in
        the norm of the problem), so ``1 / (2 value)`` is the largest normalised margin.
    multiplier : 1, the price of the norm.
    within, between : (G,), (G, G) group coordinates of the logits (:mod:`lpmjax.symmetry`).
    cosine, w_norm2, h_norm2, margin : (G,) within-group cosine of classifier rows (NaN where undefined), squared
        norms of a classifier row and of a feature, least margin of the plain logits (1 unless ``delta`` scales them).
    pairwise : (G, G) what :meth:`cosines` returns.
    dual : (G, G) multiplier of the margin of a class of group g over one of group j at entry [j, g], positive: how much
        the value grows with a margin asked for, per unit of it; zero where there is no such pair.
    """

    value: Float[Array, "*batch"] = eqx.field(metadata=variable("least half sum of squared norms"))
    lower_bound: Float[Array, "*batch"] = eqx.field(
        metadata=variable("certified lower bound on the least half sum of squared norms")
    )
    gap: Float[Array, "*batch"] = eqx.field(metadata=variable("duality gap, rounding included"))
    multiplier: Float[Array, "*batch"] = eqx.field(metadata=variable("price of the half sum of squared norms"))
    dual: Float[Array, "*batch G G"] = eqx.field(
        kw_only=True, metadata=variable("multiplier of a margin constraint", dims=("logit_group", "group"))
    )

    def _columns(self) -> list[tuple[str, str, Any]]:
        classes, samples, *views = super()._columns()
        return [classes, samples, ("delta", "9.4g", self.problem.delta), *views]
