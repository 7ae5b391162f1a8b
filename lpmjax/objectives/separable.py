"""Squared error of L factors with default weights and no bias or a free one: every singular value by itself.

With ``X = Z Omega`` and a target ``Y = Omega`` (less its part along sqrt(weights) where a free bias takes that) the
loss is ``|X - Y|^2 / 2N``. Singular values of X are no further from those of Y than X is from Y (von Neumann, Mirsky),
so the optimum is the sum of ``min_x (s_i - x)^2 / 2N + c x^(2/L)`` over the singular values ``s_i`` of Y: a global
lower bound for any coordinates, whatever L (Dang et al. 2023; ``proofs``: ``deep_mse.separable``, ``.free_bias``).
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import spectral, symmetry
from ..codes import Phase
from ..duality import Program
from ..shrinkage import Shrunk, jump, last_stationary, log_size, log_strength, shrunk, stationary
from .objective import Structure
from .of_groups import GroupObjective, without

#: ulps by which weights may be off the samples, and singular values from one another, and count as equal
_CLOSE = 1e3
#: steps of Newton's iteration to a stationary point that is almost double, where each halves the distance
_SLOW_STEPS = 60


class KeptCoordinates(NamedTuple):
    """Group coordinates of logits of which a narrow layer may keep only some dimensions of a group.

    ``within`` is the singular value, over omega, of a share ``kept`` of a group's own K_g - 1 dimensions: of all,
    unless a bottleneck cuts through equal classes, where it is open which ones.
    """

    within: Float[Array, "*batch G"]
    between: Float[Array, "*batch G G"]
    bias: Any  #: (..., G) or None
    kept: Float[Array, "*batch G"]


class Targets(NamedTuple):
    """Singular values of the target, those within groups first, and what rank <= dim makes of them."""

    size: Float[Array, "*batch S"]
    repeats: Float[Array, "*batch S"]  #: dimensions of each
    best: Shrunk
    kept: Float[Array, "*batch S"]  #: dimensions that stay
    cut: Float[Array, "*batch"]  #: the value of which some dimensions stay and some go, if any; otherwise infinite
    ties: Float[Array, "*batch"]  #: dimensions of those that are cut so, or at the threshold


class SeparableProof(NamedTuple):
    """What :class:`KeptCoordinates` prove."""

    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]
    log_scale: Float[Array, "*batch"]
    at: KeptCoordinates  #: the coordinates without what is rounding
    values: Float[Array, "*batch G"]  #: singular values of the block between groups, rounding left out


class SeparableObjective(GroupObjective):
    """Minimise ``|X - Y|^2 / 2N + price sum sigma(X)^(2/L)`` over X of rank at most ``dim``."""

    program: Program
    scale: Float[Array, "*batch"]  #: squared singular values of the product of the weight matrices over sigma^(2M/L)
    sizes: Float[Array, "*batch L"]  #: those of each factor over sigma^(2/L), last layer first
    dim: int | None = eqx.field(static=True)

    @property
    def num_factors(self) -> int:
        """L, static."""
        return self.sizes.shape[-1]

    @property
    def spread(self) -> Float[Array, "*batch"]:
        """1/N: twice what a squared singular value weighs in the loss."""
        program = self.program
        nx = program.omega.__array_namespace__()
        return 1 / nx.sum(program.classes * program.omega**2, axis=-1)

    @property
    def log_price(self) -> Float[Array, "*batch"]:
        """Logarithm of the price relative to that weight."""
        nx = self.program.omega.__array_namespace__()
        return nx.log(self.program.charge.amount) - nx.log(self.spread)

    def target_block(self) -> Float[Array, "*batch G G"]:
        """(G, G) block of Y."""
        program = self.program
        nx = program.omega.__array_namespace__()
        block = symmetry.diagonal_matrix(nx.where(program.classes > 0, program.omega, 0.0))
        if not program.bias.free:
            return block
        share = nx.sqrt(program.weights * program.classes)
        return block - (program.omega * share)[..., :, None] * share[..., None, :]

    def targets(self) -> Targets:
        """Singular values of Y, the minimum of each, and which dimensions stay."""
        program = self.program
        nx, L = program.omega.__array_namespace__(), self.num_factors
        here = nx.where(program.classes > 0, program.omega, 0.0)
        across = spectral.kept(spectral.singular_values(self.target_block())) if program.bias.free else here
        size = nx.concatenate([here, across], axis=-1)
        present = nx.where(across > 0, nx.ones_like(across), 0.0)
        repeats = nx.concatenate([symmetry.repeats(program.classes), present], axis=-1)
        best = shrunk(size, self.log_price[..., None], L)
        kept = nx.where(best.slack > 0, repeats, 0.0)
        cut = nx.full_like(self.spread, nx.inf)
        if self.dim is not None:
            kept, cut = _largest(size, kept, self.dim)
        tied = self.is_cut(size, cut) | ((nx.abs(best.slack) <= _CLOSE * nx.finfo(size.dtype).eps) & (L > 2))
        return Targets(size, repeats, best, kept, cut, nx.sum(nx.where(tied, repeats, 0.0), axis=-1))

    @staticmethod
    def is_cut(size, cut):
        """Which singular values of the target are the one that is cut through."""
        nx = size.__array_namespace__()
        value = nx.where(cut < nx.inf, cut, -1.0)[..., None]
        return nx.abs(size - value) <= _CLOSE * nx.finfo(size.dtype).eps * value

    def minimiser(self) -> Any:
        """The global one, differentiable by the numbers of the program."""
        program, targets = self.program, self.targets()
        nx, G = program.omega.__array_namespace__(), program.omega.shape[-1]
        stays = (targets.kept > 0) | (targets.repeats == 0)
        x, slope = (nx.where(stays, f, 0.0) for f in (targets.best.ratio * targets.size, targets.best.slope))
        block = symmetry.diagonal_matrix(x[..., G:])
        if program.bias.free:
            block = spectral.recombined(self.target_block(), x[..., G:], slope[..., G:])
        bias = nx.where(program.classes > 0, program.weights, 0.0) if program.bias.free else None
        own = targets.repeats[..., :G]
        share = nx.where(own > 0, targets.kept[..., :G] / nx.where(own > 0, own, 1.0), 1.0)
        share = nx.where(targets.best.slack[..., :G] > 0, share, 1.0)
        return KeptCoordinates(x[..., :G] / program.omega, block / program.omega[..., None, :], bias, share)

    def branches(self) -> Float[Array, "*batch G 2"]:
        """What one dimension of each group adds to the value: at zero, and at the stationary point above it, or NaN."""
        program, L = self.program, self.num_factors
        nx, q = program.omega.__array_namespace__(), 2 / L
        log_w = (q - 2) * nx.log(program.omega) + self.log_price[..., None] + math.log(q)
        exists = log_w < log_strength(L, last_stationary(L))
        w = nx.exp(nx.where(exists, log_w, -1e2))
        t = stationary(w, L, _SLOW_STEPS)
        above = nx.where(exists, 0.5 * (1 - t) ** 2 + w * t**q / q, nx.nan)
        zero = nx.full_like(above, 0.5)
        return nx.stack([zero, above], axis=-1) * (self.spread[..., None] * program.omega**2)[..., None]

    def prove(self, at: Any) -> Any:
        """The value less the sum of the scalar minima; all of it where weights do not follow from the samples."""
        program, targets, spread = self.program, self.targets(), self.spread
        nx, G = program.omega.__array_namespace__(), program.omega.shape[-1]
        at, values = self.cleaned(at)
        value = self.lagrangian(at, None)
        gone = targets.repeats - targets.kept
        bound = spread * nx.sum(targets.kept * targets.best.least + 0.5 * gone * targets.size**2, axis=-1)
        # A singular value is known to some ulps of itself, or of the largest; the loss feels it by what is left of it.
        eps = nx.finfo(program.omega.dtype).eps
        known = nx.max(targets.size, axis=-1, keepdims=True) if program.bias.free else targets.size
        left = nx.sum(targets.repeats * known * targets.size * (1 - targets.best.ratio), axis=-1)
        rounding = 8 * max(2, G) * eps * (value + spread * left)
        follows = nx.abs(program.weights / (spread[..., None] * program.omega**2) - 1) <= _CLOSE * eps
        follows = nx.all(follows | (program.classes == 0), axis=-1)
        gap = nx.where(follows, nx.maximum(value - bound, 0.0) + rounding, value)
        return SeparableProof(value, gap, nx.zeros_like(value), at, values)

    def cleaned(self, at: Any) -> tuple[Any, Any]:
        """Without what rounding adds to the rank, whose price is no rounding."""
        omega = self.program.omega
        weighted = at.between * omega[..., None, :]
        values = spectral.kept(spectral.singular_values(weighted))
        block = spectral.recombined(weighted, values, values)
        kept = omega.__array_namespace__().clip(at.kept, 0.0, 1.0)
        return at._replace(between=block / omega[..., None, :], kept=kept), values

    def _dimensions(self, at: Any):
        """(..., G) how many of a group's own."""
        own = symmetry.repeats(self.program.classes) * at.kept
        return own.__array_namespace__().where(at.within != 0, own, 0.0)

    def loss(self, at: Any) -> Float[Array, ""]:
        """Of the logits and their bias against one-hot targets."""
        program, nx, classes = self.program, at.within.__array_namespace__(), self.program.classes
        kept, here = self._dimensions(at), nx.where(classes > 0, nx.ones_like(classes), 0.0)
        own = kept * (at.within - 1) ** 2 + (symmetry.repeats(classes) - kept)
        wrong = at.between - symmetry.diagonal_matrix(here)
        if at.bias is not None:
            roots = nx.sqrt(classes)
            wrong = wrong + (roots * at.bias)[..., :, None] * roots[..., None, :]
        return 0.5 * nx.sum(program.weights * here * (own + nx.sum(wrong * wrong, axis=-2)), axis=-1)

    def lagrangian(self, at: Any, multiplier: Any) -> Float[Array, ""]:
        """Loss and cost."""
        program, q, omega = self.program, 2 / self.num_factors, self.program.omega
        nx, kept = omega.__array_namespace__(), self._dimensions(at)
        size = nx.where(at.within != 0, omega * nx.abs(at.within), 1.0)
        across = spectral.power_sum(at.between * omega[..., None, :], q)
        return self.loss(at) + program.charge.paid(nx.sum(kept * size**q, axis=-1) + across)

    def log_multiplier(self, proof: Any) -> Float[Array, "*batch"]:
        """Of the price."""
        return self.program.charge.log_multiplier(None, None)

    def proved(self, proof: Any, at: Any) -> Any:
        """Without what is rounding."""
        return proof.at

    def left_open(self, proof: Any, at: Any, rounding: Any) -> Any:
        """Samples and price are factors of the scalar minima."""
        nx = proof.value.__array_namespace__()
        if rounding is None:
            return nx.zeros_like(proof.value)
        return (2 * rounding.weights + 4 * rounding.omega + rounding.price) * proof.value

    def structure(self, proof: Any, price: Any) -> Structure:
        """A class is gone where nothing of it is left."""
        program, at = self.program, proof.at
        nx, classes = program.omega.__array_namespace__(), program.classes
        own = nx.sum(self._dimensions(at), axis=-1)
        rank = nx.rint(own + nx.sum(nx.where(proof.values > 0, nx.ones_like(classes), 0.0), axis=-1))
        block = nx.abs(at.between)
        touched = nx.maximum(nx.max(block, axis=-1), nx.max(block, axis=-2))
        ulps = _CLOSE * nx.finfo(block.dtype).eps
        touched = touched > ulps * nx.max(touched, axis=-1, keepdims=True)
        gone = (classes > 0) & (self._dimensions(at) == 0) & ~touched
        whole = nx.rint(nx.sum(classes, axis=-1)) - (1 if program.bias.free else 0)
        phase = nx.where(rank >= whole, Phase.separated, Phase.merged)
        return Structure(nx.where(nx.any(gone, axis=-1), Phase.annihilated, phase), rank, rank, gone)

    def describe(self, at: Any, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """As for all groups; where a bottleneck leaves a group open, means of norms and logits, and no cosine."""
        program, targets, L = self.program, self.targets(), self.num_factors
        nx, classes = program.omega.__array_namespace__(), program.classes
        within, between = without(found.gone, classes, at.within, at.between)
        frames = [g._replace(within=g.within * at.kept) for g in self.grams(within, between)]
        views = symmetry.geometry((frames[0], frames[1]), within * at.kept, between, classes)
        cut = self.is_cut(program.omega, targets.cut)
        pairwise = nx.where(cut[..., :, None] | cut[..., None, :], nx.nan, views.pairwise)
        views = views._replace(pairwise=pairwise, cosine=symmetry.diagonal(pairwise))
        slack = nx.log(program.omega) - log_size(self.log_price, L, jump(L))[..., None]
        placed = {"within": at.within, "between": at.between, "bias": at.bias, "kept": at.kept}
        return {"slack": slack, **placed, "ties": targets.ties, **views._asdict()}

    def coordinates(self, result: Any) -> Any:
        """In float64."""
        at, nx = super().coordinates(result), self.program.omega.__array_namespace__()
        return KeptCoordinates(at.within, at.between, at.bias, nx.asarray(result.kept, nx.float64))

    def coordinates_of(self, Z: Any) -> Any:
        """No margin within a group, all of the logits between them."""
        return KeptCoordinates(jnp.zeros(Z.shape[-1], Z.dtype), Z, None, jnp.ones(Z.shape[-1], Z.dtype))

    def classifier_power(self) -> tuple[Any, float]:
        """Factor and power of the singular values of the classifier's Gram matrix: of the product of the matrices."""
        return self.scale, 2 - 2 / self.num_factors

    def grams(self, within: Any, between: Any) -> tuple[symmetry.Gram, symmetry.Gram]:
        """Of the classifier and of the features."""
        omega, L = self.program.omega, self.num_factors
        nx = omega.__array_namespace__()
        size, block = nx.abs(within) * omega, between * omega[..., None, :]
        safe = nx.where(size > 0, size, 1.0)

        def gram(scale, power, side):
            inside = nx.where(size > 0, scale[..., None] * safe**power, 0.0)
            across = spectral.roots(spectral.power(block, power), True)[side]
            return symmetry.Gram(inside, scale[..., None, None] * across)

        classifier, columns = gram(*self.classifier_power(), 0), gram(self.sizes[..., -1], 2 / L, 1)
        outer = omega[..., :, None] * omega[..., None, :]
        return classifier, symmetry.Gram(columns.within / omega**2, columns.block / outer)

    def factors(self, Z: Any, group: Any, dim: int | None) -> tuple[Array, ...]:
        """All L of them, last layer first and class features last, at balanced norms, every inner width ``dim``."""
        omega, L = self.program.omega[group], self.num_factors
        width = self.widest(Z.shape[0]) if dim is None else dim
        nx = Z.__array_namespace__()
        left, values, right = spectral.singular_vectors(Z * omega[None, :])
        used = min(width, values.size)
        root = nx.pad(spectral.kept(values)[:used] ** (1 / L), (0, width - used))
        roots = nx.sqrt(self.sizes)[:, None] * root[None, :]
        left = nx.pad(left[:, :used], ((0, 0), (0, width - used)))
        right = nx.pad(right[:used], ((0, width - used), (0, 0)))
        inner = tuple(nx.diag(root) for root in roots[1:-1])
        return left * roots[0][None, :], *inner, roots[-1][:, None] * right / omega[None, :]

    def dim_of(self, within: Any, rank: Any) -> Any:
        """Its rank."""
        return rank

    def widest(self, num_classes: int) -> int:
        """One less where a free bias has taken the mean."""
        return num_classes - 1 if self.program.bias.free else num_classes


def _largest(size, counts, dim: int):
    """How many of each stay if ``dim`` in all do, the largest first; and the size that is cut through, or infinity."""
    nx = size.__array_namespace__()
    order = nx.argsort(-size, axis=-1, stable=True)
    many = nx.take_along_axis(counts, order, axis=-1)
    stay = nx.clip(dim - (nx.cumsum(many, axis=-1) - many), 0.0, many)
    kept = nx.take_along_axis(stay, nx.argsort(order, axis=-1, stable=True), axis=-1)
    last = nx.min(nx.where(kept > 0, size, nx.inf), axis=-1)
    lost = nx.max(nx.where(kept < counts, size, 0.0), axis=-1)
    tied = lost >= last * (1 - _CLOSE * nx.finfo(size.dtype).eps)
    return kept, nx.where(tied, last, nx.inf)
