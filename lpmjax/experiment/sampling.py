"""Imbalanced training sets drawn from balanced data: how many samples of each class, and which."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from ..arguments import require, require_integer
from .images import Images


class Profile(StrEnum):
    """How counts fall from the first class to the last."""

    two_groups = "two-groups"
    long_tail = "long-tail"


class Sample(NamedTuple):
    """A training set and a balanced test set, as rows of the images, with labels by place: class 0 has most samples."""

    rows: np.ndarray  #: (N,)
    labels: np.ndarray  #: (N,)
    test_rows: np.ndarray
    test_labels: np.ndarray


def class_counts(K: int, largest: int, ratio: float, profile: Profile) -> np.ndarray:
    """(K,) counts from ``largest`` down to ``largest / ratio``, rounded: half of the classes each, or a geometric tail.

    Raises ValueError if the ratio is below 1, or leaves a class empty.
    """
    require("ratio", ratio, "at least 1 and finite", lambda r: (r >= 1) & np.isfinite(r), "It is n_max / n_min.")
    step = np.arange(K) / (K - 1) if profile is Profile.long_tail else np.arange(K) >= K - K // 2
    counts = np.floor(largest / ratio**step + 0.5).astype(int)
    if counts.min() < 1:
        raise ValueError(
            f"ratio = {ratio:g} leaves class {counts.argmin()} empty: {largest} samples over {ratio:g} round to 0. "
            f"Choose a ratio of at most {2 * largest:g}, or more samples."
        )
    return counts


def drawn(images: Images, counts: np.ndarray, largest: int, seed: int) -> Sample:
    """Samples of each class at random, and which class has how many as well; smaller counts are part of larger ones.

    What is left beyond ``largest`` samples of each class is the test set, the same number of each, whatever the counts.
    """
    require_integer("seed", seed, 0)
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(images.labels == k)) for k in rng.permutation(counts.size)]
    left = min(map(len, members)) - largest
    if left < 1:
        raise ValueError(
            f"samples = {largest} is out of range: a class of {images.name} has {left + largest} images, and at least "
            f"one must be left for testing. Choose at most {left + largest - 1}."
        )
    train = [own[:n] for own, n in zip(members, counts, strict=True)]
    test = [own[largest : largest + left] for own in members]
    place = np.arange(counts.size)
    return Sample(np.concatenate(train), np.repeat(place, counts), np.concatenate(test), np.repeat(place, left))
