"""Groups of classes made anew: weights raised to a level, bands of near-equal weights, absent groups left out."""

import numpy as np

from ..groups import ClassGroups
from ..orders import bands_of

_RTOL = 0.1  #: of the weights in a band


def raised(groups: ClassGroups, level: float) -> ClassGroups:
    """All weights below a level raised to it."""
    classes, samples, weights = map(np.asarray, (groups.classes, groups.samples, groups.weights))
    below = weights < level
    if below.any():
        # Equal weights make one group whatever the counts, and the others absent: as groups of their own, all at the
        # threshold at once, they would be next to insoluble.
        last, number = np.flatnonzero(below)[-1], np.sum(classes[below])
        classes = np.where(below, 0, classes)
        classes[last] = number
    return ClassGroups(classes, samples, np.maximum(weights, level))


def compact(groups: ClassGroups, size: int) -> ClassGroups:
    """Without absent groups beyond this ``size``; ValueError if more are present."""
    classes, samples, weights = map(np.asarray, (groups.classes, groups.samples, groups.weights))
    kept = np.sort(np.argsort(classes == 0, kind="stable")[:size])
    if (classes > 0).sum() > size:
        raise ValueError(f"size = {size} is out of range: {(classes > 0).sum()} groups are present.")
    return ClassGroups(classes[kept], samples[kept], weights[kept])


def in_bands(groups: ClassGroups, size: int | None = None) -> tuple[ClassGroups, np.ndarray]:
    """Bands of near-equal weights, and the band of each group; ``size`` of them, some absent, however many there are.

    The least weight, at which a threshold is, is a band of its own. Samples are left out: the Layer-Peeled Model does
    not know them.
    """
    classes, weights = np.asarray(groups.classes), np.asarray(groups.weights)
    here = classes > 0
    least = here & (weights == weights[here].min())
    band = np.zeros(classes.size, int)
    band[here & ~least] = bands_of(weights[here & ~least], _RTOL)
    band[least] = np.max(band[here & ~least], initial=-1) + 1
    number = int(band[least][0]) + 1
    members = np.bincount(band, classes, minlength=size or number)
    mean = np.bincount(band, classes * weights, minlength=members.size) / np.where(members > 0, members, 1)
    return ClassGroups(members, np.ones_like(mean), np.where(members > 0, mean, mean.max())), band
