"""Cited facts: a closed list of standard results, each with a reference and a randomised numeric test.

The test guards against a misquoted statement; the verdict is `cited`, never `proved`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import numpy as np

from proofs.theorem import Finding, Step, Verdict

_TRIALS = 100
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Rule:
    """A standard fact; `violation` returns how far a random instance is from satisfying it (<= 0 if it does)."""

    name: str
    statement: str
    reference: str
    violation: Callable[[np.random.Generator], float]


def _weights(rng: np.random.Generator, size: int) -> np.ndarray:
    weights = rng.random(size) + 1e-3
    return weights / weights.sum()


def _jensen(rng: np.random.Generator) -> float:
    weights, points = _weights(rng, 5), rng.normal(size=(5, 4))

    def convex(z: np.ndarray) -> float:
        return float(np.log(np.exp(z).sum()) + (z**2).sum())

    return convex(weights @ points) - float(weights @ np.array([convex(z) for z in points]))


def _am_gm(rng: np.random.Generator) -> float:
    weights, values = _weights(rng, 4), rng.exponential(size=4)
    return float(np.prod(values**weights) - weights @ values)


def _von_neumann(rng: np.random.Generator) -> float:
    a, b = rng.normal(size=(2, 5, 4))
    products = np.linalg.svd(a, compute_uv=False) @ np.linalg.svd(b, compute_uv=False)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    aligned = (u * np.sort(rng.random(4))[::-1]) @ vt
    gap = abs(float(np.sum(a * aligned)) - float(s @ np.linalg.svd(aligned, compute_uv=False)))
    return max(abs(float(np.sum(a * b))) - float(products), gap)


def _schatten(rng: np.random.Generator) -> float:
    depth, size = int(rng.integers(2, 5)), 4
    decays = rng.random(depth) + 0.1
    scale = np.prod(decays) ** (1 / depth)

    def cost(factors: list[np.ndarray]) -> float:
        return 0.5 * float(sum(d * (f**2).sum() for d, f in zip(decays, factors, strict=True)))

    def least(z: np.ndarray) -> float:
        return float(depth / 2 * scale * (np.linalg.svd(z, compute_uv=False) ** (2 / depth)).sum())

    factors = [rng.normal(size=(size, size)) for _ in range(depth)]
    u, s, vt = np.linalg.svd(rng.normal(size=(size, size)))
    balanced = [np.diag(np.sqrt(scale / d) * s ** (1 / depth)) for d in decays]
    balanced[0], balanced[-1] = u @ balanced[0], balanced[-1] @ vt
    attained = abs(cost(balanced) - least((u * s) @ vt))
    return max(least(np.linalg.multi_dot(factors)) - cost(factors), attained - _TOLERANCE)


def _horn(rng: np.random.Generator) -> float:
    depth, power = int(rng.integers(2, 5)), float(rng.uniform(0.1, 2.0))
    factors = rng.normal(size=(depth, 4, 4))
    each = np.prod([np.linalg.svd(factor, compute_uv=False) for factor in factors], axis=0)
    whole = np.linalg.svd(np.linalg.multi_dot(factors), compute_uv=False)
    return float((np.cumsum(whole**power) - np.cumsum(each**power)).max())


def _weyl(rng: np.random.Generator) -> float:
    a, b = rng.normal(size=(2, 5, 5))
    below, above = np.linalg.eigvalsh(a @ a.T), np.linalg.eigvalsh(a @ a.T + b @ b.T)
    return float((below - above).max())


def _convex_kkt(rng: np.random.Generator) -> float:
    # f(z) = |z - centre|^2/2 + price.z on z >= 0: the KKT point is the positive part of centre - price.
    centre, price = rng.normal(size=(2, 6))

    def f(z: np.ndarray) -> float:
        return float(((z - centre) ** 2).sum() / 2 + price @ z)

    best = np.maximum(centre - price, 0)
    return max(f(best) - f(rng.exponential(size=6)) for _ in range(5))


def _group_averaging(rng: np.random.Generator) -> float:
    z, blocks = rng.normal(size=(4, 4)), ((0, 1), (2, 3))
    moved = []
    for first in permutations(blocks[0]):
        for second in permutations(blocks[1]):
            order = [*first, *second]
            moved.append(z[np.ix_(order, order)])

    def f(m: np.ndarray) -> float:
        cross_entropy = np.log(np.exp(m).sum(0)) - np.diag(m)
        return float(cross_entropy @ [3, 3, 1, 1] + np.linalg.svd(m, compute_uv=False).sum())

    invariance = max(abs(f(m) - f(z)) for m in moved)
    return max(f(np.mean(moved, axis=0)) - f(z), invariance - _TOLERANCE)


def _continuous_injective(rng: np.random.Generator) -> float:
    # The contrapositive: a continuous function that is not strictly monotone takes some value twice.
    nodes, values = np.sort(rng.random(6)), rng.normal(size=6)
    values[1:3] = values[0] + np.array([1.0, 0.5])
    level = values[0] + 0.75
    crossings = int(
        np.count_nonzero(np.diff(np.sign(np.interp(np.linspace(nodes[0], nodes[2], 4001), nodes, values) - level)))
    )
    return 2.0 - crossings


JENSEN = Rule(
    "Jensen",
    "a convex function of a mean is at most the mean of the function",
    "Boyd & Vandenberghe, Convex Optimization, chapter 3",
    _jensen,
)
AM_GM = Rule(
    "AM–GM",
    "a weighted geometric mean is at most the weighted arithmetic mean",
    "Hardy, Littlewood & Pólya, Inequalities, chapter 2",
    _am_gm,
)
VON_NEUMANN = Rule(
    "von Neumann trace inequality",
    "|<A, B>| <= sum of sigma_i(A) sigma_i(B) (in particular <= ||A||_2 ||B||_*), "
    "with equality for shared singular vectors",
    "Horn & Johnson, Topics in Matrix Analysis, chapter 3; von Neumann 1937",
    _von_neumann,
)
SCHATTEN = Rule(
    "Schatten variational form",
    "the least sum of (lambda_j/2) ||A_j||^2 over products A_1 ... A_L = Z is (L/2) P^(1/L) sum "
    "sigma_i^(2/L), "
    "P the product of the lambda_j, attained by balanced factors",
    "Srebro, Rennie & Jaakkola 2004 (L = 2); Shang, Liu & Cheng 2016 (any L)",
    _schatten,
)
HORN = Rule(
    "Horn's inequality",
    "sum of sigma_i(A_1 ... A_L)^p <= sum of sigma_i(A_1)^p ... sigma_i(A_L)^p over i <= r, for every p > 0 and r",
    "Horn 1950; Horn & Johnson, Topics in Matrix Analysis, theorem 3.3.14",
    _horn,
)
WEYL = Rule(
    "Weyl monotonicity",
    "adding a positive semidefinite matrix lowers no eigenvalue",
    "Horn & Johnson, Matrix Analysis, section 4.3",
    _weyl,
)
CONVEX_KKT = Rule(
    "sufficiency of convex KKT",
    "a KKT point of a convex problem is a global minimiser",
    "Boyd & Vandenberghe, Convex Optimization, section 5.5",
    _convex_kkt,
)
GROUP_AVERAGING = Rule(
    "group averaging",
    "a convex problem invariant under a finite group has an invariant minimiser, and the gradient "
    "of an "
    "invariant function at an invariant point is invariant",
    "Gatermann & Parrilo 2004, Symmetry groups, semidefinite programs, and sums of squares",
    _group_averaging,
)
CONTINUITY = Rule(
    "continuous and injective",
    "a continuous injective function on an interval is strictly monotone",
    "intermediate value theorem; Rudin, Principles of Mathematical Analysis, chapter 4",
    _continuous_injective,
)

RULES = (JENSEN, AM_GM, VON_NEUMANN, SCHATTEN, HORN, WEYL, CONVEX_KKT, GROUP_AVERAGING, CONTINUITY)


@dataclass(frozen=True)
class Cited(Step):
    """An application of one of `RULES`; `claim` says to what it is applied."""

    kind: ClassVar[str] = "cited"
    rule: Rule

    def verify(self) -> Finding:
        if self.rule not in RULES:
            return Finding(Verdict.UNDECIDED, f"{self.rule.name} is not in the closed list")
        rng = np.random.default_rng(0)
        worst = max(self.rule.violation(rng) for _ in range(_TRIALS))
        if not worst <= _TOLERANCE:
            return Finding(Verdict.REFUTED, f"{self.rule.name} fails its numeric test by {worst:.1e}")
        return Finding(Verdict.CITED, f"{self.rule.name}: {self.rule.statement}. {self.rule.reference}")

    def latex(self) -> str:
        return ""
