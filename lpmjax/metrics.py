"""How far a network's last layer is from neural collapse: NC1 to NC4 of measured features and a classifier.

Everything runs on the host in NumPy float64. Sources: Papyan, Han and Donoho (2020), "Prevalence of neural collapse
during the terminal phase of deep learning training", PNAS 117(40); Zhu et al. (2021), "A geometric analysis of neural
collapse with unconstrained features", NeurIPS.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

import numpy as np

from .arguments import require, require_integer, require_type, require_unmasked

T = TypeVar("T")

#: Relative to the largest, a length or a difference of scores up to this is rounding: zero vectors, tied scores.
ROUNDING = 1e-12
_ROWS = 4096  # rows in float64 at a time: memory beyond the caller's own arrays does not grow with N
_LARGEST, _SMALLEST = 1e140, 1e-140  # between these, squares summed over any data set neither overflow nor vanish


class SimplexDeviations(NamedTuple):
    """NC2 of Papyan et al.: three distances of K vectors from a simplex ETF, for class means and for classifiers.

    Class means are centred, ``μ_k - μ_G``; classifiers ``w_k`` are not. All are 0 at a simplex ETF and dimensionless.
    ``Std`` divides by the number of classes or pairs (``torch.std`` divides by one less).
    """

    equinorm_means: float  #: Std_k ‖μ_k - μ_G‖ / Avg_k ‖μ_k - μ_G‖
    equinorm_classifiers: float  #: Std_k ‖w_k‖ / Avg_k ‖w_k‖
    equiangular_means: float  #: Std over pairs k ≠ l of cos(μ_k - μ_G, μ_l - μ_G)
    equiangular_classifiers: float  #: Std over pairs k ≠ l of cos(w_k, w_l)
    maximal_means: float  #: Avg over pairs k ≠ l of ``|cos(μ_k - μ_G, μ_l - μ_G) + 1/(K-1)|``
    maximal_classifiers: float  #: Avg over pairs k ≠ l of ``|cos(w_k, w_l) + 1/(K-1)|``


class NeuralCollapse(NamedTuple, Generic[T]):
    """The four measures, 0 at neural collapse, as Python floats without units; NaN is "does not exist", never a guess.

    With M the centred class means ``μ_k - μ_G`` as rows and ``E = (I - 1 1ᵀ/K)/√(K-1)``:

    =====  ===================================================  ==============================
    field  ``normalisation="papyan"``                           ``normalisation="zhu"``
    =====  ===================================================  ==============================
    NC1    ``Tr(Σ_W Σ_B⁺)/K``                                   the same
    NC2    :class:`SimplexDeviations`                           ``‖W Wᵀ/‖W Wᵀ‖_F - E‖_F``
    NC3    ``‖W/‖W‖_F - M/‖M‖_F‖_F``                            ``‖W Mᵀ/‖W Mᵀ‖_F - E‖_F``
    NC4    fraction of samples with ``argmax_k w_k·h + b_k``    the same
           other than ``argmin_k ‖h - μ_k‖``
    =====  ===================================================  ==============================

    NC3 is the norm in the paper's statement of NC3; public code in its wake plots the square. NC1 is NaN if all
    class means coincide, NC2 and NC3 if they need the direction of a zero vector (an annihilated ``w_k`` has no cosine)
    and NC4 if there was no second pass, or if for every sample all classes tie (a zero classifier, coinciding means).
    """

    NC1: float
    NC2: T
    NC3: float
    NC4: float


class NeuralCollapseStream:
    """NC1 to NC4 of a data set that arrives in batches, in memory O(K d + d²).

    Per-class means and the within-class scatter are merged batch by batch with the update of Chan, Golub and LeVeque
    (1983), about an origin inside the data, so neither the batches, nor their order, nor an offset of the features
    costs accuracy::

        stream = NeuralCollapseStream(K)
        for features, labels in loader:
            stream.update(features, labels)
        stream.result(W, b, second_pass=(features for features, _ in loader))

    Definitions, N samples, n_k of them in class k with mean μ_k: ``Σ_W = (1/N) Σ_i (h_i - μ_{y_i})(h_i - μ_{y_i})ᵀ``,
    ``Σ_B = (1/K) Σ_k (μ_k - μ_G)(μ_k - μ_G)ᵀ`` and ``μ_G = (1/K) Σ_k μ_k``. The papers have balanced classes, where
    μ_G is also the mean of all samples. With unequal counts it is not: here it stays the mean of the class means, as in
    public code after Han, Papyan and Donoho, so that every class weighs the same; the code of Zhu et al. takes the
    mean of all samples.

    Parameters
    ----------
    K : number of classes, an integer of at least 2; labels are 0, ..., K - 1.

    Raises
    ------
    ValueError
        If K is not such an integer.
    """

    def __init__(self, K: int):
        self.K = require_integer("K", K, 2)
        #: Samples of each class so far, shape (K,).
        self.counts = np.zeros(self.K, np.int64)
        self._origin = self._means = self._scatter = np.zeros(0)  # allocated by the first batch, which brings d
        self._spread = 0.0  # largest distance of a sample from the origin: what rounding is relative to

    def update(self, features: Any, labels: Any) -> None:
        """First pass: take in a batch. If it raises, the batch has left no trace.

        Parameters
        ----------
        features : (n, d) NumPy, JAX or PyTorch array or list, of any real dtype, on any device.
        labels : (n,) integers in 0, ..., K - 1.

        Raises
        ------
        ValueError
            If the shapes disagree with each other or with earlier batches, a feature is NaN, infinite or above 1e140,
            or a label is fractional or out of range.
        """
        array = self._checked(features)
        y = _checked_labels(labels, len(array), self.K)
        if not len(array):
            return
        if not self.counts.any():
            d = array.shape[1]
            self._origin = next(_blocks(array))[1].mean(0)
            self._means, self._scatter = np.zeros((self.K, d)), np.zeros((d, d))
        for start, block in _blocks(array):
            self._absorb(block - self._origin, y[start : start + len(block)])

    def _absorb(self, x: np.ndarray, y: np.ndarray) -> None:
        """Chan's update with one block, given relative to the origin."""
        self._spread = max(self._spread, float(np.linalg.norm(x, axis=1).max()))
        order = np.argsort(y, kind="stable")
        x, y = x[order], y[order]
        present, starts, inverse, n = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
        n = n[:, None]
        means = np.add.reduceat(x, starts, axis=0) / n
        x -= means[inverse]
        before = self.counts[present][:, None]
        step = means - self._means[present]
        self._means[present] += step * (n / (before + n))
        step *= np.sqrt(before * (n / (before + n)))
        self._scatter += x.T @ x + step.T @ step
        self.counts[present] += n[:, 0]

    @overload
    def result(
        self, W: Any, b: Any = None, *, second_pass: Iterable[Any] | None = None, normalisation: Literal["papyan"] = ...
    ) -> NeuralCollapse[SimplexDeviations]: ...
    @overload
    def result(
        self, W: Any, b: Any = None, *, second_pass: Iterable[Any] | None = None, normalisation: Literal["zhu"]
    ) -> NeuralCollapse[float]: ...
    def result(self, W: Any, b: Any = None, *, second_pass: Any = None, normalisation: Any = "papyan") -> Any:
        """The measures (:class:`NeuralCollapse`) of the batches so far, with a classifier; more batches may follow.

        ``Σ_B⁺`` treats eigenvalues up to ``max(K, d) ε`` times the largest as zero, ε = 2.2e-16 (the rank of Σ_B is at
        most K - 1): within-class scatter outside the span of the class means does not count in NC1.

        Parameters
        ----------
        W : (K, d) classifiers, one row per class.
        b : (K,) biases, by default zero; only NC4 depends on them.
        second_pass : iterable of (n, d) batches of features, for NC4 (NaN without it): the same data again, or test
            data. The nearest centres are those of the first pass.
        normalisation : "papyan" or "zhu".

        Raises
        ------
        ValueError
            If a class has no samples, the features are all within 1e-140 of each other without being equal, the second
            pass has no samples, a shape disagrees, a number is not finite or the normalisation is unknown.
        """
        if not isinstance(normalisation, str) or normalisation not in ("papyan", "zhu"):
            raise ValueError(f'normalisation = {normalisation!r} is out of range: it must be "papyan" or "zhu".')
        self._require_samples()
        W, b = self._classifier(W, b)
        NC4 = float("nan")
        if second_pass is not None:
            require_type("second_pass", second_pass, Iterable, "an iterable of batches of features, or None")
            counts = np.zeros(3, np.int64)
            for features in second_pass:
                array = self._checked(features, "a batch of second_pass (features without labels)")
                counts += (len(array), *self._count(array, W, b))
            seen, mismatched, open_ = counts.tolist()
            if not seen:
                raise ValueError("second_pass has no samples: give the batches again, not an iterator already used up.")
            NC4 = mismatched / seen if open_ < seen else float("nan")

        # All but NC4 is the same for multiples of W and of the features: with lengths near 1, no square vanishes.
        W = W / (np.abs(W).max() or 1.0)
        spread = self._spread or 1.0
        M = self._centred_means() / spread
        zero_means = np.linalg.norm(M, axis=1) <= ROUNDING
        NC1 = float("nan") if zero_means.all() else self._variability(M, spread)
        if normalisation == "zhu":
            W_M = W @ M.T
            zero = zero_means.all() or np.linalg.norm(W_M) <= ROUNDING * np.linalg.norm(W) * np.linalg.norm(M)
            return NeuralCollapse(NC1, _etf_distance(W @ W.T), float("nan") if zero else _etf_distance(W_M), NC4)
        lengths = np.linalg.norm(W, axis=1)
        means, classifiers = _deviations(M, zero_means), _deviations(W, lengths <= ROUNDING * lengths.max())
        exists = not zero_means.all() and W.any()
        NC3 = np.linalg.norm(W / np.linalg.norm(W) - M / np.linalg.norm(M)) if exists else float("nan")
        pairs = (value for pair in zip(means, classifiers, strict=True) for value in pair)
        return NeuralCollapse(NC1, SimplexDeviations(*pairs), float(NC3), NC4)

    def mismatches(self, features: Any, W: Any, b: Any = None) -> int:
        """Samples of a batch (n, d) whose class by ``W h + b`` is not that of the nearest class mean so far.

        Classes tie if their scores differ by rounding, as merged classifiers do; a sample matches if any class is first
        by both rules. (Code that takes the first maximum instead decides such ties by rounding.)

        Raises
        ------
        ValueError
            As :meth:`result` does.
        """
        self._require_samples()
        return self._count(self._checked(features), *self._classifier(W, b))[0]

    def _count(self, array: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[int, int]:
        """Samples whose class by the one rule is not that by the other, and those that a rule leaves quite open."""
        unit = max(np.abs(W).max(), np.abs(b).max()) or 1.0  # the decision is that of any positive multiple
        W, b = W / unit, b / unit
        longest, largest_b = np.linalg.norm(W, axis=1).max(), np.abs(b).max()
        M = self._centred_means()
        half_squares, longest_M = 0.5 * (M * M).sum(1), np.linalg.norm(M, axis=1).max()
        middle = self._means.mean(0)
        mismatched = open_ = 0
        for _, block in _blocks(array):
            x = block - self._origin
            x_size = np.linalg.norm(x, axis=1) + self._spread
            decided = _first(block @ W.T + b, np.linalg.norm(block, axis=1) * longest + largest_b)
            # Nearest to h is the largest (h - μ_G)·m_k - |m_k|²/2, which cancels nothing large.
            nearest = _first((x - middle) @ M.T - half_squares, x_size * longest_M)
            mismatched += int((~(decided & nearest).any(1)).sum())
            open_ += int((decided.all(1) | nearest.all(1)).sum())
        return mismatched, open_

    def _variability(self, M: np.ndarray, spread: float) -> float:
        """NC1 by the singular values of M: ``Tr(Σ_W Σ_B⁺)/K = Σ_j v_jᵀ Σ_W v_j / s_j²``, without squaring M."""
        _, s, V = np.linalg.svd(M, full_matrices=False)
        kept = s**2 > max(M.shape) * np.finfo(float).eps * s[0] ** 2
        kept[self.K - 1 :] = False  # else rounding, if the means are much closer than samples
        V = V[kept] / (s[kept, None] * spread)
        return float(((V @ (self._scatter / self.counts.sum())) * V).sum())

    def _centred_means(self) -> np.ndarray:
        return self._means - self._means.mean(0)

    def _require_samples(self) -> None:
        empty = np.flatnonzero(self.counts == 0)
        if empty.size:
            raise ValueError(
                f"counts[{empty[0]}] = 0 is out of range: {empty.size} of {self.K} classes have no samples, so their "
                "means and NC1 to NC4 do not exist. Add samples, or drop the class from W and renumber the labels."
            )
        if 0 < self._spread < _SMALLEST:
            raise ValueError(
                f"features differ by at most {self._spread:g}, too little for float64 squares: the spread must be 0 or "
                f"at least {_SMALLEST:g}. Multiply them by a constant; NC1 to NC3 do not depend on it."
            )

    def _checked(self, features: Any, name: str = "features") -> np.ndarray:
        array = _host(name, features)
        if array.ndim != 2 or not array.shape[1]:
            hint = "" if name == "features" else " second_pass is an iterable of batches: for one array give [array]."
            raise ValueError(f"{name} has shape {array.shape}: it must be (samples, d) with d >= 1; reshape it.{hint}")
        if self.counts.any() and array.shape[1] != len(self._origin):
            raise ValueError(f"{name} has d = {array.shape[1]}, but the first batch had d = {len(self._origin)}.")
        for start, block in _blocks(array):
            if not (np.abs(block) <= _LARGEST).all():
                here = name if start == 0 else f"{name}[{start}:]"
                require(here, block, f"finite and at most {_LARGEST:g} in size", _in_range, "Drop or rescale it.")
        return array

    def _classifier(self, W: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.K, len(self._origin))
        W = _host("W", W).astype(np.float64, order="C")
        if W.shape != shape:
            hint = " Transpose it." if W.shape == shape[::-1] else ""
            raise ValueError(f"W has shape {W.shape}: it must be (K, d) = {shape}, one row per class.{hint}")
        b = np.zeros(self.K) if b is None else _host("b", b).astype(np.float64)
        if b.shape != (self.K,):
            raise ValueError(f"b has shape {b.shape}: it must be ({self.K},), one bias per class, or None for zeros.")
        require("W", W, "finite", np.isfinite, "Has training diverged?")
        require("b", b, "finite", np.isfinite, "Has training diverged?")
        return W, b


@overload
def neural_collapse(
    features: Any, labels: Any, W: Any, b: Any = None, *, normalisation: Literal["papyan"] = ...
) -> NeuralCollapse[SimplexDeviations]: ...
@overload
def neural_collapse(
    features: Any, labels: Any, W: Any, b: Any = None, *, normalisation: Literal["zhu"]
) -> NeuralCollapse[float]: ...
def neural_collapse(features: Any, labels: Any, W: Any, b: Any = None, *, normalisation: Any = "papyan") -> Any:
    """NC1 to NC4 of a network's last layer: features, labels, classifier (:class:`NeuralCollapse` has the formulas).

    The one-shot form of :class:`NeuralCollapseStream`, which documents the covariances and conventions.

    Parameters
    ----------
    features : (N, d) inputs of the last layer; NumPy, JAX or PyTorch array or list, of any real dtype, on any device.
    labels : (N,) integers in 0, ..., K - 1.
    W : (K, d) last-layer weights.
    b : (K,) biases, by default zero.
    normalisation : "papyan" (Papyan, Han and Donoho 2020) or "zhu" (Zhu et al. 2021).

    Raises
    ------
    ValueError
        If shapes disagree, a class of W has no samples, a label is fractional or out of range, a number is not finite,
        or the normalisation is unknown.
    """
    W = _host("W", W)
    if W.ndim != 2 or len(W) < 2:
        raise ValueError(f"W has shape {W.shape}: it must be (K, d) with K >= 2 classes, one row per class.")
    features = _host("features", features)
    if features.ndim == 2 and W.shape[1] != features.shape[1] == len(W):
        raise ValueError(
            f"W has shape {W.shape}, but features have d = {features.shape[1]}: W must be (K, d), one row per class. "
            "Transpose it (a kernel of shape (d, K), as in Flax or Keras: W = kernel.T)."
        )
    stream = NeuralCollapseStream(len(W))
    stream.update(features, labels)
    return stream.result(W, b, second_pass=[features], normalisation=normalisation)


def _deviations(vectors: np.ndarray, zero: np.ndarray) -> tuple[float, float, float]:
    """Equinorm, equiangular and maximal-angle deviations; cosines of zero vectors do not exist."""
    K = len(vectors)
    lengths = np.linalg.norm(vectors, axis=1)
    nan = float("nan")
    equinorm = nan if zero.all() else float(lengths.std() / lengths.mean())
    if zero.any():
        return equinorm, nan, nan
    units = vectors / lengths[:, None]
    cosines = (units @ units.T)[np.triu_indices(K, 1)]
    return equinorm, float(cosines.std()), float(np.abs(cosines + 1 / (K - 1)).mean())


def _etf_distance(A: np.ndarray) -> float:
    """``‖A/‖A‖_F - (I - 1 1ᵀ/K)/√(K-1)‖_F``; NaN for A = 0."""
    K, size = len(A), np.linalg.norm(A)
    return float(np.linalg.norm(A / size - (np.eye(K) - 1 / K) / np.sqrt(K - 1))) if size else float("nan")


def _first(scores: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Which classes have a row's largest score, up to rounding of terms of the given size."""
    return scores >= scores.max(1, keepdims=True) - ROUNDING * size[:, None]


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(array), _ROWS):
        yield start, array[start : start + _ROWS].astype(np.float64, order="C")


def _in_range(x: np.ndarray) -> np.ndarray:
    return np.abs(x) <= _LARGEST


def _checked_labels(labels: Any, n: int, K: int) -> np.ndarray:
    y = _host("labels", labels)
    if y.shape != (n,):
        hint = " Take the argmax of one-hot rows." if y.ndim == 2 and y.shape[1] == K else ""
        raise ValueError(f"labels has shape {y.shape}: it must be ({n},), one label per row of features.{hint}")
    require(
        "labels",
        y.astype(np.float64),
        f"an integer in 0, ..., {K - 1}",
        lambda entries: (entries == np.floor(entries)) & (entries >= 0) & (entries < K),
        "Number the classes as the rows of W, from 0, and drop ignored samples.",
    )
    return y.astype(np.int64)


def _host(name: str, value: Any) -> np.ndarray:
    """A caller's array as NumPy's, in its own real dtype; PyTorch's by its own methods, which need no import."""
    require_unmasked(name, value)
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            try:
                value = value.numpy()
            except TypeError:  # NumPy has no bfloat16, so PyTorch refuses; float32 holds it exactly
                value = value.float().numpy()
        elif isinstance(value, (list, tuple)) and any(hasattr(entry, "detach") for entry in value):
            value = np.stack([_host(name, entry) for entry in value])
        array = np.asarray(value)
        # Kind V is both JAX's bfloat16 and NumPy's records.
        if array.dtype.kind not in "biufV" or array.dtype.type is np.void:
            raise TypeError(f"its dtype is {array.dtype}")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array of real numbers, outside jit: {error}.") from error
    return array
