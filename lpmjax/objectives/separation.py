"""Minimum-norm separation in group coordinates: the nuclear norm of ``Z Omega`` with every margin at least 1.

With factors ``delta`` the margins are ``delta_k z_kk - delta_j z_jk``. For any ``beta_jk >= 0`` the matrix G of the
linear form ``<G, Z> = sum beta_jk margin_jk(Z)`` bounds every feasible Z by

    ||Z Omega||_*  >=  <G, Z> / ||G Omega^-1||_2  >=  sum beta / ||G Omega^-1||_2.

The dual point is read off the coordinates: G is the polar factor of ``Z Omega`` times Omega, as far as it has the signs
of a dual point (``proofs``: ``ulpm.seli``).
"""

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..codes import Phase
from .nuclear import factors
from .objective import AbstractObjective, Structure
from .of_groups import GroupCoordinates


class SeparationProof(NamedTuple):
    """What coordinates prove of the least norm."""

    value: Any
    gap: Any
    log_scale: Any
    within: Any  #: scaled so that the least margin is 1
    between: Any


class SeparationObjective(AbstractObjective):
    """Least nuclear norm of ``Z diag(omega)`` with margins ``delta_k z_kk - delta_j z_jk >= 1``."""

    classes: Float[Array, "*batch G"]
    omega: Float[Array, "*batch G"]
    delta: Float[Array, "*batch G"]

    @property
    def inert(self) -> Any:
        """(..., G) unit vector between groups of the direction 1 / delta of logits that no margin feels."""
        nx = self.delta.__array_namespace__()
        v = nx.sqrt(self.classes) / self.delta
        v = v / nx.max(v, axis=-1, keepdims=True)
        return v / nx.sqrt(nx.sum(v * v, axis=-1, keepdims=True))

    @property
    def rivals(self) -> Any:
        """(..., G, G) number of margins that each entry of :meth:`margins` stands for."""
        return symmetry.count_rivals(self.classes)

    def centred(self, between: Any) -> Any:
        """``between`` without the inert direction: the margins are the same, the norm no larger."""
        nx, unit = between.__array_namespace__(), self.inert[..., :, None]
        return between - unit * nx.sum(unit * between, axis=-2, keepdims=True)

    def margins(self, at: GroupCoordinates) -> Any:
        """(..., G, G) margin of a class of group g over one of group j."""
        return symmetry.margins(self.delta * at.within, self.delta[..., :, None] * at.between, self.classes)

    def of_margins(self, margins: Any) -> GroupCoordinates:
        """The coordinates of these margins, with nothing in the inert direction."""
        nx, K = margins.__array_namespace__(), symmetry.present(self.classes)
        eye = nx.eye(self.classes.shape[-1], dtype=bool)
        own = symmetry.diagonal(margins)
        across = -margins * nx.sqrt(K[..., :, None] * K[..., None, :])
        across = nx.where(eye, (-symmetry.repeats(self.classes) * own)[..., None, :], across)
        here = nx.where((self.classes > 0)[..., :, None] & (self.classes > 0)[..., None, :], across, 0.0)
        return GroupCoordinates(own / self.delta, self.centred(here / self.delta[..., :, None]))

    def norm(self, at: GroupCoordinates) -> Any:
        """``||Z Omega||_*``."""
        return symmetry.spectral_cost(at.within, at.between, self.classes, self.omega)

    def dual(self, at: GroupCoordinates) -> Any:
        """(..., G, G) entries beta_jg at which the norm would be stationary at ``at``; of any sign."""
        nx, K = self.omega.__array_namespace__(), symmetry.present(self.classes)
        outer, eye = nx.sqrt(K[..., :, None] * K[..., None, :]), nx.eye(self.omega.shape[-1], dtype=bool)
        # Small singular values are felt by the inert direction, whose own is 0: rounding mixes it in.
        block = self.centred(spectral.polar(at.between * self.omega[..., None, :])) * self.omega[..., None, :]
        own = nx.where(eye, nx.sign(at.within)[..., None, :] * self.omega[..., None, :], 0.0)
        return (own - block) / (outer * self.delta[..., :, None])

    def dual_point(self, at: Any) -> Any:
        """The same as far as it has the signs of a dual point: any coordinates have one."""
        nx = self.omega.__array_namespace__()
        return nx.where(self.rivals > 0, nx.maximum(self.dual(at), 0.0), 0.0)

    def of_dual(self, beta: Any) -> Any:
        """``sum beta`` and ``||G Omega^-1||_2`` of any dual point."""
        nx, classes, delta = beta.__array_namespace__(), self.classes, self.delta
        rivals, K = self.rivals, symmetry.present(classes)
        eye = nx.eye(classes.shape[-1], dtype=bool)
        total = nx.sum(classes * nx.sum(rivals * beta, axis=-2), axis=-1)
        across = nx.where(eye, 0.0, rivals * beta)
        leaving = delta * nx.sum(across, axis=-2)
        pull = leaving + delta * classes * symmetry.diagonal(beta)
        sums = delta[..., :, None] * across * nx.sqrt(K[..., None, :] / K[..., :, None])
        block = nx.where(eye, leaving[..., None, :], -sums) / self.omega[..., None, :]
        in_groups = nx.max(nx.where(symmetry.repeats(classes) > 0, pull / self.omega, 0.0), axis=-1)
        return total, nx.maximum(in_groups, spectral.spectral_norm(block))

    def prove(self, at: GroupCoordinates) -> SeparationProof:
        """Scaled to least margin 1, against the bound of their dual point. Coordinates that do not separate prove
        nothing: their value is infinite."""
        nx, rivals = self.omega.__array_namespace__(), self.rivals
        within = nx.where(symmetry.repeats(self.classes) > 0, at.within, 0.0)
        at = GroupCoordinates(within, self.centred(at.between))
        least = nx.min(nx.where(rivals > 0, self.margins(at), nx.inf), axis=(-2, -1))
        separates = least > 0
        scale = 1 / nx.where(separates, least, 1.0)
        at = GroupCoordinates(at.within * scale[..., None], at.between * scale[..., None, None])
        value = self.norm(at)
        total, norm = self.of_dual(self.dual_point(at))
        bound = total / nx.where(norm > 0, norm, 1.0)
        terms = self.delta[..., :, None] * nx.abs(at.between) / nx.sqrt(symmetry.present(self.classes))[..., :, None]
        size = 1 + nx.max(nx.abs(self.delta * at.within), axis=-1) + nx.max(terms, axis=(-2, -1))
        rounding = 8 * max(2, self.omega.shape[-1]) * nx.finfo(value.dtype).eps * size * value
        value = nx.where(separates, value, nx.inf)
        gap = nx.where(separates, nx.maximum(value - bound, 0.0) + rounding, nx.inf)
        return SeparationProof(value, gap, nx.zeros_like(value), at.within, at.between)

    def lagrangian(self, at: GroupCoordinates, multiplier: Any) -> Float[Array, ""]:
        """Norm, and what margins lack of 1 at their multipliers."""
        nx, rivals = self.omega.__array_namespace__(), self.rivals
        lacking = nx.sum(rivals * self.dual(at) * (1 - self.margins(at)), axis=-2)
        return multiplier * self.norm(at) + nx.sum(self.classes * lacking, axis=-1)

    def log_multiplier(self, proof: SeparationProof) -> Float[Array, "*batch"]:
        """Of a price of 1."""
        return proof.value.__array_namespace__().zeros_like(proof.value)

    def structure(self, proof: SeparationProof, price: Any) -> Structure:
        """By which singular values of the logits, without Omega, are not rounding."""
        nx, repeats = self.classes.__array_namespace__(), symmetry.repeats(self.classes)
        apart = proof.within > 0
        values = spectral.kept(spectral.singular_values(proof.between))
        across = nx.sum(nx.where(values > 0, nx.ones_like(values), 0), axis=-1)
        rank = nx.rint(nx.sum(nx.where(apart, repeats, 0), axis=-1) + across)
        count = nx.rint(nx.sum(self.classes, axis=-1))
        return Structure(nx.where(rank >= count - 1, Phase.separated, Phase.merged), rank, rank)

    def describe(self, at: GroupCoordinates, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """Coordinates, dual point, cosines, norms and margins of each group."""
        nx = self.omega.__array_namespace__()
        scale = nx.ones_like(self.omega[..., 0])
        grams = symmetry.grams(at.within, at.between, self.omega, scale)
        views = symmetry.geometry(grams, at.within, at.between, self.classes)
        dual = nx.where(self.rivals > 0, self.dual(at), 0.0)
        return {"within": at.within, "between": at.between, "dual": dual, **views._asdict()}

    def coordinates(self, result: Any) -> GroupCoordinates:
        """In float64."""
        return GroupCoordinates(*symmetry.coordinates_of(result, self.classes))

    def proved(self, proof: SeparationProof, at: GroupCoordinates) -> GroupCoordinates:
        """Centred, of least margin 1."""
        return GroupCoordinates(proof.within, proof.between)

    def left_open(self, proof: SeparationProof, at: GroupCoordinates, rounding: Any) -> Any:
        """The value goes with the factors of omega and the inverse of those of delta, so at most relatively with the
        sum of their roundings."""
        nx = proof.value.__array_namespace__()
        return nx.zeros_like(proof.value) if rounding is None else 2 * rounding * proof.value

    def factors(self, Z: Any, group: Any, dim: int | None) -> tuple[Array, Array]:
        """W and H of K x K logits, from the singular vectors of ``Z Omega``."""
        d = max(Z.shape[0] - 1, 1) if dim is None else dim
        return factors(Z, self.omega[group], 1.0, d)

    def dim_of(self, within: Any, rank: Any) -> Any:
        """Its rank."""
        return rank
