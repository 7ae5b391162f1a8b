"""Path: what following a loss downhill gives, before anything is measured along it."""

from typing import Any, NamedTuple

import numpy as np

from ..codes import Status


class Path(NamedTuple):
    """Factors of S seeds at T times."""

    start: tuple[np.ndarray, ...]  #: (S, K, d), ..., (S, d, N)
    factors: tuple[np.ndarray, ...]  #: (S, T, K, d), ..., (S, T, d, N)
    steps: np.ndarray  #: (S,)
    separation_time: np.ndarray  #: (S,) when the loss fell below what separates all samples; NaN where it did not
    status: np.ndarray  #: (S,) int8: converged means that the last time was reached

    @staticmethod
    def of(start: Any, factors: Any, steps: Any, separation_time: Any, reached: Any) -> "Path":
        """On the host; a seed that stopped early, or is not finite, says so."""
        start, factors = (tuple(np.asarray(factor) for factor in factors) for factors in (start, factors))
        factors = tuple(np.where(np.isfinite(factor), factor, np.nan) for factor in factors)
        finite = np.all([np.isfinite(factor).all((-3, -2, -1)) for factor in factors], axis=0)
        status = np.where(finite, Status.converged, Status.nonfinite)
        status = np.where(np.asarray(reached), status, Status.max_steps).astype(np.int8)
        return Path(start, factors, np.asarray(steps), np.asarray(separation_time, float), status)
