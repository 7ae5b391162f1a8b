"""Two groups of equal classes: the whole problem in four scalars."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import cross_entropy
from proofs.domain import REAL, above, at_least
from proofs.symbols import ALPHA_A, ALPHA_B, K_A, K_B, K_SUM, SIZES, TWO_GROUPS
from proofs.theorem import Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import GROUP_AVERAGING, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

a, e, x, y, sigma = sp.symbols("a e x y sigma", positive=True)
pi_A, pi_B, omega_A, omega_B = sp.symbols("pi_A pi_B omega_A omega_B", positive=True)
VECTOR_U = (sp.sqrt(K_B / (K_A * K_SUM)), -sp.sqrt(K_A / (K_B * K_SUM)))

M_A = a * (1 - 1 / K_A) + ALPHA_A * x
M_B = e * (1 - 1 / K_B) + ALPHA_B * y
PARTITION_A = 1 + (K_A - 1) * sp.exp(-a) + K_B * sp.exp(-M_A)
PARTITION_B = 1 + (K_B - 1) * sp.exp(-e) + K_A * sp.exp(-M_B)
LOSS = K_A * pi_A * sp.log(PARTITION_A) + K_B * pi_B * sp.log(PARTITION_B)
SIGMA = sp.sqrt(omega_A**2 * x**2 + omega_B**2 * y**2)
COST = (K_A - 1) * omega_A * a + (K_B - 1) * omega_B * e + SIGMA

SCALARS = TWO_GROUPS | {a: above(0), e: above(0), x: above(0), y: above(0)}
WEIGHTED = SCALARS | {pi_A: above(0), pi_B: above(0), omega_A: above(0), omega_B: above(0)}

# Gram matrices in units of the singular-value coefficients a, e, sigma (a omega_A, ... when omega is not 1).
COS_A = (sigma * K_B / K_SUM - a) / ((K_A - 1) * a + sigma * K_B / K_SUM)
COS_B = (sigma * K_A / K_SUM - e) / ((K_B - 1) * e + sigma * K_A / K_SUM)
W_NORM2_A = a * (1 - 1 / K_A) + sigma * K_B / (K_SUM * K_A)
W_NORM2_B = e * (1 - 1 / K_B) + sigma * K_A / (K_SUM * K_B)
W_INNER = -sigma / K_SUM
H_NORM2_A = a * (1 - 1 / K_A) + x**2 / (sigma * K_A)
H_NORM2_B = e * (1 - 1 / K_B) + y**2 / (sigma * K_B)
H_INNER = -x * y / (sigma * sp.sqrt(K_A * K_B))


def logits() -> Blocks:
    """Z = a (I - J/K_A) + e (I - J/K_B) + u v^T with v = (x 1_A/sqrt(K_A), -y 1_B/sqrt(K_B))."""
    rank_one = Blocks.outer(SIZES, VECTOR_U, (x / sp.sqrt(K_A), -y / sp.sqrt(K_B)))
    return Blocks.centring(SIZES, 0) * a + Blocks.centring(SIZES, 1) * e + rank_one


def spectral(over_A: sp.Expr, over_B: sp.Expr, over_u: sp.Expr, vector: tuple[sp.Expr, sp.Expr] = VECTOR_U) -> Blocks:
    """The symmetric matrix with these eigenvalues on the in-group traceless blocks and on `vector`, zero elsewhere."""
    line = Blocks.outer(SIZES, vector, vector) * over_u
    return Blocks.centring(SIZES, 0) * over_A + Blocks.centring(SIZES, 1) * over_B + line


def _parametrisation_steps() -> tuple[Identity | BlockIdentity | Cited | Uses, ...]:
    own_A, own_B, ones_AB, ones_BA = sp.symbols("z_A z_B c_AB c_BA", real=True)
    general = Blocks.of(SIZES, (own_A, own_B), [[-(own_A + K_B * ones_BA) / K_A, ones_AB],
                                                [ones_BA, -(own_B + K_A * ones_AB) / K_B]])  # fmt: skip
    free = TWO_GROUPS | {own_A: REAL, own_B: REAL, ones_AB: REAL, ones_BA: REAL}
    fitted = {a: own_A, e: own_B, x: -ones_BA * sp.sqrt(K_SUM * K_B), y: -ones_AB * sp.sqrt(K_SUM * K_A)}
    Z = logits()
    chosen = Blocks.of(SIZES, [z.subs(fitted, simultaneous=True) for z in Z.own],
                       Z.ones.subs(fitted, simultaneous=True).tolist())  # fmt: skip
    return (
        Cited(r"some optimum is invariant under permutations inside each group", GROUP_AVERAGING),
        Identity(r"an invariant matrix with $\mathbf 1^\top Z = 0$ (`lpm.relaxation`) has four free coefficients: "
                 r"columns of A",
                 general.entry(0) + (K_A - 1) * general.entry(0, 0) + K_B * general.entry(1, 0), sp.Integer(0), free),
        Identity(r"columns of B", general.entry(1) + (K_B - 1) * general.entry(1, 1) + K_A * general.entry(0, 1),
                 sp.Integer(0),
                 free),
        BlockIdentity(r"which $a, e, x, y$ parametrise", general, chosen,
                      r"Z = a(I - J/K_A) \oplus e(I - J/K_B) + uv^\top", free),
    )  # fmt: skip


def _spectrum_steps() -> tuple[Identity | BlockIdentity, ...]:
    Z = logits()
    weights = Blocks.of(SIZES, (omega_A, omega_B), [[0, 0], [0, 0]])
    scaled = Z @ weights
    right = (omega_A * x / (sigma * sp.sqrt(K_A)), -omega_B * y / (sigma * sp.sqrt(K_B)))
    S_A, S_B, line = (spectral(*eye) for eye in sp.eye(3).tolist())
    average = Blocks.of(SIZES, (0, 0), [[1 / K_SUM] * 2] * 2)
    identity = Blocks.of(SIZES, (1, 1), [[0, 0], [0, 0]])
    squares = spectral(omega_A**2 * a**2, omega_B**2 * e**2, SIGMA**2)
    right_squares = spectral(omega_A**2 * a**2, omega_B**2 * e**2, sigma**2, right)
    weighted = WEIGHTED | {sigma: above(0)}
    given = {sigma: SIGMA}
    right_squares = Blocks.of(
        SIZES, [c.subs(given) for c in right_squares.own], right_squares.ones.subs(given).tolist()
    )
    return (
        BlockIdentity(r"$S_A$, $S_B$, $uu^\top$, $\mathbf{11}^\top/K$ are projections summing to $I$",
                      S_A + S_B + line + average,
                      identity, r"S_A + S_B + uu^\top + \mathbf{11}^\top/K = I", TWO_GROUPS),
        BlockIdentity(r"each idempotent and orthogonal to the others ($a$, $e$, $\sigma$ are free); this square root "
                      r"also gives the "
                      r"Gram matrix of $W$ up to scale ($\omega = 1$)", spectral(a, e, sigma) @ spectral(a, e, sigma),
                      spectral(a**2, e**2, sigma**2),
                      r"(aS_A + eS_B + \sigma uu^\top)^2 = a^2S_A + e^2S_B + \sigma^2uu^\top", weighted),
        Identity(r"$S_A$ has rank $K_A-1$", S_A.trace(), K_A - 1, TWO_GROUPS),
        Identity(r"$S_B$ has rank $K_B-1$", S_B.trace(), K_B - 1, TWO_GROUPS),
        Identity(r"$uu^\top$ has rank 1", line.trace(), sp.Integer(1), TWO_GROUPS),
        BlockIdentity(r"so the singular values of $Z\,\mathrm{diag}\,\omega$ are $\omega_Aa$, $\omega_Be$, "
                      r"$\sigma = \sqrt{\omega_A^2x^2+\omega_B^2y^2}$ and 0; their sum is the nuclear norm",
                      scaled @ scaled.T,
                      squares, r"(Z\Omega)(Z\Omega)^\top = \omega_A^2a^2 S_A + \omega_B^2e^2 S_B + \sigma^2uu^\top",
                      weighted),
        BlockIdentity(r"and on the feature side with $\hat v = \Omega v/\sigma$", scaled.T @ scaled, right_squares,
                      r"(Z\Omega)^\top(Z\Omega) = \omega_A^2a^2 S_A + \omega_B^2e^2 S_B + \sigma^2\hat v\hat v^\top",
                      weighted),
    )  # fmt: skip


def _geometry_steps(cos_B: sp.Expr) -> tuple[Identity, ...]:
    gram, weighted = spectral(a, e, sigma), WEIGHTED | {sigma: above(0)}
    feature = spectral(a, e, sigma, (x / (sigma * sp.sqrt(K_A)), -y / (sigma * sp.sqrt(K_B))))
    return (
        Identity(r"$\|w_A\|^2$", gram.entry(0), W_NORM2_A, weighted),
        Identity(r"$\|w_B\|^2$", gram.entry(1), W_NORM2_B, weighted),
        Identity(r"$w_A\cdot w_B$", gram.entry(0, 1), W_INNER, weighted),
        Identity(r"$\cos$ inside A", gram.entry(0, 0) / gram.entry(0), COS_A, weighted),
        Identity(r"$\cos$ inside B", gram.entry(1, 1) / gram.entry(1), cos_B, weighted),
        Identity(r"$\|h_A\|^2$", feature.entry(0), H_NORM2_A, weighted),
        Identity(r"$\|h_B\|^2$", feature.entry(1), H_NORM2_B, weighted),
        Identity(r"$h_A\cdot h_B$", feature.entry(0, 1), H_INNER, weighted),
    )


@cache
def theorem(cos_B: sp.Expr = COS_B, m_A: sp.Expr = M_A) -> Theorem:
    """Minimise sum_k pi_k CE(z_k, k) with a budget or penalty on ||Z diag(omega)||_*, K_A + K_B classes in two groups.

    The arguments are the claimed cosine inside B and margin of A over B.
    """
    Z, two = logits(), cross_entropy.block_loss((pi_A, pi_B))
    j, k, m = sp.symbols("j k m", positive=True)
    steps = (
        *_parametrisation_steps(),
        *_spectrum_steps(),
        Identity(r"margin of an A sample over another class of A", Z.entry(0) - Z.entry(0, 0), a, WEIGHTED),
        Identity(r"over a class of B", Z.entry(0) - Z.entry(1, 0), m_A, WEIGHTED),
        Identity(r"of a B sample over another class of B", Z.entry(1) - Z.entry(1, 1), e, WEIGHTED),
        Identity(r"over a class of A", Z.entry(1) - Z.entry(0, 1), M_B, WEIGHTED),
        Identity(r"the loss in the four scalars", two(Z), LOSS, WEIGHTED),
        Sign(r"it decreases in $a$ (and in $e$ by symmetry), also for $a \le 0$, while the cost depends on $|a|$: $a, "
             r"e \ge 0$",
             sp.diff(LOSS, a), "<", WEIGHTED | {a: REAL}),
        Sign(r"and in $x$ (and $y$), of either sign: $x, y \ge 0$", sp.diff(LOSS, x), "<", WEIGHTED | {x: REAL}),
        Convex(r"$\log(1+je^{-a}+ke^{-m})$ is strictly convex; $(a,x) \mapsto (a, m_A)$ is linear and invertible, so "
               r"the loss is "
               r"strictly convex in $(a,e,x,y)$", sp.log(1 + j * sp.exp(-a) + k * sp.exp(-m)), (a, m),
               WEIGHTED | {j: above(0), k: above(0), a: REAL, m: REAL}, strict=True),
        Convex(r"(a group of one class has one variable less and $\log(1+ke^{-m})$)", sp.log(1 + k * sp.exp(-m)), (m,),
               WEIGHTED | {k: above(0), m: REAL}, strict=True),
        Convex(r"and $\sigma$ is convex: the cost is a norm", SIGMA, (x, y), WEIGHTED),
        *_geometry_steps(cos_B),
        Identity(r"a merged minority ($e = 0$, $\sigma > 0$) has cosine 1", cos_B.subs(e, 0), sp.Integer(1),
                 WEIGHTED | {sigma: above(0), e: at_least(0)}),
        Identity(r"the trace of $aS_A+eS_B+\sigma uu^\top$ is the budget $K\sqrt{E_WE_H}$, so the scale of $WW^\top$ "
                 r"is "
                 r"$\sqrt{E_W/E_H}$ and mean $\|w_k\|^2 = E_W$", spectral(a, e, sigma).trace(),
                 (K_A - 1) * a + (K_B - 1) * e + sigma, WEIGHTED | {sigma: above(0)}),
    )  # fmt: skip
    gram = (K_A, K_B, a, e, sigma)
    features = (K_A, K_B, a, e, x, y)
    length = sp.sqrt(x**2 + y**2)
    return Theorem(
        id="lpm.two_group",
        title="Two groups of equal classes: four scalars are enough",
        source="derived here",
        domain=WEIGHTED | {sigma: above(0)},
        assumptions=("two groups of classes, equal counts and weights inside each", "d ≥ K − 1",
                     "Gram matrices for ω = 1, in units of √(E_W/E_H) for W and √(E_H/E_W) for H; for other ω replace "
                     "(a, e, x, y) there by (ω_A a, ω_B e, ω_A x, ω_B y)"),
        statement=(sp.Eq(sp.Symbol(r"\|Z\Omega\|_*"), COST, evaluate=False),
                   sp.Eq(sp.Symbol("f"), LOSS, evaluate=False),
                   sp.Eq(sp.Symbol(r"\cos_B"), cos_B, evaluate=False)),
        steps=steps,
        uniqueness="The loss is strictly convex in (a, e, x, y): the optimum is unique. The cosine of a zero vector "
                   "does not "
        "exist (e = 0 and σ = 0).",
        closed_forms={
            "margin_A": sp.Lambda((K_A, K_B, a, x), m_A),
            "margin_B": sp.Lambda((K_A, K_B, e, y), M_B),
            "loss": sp.Lambda((K_A, K_B, pi_A, pi_B, a, e, x, y), LOSS),
            "nuclear_norm": sp.Lambda((K_A, K_B, omega_A, omega_B, a, e, x, y), COST),
            "cos_A": sp.Lambda(gram, COS_A),
            "cos_B": sp.Lambda(gram, cos_B),
            "w_norm2_A": sp.Lambda(gram, W_NORM2_A),
            "w_norm2_B": sp.Lambda(gram, W_NORM2_B),
            "w_inner": sp.Lambda((K_A, K_B, sigma), W_INNER),
            "h_norm2_A": sp.Lambda(features, H_NORM2_A.subs(sigma, length)),
            "h_norm2_B": sp.Lambda(features, H_NORM2_B.subs(sigma, length)),
            "h_inner": sp.Lambda((K_A, K_B, x, y), H_INNER.subs(sigma, length)),
        },
    )  # fmt: skip
