"""Matrices invariant under permutations inside groups of classes, for symbolic group sizes.

Such a matrix is a direct sum of `own[g]` times the identity plus `ones[g, h]` times the matrix of ones on block (g, h).
Sums, products, transposes and traces act on these coefficients, so an identity of coefficients holds for all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import sympy as sp

from proofs.domain import Domain
from proofs.theorem import Finding, Step, Verdict
from proofs.verifiers.identity import decide_zero


@dataclass(frozen=True)
class Blocks:
    """The matrix  (own[0] I) + (own[1] I) + ... on the diagonal blocks, plus ones[g, h] 1_g 1_h^T on every block."""

    sizes: tuple[sp.Expr, ...]
    own: tuple[sp.Expr, ...]
    ones: sp.ImmutableMatrix

    @classmethod
    def of(cls, sizes: Sequence[sp.Expr], own: Sequence[object], ones: Sequence[Sequence[object]]) -> Blocks:
        """Build from plain sequences."""
        return cls(tuple(sizes), tuple(map(sp.sympify, own)), sp.ImmutableMatrix(ones))

    @classmethod
    def outer(cls, sizes: Sequence[sp.Expr], left: Sequence[sp.Expr], right: Sequence[sp.Expr]) -> Blocks:
        """left right^T for vectors constant on groups."""
        return cls.of(sizes, [0] * len(sizes), [[a * b for b in right] for a in left])

    @classmethod
    def centring(cls, sizes: Sequence[sp.Expr], group: int) -> Blocks:
        """I - J/K_g on the diagonal block of one group, zero elsewhere."""
        count = len(sizes)
        ones = sp.zeros(count, count)
        ones[group, group] = -1 / sizes[group]
        return cls.of(sizes, [int(g == group) for g in range(count)], ones.tolist())

    def __add__(self, other: Blocks) -> Blocks:
        own = tuple(a + b for a, b in zip(self.own, other.own, strict=True))
        return Blocks(self.sizes, own, self.ones + other.ones)

    def __sub__(self, other: Blocks) -> Blocks:
        return self + other * -1

    def __mul__(self, factor: object) -> Blocks:
        scale = sp.sympify(factor)
        return Blocks(self.sizes, tuple(scale * a for a in self.own), scale * self.ones)

    def __matmul__(self, other: Blocks) -> Blocks:
        left, right = sp.diag(*self.own), sp.diag(*other.own)
        ones = left * other.ones + self.ones * right + self.ones * sp.diag(*self.sizes) * other.ones
        own = tuple(a * b for a, b in zip(self.own, other.own, strict=True))
        return Blocks(self.sizes, own, sp.ImmutableMatrix(ones))

    @property
    def T(self) -> Blocks:
        """The transpose."""
        return Blocks(self.sizes, self.own, self.ones.T)

    def trace(self) -> sp.Expr:
        """Sum of the diagonal entries."""
        return sum((k * self.entry(g) for g, k in enumerate(self.sizes)), sp.Integer(0))

    def inner(self, other: Blocks) -> sp.Expr:
        """Sum of the products of entries."""
        return (self.T @ other).trace()

    def entry(self, row: int, column: int | None = None) -> sp.Expr:
        """The diagonal entry of a group, or with `column` an off-diagonal entry of block (row, column)."""
        return self.own[row] + self.ones[row, row] if column is None else self.ones[row, column]

    def coefficients(self) -> list[sp.Expr]:
        """All coefficients; the matrix is zero if they are, whatever the sizes."""
        return [*self.own, *self.ones]


def gradient(function: Callable[[Blocks], sp.Expr], at: Blocks) -> Blocks:
    """The gradient of a permutation-invariant function at an invariant matrix, from SymPy derivatives by coefficients.

    The gradient is invariant as well, so its inner products with I_g and 1_g 1_h^T, which are the derivatives by the
    coefficients, determine it.
    """
    sizes, count = at.sizes, len(at.sizes)
    own = sp.symbols(f"own_:{count}", real=True)
    ones = sp.Matrix(count, count, sp.symbols(f"ones_:{count}:{count}", real=True))
    value = function(Blocks.of(sizes, own, ones.tolist()))
    point = dict(zip([*own, *ones], at.coefficients(), strict=True))

    def slope(symbol: sp.Symbol) -> sp.Expr:
        return sp.diff(value, symbol).subs(point, simultaneous=True)

    out_ones = sp.zeros(count, count)
    out_own = []
    for g, k in enumerate(sizes):
        out_ones[g, g] = (slope(ones[g, g]) - slope(own[g])) / (k * (k - 1))
        out_own.append(slope(own[g]) / k - out_ones[g, g])
        for h in set(range(count)) - {g}:
            out_ones[g, h] = slope(ones[g, h]) / (k * sizes[h])
    return Blocks.of(sizes, out_own, out_ones.tolist())


@dataclass(frozen=True)
class BlockIdentity(Step):
    """Two invariant matrices agree for all group sizes in `domain`; `text` is the formula in matrix notation."""

    kind: ClassVar[str] = "matrix"
    left: Blocks = field(repr=False)
    right: Blocks = field(repr=False)
    text: str
    domain: Domain = field(repr=False)

    def verify(self) -> Finding:
        for difference in (self.left - self.right).coefficients():
            finding = decide_zero(difference, self.domain)
            if finding.verdict is not Verdict.PROVED:
                return finding
        return Finding(Verdict.PROVED)

    def latex(self) -> str:
        return self.text
