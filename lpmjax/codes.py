"""Status and Phase: the codes in which a result says how far it can be trusted and what it looks like."""

import enum
from typing import Any, SupportsIndex

import numpy as np

from .arguments import require_integer


class Status(enum.IntEnum):
    """How far a result can be trusted; :meth:`message` says what to do about it.

    An integer: compare codes with members (or ask :attr:`lpmjax.Result.certified`). A member is never equal to its
    name, a string; ``Status["certified"]`` and ``Status.certified.name`` convert.
    """

    certified = 0
    converged = 1
    stalled = 2
    nonfinite = 3
    invalid = 4
    max_steps = 5

    @staticmethod
    def message(code: SupportsIndex) -> str:
        """Meaning of a status code and the remedy; ValueError for anything else."""
        whole = require_integer("code", code, 0)
        if whole > max(Status):
            raise ValueError(f"code = {whole} is out of range: it must be at most {max(Status)}.")
        return _MESSAGES[Status(whole)]


_MESSAGES = {
    Status.certified: "certified: the duality gap, in float64, is at most tol * |value|.",
    Status.converged: "converged, not certified: in float32, use lpmjax.certify; for dim < K - 1 and"
    " for three or more factors the gap does not close.",
    Status.stalled: "stalled: the gap exceeds tol * |value|; solve in float64, or raise tol above gap / |value|"
    " (to 1e-6 where the value underflows).",
    Status.nonfinite: "nonfinite: NaN or infinity in the solver; solve in float64, or scale the parameters down.",
    Status.invalid: "invalid: a parameter is out of range, or dim is below the rank of the optimum; see check().",
    Status.max_steps: "max_steps: the step limit came first; raise max_steps.",
}


class Phase(enum.IntEnum):
    """Structure of the optimum, in the words of the norms and cosines beside it.

    ``separated``: no class is zero, and the K classifiers differ and span all the directions they can (rank K - 1, or K
    for SquaredError). ``merged``: no class is zero, yet the classifiers span fewer directions (Minority Collapse):
    collapsed classes of equal count coincide, cosine exactly 1; those of distinct counts share directions, and their
    cosines say how close they are. ``annihilated``: the classifier and the features of some classes are zero, so they
    have no cosine (NaN). ``undetermined``: not proved, so not known. A single class cannot merge. With two groups these
    are the three phases of the theory, of rank A (merged) and A - 1 (annihilated), with A the number of classes of
    slack > 0; with more groups both ranks occur in ``merged``.
    """

    separated = 0
    merged = 1
    annihilated = 2
    undetermined = 3


def flags(codes: type[enum.IntEnum]) -> dict[str, Any]:
    """Attributes of an array of these codes, by the CF conventions."""
    return {"flag_values": np.array(list(codes), np.int8), "flag_meanings": " ".join(code.name for code in codes)}
