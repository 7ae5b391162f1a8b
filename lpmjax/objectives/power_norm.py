"""Cross-entropy of W H with the features' budget on the sum of the q-th powers of their entries."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import symmetry
from ..charge import Budget
from ..duality import Program, duality_gap
from ..losses.softmax import CrossEntropy


class Factors(NamedTuple):
    """Classifier and class features, of any size: they are scaled onto the budgets."""

    W: Float[Array, "K d"]
    H: Float[Array, "d K"]


class PowerNormObjective(eqx.Module):
    """``sum_k weights_k loss(W h_k, k)``, ``|W|^2`` within ``of_W`` and ``sum |H|^q`` within ``of_H``: not a convex
    problem in the logits, unless q = 2."""

    weights: Float[Array, " K"]
    of_W: Float[Array, ""]
    of_H: Float[Array, ""]
    q: Float[Array, ""]

    def onto(self, x: Factors) -> Factors:
        """On both budgets: cross-entropy falls with every margin, so that an optimum spends all of them."""
        W = x.W * jnp.sqrt(self.of_W / jnp.sum(x.W * x.W))
        # |h|^q as a product, whose derivative by q is clean at zero
        powers = jnp.where(x.H == 0, 0.0, jnp.abs(jnp.where(x.H == 0, 1.0, x.H)) ** self.q)
        return Factors(W, x.H * (self.of_H / jnp.sum(powers)) ** (1 / self.q))

    def value(self, x: Factors):
        """Loss on the budgets."""
        W, H = self.onto(x)
        Z, K = W @ H, self.weights.size
        off = 1 - jnp.eye(K, dtype=Z.dtype)
        loss = CrossEntropy().on_groups(jnp.where(off > 0, jnp.diagonal(Z)[None, :] - Z, 0.0), off)
        return jnp.sum(self.weights * loss.value)

    def lower_bound(self, x: Factors):
        """On the optimum: that of the Layer-Peeled Model whose Euclidean budget holds all such features, as the logits
        of ``x`` prove it."""
        W, H = self.onto(x)
        spread = jnp.maximum(0.5 - 1 / self.q, 0.0)  # for q <= 2 the Euclidean norm is no larger
        reach = jnp.sqrt(self.of_W) * self.of_H ** (1 / self.q) * H.size**spread
        ones = jnp.ones_like(self.weights)
        program = Program(CrossEntropy(), ones, self.weights, ones, Budget(reach, reach))
        proof = duality_gap(program, 0 * ones, symmetry.centred(W @ H, ones))
        return jnp.exp(-proof.log_scale) * (proof.value - proof.gap)
