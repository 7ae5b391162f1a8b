"""Labelled images: scikit-learn's bundled digits, and data sets that the user has in files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..extras import bundled_digits
from . import formats


class Images(NamedTuple):
    """Images of one data set, centred, with a mean square of 1 per pixel, and their labels."""

    name: str
    pixels: np.ndarray  #: (N, height, width, channels) float32
    labels: np.ndarray  #: (N,) integers 0, ..., K - 1

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.labels.max()) + 1


#: where the images of each data set come from, in words
SOURCES = {
    "digits": "bundled with scikit-learn (pip install 'lpmjax[examples]')",
    "mnist": formats.IDX,
    "fashion-mnist": formats.IDX,
    "cifar10": formats.CIFAR,
}


def load(name: str, folder: Any = None) -> Images:
    """The training images of a data set.

    Parameters
    ----------
    name : "digits" (1797 images of 8 x 8, bundled with scikit-learn), "mnist", "fashion-mnist" or "cifar10".
    folder : of the files of the last three, which this library does not download: the IDX files of MNIST and
        FashionMNIST (``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, also ``.gz``), the binary version of
        CIFAR-10 (``data_batch_1.bin`` to ``data_batch_5.bin``).

    Raises
    ------
    ValueError
        For an unknown name, no folder, or a file that is not of the format.
    OSError
        For missing files; the message says which, and in which format.
    ImportError
        For digits without scikit-learn.
    """
    if name not in SOURCES:
        raise ValueError(f"data = {name!r} is unknown: choose from {', '.join(SOURCES)}.")
    if name == "digits":
        if folder is not None:
            raise ValueError(f"folder = {str(folder)!r} is without effect: digits are {SOURCES[name]}. Leave it out.")
        pixels, labels = bundled_digits()
        return _standardised(name, pixels[..., None], labels)
    if folder is None:
        raise ValueError(f"folder is missing: give the one with the files of {name}, {SOURCES[name]}.")
    read = formats.read_cifar if name == "cifar10" else formats.read_idx
    return _standardised(name, *read(Path(folder)))


def _standardised(name: str, pixels: np.ndarray, labels: np.ndarray) -> Images:
    """By all images and without their labels, so that no class is looked at."""
    centred = pixels.astype(np.float32) - pixels.mean(0, dtype=np.float64).astype(np.float32)
    return Images(name, centred / np.sqrt(np.mean(np.square(centred), dtype=np.float64)).astype(np.float32), labels)
