"""Deep squared error with a last-layer bias that is not decayed: the same scalar problems for a centred target."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import two_group
from proofs.deep import squared_error
from proofs.deep.symbols import DEPTH, L, P, n_k, sigma
from proofs.domain import REAL, Domain, above, integers
from proofs.symbols import K_A, K_B, K_SUM, SIZES, N, n
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import VON_NEUMANN, WEYL, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

n_A, n_B, n_j, b = sp.symbols("n_A n_B n_j b", positive=True)
TOTAL = K_A * n_A + K_B * n_B
BETWEEN = K_SUM * n_A * n_B / TOTAL
GROUPS = Domain({K_A: integers(1), K_B: integers(1), n_A: above(0), n_B: above(0)})
COUNTS = Domain({N: above(0), n_k: above(0), n_j: above(0)})


def _reduction_steps() -> tuple[Step, ...]:
    """A free bias removes the part of the target along sqrt(n)."""
    square, inner, shift = sp.symbols("r2 r_n beta", real=True)
    row = Domain({square: REAL, inner: REAL, shift: REAL, N: above(0)})
    projection = _projection()
    return (
        Identity(r"each row of $R + b\sqrt n^\top$, $R = A - D$, in terms of its $\|r\|^2$ and $r\cdot\sqrt n$: with "
                 r"$Q = I - \sqrt n\sqrt n^\top/N$ the bias acts on one coordinate only, and makes it 0",
                 square + 2 * shift * inner + shift**2 * N,
                 (square - inner**2 / N) + (inner / sp.sqrt(N) + shift * sp.sqrt(N)) ** 2, row),
        BlockIdentity(r"so the loss is $\|(A-D)Q\|^2/(2N)$, $Q$ a projection (here for two groups),",
                      projection @ projection, projection, r"Q Q = Q", GROUPS),
        Cited(r"and $AQ$ for $A$ leaves it and raises no singular value ($AQ(AQ)^\top + A\sqrt n\sqrt n^\top A^\top/N "
              r"= AA^\top$): some optimum has $A\sqrt n = Zn = 0$", WEYL),
        Sign(r"(the decay increases with every singular value: every optimum has)", sp.diff(sigma ** (2 / L), sigma),
             ">", DEPTH | {sigma: above(0)}),
        Cited(r"$\|A - DQ\|^2 \ge \sum_i(\sigma_i(A) - s_i)^2$, $s_i$ the singular values of $DQ = \mathrm{diag}\sqrt "
              r"n - n\sqrt n^\top/N$; attained with the singular vectors of $DQ$", VON_NEUMANN),
        Uses(r"these are the scalar problems of the bias-free model, $\sqrt{n_k}$ replaced by $s_i$: same thresholds "
             r"on $b/s_i^2$, same jump", squared_error.theorem()),
    )  # fmt: skip


def _target_steps(between: sp.Expr, bias: sp.Expr) -> tuple[Step, ...]:
    """The singular values of the centred target D Q, and the bias."""
    diagonal = Blocks.of(SIZES, (n_A, n_B), [[0, 0], [0, 0]])
    counts = Blocks.outer(SIZES, (n_A, n_B), (n_A, n_B))
    target = Blocks.of(SIZES, (sp.sqrt(n_A), sp.sqrt(n_B)), [[0, 0], [0, 0]]) @ _projection()
    u_A, u_B = two_group.VECTOR_U
    equal = Domain({K_A: integers(1), K_B: integers(1), n: above(0)})
    return (
        Identity(r"$(DQ)(DQ)^\top = \mathrm{diag}\,n - nn^\top/N$ for any counts: the diagonal",
                 sp.sqrt(n_k) * (1 - n_k / N) * sp.sqrt(n_k), n_k - n_k**2 / N, COUNTS),
        Identity(r"and the other entries", sp.sqrt(n_j) * (-sp.sqrt(n_j * n_k) / N) * sp.sqrt(n_k), -n_j * n_k / N,
                 COUNTS),
        Derivative(r"the bias of class $k$, from the loss $\sum_jn_j(z_{kj}+b_k-\delta_{kj})^2/(2N)$: stationary at "
                   r"$b_k = n_k/N$ since $\sum_jn_jz_{kj} = 0$ (own and other samples, $z$ left out)",
                   (n_k * (b - 1) ** 2 + (N - n_k) * b**2) / (2 * N), (b,), sp.Integer(0), COUNTS, at={b: bias}),
        BlockIdentity(r"two groups: eigenvalues $n_A$ ($K_A-1$ times), $n_B$ ($K_B-1$ times), $Kn_An_B/N$ and 0",
                      diagonal - counts * (1 / TOTAL), two_group.spectral(n_A, n_B, between),
                      r"\mathrm{diag}\,n - nn^\top/N = n_AS_A + n_BS_B + \tfrac{Kn_An_B}{N}uu^\top", GROUPS),
        BlockIdentity(r"(as $(DQ)(DQ)^\top$)", target @ target.T,
                      two_group.spectral(n_A, n_B, between), r"(DQ)(DQ)^\top", GROUPS),
        Identity(r"where $u$ is a unit vector", K_A * u_A**2 + K_B * u_B**2, sp.Integer(1), GROUPS),
        Identity(r"orthogonal to $\mathbf 1$", K_A * u_A + K_B * u_B, sp.Integer(0), GROUPS),
        Identity(r"equal counts: all $K-1$ are $n$. So $Z = (\sigma/\sqrt n)S$ with the $\sigma$ of the bias-free "
                 r"model, $b = 1/K$: a simplex ETF, alive up to the same threshold", between.subs({n_A: n, n_B: n}), n,
                 equal),
        Identity(r"(its bias)", bias.subs({n_k: n, N: K_SUM * n}), 1 / K_SUM,
                 equal),
    )  # fmt: skip


def _projection() -> Blocks:
    """Q = I - sqrt(n) sqrt(n)^T/N."""
    roots = (sp.sqrt(n_A), sp.sqrt(n_B))
    return Blocks.of(SIZES, (1, 1), [[0, 0], [0, 0]]) - Blocks.outer(SIZES, roots, roots) * (1 / TOTAL)


@cache
def theorem(between: sp.Expr = BETWEEN, bias: sp.Expr = n_k / N) -> Theorem:
    """Minimise (1/(2N)) ||W_M ... W_1 H + b 1^T - Y||^2 plus the decays of W_j and H, any counts, b free.

    The arguments are the claimed eigenvalue of diag n - n n^T/N between two groups, and the bias of class k.
    """
    return Theorem(
        id="deep_mse.free_bias",
        title="Deep squared error with a free last-layer bias: a centred target, a simplex ETF for equal counts",
        source="equal counts: Dang et al. 2023 (deep linear networks with a last-layer bias); any counts derived here, "
        "cf. arXiv 2411.17278",
        prior="Dang et al. 2023 (arXiv 2301.00437); arXiv 2411.17278",
        domain=GROUPS | DEPTH | {P: above(0)},
        assumptions=("the bias is not decayed", "any counts and any M; eigenvalues for two groups"),
        statement=(sp.Eq(sp.Symbol("b_k"), bias, evaluate=False),
                   sp.Eq(sp.Symbol("s_{AB}^2"), between, evaluate=False)),
        steps=(*_reduction_steps(), *_target_steps(between, bias)),
        uniqueness="As in `deep_mse.separable` with s_i for √n_k; Zn = 0 at every optimum.",
        closed_forms={
            "between": sp.Lambda((K_A, K_B, n_A, n_B), between),
            "bias": sp.Lambda((N, n_k), bias),
        },
    )  # fmt: skip
