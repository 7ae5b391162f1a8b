"""The function whose critical points are classified: a loss of every sample, over all factors of its logits."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..arguments import leaves, require, require_positive, require_type, scalars
from ..compiling import quick_jit
from ..losses.loss import Loss
from ..losses.softmax import CrossEntropy
from ..problems.deep_linear import DeepLinear
from ..problems.problem import Problem
from ..problems.separation import Separation
from ..problems.unconstrained import UnconstrainedFeatures

#: W, inner matrices of deep models, H: their product is the logits
Factors = tuple[Any, ...]


class Surface(eqx.Module):
    """``sum_i weights_i loss(z_i, label_i)``, Z the product of the factors, on a sphere or with weight decay."""

    loss: Loss
    label: Int[Array, " N"]
    weights: Float[Array, " N"]
    shift: Float[Array, " K"] | None
    decays: Float[Array, " L"] | None  #: of the factors, halved; None: on a sphere
    norm2: Float[Array, ""] | None  #: squared radius of the sphere; None: weight decay
    num_classes: int = eqx.field(static=True)

    @property
    def num_factors(self) -> int:
        """L, static."""
        return 2 if self.decays is None else self.decays.size

    def loss_of(self, Z: Float[Array, "K N"]) -> Float[Array, ""]:
        """Loss of the logits of all samples."""
        Z = Z if self.shift is None else Z + self.shift[:, None]
        own = jnp.take_along_axis(Z, self.label[None, :], axis=0)[0]
        wrong = jnp.arange(self.num_classes)[:, None] != self.label[None, :]
        margins = jnp.where(wrong, own[None, :] - Z, 0.0)
        return jnp.sum(self.weights * self.loss.on_groups(margins, wrong.astype(Z.dtype), own).value)

    def value(self, factors: Factors) -> Float[Array, ""]:
        """Loss and decay; on a sphere the loss at the factors scaled onto it, so that every direction is tangent."""
        if self.decays is None:
            size = jnp.sqrt(self.norm2 / squared_norm(factors))
            return self.loss_of(size ** len(factors) * product(factors))
        paid = 0.5 * sum(decay * jnp.sum(A * A) for decay, A in zip(self.decays, factors, strict=True))
        return self.loss_of(product(factors)) + paid

    def residual(self, value: Any, slopes: Factors, factors: Factors) -> Float[Array, ""]:
        """Norm of the gradient over the value, in units of the radius, or of the lengths that decays make of a value:
        so small factors do not pass for stationary. (Over the value first: the square of a gradient can underflow.)"""
        relative = tuple(D / value for D in slopes)
        if self.decays is None:
            return jnp.sqrt(squared_norm(relative) * squared_norm(factors))
        squares = sum(jnp.sum(D * D) / decay for D, decay in zip(relative, self.decays, strict=True))
        return jnp.sqrt(2 * value * squares)


def product(factors: Factors) -> Any:
    """(K, N) logits without what is added to them."""
    return reduce(lambda left, right: left @ right, factors)


def squared_norm(factors: Factors) -> Any:
    """Sum of squares of all entries."""
    return sum((A * A).sum() for A in factors)


def surface_of(problem: Problem, norm2: Any = None) -> Surface:
    """The surface of a problem, in float64, as it was written; ValueError for what is not treated here."""
    _require_plain(problem)
    written: Any = problem.as_written()[0]
    groups, index = written.groups, class_index(problem)
    label = _labels(problem)
    decays, loss = None, getattr(written, "loss", CrossEntropy())
    if not isinstance(written, Separation):
        decays = jnp.asarray(np.append(written.lambda_W, written.lambda_H))
    offsets = loss.offsets(groups.samples)
    return Surface(
        loss=loss,
        label=jnp.asarray(label),
        weights=jnp.asarray((np.asarray(groups.weights) / np.asarray(groups.samples))[index][label]),
        shift=None if offsets is None else jnp.asarray(np.asarray(offsets)[index]),
        decays=decays,
        norm2=_radius(norm2, decays is None),
        num_classes=index.size,
    )


def class_index(problem: Any) -> np.ndarray:
    """(K,) group of each class, in the caller's order; ValueError unless it is a problem that has a landscape here."""
    kinds = (Separation, UnconstrainedFeatures, DeepLinear)
    require_type("problem", problem, kinds, "a lpmjax Separation, UnconstrainedFeatures or DeepLinear")
    return problem.groups.class_index


def _require_plain(problem: Any) -> None:
    loss, index = getattr(problem, "loss", None), class_index(problem)
    if loss is not None and loss.of_classes(index) is not loss:
        raise ValueError(f"problem.loss is {type(loss).__name__}, with parameters for each class: it is not treated.")
    if not isinstance(problem, Separation) and not problem.is_linear:
        raise ValueError("problem has a last-layer bias or a ReLU: the landscape is that of linear models without one.")
    if isinstance(problem, Separation) and not problem.is_limit_of_flow:
        raise ValueError('problem must be Separation(groups, norm="per_sample") with delta of ones: cross-entropy.')


def _radius(norm2: Any, on_sphere: bool) -> Array | None:
    if on_sphere != (norm2 is not None):
        raise ValueError(
            "norm2, the squared radius of the sphere |W|^2 + |H|^2 = norm2, belongs to Separation, and must be given "
            f"there; models with weight decay have none. Got norm2 = {norm2!r}."
        )
    if norm2 is None:
        return None
    norm2 = scalars(norm2=norm2)["norm2"].astype(jnp.float64)
    require_positive("It is |W|^2 + |H|^2.", norm2=norm2)
    return norm2


def surface_at(problem: Problem, factors: Sequence[Any]) -> tuple[Surface, Factors]:
    """The surface on which the factors lie, and they themselves in float64, with one feature for each sample."""
    arrays, index = as_matrices("factors", factors), class_index(problem)
    shapes = _shapes(arrays)
    if any(left.shape[1] != right.shape[0] for left, right in pairwise(arrays)):
        raise ValueError(f"factors have shapes {shapes}: their product must exist.")
    width = min(A.shape[0] for A in arrays[1:])
    if problem.dim not in (None, width):
        raise ValueError(f"factors have shapes {shapes}, the problem has dim = {problem.dim}.")
    label = _labels(problem)
    if arrays[0].shape[0] != index.size or arrays[-1].shape[1] not in (index.size, label.size):
        raise ValueError(
            f"factors have shapes {shapes}: the first needs {index.size} rows, one for each class, and the last "
            f"{label.size} columns, one for each sample, sorted by class, or {index.size}, one for each class."
        )
    if arrays[-1].shape[1] != label.size:
        arrays[-1] = arrays[-1][:, label]
    held = float(squared_norm(tuple(arrays))) if isinstance(problem, Separation) else None
    if held == 0:
        raise ValueError("factors are all zero: the sphere |W|^2 + |H|^2 = norm2 has no such point.")
    surface = surface_of(problem, held)
    if len(arrays) != surface.num_factors:
        raise ValueError(f"factors are {len(arrays)} matrices, the problem has {surface.num_factors} factors.")
    return surface, tuple(arrays)


def _labels(problem: Any) -> np.ndarray:
    """(N,) class of each sample; ValueError for fractions of samples."""
    index = class_index(problem)
    counts = np.asarray(problem.groups.samples)[index]
    if not np.array_equal(np.rint(counts), counts):
        raise ValueError(f"problem.groups.samples = {problem.groups.samples}: the landscape needs whole numbers.")
    return np.repeat(np.arange(index.size), counts.astype(int))


def as_matrices(name: str, given: Any) -> list[Array]:
    """In float64; ValueError unless they are two or more finite matrices."""
    if not isinstance(given, (tuple, list)) or len(given) < 2:
        raise ValueError(f"{name} must be one matrix for each factor, as the tuple (W, H), last layer first.")
    arrays = [leaves(**{f"{name}[{j}]": A})[f"{name}[{j}]"].astype(jnp.float64) for j, A in enumerate(given)]
    if any(A.ndim != 2 or A.size == 0 for A in arrays):
        raise ValueError(f"{name} have shapes {_shapes(arrays)}: they must be matrices.")
    for j, A in enumerate(arrays):
        require(f"{name}[{j}]", A, "finite", np.isfinite)
    return arrays


def _shapes(arrays: Sequence[Array]) -> str:
    return ", ".join(str(A.shape) for A in arrays)


@quick_jit
def hessian_times(surface: Surface, factors: Factors, tangent: Factors) -> Factors:
    """Hessian of the value times a tangent."""
    return jax.jvp(jax.grad(surface.value), (factors,), (tangent,))[1]
