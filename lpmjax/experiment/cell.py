"""One batch of networks: of every decay and seed at one depth and ratio, trained and measured."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import nets
from .images import Images
from .observation import Measures, measured
from .sampling import Sample, drawn
from .settings import Architecture, Settings
from .training import Task, Trained, train


class Cell(NamedTuple):
    """Where training ended, and what it led to; decay by decay, the seeds of each."""

    trained: Trained
    measures: list[Measures]
    counts: np.ndarray
    decays: np.ndarray  #: (networks,)


def trained_cell(
    images: Images,
    settings: Settings,
    depth: int,
    ratio: float,
    class_weights: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> Cell:
    """Train the networks of a depth and ratio; ``class_weights`` (networks, K) are loss weights of whole classes."""
    counts = settings.counts(images, ratio)
    samples, decays = prepared(images, settings, counts)
    weights = np.tile(counts, (decays.size, 1)) if class_weights is None else class_weights
    tasks = stacked_tasks(images, samples, decays, weights / counts, depth)
    networks = initial(images, settings, depth)
    trained = train(networks, tasks, settings.tol, progress)
    return Cell(trained, measured(trained.network, tasks, images.pixels, samples), counts, decays)


def prepared(images: Images, settings: Settings, counts: np.ndarray) -> tuple[list[Sample], np.ndarray]:
    """Sample and decay of every network of a batch."""
    of_seed = [drawn(images, counts, settings.samples, seed) for seed in range(settings.seeds)]
    return of_seed * len(settings.decays), np.repeat(settings.decays, settings.seeds)


def stacked_tasks(
    images: Images, samples: list[Sample], decays: np.ndarray, sample_weights: np.ndarray, depth: int
) -> Task:
    """Tasks of a batch, whose samples weigh ``sample_weights`` (networks, K) by class, up to scale."""
    weights = np.stack([of_class[sample.labels] for of_class, sample in zip(sample_weights, samples, strict=True)])
    return Task(
        jnp.asarray(np.stack([images.pixels[sample.rows] for sample in samples])),
        jnp.asarray(np.stack([sample.labels for sample in samples]), jnp.int32),
        jnp.asarray(weights / weights.sum(1, keepdims=True), jnp.float32),
        jnp.asarray(np.tile(decays[:, None], depth), jnp.float32),
    )


def initial(images: Images, settings: Settings, depth: int) -> nets.Network:
    """Random weights; those of one seed are the same at every decay and ratio."""
    make = nets.convolutional if settings.architecture is Architecture.convolutional else nets.perceptron
    shape, K = images.pixels.shape[1:], images.num_classes
    seeds = jnp.tile(jnp.arange(settings.seeds), len(settings.decays))
    return jax.vmap(lambda seed: make(jax.random.key(seed), shape, K, depth, settings.width))(seeds)
