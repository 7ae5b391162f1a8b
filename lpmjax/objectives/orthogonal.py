"""Non-negative features, as behind a ReLU: they are orthogonal to one another at an optimum, and classes decouple.

``Z = (I - J/K) diag(within)``, so that ``within`` is all there is: one dimension for each class alive.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import symmetry
from ..codes import Phase
from ..duality import Certificate, Program, evaluate
from .objective import Structure
from .of_groups import GroupCoordinates, GroupObjective


class OrthogonalObjective(GroupObjective):
    """Cross-entropy at a price, features H >= 0, no bias."""

    program: Program
    scale: Float[Array, "*batch"]

    def prove(self, at: GroupCoordinates) -> Certificate:
        """Duality gap of ``within`` alone.

        With symmetric probabilities (rho for every wrong class) <G, W H> is least, given the norms of H, for orthogonal
        features, because (I - J/K) has no positive entry off its diagonal and H >= 0; so the dual is feasible where
        ``K rho weight <= penalty omega sqrt(K / (K - 1))`` in every class.
        """
        program, within = self.program, at.within
        nx = within.__array_namespace__()
        classes, weights, omega = program.classes, program.weights, program.omega
        within = nx.where(classes > 0, within, 0.0)
        K = nx.sum(classes, axis=-1, keepdims=True)
        between = symmetry.centred_diagonal(within, classes)
        loss, rival_counts, log_scale = evaluate(program, within, between, None)
        rho = nx.exp(loss.log_right - within)  # of every wrong class alike
        price = nx.asarray(program.charge.amount)[..., None] * omega * nx.sqrt(K / (K - 1))
        share = nx.minimum(1.0, price / (K * rho * weights))
        divergence = program.loss.fenchel_gap(loss, rival_counts, share[..., None, :] * loss.wrong, loss.total)
        cost = price * (1 - 1 / K) * within
        saved = (K - 1) * weights * share * rho * within
        value = nx.sum(classes * (weights * loss.value + cost), axis=-1)
        gaps = classes * (weights * nx.maximum(divergence, 0.0) + nx.maximum(cost - saved, 0.0))
        rounding = 4 * nx.finfo(value.dtype).eps * (1 + nx.max(within, axis=-1)) * value
        norm = nx.max(K * rho * weights / omega, axis=-1)
        gap = nx.sum(gaps, axis=-1) + rounding
        nothing = nx.zeros_like(between)
        return Certificate(value, gap, within, between, norm, nothing, log_scale, gap, nx.zeros_like(value))

    def lagrangian(self, at: GroupCoordinates, multiplier: Any) -> Float[Array, ""]:
        """Loss and decay."""
        program = self.program
        classes, K = program.classes, jnp.sum(program.classes)
        loss = evaluate(program, at.within, at.between, None).loss
        cost = jnp.sum(classes * program.omega * jnp.sqrt(1 - 1 / K) * at.within)
        return jnp.sum(classes * program.weights * loss.value) + program.charge.lagrangian(cost, multiplier)

    def log_multiplier(self, proof: Certificate) -> Float[Array, "*batch"]:
        """Of what a class pays for the margin of its own."""
        nx = self.program.classes.__array_namespace__()
        K = nx.sum(self.program.classes, axis=-1)
        return nx.log(self.program.charge.amount * nx.sqrt(K / (K - 1)))

    def structure(self, proof: Certificate, price: Any) -> Structure:
        """Separated while every class is alive."""
        classes = self.program.classes
        nx = classes.__array_namespace__()
        count = nx.rint(nx.sum(classes, axis=-1))
        alive = self.dim_of(proof.within, None)
        phase = nx.where(alive == count, Phase.separated, Phase.annihilated)
        return Structure(phase, nx.minimum(alive, count - 1), alive)

    def grams(self, within, between):
        """Of features orthogonal to one another."""
        return symmetry.orthogonal_grams(within, between, self.program.omega, self.scale, self.program.classes)

    def factors(self, Z, group, dim):
        """One dimension for each class alive, the largest features first."""
        nx, K, d = Z.__array_namespace__(), Z.shape[0], Z.shape[0] if dim is None else dim
        norm2 = nx.diagonal(Z) * (K / (K - 1)) ** 0.5 / (self.scale * self.program.omega[group])
        order, length = nx.argsort(-norm2, stable=True)[:d], nx.sqrt(nx.maximum(norm2, 0.0))
        H = nx.diag(length)[order]
        W = (Z / nx.where(length > 0, length, 1.0)[None, :])[:, order]
        return nx.pad(W, ((0, 0), (0, d - order.size))), nx.pad(H, ((0, d - order.size), (0, 0)))

    def coordinates_of(self, Z):
        """The margins of ``Z = (I - J/K) diag(margins)``."""
        K = Z.shape[-1]
        return GroupCoordinates(jnp.diagonal(Z) * K / (K - 1), Z)

    def dim_of(self, within, rank):
        """One for each class alive."""
        nx = within.__array_namespace__()
        return nx.rint(nx.sum(nx.where(within > 0, self.program.classes, 0), axis=-1))

    def widest(self, num_classes):
        """One for each class."""
        return num_classes
