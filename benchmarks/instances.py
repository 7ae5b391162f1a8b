"""Problems class by class, as every solver is given them, and the one judge of their answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import lpmjax as lpm
from lpmjax.charge import Budget
from lpmjax.duality import Program, duality_gap


@dataclass(frozen=True)
class Instance:
    """A Layer-Peeled Model with E_W = 1: minimise the weighted cross-entropy of Z over ``||Z||_* <= budget``."""

    name: str
    samples: tuple[float, ...]
    s: float  #: sqrt(E_W E_H)
    two_group: tuple[int, int, float] | None = None  #: K_A, K_B, R

    @property
    def K(self) -> int:
        """Number of classes."""
        return len(self.samples)

    @property
    def weights(self) -> np.ndarray:
        """(K,) loss weights, of sum one."""
        return np.array(self.samples) / sum(self.samples)

    @property
    def budget(self) -> float:
        """Of the nuclear norm: K s."""
        return self.K * self.s

    def problem(self) -> lpm.LayerPeeled:
        """The same for lpmjax, with equal classes grouped where there are any."""
        if self.two_group is not None:
            return lpm.LayerPeeled.two_group(*self.two_group, E_W=1.0, E_H=self.s**2)
        return lpm.LayerPeeled(lpm.ClassGroups.per_class(np.array(self.samples)), 1.0, self.s**2)


def two_group(K: int, R: float = 10.0, s: float = 5**0.5) -> Instance:
    """Half of K classes with R times the samples of the others."""
    big, small = K // 2, K - K // 2
    return Instance(f"two groups, K = {K}", (R,) * big + (1.0,) * small, s, (big, small, R))


def long_tail(K: int, ratio: float = 100.0, s: float = 1.0) -> Instance:
    """All counts distinct: n_k = ratio^(-k/(K-1))."""
    return Instance(f"long tail, K = {K}", tuple(ratio ** (-np.arange(K) / (K - 1))), s)


def relative_gap(instance: Instance, logits: Any) -> float:
    """Relative duality gap of any K x K logits, in NumPy float64: scaled onto the budget, then certified as they are.

    Infinity for what is not finite or has the wrong shape: a wrong answer must never pass as a fast one.
    """
    Z = np.asarray(logits, np.float64)
    if Z.shape != (instance.K, instance.K) or not np.isfinite(Z).all():
        return float("inf")
    ones: Any = np.ones(instance.K)
    weights: Any = instance.weights
    budget: Any = np.asarray(instance.budget)
    program = Program(lpm.CrossEntropy(), ones, weights, ones, Budget(budget, budget))
    with np.errstate(all="ignore"):
        proof = duality_gap(program, np.zeros(instance.K), Z)
        relative = float(proof.gap / abs(proof.value))
    return relative if np.isfinite(relative) else float("inf")
