"""What an experiment is made of, checked before anything is trained."""

import dataclasses
from enum import StrEnum

import numpy as np

from ..arguments import require_integer, require_positive, require_type
from .images import Images
from .sampling import Profile, class_counts, drawn


class Architecture(StrEnum):
    """Kind of network."""

    perceptron = "perceptron"
    convolutional = "convolutional"


@dataclasses.dataclass(frozen=True)
class Settings:
    """A grid of networks: every ratio, decay, depth and seed.

    Attributes
    ----------
    ratios : imbalance ratios n_max / n_min, at least 1.
    decays : weight decays, ``decay / 2`` times the squared norm of every weight beside a mean loss.
    depths : numbers of weight matrices (of convolutions and a classifier), at least 2.
    seeds : number of them; each draws samples, which class has how many, and initial weights.
    samples : of the largest classes.
    width : of the hidden layers, or channels of the convolutions.
    profile : of the counts: two groups, the first half of the classes (and the middle one) larger, or a long tail.
    architecture : perceptron or convolutional.
    tol : residual at which training is done: norm of the gradient over that of its part from weight decay.
    """

    ratios: tuple[float, ...] = (1.0, 4.0, 12.0, 60.0)
    decays: tuple[float, ...] = (0.01, 0.03, 0.06, 0.1)
    depths: tuple[int, ...] = (2, 3)
    seeds: int = 3
    samples: int = 60
    width: int = 64
    profile: Profile = Profile.two_groups
    architecture: Architecture = Architecture.perceptron
    tol: float = 1e-3

    def __post_init__(self):
        for name in ("ratios", "decays", "depths"):
            require_type(name, getattr(self, name), tuple, "a tuple of numbers, as (1.0, 10.0)")
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: give at least one.")
        require_positive("It is a weight decay.", decays=np.array(self.decays))
        require_positive("It is relative to the pull of weight decay.", tol=self.tol)
        for depth in self.depths:
            require_integer("depths", depth, 2)
        for name in ("seeds", "samples", "width"):
            require_integer(name, getattr(self, name), 1)
        for name, kind in (("profile", Profile), ("architecture", Architecture)):
            if getattr(self, name) not in list(kind):
                raise ValueError(f"{name} = {getattr(self, name)!r} is unknown: choose from {', '.join(kind)}.")
            object.__setattr__(self, name, kind(getattr(self, name)))

    def check(self, images: Images) -> None:
        """ValueError if a ratio leaves a class empty, or the images are too few."""
        for ratio in self.ratios:
            drawn(images, self.counts(images, ratio), self.samples, 0)

    def counts(self, images: Images, ratio: float) -> np.ndarray:
        """(K,) samples of the classes at a ratio."""
        return class_counts(images.num_classes, self.samples, ratio, self.profile)
