"""The convex program in the logits: loss plus the nuclear norm of ``Z Omega``, on a budget or at a price."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..duality import Certificate, Program, duality_gap, evaluate
from .objective import Structure
from .of_groups import GroupCoordinates, GroupObjective
from .structure import structure


class NuclearObjective(GroupObjective):
    """Two factors W and H of any signs (Schatten variational form: ``proofs``, ``lpm.relaxation``)."""

    program: Program
    scale: Float[Array, "*batch"]

    def prove(self, at: GroupCoordinates) -> Certificate:
        """:func:`lpmjax.duality.duality_gap`."""
        return duality_gap(self.program, at.within, at.between, at.bias)

    def lagrangian(self, at: GroupCoordinates, multiplier: Any) -> Float[Array, ""]:
        """Loss, what is paid, and the budget at its multiplier."""
        program = self.program
        classes, omega = program.classes, program.omega
        loss = evaluate(program, at.within, at.between, at.bias).loss
        objective = jnp.sum(classes * program.weights * loss.value) + program.bias.paid(at.bias, classes)
        cost = symmetry.spectral_cost(at.within, at.between, classes, omega, program.full)
        return objective + program.charge.lagrangian(cost, multiplier)

    def log_multiplier(self, proof: Certificate) -> Float[Array, "*batch"]:
        """Where slack changes sign: of the gradient's norm on a budget (minus infinity where that does not bind), else
        of the penalty."""
        return self.program.charge.log_multiplier(proof.norm, proof.log_scale)

    def structure(self, proof: Certificate, price: Any) -> Structure:
        """:func:`lpmjax.objectives.structure.structure`."""
        return structure(self.program, proof, price)

    def grams(self, within, between):
        """From the symmetric roots of ``Z Omega² Zᵀ`` and ``Omega Zᵀ Z Omega``."""
        return symmetry.grams(within, between, self.program.omega, self.scale, self.program.full)

    def factors(self, Z, group, dim):
        """From the singular vectors of ``Z Omega``, at balanced norms."""
        return factors(Z, self.program.omega[group], self.scale, self.widest(Z.shape[0]) if dim is None else dim)

    def coordinates_of(self, Z):
        """No margin within a group, all of the logits between them."""
        return GroupCoordinates(jnp.zeros(Z.shape[-1], Z.dtype), Z)

    def dim_of(self, within, rank):
        """Its rank."""
        return rank

    def widest(self, num_classes):
        """One less where logits sum to zero over classes."""
        return num_classes if self.program.full else max(num_classes - 1, 1)


def factors(Z, omega, scale, d: int) -> tuple[Array, Array]:
    """W (K, d) and H (d, K) of ``W H = Z`` with least ``|W|^2 / scale + scale |H diag(omega)|^2``, cut to d columns."""
    nx = Z.__array_namespace__()
    left, singular, right = spectral.singular_vectors(Z * omega[None, :])
    root, scale = nx.sqrt(singular), nx.sqrt(scale)
    W, H = scale * left * root[None, :], root[:, None] * right / (omega * scale)[None, :]
    keep = min(d, root.size)
    return nx.pad(W[:, :keep], ((0, 0), (0, d - keep))), nx.pad(H[:keep], ((0, d - keep), (0, 0)))
