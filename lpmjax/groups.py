"""ClassGroups: how many classes, how many samples each, and how much each class weighs in the loss."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .arguments import (
    is_class_count,
    is_positive,
    leaves,
    require,
    require_class_counts,
    require_integer,
    require_positive,
    require_type,
    scalars,
)
from .fields import Words
from .orders import Bands as Bands
from .orders import ClassOrder as ClassOrder
from .orders import bands_of
from .traced import concrete, holds_tracers


class ClassGroups(eqx.Module):
    r"""Classes that share a count and a weight are interchangeable, so they are one group.

    Parameters
    ----------
    classes : (G,)
        Number of classes in each group; 0 is an absent group (it pads grids over G), else at least 1.
        Values, not shapes: one compilation serves every K.
    samples : (G,)
        Samples per class (positive reals): the number of free feature vectors, which sets ``omega`` of the
        weight-decay models.
    weights : (G,), optional
        Loss weight of one whole class, up to scale; stored normalised to ``sum(classes * weights) = 1``. Default
        proportional to ``samples``. It is not the per-class ``weight`` of a framework's loss, which multiplies every
        sample: that is ``sample_weights``.
    sample_weights : (G,), optional, instead of ``weights``
        Loss weight of one sample of a class, up to scale: ``weights = samples * sample_weights``. Equal ones are the
        default, ``1 / samples`` gives every class the same weight, and oversampling by a factor w is w.

    The first three are differentiable leaves of one floating dtype.

    Raises
    ------
    ValueError
        For counts below 1 (other than 0), non-positive or non-finite samples or weights, unequal lengths, and if both
        kinds of weights are given.
    """

    classes: Float[Array, "*batch G"]
    samples: Float[Array, "*batch G"]
    weights: Float[Array, "*batch G"]
    order: ClassOrder | None = eqx.field(static=True, default=None)
    #: whether no weights were given, so that they follow from the samples, whatever their values (static)
    default_weights: bool = eqx.field(static=True, default=False)
    #: what the constructors' arguments are
    words: ClassVar[dict[str, Words]] = {
        "K": Words("number of classes"),
        "K_A": Words("number of classes in group A"),
        "K_B": Words("number of classes in group B"),
        "R": Words("imbalance ratio n_A / n_B"),
        "n": Words("samples in a class"),
        "n_B": Words("samples in a class of group B"),
        "ratio": Words("imbalance ratio n_max / n_min"),
    }

    def __init__(
        self,
        classes: Any,
        samples: Any,
        weights: Any = None,
        order: ClassOrder | None = None,
        *,
        sample_weights: Any = None,
    ):
        chosen = _one_of(weights, sample_weights)
        self.default_weights = not chosen
        arrays = leaves(**{"classes": classes, "samples": samples}, **chosen)
        shapes = {name: array.shape for name, array in arrays.items()}
        if any(len(shape) != 1 or shape[0] == 0 for shape in shapes.values()) or len(set(shapes.values())) > 1:
            listed = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
            raise ValueError(f"{listed}: all must be one-dimensional, of the same length G >= 1.")
        require_type("order", order, (ClassOrder, type(None)), "None; from_counts sets it")
        self.classes, self.samples = arrays["classes"], arrays["samples"]
        raw = _class_weights(arrays, self.samples)
        self.order = order
        self._check_raw(raw)
        raw = concrete(raw)
        # By the largest first, so that R = 1e300 does not overflow the sum.
        raw = raw / (jax.lax.stop_gradient(raw.max()) if isinstance(raw, Tracer) else raw.max())
        self.weights = jnp.asarray(raw / (concrete(self.classes) * raw).sum())
        _require_moderate(next(iter(chosen), "samples"), raw, self.weights)

    def _check_raw(self, raw_weights) -> None:
        require("classes", self.classes, "0 (absent), or from 1 to 2^53", _is_count, "Drop or merge the group.")
        require_positive("Leave classes without samples out.", samples=self.samples)
        require_positive("Leave classes of no weight out.", weights=raw_weights)
        require(
            "sum(classes)", concrete(self.classes).sum(-1), "at least 2", lambda k: k >= 2, "One class has no geometry."
        )

    def check(self) -> None:
        """Raise ValueError for the first bad entry of concrete (also batched) leaves."""
        self._check_raw(self.weights)

    def is_valid(self) -> Bool[Array, "*batch"]:
        """The same conditions as a traced flag."""
        each = _is_count(self.classes) & is_positive(self.samples) & is_positive(self.weights)
        return jnp.all(each, -1) & (self.num_classes >= 2)

    def with_order(self, order: ClassOrder | None) -> "ClassGroups":
        """The same groups of classes in another order."""
        # __init__ would refuse the batch axes of a batched solution; copy.copy would leave the groups for ever in
        # equinox's set of modules under construction.
        groups = object.__new__(ClassGroups)
        for name in self.__dataclass_fields__:
            object.__setattr__(groups, name, order if name == "order" else getattr(self, name))
        return groups

    @property
    def num_groups(self) -> int:
        """G, static."""
        return self.classes.shape[-1]

    @property
    def num_classes(self) -> Float[Array, "*batch"]:
        """K = sum of ``classes``: a value, not a shape."""
        return self.classes.__array_namespace__().sum(self.classes, -1)

    @property
    def class_index(self) -> np.ndarray:
        """Group of each class, in the caller's order (host only; without ``from_counts`` group after group)."""
        if self.order is not None:
            return self.order.group_of_class
        if isinstance(self.classes, Tracer):
            raise ValueError("class_index needs concrete class counts: the number of classes is a traced value here.")
        if self.classes.ndim > 1:
            raise ValueError("class_index of a batch: index one entry first, or use jax.vmap.")
        return np.repeat(np.arange(self.num_groups), np.rint(np.asarray(self.classes)).astype(int))

    @staticmethod
    def balanced(K: Any, n: Any = 1.0) -> "ClassGroups":
        """K classes of n samples: one group."""
        values = scalars(K=K, n=n)
        require("K", values["K"], "from 2 to 2^53", lambda k: (k >= 2) & is_class_count(k), "It counts classes.")
        require_positive("It counts the samples of a class.", n=values["n"])
        K, n = concrete((values["K"], values["n"]))
        return ClassGroups(K[None], n[None])

    @staticmethod
    def two_group(K_A: Any, K_B: Any, R: Any) -> "ClassGroups":
        """K_A classes of R samples and K_B of one (imbalance ratio R = n_A / n_B > 0; below 1 the roles swap)."""
        values = scalars(K_A=K_A, K_B=K_B, R=R)
        require_class_counts(K_A=values["K_A"], K_B=values["K_B"])
        _require_ratio("R = n_A / n_B; R = 1 is balanced.", R=values["R"])
        # A traced count below 1 must not pass for an absent group.
        K_A, K_B, R = concrete((values["K_A"], values["K_B"], values["R"]))
        if holds_tracers((K_A, K_B, R)):
            K_A, K_B = (jnp.where(x >= 1, x, jnp.nan) for x in (K_A, K_B))
            return ClassGroups(jnp.stack([K_A, K_B]), jnp.stack([R, jnp.ones_like(R)]))
        return ClassGroups(np.stack([K_A, K_B]), np.stack([R, np.ones_like(R)]))

    @staticmethod
    def long_tail(K: Any, ratio: Any, size: int | None = None) -> "ClassGroups":
        """K classes with n_k = ratio^(-k/(K-1)), k = 0..K-1: the usual exponential long tail, G = K.

        K is static; with a static ``size`` >= K it is a value, and ``size - K`` absent classes pad it (G = size): one
        compilation then serves a grid over K.
        """
        if size is None:
            size = K = require_integer("K", K, 2)
        values = scalars(K=K, ratio=ratio)
        size = require_integer("size", size, 2)
        require("K", values["K"], f"from 2 to size = {size}", lambda k: (k >= 2) & (k <= size), "Raise size.")
        _require_ratio("It is n_max / n_min.", ratio=values["ratio"])
        K, ratio = concrete((values["K"], values["ratio"]))
        nx = ratio.__array_namespace__()
        k = nx.arange(size, dtype=ratio.dtype)
        # An absent class keeps the last present one's count, so that nothing underflows.
        place = nx.minimum(k, K - 1) / (K - 1)
        present = nx.where((K >= 2) & (K <= size), (k < K).astype(ratio.dtype), nx.nan)
        return ClassGroups(present, nx.exp(-place * nx.log(ratio)))

    @staticmethod
    def per_class(n_k: Any, weights: Any = None, *, sample_weights: Any = None) -> "ClassGroups":
        """Every class its own group (G = K; traceable)."""
        n_k = concrete(leaves(n_k=n_k)["n_k"])
        if n_k.ndim != 1:
            raise ValueError(f"n_k has shape {n_k.shape}: it must be one-dimensional, one entry per class.")
        require_positive("Leave classes without samples out.", n_k=n_k)
        return ClassGroups(n_k.__array_namespace__().ones_like(n_k), n_k, weights, sample_weights=sample_weights)

    @staticmethod
    def from_counts(
        n_k: Sequence[float],
        weights: Sequence[float] | None = None,
        *,
        sample_weights: Sequence[float] | None = None,
    ) -> "ClassGroups":
        """Group classes of equal (count, weight), by decreasing count; ``class_index`` keeps the caller's order.

        Host only (the number of groups is a shape): under a trace use :meth:`per_class`.
        """
        table, given = _columns(n_k, weights, sample_weights)
        kinds, group, classes = np.unique(-table, axis=0, return_inverse=True, return_counts=True)
        samples, chosen = -kinds.T
        return ClassGroups(classes, samples, chosen if given else None, ClassOrder(group.ravel()))

    @staticmethod
    def banded(
        n_k: Sequence[float],
        rtol: float,
        weights: Sequence[float] | None = None,
        *,
        sample_weights: Sequence[float] | None = None,
    ) -> "ClassGroups":
        """Group classes whose counts and weights differ by at most ``rtol``: a coarse problem of fewer groups.

        Between the largest and the least count, and weight, of a band is a factor of at most ``1 + rtol``. All of its
        classes get the band's mean weight, and the square of its mean root of a count: so the optimum of the coarse
        problem is off by the square of ``rtol`` only. It is certified for the coarse problem;
        :func:`lpmjax.certificate.unbanded` makes of it an interval that holds the optimum of the ``original`` one.

        Host only, as :meth:`from_counts`, which is ``rtol = 0``. Raises ValueError for a negative ``rtol``.
        """
        rtol = float(scalars(rtol=rtol)["rtol"])
        require("rtol", rtol, "finite and >= 0", lambda r: (r >= 0) & (r < np.inf), "It is a relative difference.")
        table, given = _columns(n_k, weights, sample_weights)
        pairs = np.stack([bands_of(column, rtol) for column in table.T], axis=1)
        _, band = np.unique(pairs, axis=0, return_inverse=True)
        order = Bands(band.ravel(), table[:, 0], table[:, 1] if given else None)
        classes = np.bincount(order.group_of_class)
        first = np.unique(order.group_of_class, return_index=True)[1]
        roots, means = (_band_means(x, order.group_of_class, first) for x in (np.sqrt(table[:, 0]), table[:, 1]))
        # The square of the mean root, and exactly the count where a band has but one.
        at, root = table[first, 0], np.sqrt(table[first, 0])
        samples = at + (roots - root) * (roots + root)
        return ClassGroups(classes, samples.astype(table.dtype), means.astype(table.dtype), order)

    @property
    def original(self) -> "ClassGroups":
        """The groups of equal classes that :meth:`banded` was given; of any other groups themselves."""
        if not isinstance(self.order, Bands):
            return self
        samples, weights = self.order.parts()["samples"], self.order.parts().get("weights")
        return ClassGroups.from_counts(samples, weights)  # pyright: ignore[reportArgumentType] (arrays are sequences)


def _one_of(weights, sample_weights) -> dict[str, Any]:
    if weights is not None and sample_weights is not None:
        raise ValueError(
            "both weights and sample_weights: give weights (of a whole class) or sample_weights (of one sample of it)."
        )
    given = {"weights": weights, "sample_weights": sample_weights}
    return {name: value for name, value in given.items() if value is not None}


def _columns(n_k, weights, sample_weights) -> tuple[np.ndarray, bool]:
    """(K, 2) count and weight of each class, and whether weights were given."""
    if holds_tracers((n_k, weights, sample_weights)):
        raise ValueError("from_counts and banded group on the host and cannot be traced; use ClassGroups.per_class.")
    given = _one_of(weights, sample_weights)
    columns = leaves(n_k=n_k, **given)
    if len({column.shape for column in columns.values()}) > 1 or columns["n_k"].ndim != 1:
        listed = ", ".join(f"{name} has shape {column.shape}" for name, column in columns.items())
        raise ValueError(f"{listed}: both must be one-dimensional, one entry per class.")
    require_positive("Leave classes without samples or weight out.", **columns)
    return np.stack([columns["n_k"], _class_weights(columns, columns["n_k"])], axis=1), bool(given)


def _band_means(values: np.ndarray, band: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(G,) mean over each band, counted from its ``first`` class, so that equal values have exactly that."""
    return values[first] + np.bincount(band, values - values[first][band]) / np.bincount(band)


def _class_weights(arrays, samples):
    """Loss weight of a whole class, by either kind of weights."""
    if "sample_weights" in arrays:
        require_positive("Leave classes of no weight out.", sample_weights=arrays["sample_weights"])
        return samples * arrays["sample_weights"]
    return arrays.get("weights", samples)


def _require_ratio(meaning: str, **values: Array) -> None:
    """:func:`require` a ratio of counts, or its inverse, at which the least weight is far from underflow."""
    for name, value in values.items():
        most = _widest(value)
        allowed = f"from {1 / most:g} to {most:g} in {value.dtype}"
        require(name, value, allowed, lambda r, most=most: (r >= 1 / most) & (r <= most), meaning)


def _widest(counts: Array) -> float:
    """Ratio of counts up to which the least weight is far from underflow."""
    return 1e300 if counts.dtype == jnp.float64 else 1e30


def _require_moderate(name: str, raw: Array | np.ndarray, weights: Array) -> None:
    """ValueError if the least share of the loss underflows."""
    if isinstance(weights, Tracer) or (np.asarray(weights) >= jnp.finfo(weights.dtype).tiny).all():
        return
    raise ValueError(
        f"{name} from {np.min(raw):g} to {np.max(raw):g} are too far apart: the least share of the loss is no normal "
        f"number in {weights.dtype}. Bring the ratio below {_widest(weights):g}."
    )


def _is_count(k):
    return (k == 0) | is_class_count(k)
