"""classify: whether a point is a global minimum or a strict saddle of a landscape, with what shows it."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import require, require_positive
from ..losses.loss import ConvexLoss
from ..problems.problem import Problem
from ..settings import nan_is_a_value
from ..solve import solve
from .hessian import extremes
from .surface import Factors, Surface, product, squared_norm, surface_at

#: length of the step of a measured rate, in the unit of the direction, and at most this share of the radius
_STEP, _OF_RADIUS = 1e-3, 1e-2
#: relative distance within which a measured rate confirms a predicted one
_AGREE = 1e-2
#: what a singular value of (W, Hᵀ) may be over their size, to be that of a direction that they leave free
_FREE = 1e-5
#: singular value of the logits, as a share of the largest, that counts in the rank
_RANK = 1e-6
#: least eigenvalue over the largest, from which it is negative
_CURVED = 1e-8


class Verdict(enum.IntEnum):
    """What a point is.

    ``global_minimum``: its value is proved to be within ``tol`` of the least. ``strict_saddle``: stationary, with a
    direction in which the value falls at second order, as predicted and measured. ``not_stationary``: no critical
    point. ``undecided``: stationary, with neither proof: the Hessian has no negative eigenvalue, and the gap is open.
    """

    global_minimum = 0
    strict_saddle = 1
    not_stationary = 2
    undecided = 3


@dataclasses.dataclass(frozen=True)
class CriticalPoint:
    """What :func:`classify` says of a point; ``print`` shows it in words.

    Attributes
    ----------
    verdict : :class:`Verdict`.
    value : loss, plus decay, in nats (squared errors: squared logits).
    gap : proven bound on ``value`` less the global minimum (on the sphere, of that radius).
    residual : norm of the gradient, relative: on the sphere of radius r ``|grad| r / value``; with decays
        ``sqrt(2 sum_j |grad_j|^2 / decay_j / value)``.
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


class Descent(NamedTuple):
    """A direction and the predicted decrease over step²."""

    direction: tuple[np.ndarray, ...]
    rate: float


@nan_is_a_value
def classify(
    problem: Problem, factors: Sequence[Any], tol: float = 1e-7, lower_bound: float | None = None
) -> CriticalPoint:
    r"""Classify a point of one of three landscapes over all factors of the logits Z (K, N), one feature per sample:

    - :class:`Separation`, cross-entropy on the sphere ``|W|^2 + |H|^2 = const`` through the point (unconstrained
      layer-peeled model), multiplier ``mu = -2 <G, Z> / const``;
    - :class:`UnconstrainedFeatures`, loss and decay, in the place of mu ``sqrt(lambda_W lambda_H)``;
    - :class:`DeepLinear`.

    With two factors and a convex loss, a critical point is a global minimum if ``|G|_2 <= mu``. Otherwise, with u, v top
    singular vectors of G and a unit vector a with ``W a = 0 = Hᵀ a``, along ``(c u aᵀ, -a vᵀ / c)`` the value decreases
    by ``step^2 (|G|_2 - mu)`` to leading order: a strict saddle; c is 1 on the sphere and ``(lambda_H / lambda_W)^(1/4)``
    with decays. (At ``mu = 0``, the family of loss log K, ``W a = 0`` is enough and c small.) Such an a exists at every
    critical point of smaller rank than d, so from ``d >= K`` on (cross-entropy: ``K - 1``) every critical point is one
    or the other. Where there is none the Hessian's least eigenvalue decides.

    With three or more factors this says nothing. New directions have no curvature but that of the decay: zero is a
    local minimum, and the test above holds with equality between any two neighbouring factors. A gap then
    is to ``lower_bound``, and what has no negative curvature but does not close it is ``undecided``: structures of low
    rank can have a lower value than neural collapse (:func:`lpmjax.referee`, :func:`lpmjax.phases`).

    Parameters
    ----------
    problem : one of the three, of linear models without a bias, whole numbers of samples, not batched.
    factors : (W (K, d), H (d, N)) with samples sorted by class in the caller's order, or H (d, K), the same feature for
        every sample of a class; of deep models all factors, last layer first, as ``DeepSolution.factors()`` gives them.
    tol : on the relative residual of a critical point, and on the gap over the value of a global minimum.
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
    require_positive("It is relative.", tol=tol)
    with jax.enable_x64(True):
        surface, factors = surface_at(problem, factors)
        if lower_bound is None and len(factors) > 2:
            lower_bound = float(solve(problem).lower_bound)
        if lower_bound is not None:
            require("lower_bound", lower_bound, "finite", np.isfinite)
        return classified(surface, factors, tol, lower_bound)


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
        surface, factors = surface_at(problem, factors)
        along = tuple(np.asarray(D, np.float64) for D in direction)
        if [D.shape for D in along] != [A.shape for A in factors]:
            raise ValueError(
                f"direction has shapes {[D.shape for D in along]}, it must have {[A.shape for A in factors]}."
            )
        for j, D in enumerate(along):
            require(f"direction[{j}]", D, "finite", np.isfinite)
        if squared_norm(along) == 0:
            raise ValueError("direction is all zero.")
        return rate_along(surface, factors, along)


def classified(surface: Surface, factors: Factors, tol: float, lower_bound: float | None) -> CriticalPoint:
    """:func:`classify` on a surface."""
    at = jax.tree.map(np.asarray, _measured(surface, factors))
    if not at.value > 0:
        raise ValueError("the loss underflows at these factors: scale them down.")
    proved = at.gap if lower_bound is None else min(float(at.gap), float(at.value) - lower_bound)
    norm, rank = np.linalg.norm(at.G, 2), _rank(np.asarray(product(factors)))
    if not at.residual <= tol:
        found = _Found(Verdict.not_stationary, f"the relative gradient is {at.residual:.1e}")
    elif proved <= tol * at.value:
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


@jax.jit
def _measured(surface: Surface, factors: Factors) -> _Measured:
    """Value, gradient by the logits, multiplier, relative gradient by the factors, and a bound on the gap."""
    value, slopes = jax.value_and_grad(surface.value)(factors)
    Z = product(factors)
    loss, G = jax.value_and_grad(surface.loss_of)(Z)
    inner, convex = jnp.sum(G * Z), isinstance(surface.loss, ConvexLoss)
    spectral = jnp.linalg.norm(G, 2)
    if surface.decays is None:
        norm2 = squared_norm(factors)
        residual = jnp.sqrt(squared_norm(slopes) * norm2) / value
        gap = inner + 0.5 * norm2 * spectral  # of the convex program over |Z|_* <= norm2 / 2
        return _Measured(value, G, -2 * inner / norm2, residual, gap if convex else jnp.inf)
    squares = sum(jnp.sum(D * D) / decay for D, decay in zip(slopes, surface.decays, strict=True))
    residual = jnp.sqrt(2 * squares / value)
    if surface.num_factors > 2:
        return _Measured(value, G, jnp.nan, residual, jnp.inf)
    price = jnp.sqrt(jnp.prod(surface.decays))
    # Logits that are no worse have |Z|_* <= value / price, as no loss is negative.
    gap = value - loss + inner + jnp.maximum(spectral / price - 1, 0.0) * value
    return _Measured(value, G, price, residual, gap if convex else jnp.inf)


def _rank(Z: np.ndarray) -> int:
    singular = np.linalg.svd(Z, compute_uv=False)
    return int(np.sum(singular > _RANK * singular[0])) if singular[0] > 0 else 0


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
    reason = f"{without}, the Hessian has no negative eigenvalue, and the gap does not close"
    return _Found(Verdict.undecided, reason, least=least)


def explicit_direction(
    surface: Surface, factors: Factors, G: np.ndarray, multiplier: float, value: float
) -> tuple[Descent | None, str]:
    """``(c u aᵀ, -a vᵀ / c)`` and its rate, or None and why there is none."""
    W, H = (np.asarray(A) for A in factors)
    left, singular, right = np.linalg.svd(G, full_matrices=False)
    u, g, v = left[:, 0], singular[0], right[0]
    if surface.decays is None:
        balance, size = 1.0, np.sqrt(squared_norm((W, H)))
        flat = abs(multiplier) * size**2 <= _RANK * value
    else:
        balance, flat = float(surface.decays[1] / surface.decays[0]) ** 0.25, False
        size = np.sqrt(2 * value / multiplier)
    rows = W / balance if flat else np.concatenate([W / balance, balance * H.T])
    _, sizes, axes = np.linalg.svd(rows)
    if sizes.size == axes.shape[0] and sizes[-1] > _FREE * size:
        both = "W a = 0" if flat else "W a = 0 = Hᵀ a"
        return None, f"the feature dimension d = {axes.shape[0]} leaves no unit vector a with {both}"
    a = axes[-1]
    rate = g - multiplier
    if flat:
        bend = float(_curvature(surface, W @ H, np.outer(u, a @ H)))
        balance = min(1.0, np.sqrt(g / bend)) if bend > 0 else 1.0
        rate -= 0.5 * balance**2 * bend
    return Descent((balance * np.outer(u, a), -np.outer(a, v) / balance), float(rate)), ""


@jax.jit
def _curvature(surface: Surface, Z: Any, change: Any) -> Any:
    """Second derivative of the loss by the logits along a change of them."""
    return jnp.sum(change * jax.jvp(jax.grad(surface.loss_of), (Z,), (change,))[1])


def rate_along(surface: Surface, factors: Factors, direction: tuple[np.ndarray, ...]) -> float:
    """Decrease over the square of the step, there and back."""
    step = _STEP if surface.norm2 is None else min(_STEP, _OF_RADIUS * float(surface.norm2) ** 0.5)
    return float(_decrease(surface, factors, direction, step)) / step**2


@jax.jit
def _decrease(surface: Surface, factors: Factors, direction: Factors, step: Any) -> Any:
    there, back = (
        surface.value(tuple(A + t * D for A, D in zip(factors, direction, strict=True))) for t in (step, -step)
    )
    return surface.value(factors) - 0.5 * (there + back)


def confirms(measured: float, predicted: float) -> bool:
    """Whether a measured decrease is the predicted one."""
    return predicted > 0 and abs(measured - predicted) <= _AGREE * predicted
