"""Deep linear networks of L >= 3 factors: a loss of the logits plus ``c sum sigma(Z Omega)^(2/L)``.

c is L/2 times the geometric mean of the decays. The cost is not convex, and equal classes need not play equal parts at
an optimum, so coordinates are those of every class: factors of the logits themselves, whose value is that of the
network.
"""

from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from ..charge import Price
from ..codes import Phase
from ..duality import Program, duality_gap
from ..groups import ClassOrder
from ..losses.loss import ConvexLoss
from .left_open import left_open
from .nuclear import NuclearObjective
from .objective import AbstractObjective, Structure
from .of_groups import GroupCoordinates

#: relative gradient that counts as stationary, and its least in units of rounding
_STATIONARY, _OF_ROUNDING = 1e-7, 1e4
#: squared norm of a class's row, as a share of the largest, below which it is zero; and of a singular value
_NOTHING = 1e-12


#: singular value, as a share of the largest, below which it is what a descent left of zero
_LEFT = 1e-7


class DeepCoordinates(NamedTuple):
    """L factors ``left, diag(root), ..., diag(root), right``, of which ``Z Omega`` is the product; balanced at an
    optimum, which always has this form (singular value decomposition)."""

    left: Float[Array, "*batch K d"]
    root: Float[Array, "*batch d"]
    right: Float[Array, "*batch d K"]
    bias: Any  #: (..., K) or None
    #: GroupCoordinates of the convex relaxation, whose dual bounds the optimum from below: any will do, good ones well
    relaxed: Any


class DeepProof(NamedTuple):
    """What :class:`DeepCoordinates` prove."""

    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]  #: to the bound of the relaxation, rounding included
    log_scale: Float[Array, "*batch"]
    residual: Float[Array, "*batch"]  #: norm of the gradient by all factors times their norm, over the value
    at: DeepCoordinates


class SchattenObjective(AbstractObjective):
    """Minimise ``sum_k weights_k loss(z_k, k) + (c / L) (|left|² + (L - 2) |root|² + |right|²)``."""

    #: of the groups; its charge is a price, c
    program: Program
    #: number of factors, a number as any other
    depth: Float[Array, "*batch"]
    #: (...,) sqrt(lambda_H / p), p the geometric mean of the decays: classifier over features at balanced norms
    scale: Float[Array, "*batch"]
    #: largest rank that the inner widths allow, None for any
    width: int | None = eqx.field(static=True)
    #: group of each class
    order: ClassOrder = eqx.field(static=True)

    @property
    def convex(self) -> ConvexLoss | None:
        """The loss, or one nowhere above it that is convex, or None."""
        loss = self.program.loss
        return loss if isinstance(loss, ConvexLoss) else loss.minorant

    @property
    def classes(self) -> Program:
        """The program with every class a group of its own."""
        program, index = self.program, self.order.group_of_class
        weights = program.weights[..., index]
        nx = weights.__array_namespace__()
        offsets = None if program.offsets is None else program.offsets[..., index]
        ones, omega = nx.ones_like(weights), program.omega[..., index]
        return Program(program.loss.of_classes(index), ones, weights, omega, program.charge, offsets, program.bias)

    @property
    def price(self) -> Any:
        """(...,) c."""
        return self.program.charge.amount

    def loss(self, Z: Any, bias: Any) -> Any:
        """Loss of logits without bias, and its gradient by them (..., K, K)."""
        program = self.classes
        nx = Z.__array_namespace__()
        eye = nx.eye(Z.shape[-1], dtype=bool)
        for shift in (bias, program.offsets):
            Z = Z if shift is None else Z + shift[..., :, None]
        # Not a diagonal: without optimisation XLA (jaxlib 0.10.2) gets its derivative wrong inside a loop.
        own = nx.sum(nx.where(eye, Z, 0.0), axis=-2)
        rivals = nx.where(eye, 0.0, nx.ones_like(Z))
        at = program.loss.on_groups(nx.where(eye, 0.0, own[..., None, :] - Z), rivals, own)
        right = at.total - nx.sum(rivals * at.wrong, axis=-2)
        slope = program.weights[..., None, :] * nx.where(eye, right[..., None, :], at.wrong)
        return nx.sum(program.weights * at.value, axis=-1), slope

    def logits(self, at: DeepCoordinates) -> Any:
        """(..., K, K) without bias."""
        nx = at.left.__array_namespace__()
        inner = power(at.root, self.depth[..., None] - 2)
        return nx.matmul(at.left * inner[..., None, :], at.right) / self.classes.omega[..., None, :]

    def balanced(self, decomposition: tuple[Any, Any, Any], bias: Any) -> DeepCoordinates:
        """Of a singular value decomposition of the weighted logits, without what a descent has left of zero; the
        relaxation's logits are to be filled in."""
        left, singular, right = decomposition
        nx = singular.__array_namespace__()
        kept = singular > _LEFT * singular[0]
        root = nx.where(kept, nx.where(kept, singular, 1.0) ** (1 / self.depth), 0.0)
        return DeepCoordinates(left * root[None, :], root, root[:, None] * right, bias, None)  # pyright: ignore[reportArgumentType]

    def paid(self, at: DeepCoordinates) -> Any:
        """(...,) what the decays of factors and bias take."""
        nx = at.left.__array_namespace__()
        squares = nx.sum(at.left**2, axis=(-2, -1)) + nx.sum(at.right**2, axis=(-2, -1))
        squares = squares + (self.depth - 2) * nx.sum(at.root**2, axis=-1)
        return self.price / self.depth * squares + self.program.bias.paid(at.bias, 1.0)

    def prove(self, at: DeepCoordinates) -> DeepProof:
        """Value of the factors, and the lower bound that the relaxation's logits prove.

        No factors that are better than a value U have a singular value above ``B = (U/c)^(L/2)``, and up
        to B is ``sigma^(2/L) >= B^(2/L - 1) sigma``: what the nuclear norm costs at the price ``c B^(2/L - 1)``.
        """
        nx = at.left.__array_namespace__()
        Z = self.logits(at)
        loss, slope = self.loss(Z, at.bias)
        value = loss + self.paid(at)
        K, eps = at.left.shape[-2], nx.finfo(value.dtype).eps
        ulps = 8 * (K + at.root.shape[-1]) * eps * (1 + self.depth)
        rounding = ulps * value + ulps * nx.sum(nx.abs(slope * Z), axis=(-2, -1))
        lower = nx.zeros_like(value)
        if self.convex is not None:
            zero = nx.zeros_like(slope)
            least = nx.minimum(value + rounding, self.loss(zero, None if at.bias is None else zero[..., 0])[0])
            relaxed = self.relaxed(least).program
            bound = duality_gap(relaxed, *at.relaxed[:3])
            lower = nx.maximum(bound.value - bound.gap, 0.0)
        gap = nx.minimum(nx.maximum(value - lower, 0.0) + rounding, value)  # no objective is negative
        return DeepProof(value, gap, nx.zeros_like(value), self.residual(at, value, slope), at)

    def relaxed(self, value: Any) -> NuclearObjective:
        """The convex problem whose optimum is no larger, where ``value`` is no less than that of this one."""
        nx = value.__array_namespace__()
        c = self.price
        price = c * nx.exp((1 - 0.5 * self.depth) * nx.log(value / c))
        price = price * (1 - 64 * nx.finfo(value.dtype).eps * (1 + self.depth))
        given = self.program
        program = Program(
            self.convex, given.classes, given.weights, given.omega, Price(price), given.offsets, given.bias
        )
        return NuclearObjective(program, nx.ones_like(price))

    def residual(self, at: DeepCoordinates, value: Any, slope: Any) -> Any:
        """How far factors are from stationary. New directions are stationary at zero: L >= 3."""
        nx = value.__array_namespace__()
        p, depth = (2 * self.price / self.depth)[..., None], self.depth[..., None]
        weighted = slope / self.classes.omega[..., None, :]
        inner = power(at.root, depth - 2)
        by_right = nx.matmul(weighted, nx.swapaxes(at.right, -1, -2))
        by_left = nx.matmul(nx.swapaxes(at.left, -1, -2), weighted)
        along = nx.sum(at.left * by_right, axis=-2)
        of_left = by_right * inner[..., None, :] + p[..., None] * at.left
        of_right = inner[..., :, None] * by_left + p[..., None] * at.right
        of_root = (depth - 2) * (power(at.root, depth - 3) * along + p * at.root)
        squares = nx.sum(of_left**2, axis=(-2, -1)) + nx.sum(of_right**2, axis=(-2, -1)) + nx.sum(of_root**2, axis=-1)
        size = nx.sum(at.left**2, axis=(-2, -1)) + nx.sum(at.right**2, axis=(-2, -1)) + nx.sum(at.root**2, axis=-1)
        if at.bias is not None:
            of_bias = nx.sum(slope, axis=-1) + nx.asarray(self.program.bias.decay)[..., None] * at.bias
            squares = squares + nx.sum(of_bias**2, axis=-1)
            size = size + nx.sum(at.bias**2, axis=-1)
        return nx.sqrt(squares) * nx.sqrt(size) / value

    def is_stationary(self, proof: DeepProof) -> Any:
        """Whether the gradient is next to nothing."""
        eps = float(proof.residual.__array_namespace__().finfo(proof.residual.dtype).eps)
        return proof.residual <= max(_STATIONARY, _OF_ROUNDING * eps)

    def left_open(self, proof: DeepProof, at: DeepCoordinates, rounding: Any) -> Any:
        """That of the relaxation, whose price is as uncertain as powers of c and of the value."""
        if rounding is None or self.convex is None:
            return super().left_open(proof, at, rounding)
        relaxed = self.relaxed(proof.value).program
        bound = duality_gap(relaxed, *at.relaxed[:3])
        # c to the power of L/2, a value to that of 1 - L/2; a value moves no more than all its numbers together.
        numbers = rounding.weights + 2 * rounding.omega + rounding.price + 2 * rounding.loss + rounding.bias_decay
        wider = rounding._replace(price=self.depth * (rounding.price + numbers))
        return left_open(relaxed, bound, at.relaxed.bias, wider) + numbers * proof.value

    def lagrangian(self, at: DeepCoordinates, multiplier: Any) -> Float[Array, ""]:
        """Loss and what is paid."""
        return self.loss(self.logits(at), at.bias)[0] + self.paid(at)

    def log_multiplier(self, proof: DeepProof) -> Float[Array, "*batch"]:
        """Of c."""
        nx = proof.value.__array_namespace__()
        return nx.log(self.price)

    def structure(self, proof: DeepProof, price: Any) -> Structure:
        """Rank by the singular values; annihilated where the factors of a class are zero."""
        nx, at = proof.value.__array_namespace__(), proof.at
        K = at.left.shape[-2]
        rank = nx.sum(nx.abs(at.root) > _NOTHING**0.5 * nx.max(nx.abs(at.root), axis=-1, keepdims=True), axis=-1)
        rows = nx.sum(at.left**2, axis=-1)
        gone = rows <= _NOTHING * nx.max(rows, axis=-1, keepdims=True)
        full = rank >= (K if self.program.full else K - 1)
        phase = nx.where(nx.any(gone, axis=-1), Phase.annihilated, nx.where(full, Phase.separated, Phase.merged))
        return Structure(phase, rank, rank)

    def describe(self, at: DeepCoordinates, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """Classifier and features, what of them no rotation changes, and the relaxation's logits."""
        nx = at.left.__array_namespace__()
        scale, omega = self.scale[..., None, None], self.classes.omega[..., None, :]
        inner = power(at.root, self.depth[..., None] - 2)
        W, H = scale * at.left * inner[..., None, :], at.right / (scale * omega)
        Z = self.logits(at)
        Z = Z if at.bias is None else Z + at.bias[..., :, None]
        eye = nx.eye(Z.shape[-1], dtype=bool)
        rivals = nx.where(eye, nx.inf, nx.sum(nx.where(eye, Z, 0.0), axis=-2)[..., None, :] - Z)
        return {
            "W": W,
            "H": H,
            "bias": at.bias,
            "pairwise": cosines(W),
            "w_norm2": nx.sum(W * W, axis=-1),
            "h_norm2": nx.sum(H * H, axis=-2),
            "margin": nx.min(rivals, axis=-2),
            "spectrum": -nx.sort(-power(at.root, self.depth[..., None]), axis=-1),
            "relaxed_within": at.relaxed.within,
            "relaxed_between": at.relaxed.between,
            "relaxed_bias": at.relaxed.bias,
        }

    def coordinates(self, result: Any) -> DeepCoordinates:
        """The factors that W and H are the product of at balanced norms, in float64."""
        program = self.classes
        nx = program.weights.__array_namespace__()
        W, H = (nx.asarray(x, nx.float64) for x in (result.W, result.H))
        K = program.omega.shape[-1]
        if W.shape[-2] != K or H.shape[-1] != K or W.shape[-1] != H.shape[-2]:
            raise ValueError(
                f"solution has W of shape {W.shape} and H of shape {H.shape}, the problem has {K} classes: pass the "
                "problem that was solved (solution.problem)."
            )
        if (result.bias is None) == program.bias.present:
            raise ValueError("problem and solution disagree on a last-layer bias: pass the problem that was solved.")
        scale = nx.asarray(self.scale)[..., None, None]
        right = H * scale * program.omega[..., None, :]
        root = nx.sqrt(nx.sum(right * right, axis=-1))
        inner = scale * power(root, nx.asarray(self.depth)[..., None] - 2)[..., None, :]
        left = nx.where(inner > 0, W / nx.where(inner > 0, inner, 1.0), 0.0)
        relaxed = GroupCoordinates(result.relaxed_within, result.relaxed_between, result.relaxed_bias)
        return DeepCoordinates(left, root, right, result.bias, relaxed)


def cosines(rows: Any) -> Any:
    """(..., K, K) cosines between rows; NaN where one of them is zero."""
    nx = rows.__array_namespace__()
    length2 = nx.sum(rows * rows, axis=-1)
    there = length2 > _NOTHING * nx.max(length2, axis=-1, keepdims=True)
    unit = rows / nx.sqrt(nx.where(there, length2, 1.0))[..., None]
    both = there[..., :, None] & there[..., None, :]
    return nx.where(both, nx.matmul(unit, nx.swapaxes(unit, -1, -2)), nx.nan)


def power(root: Any, exponent: Any) -> Any:
    """``|root|^exponent`` with derivatives, 0 at 0 but 1 where the exponent is 0."""
    nx = root.__array_namespace__()
    alive = root != 0
    logs = nx.log(nx.abs(nx.where(alive, root, 1.0)))
    return nx.where(alive | (exponent == 0), nx.exp(exponent * logs), 0.0)
