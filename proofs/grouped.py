"""Any number of groups of equal classes: the whole problem in G scalars and one G x G block.

Logits are written Z(a, B) = (+)_g a_g (I - J/K_g) + sum_jg B_jg 1_j 1_g^T / sqrt(K_j K_g). Products are bilinear, and a
product of two terms touches at most four groups: an identity for four groups of symbolic sizes with free
coefficients is the identity for every G. Column g of the loss sees one generic other group j; T holds all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sympy as sp

from proofs import certificate, cross_entropy
from proofs.domain import REAL, Domain, above, at_least, between, integers
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import GROUP_AVERAGING, VON_NEUMANN, WEYL, Cited
from proofs.verifiers.identity import Derivative, Identity
from proofs.verifiers.sign import Sign

K_j, K_g, T = sp.symbols("K_j K_g T", positive=True)
pi_g, omega_g, norm, gamma_g = sp.symbols("pi_g omega_g gamma gamma_g", positive=True)
P_g, p_g, rho_j, F_gg = sp.symbols("P_g p_g rho_j F_gg", positive=True)
a_g, B_gg, B_jg, F_jg = sp.symbols("a_g B_gg B_jg F_jg", real=True)

# Logits of a sample of group g: of its class, of another class of g, of a class of group j.
OWN = a_g * (1 - 1 / K_g) + B_gg / K_g
SAME = -a_g / K_g + B_gg / K_g
OTHER = B_jg / sp.sqrt(K_j * K_g)
MARGIN = OWN - OTHER
PARTITION = 1 + (K_g - 1) * sp.exp(-a_g) + K_j * sp.exp(-MARGIN) + T * sp.exp(-OWN)
SHARE = K_g * pi_g * sp.log(PARTITION)
COST_SHARE = (K_g - 1) * omega_g * sp.Abs(a_g)

# Coordinates of minus the gradient: in-group scalar and column g of the block (rho_j: probability of a class of j).
PULL_WITHIN = pi_g * (1 - P_g + p_g)
PULL_OWN = pi_g * (1 - P_g - (K_g - 1) * p_g)
PULL_OTHER = -pi_g * sp.sqrt(K_j * K_g) * rho_j
GAP_SHARE = (K_g - 1) * a_g * (omega_g * norm - gamma_g)

# Rows of the classifier, F = (B Omega^2 B^T)^(1/2): squared norm, inner product in the group and with group j.
ROW_NORM2 = omega_g * a_g * (1 - 1 / K_g) + F_gg / K_g
ROW_SAME = (F_gg - omega_g * a_g) / K_g
ROW_OTHER = F_jg / sp.sqrt(K_j * K_g)
COS = (F_gg - omega_g * a_g) / ((K_g - 1) * omega_g * a_g + F_gg)

COLUMN = Domain({K_j: integers(1), K_g: integers(1), pi_g: above(0), a_g: REAL, B_gg: REAL, B_jg: REAL,
                 T: at_least(0)})  # fmt: skip
PROBABILITIES = {P_g: 1 / PARTITION, p_g: sp.exp(-a_g) / PARTITION, rho_j: sp.exp(-MARGIN) / PARTITION}


def coordinates(sizes: Sequence[sp.Expr], within: Sequence[sp.Expr], between_: Sequence[Sequence[sp.Expr]]) -> Blocks:
    """Z(a, B)."""
    ones = [[entry / sp.sqrt(k * h) for entry, h in zip(row, sizes, strict=True)]
            for row, k in zip(between_, sizes, strict=True)]  # fmt: skip
    for g, (a, k) in enumerate(zip(within, sizes, strict=True)):
        ones[g][g] -= a / k
    return Blocks.of(sizes, within, ones)


def _free(count: int, letter: str) -> tuple[tuple[sp.Symbol, ...], sp.Matrix]:
    """Free in-group scalars and a free block, named after `letter`."""
    names = range(1, count + 1)
    block = sp.Matrix(count, count, [sp.Symbol(f"{letter.upper()}_{j}{g}", real=True) for j in names for g in names])
    return tuple(sp.Symbol(f"{letter}_{g}", real=True) for g in names), block


def _algebra_steps(repeats: sp.Expr) -> tuple[Step, ...]:
    four, two = sp.symbols("K_1:5", positive=True), sp.symbols("K_1:3", positive=True)
    (a, A), (b, B) = _free(4, "a"), _free(4, "b")
    (u, U), (v, V) = _free(2, "a"), _free(2, "b")
    omega = sp.symbols("omega_1:3", positive=True)
    entries = sp.Matrix(2, 2, sp.symbols("c_1:3_1:3", real=True))

    def domain(sizes: Sequence[sp.Symbol], *free: Sequence[sp.Symbol]) -> Domain:
        return Domain({k: integers(1) for k in sizes} | {symbol: REAL for part in free for symbol in part})

    fitted = [[entries[j, g] * sp.sqrt(two[j] * two[g]) + (u[g] if j == g else 0) for g in range(2)] for j in range(2)]
    X, Y = coordinates(two, u, U.tolist()), coordinates(two, v, V.tolist())
    return (
        Cited(r"loss and cost do not change under permutations inside the $G$ groups (of rows and columns alike): some "
              r"optimum, and the gradient there, is constant on each pair of groups but for a multiple of $I$ on a "
              r"group",
              GROUP_AVERAGING),
        BlockIdentity(r"which is $Z(a,B) = \bigoplus_g a_g(I-J/K_g) + \sum_{jg} B_{jg}\mathbf 1_j\mathbf "
                      r"1_g^\top/\sqrt{K_jK_g}$ (a block is fixed by its two groups: two generic groups suffice)",
                      Blocks.of(two, u, entries.tolist()), coordinates(two, u, fitted),
                      r"\alpha_g I + c_{gg}J = \alpha_g(I - J/K_g) + (\alpha_g + c_{gg}K_g)J/K_g",
                      domain(two, u, entries)),
        BlockIdentity(r"coordinates multiply: both sides are bilinear in the coefficients and each product of two "
                      r"terms "
                      r"touches at most four groups, so four generic groups prove it for every $G$",
                      coordinates(four, a, A.tolist()) @ coordinates(four, b, B.tolist()),
                      coordinates(four, [s * t for s, t in zip(a, b, strict=True)], (A * B).tolist()),
                      r"Z(a,A)\,Z(b,B) = Z(ab, AB)", domain(four, a, A, b, B)),
        BlockIdentity(r"transpose,", X.T, coordinates(two, u, U.T.tolist()), r"Z(a,A)^\top = Z(a,A^\top)",
                      domain(two, u, U)),
        BlockIdentity(r"and unit: if $L$ is orthogonal so is $Z(1,L)$",
                      coordinates(two, (1, 1), sp.eye(2).tolist()), Blocks.of(two, (1, 1), [[0, 0], [0, 0]]),
                      r"Z(1,I) = I", domain(two)),
        BlockIdentity(r"the weights are $\Omega = Z(\omega, \mathrm{diag}\,\omega)$, so $Z\Omega = Z(\omega a, "
                      r"B\,\mathrm{diag}\,\omega)$",
                      Blocks.of(two, omega, [[0, 0], [0, 0]]), coordinates(two, omega, sp.diag(*omega).tolist()),
                      r"\Omega = Z(\omega, \mathrm{diag}\,\omega)",
                      Domain({k: integers(1) for k in two} | {w: above(0) for w in omega})),
        Identity(r"inner products (bilinear, two groups at a time; with $Z(b,B) = I$ the trace, so $I-J/K_g$ has rank "
                 r"$K_g-1$ and each coordinate projection of the block rank 1). With the singular value decomposition "
                 r"$B\,\mathrm{diag}\,\omega = L\Sigma R^\top$, $Z\Omega = Z(1,L)\,Z(\omega a,\Sigma)\,Z(1,R)^\top$: "
                 r"the singular values of $Z\Omega$ are $\omega_g|a_g|$, $K_g-1$ times each, and those of "
                 r"$B\,\mathrm{diag}\,\omega$",
                 X.inner(Y),
                 sum((repeats.subs(K_g, k) * s * t for k, s, t in zip(two, u, v, strict=True)), (U.T * V).trace()),
                 domain(two, u, U, v, V)),
    )  # fmt: skip


def _shift_steps() -> tuple[Step, ...]:
    Z = coordinates((K_j, K_g), (0, a_g), [[0, B_jg], [0, B_gg]])
    null = (1 - P_g - (K_g - 1) * p_g - K_j * rho_j) - T * sp.exp(-OWN) / PARTITION
    return (
        Identity(r"group $j$ adds $\sqrt{K_j}B_{jg}/\sqrt{K_g}$ to the sum of a column of group $g$",
                 K_j * Z.entry(0, 1), sp.sqrt(K_j) * B_jg / sp.sqrt(K_g), COLUMN),
        Identity(r"and $g$ itself $\sqrt{K_g}B_{gg}/\sqrt{K_g}$: $\mathbf 1^\top Z = 0$ iff $(\sqrt{K_1}, \dots, "
                 r"\sqrt{K_G})\,B = 0$",
                 Z.entry(1) + (K_g - 1) * Z.entry(1, 1), B_gg, COLUMN),
        Uses(r"the loss does not see a shift of a column, so $SZ$, $S = I-\mathbf{11}^\top/K$, has the loss of $Z$",
             cross_entropy.theorem()),
        Cited(r"and no larger singular values, $(SZ\Omega)^\top(SZ\Omega) = (Z\Omega)^\top(Z\Omega) - "
              r"(Z\Omega)^\top\mathbf{11}^\top(Z\Omega)/K$: unless $\mathbf 1^\top Z = 0$ one drops "
              r"strictly, as in `lpm.relaxation`. So $(\sqrt{K_g})$ is a left null vector of $B$ at the optimum and "
              r"$\mathrm{rank}\,B \le G-1$", WEYL),
        Identity(r"of the gradient block it always is: column $g$ gives $\pi_g\sqrt{K_g}$ times one minus all "
                 r"probabilities",
                 null.subs(PROBABILITIES), sp.Integer(0), COLUMN),
        Identity(r"(the own group's entry and one other group's, over $\pi_g\sqrt{K_g}$)",
                 (sp.sqrt(K_g) * PULL_OWN + sp.sqrt(K_j) * PULL_OTHER) / (pi_g * sp.sqrt(K_g)),
                 1 - P_g - (K_g - 1) * p_g - K_j * rho_j,
                 Domain({K_j: integers(1), K_g: integers(1), pi_g: above(0), P_g: above(0), p_g: above(0),
                         rho_j: above(0)})),
    )  # fmt: skip


def _loss_steps(margin: sp.Expr, pull_other: sp.Expr) -> tuple[Step, ...]:
    Z = coordinates((K_j, K_g), (0, a_g), [[0, B_jg], [0, B_gg]])
    total = sp.exp(OWN) + (K_g - 1) * sp.exp(SAME) + K_j * sp.exp(OTHER) + T
    return (
        Identity(r"margin of a sample of group $g$ over another class of $g$", Z.entry(1) - Z.entry(1, 1), a_g, COLUMN),
        Identity(r"over a class of another group $j$", Z.entry(1) - Z.entry(0, 1), margin, COLUMN),
        Identity(r"(its own logit)", Z.entry(1), OWN, COLUMN),
        Identity(r"all exponentials over the own one ($T$: those of the groups other than $g$ and $j$); the samples of "
                 r"$g$ add $K_g\pi_g$ times the logarithm of this, $\log(1+(K_g-1)e^{-a_g}+\sum_{j\ne "
                 r"g}K_je^{-m_{jg}})$, to the loss", total / sp.exp(OWN), PARTITION, COLUMN),
        Derivative(r"with $P_g$, $p_g$, $\rho_{jg}$ the probabilities of the own class, another class of $g$, a class "
                   r"of $j$: the loss has slope $-(K_g-1)\gamma_g$, $\gamma_g = \pi_g(1-P_g+p_g)$, in $a_g$", SHARE,
                   (a_g,), (-(K_g - 1) * PULL_WITHIN).subs(PROBABILITIES), COLUMN),
        Derivative(r"$-\Gamma_{gg} = -\pi_g(1-P_g-(K_g-1)p_g)$ in $B_{gg}$", SHARE, (B_gg,),
                   (-PULL_OWN).subs(PROBABILITIES), COLUMN),
        Derivative(r"and $-\Gamma_{jg} = \pi_g\sqrt{K_jK_g}\,\rho_{jg}$ in $B_{jg}$. By the inner product above "
                   r"$-\nabla f = Z(\gamma,\Gamma)$, so $\|\nabla f\,\Omega^{-1}\|_2 = \max(\max_{K_g \ge "
                   r"2}\gamma_g/\omega_g, \|\Gamma\,\mathrm{diag}(1/\omega)\|_2)$",
                   SHARE, (B_jg,), (-pull_other).subs(PROBABILITIES), COLUMN),
        Sign(r"the loss falls with $a_g$, of either sign, while the cost has $|a_g|$: $a_g \ge 0$ at the optimum",
             sp.diff(SHARE, a_g), "<", COLUMN | {K_g: integers(2)}),
    )  # fmt: skip


def _certificate_steps() -> tuple[Step, ...]:
    nuclear, inner, a_j, gamma_j, omega_j, delta = sp.symbols("nu c a_j gamma_j omega_j delta", positive=True)
    other = {K_g: K_j, a_g: a_j, gamma_g: gamma_j, omega_g: omega_j}
    free = Domain({K_j: integers(1), K_g: integers(1), a_g: at_least(0)}
                  | {s: above(0) for s in (a_j, omega_g, omega_j, gamma_g, gamma_j, norm, nuclear)}
                  | {inner: REAL})  # fmt: skip
    pair = (K_g - 1) * gamma_g * a_g + (K_j - 1) * gamma_j * a_j
    cost = (K_g - 1) * omega_g * a_g + (K_j - 1) * omega_j * a_j
    return (
        Uses(r"$f(Z)-f^* \le \langle G,Z\rangle + \tau\|G\Omega^{-1}\|_2$ for any feasible logits, $G = \nabla f(Z)$",
             certificate.budget_theorem()),
        Identity(r"with $\tau = \|Z\Omega\|_*$ and $\gamma = \|G\Omega^{-1}\|_2$ it is a sum over groups and one term "
                 r"of the block (linear in both: two groups shown; $\nu = \|B\,\mathrm{diag}\,\omega\|_*$, $c = "
                 r"\langle\Gamma,B\rangle$)",
                 -(pair + inner) + (cost + nuclear) * norm,
                 GAP_SHARE + GAP_SHARE.subs(other) + (norm * nuclear - inner), free),
        Sign(r"the terms of the groups are not negative, $\gamma \ge \gamma_g/\omega_g$",
             GAP_SHARE.subs(norm, gamma_g / omega_g + delta), ">=", free | {delta: at_least(0)}),
        Cited(r"nor is that of the block: $\langle\Gamma,B\rangle = \langle\Gamma\,\mathrm{diag}(1/\omega), "
              r"B\,\mathrm{diag}\,\omega\rangle \le \gamma\nu$", VON_NEUMANN),
    )  # fmt: skip


def _geometry_steps(cosine: sp.Expr) -> tuple[Step, ...]:
    gram = coordinates((K_j, K_g), (0, omega_g * a_g), [[0, F_jg], [0, F_gg]])
    domain = Domain({K_j: integers(1), K_g: integers(1), omega_g: above(0), a_g: at_least(0), F_gg: above(0),
                     F_jg: REAL})  # fmt: skip
    return (
        Identity(r"the classifier has Gram matrix $(Z\Omega^2Z^\top)^{1/2} = Z(\omega a, F)$ up to scale, $F = "
                 r"(B\,\mathrm{diag}(\omega)^2B^\top)^{1/2}$: $\|w_g\|^2$", gram.entry(1), ROW_NORM2, domain),
        Identity(r"inner product of two rows of $g$", gram.entry(1, 1), ROW_SAME, domain),
        Identity(r"and of a row of $g$ with one of $j$", gram.entry(0, 1), ROW_OTHER, domain),
        Identity(r"so $\cos$ inside $g$", gram.entry(1, 1) / gram.entry(1), cosine, domain),
        Identity(r"is 1 for a merged group ($a_g = 0$)", cosine.subs(a_g, 0), sp.Integer(1), domain),
    )  # fmt: skip


@cache
def theorem(repeats: sp.Expr = K_g - 1, margin: sp.Expr = MARGIN, pull_other: sp.Expr = PULL_OTHER,
            cosine: sp.Expr = COS) -> Theorem:  # fmt: skip
    """Minimise sum_k pi_k CE(z_k, k) with a budget or penalty on ||Z diag(omega)||_*, any number of groups.

    The arguments are the claimed multiplicity of an in-group singular value, margin over another group, entry (j, g) of
    minus the gradient block, and cosine inside a group.
    """
    g, G = sp.Symbol("g", integer=True), sp.Symbol("G", integer=True, positive=True)
    K, w, a, c = (sp.IndexedBase(name) for name in ("K", "omega", "a", "gamma"))
    steps = (*_algebra_steps(repeats), *_shift_steps(), *_loss_steps(margin, pull_other), *_certificate_steps(),
             *_geometry_steps(cosine))  # fmt: skip
    column = (K_j, K_g, a_g, B_gg, B_jg)
    return Theorem(
        id="lpm.grouped",
        title="Any number of groups: G scalars and one G × G block",
        source="derived here",
        domain=COLUMN | {omega_g: above(0), norm: above(0), gamma_g: above(0), P_g: between(0, 1), p_g: between(0, 1),
                         rho_j: between(0, 1), F_gg: above(0), F_jg: REAL},
        assumptions=("G ≥ 1 groups of K_g ≥ 1 classes, equal counts and weights inside each (G = K if all differ)",
                     "d ≥ K − 1", "a group of one class has no a_g: its terms carry the factor K_g − 1 = 0"),
        statement=(sp.Eq(sp.Symbol(r"\|Z\Omega\|_*"),
                         sp.Sum((K[g] - 1) * w[g] * sp.Abs(a[g]), (g, 1, G))
                         + sp.Symbol(r"\|B\,\mathrm{diag}\,\omega\|_*"), evaluate=False),
                   sp.Eq(sp.Symbol(r"\|\nabla f\,\Omega^{-1}\|_2"),
                         sp.Max(sp.Symbol(r"\max_{K_g \ge 2}") * c[g] / w[g],
                                sp.Symbol(r"\|\Gamma\,\mathrm{diag}(1/\omega)\|_2")), evaluate=False),
                   sp.Eq(sp.Symbol("m_{jg}"), margin, evaluate=False),
                   sp.Eq(sp.Symbol("gamma_g"), PULL_WITHIN, evaluate=False),
                   sp.Eq(sp.Symbol("Gamma_gg"), PULL_OWN, evaluate=False),
                   sp.Eq(sp.Symbol("Gamma_jg"), pull_other, evaluate=False)),
        steps=steps,
        uniqueness="The optimum is unique (the loss is strictly convex where 1ᵀZ = 0), so it is the invariant one. The "
                   "size of the problem depends on G, not on K.",
        closed_forms={
            "own_logit": sp.Lambda((K_g, a_g, B_gg), OWN),
            "margin": sp.Lambda(column, margin),
            "cost_share": sp.Lambda((K_g, omega_g, a_g), COST_SHARE),
            "pull_within": sp.Lambda((pi_g, P_g, p_g), PULL_WITHIN),
            "pull_own": sp.Lambda((K_g, pi_g, P_g, p_g), PULL_OWN),
            "pull_other": sp.Lambda((K_j, K_g, pi_g, rho_j), pull_other),
            "gap_share": sp.Lambda((K_g, omega_g, a_g, gamma_g, norm), GAP_SHARE),
            "w_norm2": sp.Lambda((K_g, omega_g, a_g, F_gg), ROW_NORM2),
            "w_inner": sp.Lambda((K_j, K_g, F_jg), ROW_OTHER),
            "cos": sp.Lambda((K_g, omega_g, a_g, F_gg), cosine),
        },
    )  # fmt: skip
