"""classify: whether a point is a global minimum or a strict saddle of a landscape, with what shows it."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import require, require_positive, scalars
from ..compiling import quick_jit
from ..losses.loss import ConvexLoss
from ..problems.problem import Problem
from ..settings import nan_is_a_value
from ..solve import solve
from .direction import Descent, confirms, explicit_direction, rate_along
from .hessian import extremes
from .surface import Factors, Surface, as_matrices, product, squared_norm, surface_at

#: singular value of the logits, as a share of the largest, that counts in the rank
_RANK = 1e-6
#: logits up to this are zero: what a descent to zero leaves
_NOTHING = 1e-12
#: least eigenvalue over the largest, from which it is negative
_CURVED = 1e-8


class Verdict(enum.IntEnum):
    """What a point is.

    ``global_minimum``: stationary, and its value is proved to be within ``tol`` of the least. ``strict_saddle``:
    stationary, with a direction in which the value falls at second order, as predicted and measured.
    ``not_stationary``: no critical point. ``undecided``: stationary, with neither proof: no direction of negative
    curvature was confirmed, and the gap is open.
    """

    global_minimum = 0
    strict_saddle = 1
    not_stationary = 2
    undecided = 3


@dataclasses.dataclass(frozen=True, eq=False)
class CriticalPoint:
    """What :func:`classify` says of a point; ``print`` shows it in words.

    Attributes
    ----------
    verdict : :class:`Verdict`.
    value : loss, plus decay, in nats (squared errors: squared logits).
    gap : proven bound on ``value`` less the global minimum (on the sphere, of that radius).
    residual : norm of the gradient, relative: on the sphere of radius r ``|grad| r / min(value, r^2 |G|_2 / 2)``; with
        decays ``sqrt(2 sum_j |grad_j|^2 / decay_j / value)``.
    rank : of the logits.
    multiplier : mu of the sphere, or ``sqrt(lambda_W lambda_H)``; NaN with three or more factors.
    spectral_norm : ``|G|_2``, G the gradient of the loss by the logits of all samples.
    rate_predicted, rate_measured : decrease of the value over the square of the step along ``direction``; NaN without.
    direction : one matrix for each factor, or None.
    explicit : whether it is the explicit direction; otherwise it is an eigenvector of the Hessian, of length 1.
    least_eigenvalue : of the Hessian; NaN where it decided nothing and was not computed.
    reason : what decided, in words.
    """

    verdict: Verdict
    value: float
    gap: float
    residual: float
    rank: int
    multiplier: float
    spectral_norm: float
    rate_predicted: float
    rate_measured: float
    direction: tuple[np.ndarray, ...] | None
    explicit: bool
    least_eigenvalue: float
    reason: str

    def __str__(self) -> str:
        lines = [
            f"{self.verdict.name.replace('_', ' ')}: {self.reason}",
            f"value {self.value:.10g}, at most {self.gap:.2g} above the global minimum; rank {self.rank}, "
            f"residual {self.residual:.1e}",
            f"|G|_2 {self.spectral_norm:.10g}, multiplier {self.multiplier:.10g}",
        ]
        if self.direction is not None:
            named = "explicit direction" if self.explicit else "eigenvector"
            rates = f"{self.rate_predicted:.8g} predicted, {self.rate_measured:.8g} measured"
            lines.append(f"decrease over step^2 along the {named}: {rates}")
        if not np.isnan(self.least_eigenvalue):
            lines.append(f"least eigenvalue of the Hessian {self.least_eigenvalue:.6g}")
        return "\n".join(lines)


@nan_is_a_value
def classify(
    problem: Problem, factors: Sequence[Any], tol: float = 1e-7, lower_bound: float | None = None
) -> CriticalPoint:
    r"""Classify a point of one of three landscapes over all factors of the logits Z (K, N), one feature per sample:

    - :class:`Separation`, cross-entropy on the sphere ``|W|^2 + |H|^2 = const`` through the point (unconstrained
      layer-peeled model), multiplier ``mu = -2 <G, Z> / const``;
    - :class:`UnconstrainedFeatures`, loss and decay, in the place of mu ``sqrt(lambda_W lambda_H)``;
    - :class:`DeepLinear`.

    With two factors and a convex loss, a critical point is a global minimum if ``|G|_2 <= mu``. Otherwise, with u, v
    top singular vectors of G and a unit vector a with ``W a = 0 = Hᵀ a``, along ``(c u aᵀ, -a vᵀ / c)`` the value
    decreases by ``step^2 (|G|_2 - mu)`` to leading order, c = 1 on the sphere and ``(lambda_H / lambda_W)^(1/4)`` with
    decays: a strict saddle. Nothing curves down more, as the loss is convex and ``2 <G, P Q> + mu (|P|^2 + |Q|^2) >=
    (mu - |G|_2) (|P|^2 + |Q|^2)`` for every (P, Q). (At ``mu = 0``, where the loss is log K, ``W a = 0`` is enough
    and c small.) Critical points of rank below d have such an a, so from ``d >= K`` on (cross-entropy: ``d >= K - 1``)
    each is one or the other. Where there is none the Hessian's least eigenvalue decides.

    With three or more factors this says nothing. New directions have no curvature but that of the decay: zero is a
    local minimum, and the test above holds with equality between any two neighbouring factors. A gap then
    is to ``lower_bound``, and what has no negative curvature but does not close it is ``undecided``: structures of low
    rank can have a lower value than neural collapse (:func:`lpmjax.referee`, :func:`lpmjax.phases`).

    Parameters
    ----------
    problem : one of the three, of linear models without a bias, whole numbers of samples, not batched.
    factors : (W (K, d), H (d, N)) with samples sorted by class in the caller's order, or H (d, K), the same feature for
        every sample of a class; of deep models all factors, last layer first, as ``DeepSolution.factors()`` gives them.
    tol : on the residual of a critical point, and on the gap of a global minimum, relative to the same.
    lower_bound : a proven bound of the global minimum, for deep models, by default that of ``lpmjax.solve(problem)``:
        exact for squared error, loose for cross-entropy (up to four classes ``method="branch_and_bound"`` closes it).

    Returns
    -------
    CriticalPoint, on the host, in float64.

    Raises
    ------
    ValueError
        For other problems, shapes that do not fit, numbers that are not finite, zero on a sphere, or a loss that
        underflows.

    Source: on the sphere Ji et al. (2022), "An unconstrained layer-peeled perspective on neural collapse"; before, with
    weight decay, Zhu et al. (2021), for squared error Zhou et al. (2022); the argument for two factors of a convex
    function goes back to Haeffele and Vidal (2015).
    """
    with jax.enable_x64(True):
        limit = as_relative(tol)
        surface, at = surface_at(problem, factors)
        if lower_bound is None:
            bound = known_bound(problem, surface)
        else:
            bound = float(scalars(lower_bound=lower_bound)["lower_bound"])
            require("lower_bound", bound, "finite", np.isfinite)
        return classified(surface, at, limit, bound)


def as_relative(tol: Any) -> float:
    """The tolerance as a float; ValueError unless it is positive."""
    limit = scalars(tol=tol)["tol"]
    require_positive("It is relative to the value.", tol=limit)
    return float(limit)


def known_bound(problem: Problem, surface: Surface) -> float:
    """What ``solve`` proves of a deep model's optimum; 0, below which no loss is, where the test with G is exact."""
    if surface.num_factors == 2:
        return 0.0
    bound = float(solve(jax.tree.map(jnp.asarray, problem.as_written()[0])).lower_bound)
    return max(bound, 0.0) if np.isfinite(bound) else 0.0


@nan_is_a_value
def measured_rate(problem: Problem, factors: Sequence[Any], direction: Sequence[Any]) -> float:
    """Decrease of the value over the square of the step along a direction, there and back by 1e-3: minus half the
    second derivative, negative where the value rises. On a sphere steps are scaled back onto it.

    Parameters
    ----------
    problem, factors : as in :func:`classify`.
    direction : one matrix for each factor, of the same shape (H with as many columns as there are samples).

    Raises
    ------
    ValueError
        As :func:`classify`, and for a direction of other shapes, zero, or not finite.
    """
    with jax.enable_x64(True):
        surface, at = surface_at(problem, factors)
        along = tuple(np.asarray(D) for D in as_matrices("direction", direction))
        shapes, wanted = [D.shape for D in along], [A.shape for A in at]
        if shapes != wanted:
            raise ValueError(f"direction has shapes {shapes}, the factors have {wanted}: they must be the same.")
        if squared_norm(along) == 0:
            raise ValueError("direction is all zero: it must point somewhere.")
        return rate_along(surface, at, along)


def classified(surface: Surface, factors: Factors, tol: float, lower_bound: float) -> CriticalPoint:
    """:func:`classify` on a surface."""
    at = jax.tree.map(np.asarray, _measured(surface, factors))
    if not at.value > 0:
        raise ValueError("the loss underflows at these factors: scale them down.")
    proved = min(at.gap, max(at.value - lower_bound, 0.0))
    norm, rank = np.linalg.norm(at.G, 2), _rank(np.asarray(product(factors)))
    if not at.residual <= tol:
        found = _Found(Verdict.not_stationary, f"the relative gradient is {at.residual:.1e}")
    elif proved <= tol * at.scale:
        found = _Found(Verdict.global_minimum, "|G|_2 does not exceed the multiplier, so the gap closes")
        if len(factors) > 2:
            found = found._replace(reason="the gap to the lower bound closes")
    else:
        found = _saddle(surface, factors, at)
    return CriticalPoint(
        verdict=found.verdict,
        value=float(at.value),
        gap=float(proved),
        residual=float(at.residual),
        rank=rank,
        multiplier=float(at.multiplier),
        spectral_norm=float(norm),
        rate_predicted=np.nan if found.descent is None else found.descent.rate,
        rate_measured=found.measured,
        direction=None if found.descent is None else found.descent.direction,
        explicit=found.explicit,
        least_eigenvalue=found.least,
        reason=found.reason,
    )


class _Found(NamedTuple):
    verdict: Verdict
    reason: str
    descent: Descent | None = None
    measured: float = np.nan
    explicit: bool = False
    least: float = np.nan


class _Measured(NamedTuple):
    value: Any
    G: Any
    multiplier: Any
    residual: Any
    gap: Any
    scale: Any  #: what the gap and the residual are relative to


@quick_jit
def _measured(surface: Surface, factors: Factors) -> _Measured:
    """Value, gradient by the logits, multiplier, relative gradient by the factors, and a bound on the gap."""
    value, slopes = jax.value_and_grad(surface.value)(factors)
    residual = surface.residual(value, slopes, factors)
    Z = product(factors)
    loss, G = jax.value_and_grad(surface.loss_of)(Z)
    if surface.num_factors > 2:
        return _Measured(value, G, jnp.nan, residual, value, value)
    inner, spectral = jnp.sum(G * Z), jnp.linalg.norm(G, 2)
    if surface.decays is None:
        radius = 0.5 * squared_norm(factors)
        multiplier = -inner / radius
        gap = inner + radius * spectral  # of the convex program over |Z|_* <= radius
        scale = jnp.minimum(value, radius * spectral)  # on a small sphere all values are alike
    else:
        multiplier = jnp.sqrt(jnp.prod(surface.decays))
        scale = value
        # Logits that are no worse have |Z|_* <= value / multiplier, as no loss is negative.
        gap = value - loss + inner + jnp.maximum(spectral / multiplier - 1, 0.0) * value
    rounding = Z.size * jnp.finfo(Z.dtype).eps * (value + jnp.sum(jnp.abs(G * Z)))
    gap = jnp.maximum(gap, 0.0) + rounding if isinstance(surface.loss, ConvexLoss) else value
    return _Measured(value, G, multiplier, residual * value / scale, jnp.minimum(gap, value), scale)


def _rank(Z: np.ndarray) -> int:
    singular = np.linalg.svd(Z, compute_uv=False)
    return int(np.sum(singular > _RANK * singular[0])) if singular[0] > _NOTHING else 0


def _saddle(surface: Surface, factors: Factors, at: _Measured) -> _Found:
    """A direction of descent of second order, the explicit one or an eigenvector, if a measurement confirms it."""
    without = "three or more factors leave no explicit direction"
    if len(factors) == 2:
        descent, without = explicit_direction(surface, factors, at.G, float(at.multiplier), float(at.value))
        if descent is not None:
            measured = rate_along(surface, factors, descent.direction)
            if confirms(measured, descent.rate):
                return _Found(Verdict.strict_saddle, "|G|_2 exceeds the multiplier", descent, measured, True)
            without = f"along the explicit direction {descent.rate:.6g} was predicted, {measured:.6g} measured"
    hessian = extremes(surface, factors)
    least = hessian.least
    if least < -_CURVED * max(abs(hessian.largest), abs(least)):
        descent = Descent(hessian.direction, -0.5 * least)
        measured = rate_along(surface, factors, descent.direction)
        if confirms(measured, descent.rate):
            reason = f"{without}, but the Hessian has a negative eigenvalue"
            return _Found(Verdict.strict_saddle, reason, descent, measured, False, least)
        reason = f"{without}, no measurement confirms the Hessian's negative eigenvalue, and the gap does not close"
        return _Found(Verdict.undecided, reason, least=least)
    reason = f"{without}, the Hessian has no negative eigenvalue, and the gap does not close"
    return _Found(Verdict.undecided, reason, least=least)
