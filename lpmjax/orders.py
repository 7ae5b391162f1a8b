"""Which group each class is in, in the caller's order; and of bands of near-equal classes, what was given of each."""

import numpy as np


class ClassOrder:
    """Group of each class in the caller's order. Static: it is compared and hashed by content."""

    def __init__(self, group_of_class: np.ndarray):
        self.group_of_class = np.asarray(group_of_class, np.int64)

    def parts(self) -> dict[str, np.ndarray]:
        """The arrays that it consists of, by the names of its arguments."""
        return {"group_of_class": self.group_of_class}

    def __hash__(self) -> int:
        # Not stored: hashes of bytes differ between processes, and an order can be pickled.
        return hash(tuple(part.tobytes() for part in self.parts().values()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassOrder):
            return False
        mine, others = self.parts(), other.parts()
        return mine.keys() == others.keys() and all(np.array_equal(mine[name], others[name]) for name in mine)


class Bands(ClassOrder):
    """Order of classes whose groups are bands: their members have samples and weights of their own.

    ``samples``, ``weights``: (K,) as they were given; without weights they are proportional to the samples.
    """

    def __init__(self, group_of_class: np.ndarray, samples: np.ndarray, weights: np.ndarray | None = None):
        super().__init__(group_of_class)
        self.samples = np.asarray(samples)
        self.weights = None if weights is None else np.asarray(weights)

    def parts(self) -> dict[str, np.ndarray]:
        """With samples and weights."""
        weights = {} if self.weights is None else {"weights": self.weights}
        return super().parts() | {"samples": self.samples} | weights


def order_of(parts: dict[str, np.ndarray]) -> ClassOrder:
    """The order that consists of these :meth:`ClassOrder.parts`."""
    return (Bands if "samples" in parts else ClassOrder)(**parts)


def bands_of(values: np.ndarray, rtol: float) -> np.ndarray:
    """(K,) band of each number, from the largest down: in a band none exceeds another by more than ``rtol`` of it."""
    kinds, index = np.unique(-values, return_inverse=True)
    band, top, found = -1, np.inf, np.empty(kinds.size, int)
    for i, value in enumerate(-kinds):
        if band < 0 or top > (1 + rtol) * value:
            band, top = band + 1, value
        found[i] = band
    return found[index.ravel()]
