"""Objectives of classes in groups, in group coordinates: what the nuclear and the orthogonal one share."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from .. import symmetry
from ..duality import Program, gap_within, slacks
from .left_open import left_open
from .objective import AbstractObjective, Structure


class GroupCoordinates(NamedTuple):
    """Coordinates of logits (:mod:`lpmjax.symmetry`); no certificate, no view of them."""

    within: Float[Array, "*batch G"]
    between: Float[Array, "*batch G G"]
    bias: Any = None  #: (..., G) or None
    #: (..., G) as a solver knows it, more accurately than from the multiplier near zero; None: from the multiplier
    slack: Any = None


class GroupObjective(AbstractObjective):
    """Minimise ``sum_k weights_k loss(z_k, k)`` with a spectral cost of the logits within a budget or at a price."""

    program: eqx.AbstractVar[Program]
    scale: eqx.AbstractVar[Array]  #: (...,) sqrt(E_W / E_H) or its like, of classifier over features

    @abc.abstractmethod
    def grams(self, within: Any, between: Any) -> tuple[symmetry.Gram, symmetry.Gram]:
        """Gram matrices of classifier rows and class features in group coordinates."""

    @abc.abstractmethod
    def factors(self, Z: Any, group: Any, dim: int | None) -> tuple[Array, Array]:
        """W and H of these K x K logits without bias, ``group`` (K,) of each class, in ``dim`` dimensions."""

    @abc.abstractmethod
    def coordinates_of(self, Z: Any) -> GroupCoordinates:
        """Coordinates of K x K logits, where every class is a group of its own."""

    @abc.abstractmethod
    def dim_of(self, within: Any, rank: Any) -> Any:
        """Least feature dimension of an optimum."""

    @abc.abstractmethod
    def widest(self, num_classes: int) -> int:
        """Number of feature dimensions beyond which none is of use."""

    def describe(self, at: GroupCoordinates, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """Coordinates, slack, cosines, norms and margins of each group."""
        classes = self.program.classes
        within, between = without(found.gone, classes, at.within, at.between)
        views = symmetry.geometry(self.grams(within, between), within, between, classes)
        slack = slacks(self.program, log_multiplier) if at.slack is None else at.slack
        coordinates = {"within": at.within, "between": at.between, "bias": at.bias}
        return {"slack": slack, **coordinates, **views._asdict()}

    def coordinates(self, result: Any) -> GroupCoordinates:
        """In float64."""
        within, between = symmetry.coordinates_of(result, self.program.classes)
        if (result.bias is None) == self.program.bias.present:
            raise ValueError("problem and solution disagree on a last-layer bias: pass the problem that was solved.")
        nx = within.__array_namespace__()
        return GroupCoordinates(within, between, None if result.bias is None else nx.asarray(result.bias, nx.float64))

    def proved(self, proof: Any, at: GroupCoordinates) -> GroupCoordinates:
        """Centred, and on or inside the budget."""
        return GroupCoordinates(proof.within, proof.between, at.bias)

    def left_open(self, proof: Any, at: GroupCoordinates, rounding: Any) -> Any:
        """To first order (:func:`lpmjax.objectives.left_open.left_open`)."""
        return left_open(self.program, proof, at.bias, rounding)

    def gap_within(self, proof: Any, tol: Any) -> Any:
        """Whether the gap is within ``tol`` of the value (:func:`lpmjax.duality.gap_within`)."""
        return gap_within(self.program, proof, tol)


def without(gone, classes, within, between):
    """Coordinates in which what is gone is exactly zero, so that it has no direction."""
    if gone is None:
        return within, between
    nx = gone.__array_namespace__()
    here = ~gone
    # That of a group of one class is a limit, which derivatives by the number of classes need.
    within = nx.where(here | (classes == 1), within, 0.0)
    return within, nx.where(here[..., :, None] & here[..., None, :], between, 0.0)
