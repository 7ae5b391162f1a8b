"""Directions in which the value falls at second order: the explicit one of two factors, and what a rate measures."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..compiling import quick_jit
from .surface import Factors, Surface, squared_norm

#: length of the step of a measured rate, in the unit of the direction, and at most this share of the radius
_STEP, _OF_RADIUS = 1e-3, 1e-2
#: relative distance within which a measured rate confirms a predicted one
_AGREE = 1e-2
#: what a singular value of (W, Hᵀ) may be over their size, to be that of a direction that they leave free
_FREE = 1e-5
#: multiplier times squared radius, over the loss, up to which the multiplier is zero
_FLAT = 1e-6


class Descent(NamedTuple):
    """A direction and the predicted decrease over the square of the step."""

    direction: tuple[np.ndarray, ...]
    rate: float


def explicit_direction(
    surface: Surface, factors: Factors, G: np.ndarray, multiplier: float, value: float
) -> tuple[Descent | None, str]:
    """``(c u aᵀ, -a vᵀ / c)`` and its rate, or None and why there is none."""
    W, H = (np.asarray(A) for A in factors)
    left, singular, right = np.linalg.svd(G, full_matrices=False)
    u, g, v = left[:, 0], singular[0], right[0]
    if surface.decays is None:
        balance, size = 1.0, np.sqrt(squared_norm((W, H)))
        flat = abs(multiplier) * size**2 <= _FLAT * value
    else:
        balance, flat = float(surface.decays[1] / surface.decays[0]) ** 0.25, False
        size = np.sqrt(2 * value / multiplier)
    rows = W / balance if flat else np.concatenate([W / balance, balance * H.T])
    _, sizes, axes = np.linalg.svd(np.linalg.qr(rows, mode="r"))  # as many rows as d at most, however many samples
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


@quick_jit
def _curvature(surface: Surface, Z: Any, change: Any) -> Any:
    """Second derivative of the loss by the logits along a change of them."""
    return jnp.sum(change * jax.jvp(jax.grad(surface.loss_of), (Z,), (change,))[1])


def rate_along(surface: Surface, factors: Factors, direction: tuple[np.ndarray, ...]) -> float:
    """Decrease over the square of the step, there and back."""
    step = _STEP if surface.norm2 is None else min(_STEP, _OF_RADIUS * float(surface.norm2) ** 0.5)
    return float(_decrease(surface, factors, direction, step)) / step**2


@quick_jit
def _decrease(surface: Surface, factors: Factors, direction: Factors, step: Any) -> Any:
    there, back = (
        surface.value(tuple(A + t * D for A, D in zip(factors, direction, strict=True))) for t in (step, -step)
    )
    return surface.value(factors) - 0.5 * (there + back)


def confirms(measured: float, predicted: float) -> bool:
    """Whether a measured decrease is the predicted one."""
    return predicted > 0 and abs(measured - predicted) <= _AGREE * predicted
