"""Gradient flow of unconstrained features from a Hadamard start: as many exact equations as there are directions."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.domain import Domain, above, between
from proofs.theorem import Theorem, Uses
from proofs.ulpm import ray
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

a_1, a_2, a_3 = sp.symbols("a_1 a_2 a_3", positive=True)
_SIZES = (a_1, a_2, a_3)
_CLASSES = 4
#: characters of two binary digits: chi_i(g) = (-1)^(number of digits that i and g share), without the constant one
CHARACTERS = tuple(tuple((-1) ** (i & g).bit_count() for g in range(_CLASSES)) for i in (1, 2, 3))


def _softmax() -> list[sp.Expr]:
    logits = [sum(a * chi[g] for a, chi in zip(_SIZES, CHARACTERS, strict=True)) / _CLASSES for g in range(_CLASSES)]
    total = sum(sp.exp(z) for z in logits)
    return [sp.exp(z) / total for z in logits]


def _coefficient(probabilities: list[sp.Expr]) -> sp.Expr:
    """Of the first character."""
    return sum(chi * p for chi, p in zip(CHARACTERS[0], probabilities, strict=True))


SPEED = 2 * a_1 / _CLASSES * (1 - _coefficient(_softmax()))


@cache
def theorem(speed: sp.Expr = SPEED) -> Theorem:
    """dW/dt = -dL/dW, dH/dt = -dL/dH with W W^T = H^T H = Z = (1/K) sum_i a_i chi_i chi_i^T, n = 1.

    `speed` is the claimed da_1/dt of K = 4; the others follow by exchanging the classes.
    """
    shares = sp.symbols("p_0:4", positive=True)
    weights = sp.symbols("y_0:4", real=True)
    # Positive shares of sum 1.
    free = Domain({p: between(0, 1) for p in shares[1:]})
    on_simplex = {shares[0]: 1 - sum(shares[1:])}
    every = Domain({p: above(0) for p in shares} | {y: above(0) for y in weights})
    sizes = Domain({a: above(0) for a in _SIZES})
    a, hat = sp.symbols("a p_i", positive=True)
    alike = {a_2: a_1, a_3: a_1}
    steps = (
        *(
            Identity(
                rf"$K = 4$: the logit of class $g$ in column $k$ is that of $g \oplus k$ in column 0, so probabilities "
                rf"are $p_{{g\oplus k}}$, and $\chi_{i}$ is an eigenvector of them, of eigenvalue $\hat p_{i} = "
                rf"\sum_g\chi_{i}(g)p_g$ (row $g$ times any $y_g$; for $K = 2^m$ as $\chi(g\oplus k) = "
                rf"\chi(g)\chi(k)$)",
                sum(y * sum(shares[g ^ k] * chi[k] for k in range(4)) for g, y in enumerate(weights)),
                sum(y * chi[g] for g, y in enumerate(weights)) * sum(c * p for c, p in zip(chi, shares, strict=True)),
                every,
            )
            for i, chi in enumerate(CHARACTERS, 1)
        ),
        Identity(r"so $G = \frac1K(P - I)$ commutes with $Z = WW^\top = H^\top H$, these stay equal ($W^\top W - "
                 r"HH^\top$ is conserved, `ulpm.ray`), and on $\chi_i$ $\dot Z = -(GH^\top H + WW^\top G)$ is",
                 -((hat - 1) / 4 * a + a * (hat - 1) / 4), 2 * a / 4 * (1 - hat), Domain({a: above(0), hat: above(0)})),
        Identity(r"$\dot a_1 = \frac{2a_1}K(1 - \hat p_1)$, $p = \mathrm{softmax}_g\frac1K\sum_ja_j\chi_j(g)$",
                 2 * a_1 / 4 * (1 - _coefficient(_softmax())), speed, sizes),
        Identity(r"$1 - \hat p_i$ is twice the probability where $\chi_i = -1$", (1 - _coefficient(list(shares))).subs(
            on_simplex), 2 * (shares[1] + shares[3]), free),
        Sign(r"so every $a_i$ grows", speed, ">", sizes),
        Identity(r"equal ones stay equal, on the ray of neural collapse", speed.subs(alike), ray.RATE.subs(
            {ray.K: 4, ray.n: 1, ray.alpha: a_1}), Domain({a_1: above(0)})),
        Uses(r"(whose solution is implicit)", ray.theorem()),
    )  # fmt: skip
    return Theorem(
        id="ulpm.hadamard",
        title="Gradient flow from a Hadamard start: one exact equation for each direction",
        source="derived here; such starts, and that they reach neural collapse: arXiv 2512.04006",
        prior="arXiv 2512.04006",
        domain=sizes,
        assumptions=("one sample in each of K = 2^m classes (closed form: K = 4)",
                     "balanced at the start: WWᵀ = HᵀH = Z"),
        statement=(sp.Eq(sp.Symbol(r"\dot a_1"), speed, evaluate=False),),
        steps=steps,
        uniqueness="The flow is smooth: one solution from each start, and it keeps the symmetry.",
        closed_forms={"speed": sp.Lambda(_SIZES, speed)},
    )  # fmt: skip
