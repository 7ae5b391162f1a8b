"""What a trained network looks like: neural collapse, norms, cosines, rank, what decays free features would need."""

from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import metrics
from .nets import Network
from .sampling import Sample
from .training import Task, cross_entropy, objective

#: singular values of a classifier below this share of the largest, and rows as short beside the longest, are zero
_SMALL = 1e-2


class Measures(NamedTuple):
    """Of one network. Classes are by place, the one with most samples first."""

    objective: float  #: cross-entropy and weight decay of all weights
    loss: float  #: cross-entropy, weighted as in training
    NC0: float  #: ``|1ᵀ W|² / K``
    NC1: float
    NC2: float
    NC3: float
    NC4: float
    rank: int  #: of the classifier
    weight_imbalance: (
        float  #: largest relative difference between two decayed squared norms of weights: 0 when stationary
    )
    w_norm2: np.ndarray  #: (K,) of classifier rows
    h_norm2: np.ndarray  #: (K,) means over the samples of a class
    cosines: np.ndarray  #: (K, K) between classifier rows, NaN where one is zero
    mean_cosines: np.ndarray  #: (K, K) between class means about their mean
    singular_values: np.ndarray  #: (K,) of the classifier, largest first
    train_accuracy: np.ndarray  #: (K,)
    test_accuracy: np.ndarray  #: (K,)
    lambda_H: float  #: decay at which free features would balance the classifier
    lambda_first: float  #: decay at which free outputs of the first layer would balance the second weight


def measured(networks: Network, tasks: Task, pixels: np.ndarray, samples: list[Sample]) -> list[Measures]:
    """Measures of a batch of networks, each with its own sample of the images."""
    outputs = _outputs(networks, tasks, _test_inputs(pixels, samples))
    every = jax.tree.map(lambda x: np.asarray(x, np.float64), (outputs, networks.weights, tasks.decays))
    found = []
    for i, sample in enumerate(samples):
        of_one, weights, decays = jax.tree.map(itemgetter(i), every)
        found.append(_measures(of_one, weights, decays, sample))
    return found


def _test_inputs(pixels: np.ndarray, samples: list[Sample]) -> jax.Array:
    return jnp.asarray(np.stack([pixels[sample.test_rows] for sample in samples]))


class _Outputs(NamedTuple):
    hidden: list  #: after each layer but the last, of the training samples
    test_logits: Any
    objective: Any
    loss: Any


@jax.jit
def _outputs(networks: Network, tasks: Task, test_inputs: jax.Array) -> _Outputs:
    def of(network: Network, task: Task, inputs: jax.Array) -> _Outputs:
        return _Outputs(
            network.hidden(task.inputs), network.logits(inputs), objective(network, task), cross_entropy(network, task)
        )

    return jax.vmap(of)(networks, tasks, test_inputs)


def _measures(outputs: _Outputs, weights, decays, sample: Sample) -> Measures:
    W, H, K = weights[-1], outputs.hidden[-1], len(weights[-1])
    collapse = metrics.neural_collapse(H, sample.labels, W, normalisation="zhu")
    means = by_class(H, sample.labels, K)
    paid = decays * [np.sum(weight**2) for weight in weights]
    singular = np.linalg.svd(W, compute_uv=False)
    hits = (np.argmax(H @ W.T, axis=1) == sample.labels, np.argmax(outputs.test_logits, axis=1) == sample.test_labels)
    return Measures(
        objective=float(outputs.objective),
        loss=float(outputs.loss),
        NC0=float(np.sum(W.sum(0) ** 2) / K),
        NC1=collapse.NC1,
        NC2=collapse.NC2,
        NC3=collapse.NC3,
        NC4=collapse.NC4,
        rank=int((singular > _SMALL * singular[0]).sum()),
        weight_imbalance=float((paid.max() - paid.min()) / paid.max()),
        w_norm2=np.sum(W**2, axis=1),
        h_norm2=by_class(np.sum(H**2, axis=1), sample.labels, K),
        cosines=cosines(W),
        mean_cosines=cosines(means - means.mean(0)),
        singular_values=np.pad(singular, (0, K - singular.size)),
        train_accuracy=by_class(hits[0], sample.labels, K),
        test_accuracy=by_class(hits[1], sample.test_labels, K),
        lambda_H=float(paid[-1] / np.sum(H**2)),
        lambda_first=float(paid[1] / np.sum(outputs.hidden[0] ** 2)),
    )


def by_class(values: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    """Means over the samples of each class."""
    return np.stack([values[labels == k].mean(0) for k in range(K)])


def cosines(rows: np.ndarray) -> np.ndarray:
    """Between all rows; NaN for those that are zero, with less than a hundredth of the longest one's length."""
    lengths = np.linalg.norm(rows, axis=1)
    zero = lengths <= _SMALL * lengths.max()
    units = rows / np.where(zero, np.nan, lengths)[:, None]
    return units @ units.T
