"""The rank of the optimal logits against the number of active classes: what holds, and what fails for general omega.

Active: pi_k > lambda omega_k. Measured for omega = 1, and not proved here: the rank is A - 1 or A.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import certificate, cross_entropy, grouped, merging
from proofs.domain import REAL, Domain, above, at_least, integers
from proofs.grouped import K_g, K_j, P_g, p_g
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.cited import VON_NEUMANN, Cited
from proofs.verifiers.enclosure import Root
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

lam, d_k, d_g, rho, a_g = sp.symbols("lambda d_k d_g rho a_g", positive=True)

# The counterexample: three classes; weights and lambda up to a common factor.
WEIGHTS, OMEGA, MULTIPLIER = (20, 1, 20), (1, 1, 20), sp.Rational(101, 100)
ACTIVE = 1
# Logits of the first two rows near the optimum (the third makes every column sum to 0).
NEARBY = ("2.65108768", "-0.49523774", "-0.06648306", "-1.11066580", "0.23223913", "0.02650077")


def _setting() -> tuple[Step, ...]:
    return (
        Uses(r"at the optimum of the penalised problem, and of a budget, the gap is 0: with $M = -\nabla "
             r"f\,\Omega^{-1}$, $\|M\|_2 = \lambda$, $\langle M, Z\Omega\rangle = \lambda\|Z\Omega\|_*$",
             certificate.budget_theorem()),
        Cited(r"so if $Z\Omega = U\Sigma V^\top$ with $r = \mathrm{rank}\,Z$ positive singular values, each "
              r"$u_i^\top Mv_i$ attains its bound: $MV = \lambda U$, $M^\top U = \lambda V$", VON_NEUMANN),
        Uses(r"entry $(j,k)$ of $M$ is $d_k(\delta_{jk} - p_{jk})$, $d_k = \pi_k/\omega_k$, $p_k$ the probabilities of "
             r"a sample of class $k$: with $E_ky = \sum_jp_{jk}y_j$, $(M^\top y)_k = d_k(y_k - E_ky)$; the class is "
             r"active iff $d_k > \lambda$", cross_entropy.theorem()),
    )  # fmt: skip


def _distinct_rows_steps(own_pull: sp.Expr) -> tuple[Step, ...]:
    """Two active groups have different mean rows. Column of g: rho e^{a(1-1/K)}, rho e^{-a/K} inside g, rho in j."""
    K_i, delta, epsilon = sp.symbols("K_i delta epsilon", positive=True)
    B_gg, row = sp.symbols("B_gg b", real=True)
    sizes = Domain({K_g: integers(1), K_j: integers(1), K_i: integers(1), rho: above(0)})
    single = sizes | {P_g: above(0)}
    column = Domain({K_g: integers(1), P_g: above(0), p_g: above(0), rho: above(0)})
    inside = {P_g: rho * sp.exp(a_g * (1 - 1 / K_g)), p_g: rho * sp.exp(-a_g / K_g)}
    expectation = (P_g + (K_g - 1) * p_g) / K_g - rho
    return (
        Uses(r"let two groups $g$, $j$ (of $K_g, K_j \ge 1$ classes) have the same mean logit row, "
             r"$B_{g\cdot}/\sqrt{K_g} = B_{j\cdot}/\sqrt{K_j}$, and take $y = \mathbf 1_g/K_g - \mathbf 1_j/K_j$",
             grouped.theorem()),
        Identity(r"its squared norm is $1/K_g + 1/K_j$", K_g / K_g**2 + K_j / K_j**2, 1 / K_g + 1 / K_j, sizes),
        Identity(r"in a column of another group the classes of $g$ and of $j$ have the same probability $\rho$: $E_ky "
                 r"= 0$", K_g * rho / K_g - K_j * rho / K_j, sp.Integer(0), sizes),
        Identity(r"in a column of $g$ the logit of a class of $j$ is the mean logit of $g$, $b = B_{gg}/K_g$",
                 grouped.OTHER.subs(grouped.B_jg, sp.sqrt(K_j) * B_gg / sp.sqrt(K_g)), B_gg / K_g,
                 sizes | {B_gg: REAL}),
        Identity(r"so with $\rho$ the probability of a class of $j$, $P_g = \rho e^{a_g(1-1/K_g)}$ (own logit $b + "
                 r"a_g(1-1/K_g)$)",
                 sp.exp(grouped.OWN.subs({grouped.B_gg: K_g * row, grouped.a_g: a_g})) / sp.exp(row) * rho,
                 inside[P_g], sizes | {row: REAL, a_g: above(0)}),
        Identity(r"and $p_g = \rho e^{-a_g/K_g}$",
                 sp.exp(grouped.SAME.subs({grouped.B_gg: K_g * row, grouped.a_g: a_g})) / sp.exp(row) * rho,
                 inside[p_g], sizes | {row: REAL, a_g: above(0)}),
        Identity(r"there $K_g(y_k - E_ky) = (1-P_g+p_g) + K_g(\rho-p_g)$", K_g * (1 / K_g - expectation), own_pull,
                 column),
        Uses(r"an active group of two classes or more has $a_g > 0$, and $\lambda = d_g(1-P_g+p_g)$ by stationarity",
             merging.theorem()),
        Sign(r"$\rho > p_g$: so $|(M^\top y)_k| = d_g|y_k-E_ky| > \lambda/K_g$ in the $K_g$ columns of $g$",
             rho - inside[p_g], ">", Domain({K_g: integers(2), rho: above(0), a_g: above(0)})),
        Identity(r"a group of one class has $P_g = \rho$ and $y_k - E_ky = 1$, so $|(M^\top y)_k| = d_g > \lambda$",
                 (1 / K_g - expectation).subs({K_g: 1, P_g: rho}), sp.Integer(1), single),
        Sign(r"the same for $j$. If both are active, $\|M^\top y\|^2 > \lambda^2\|y\|^2$ against $\|M\|_2 \le "
             r"\lambda$: the mean rows of the active groups are pairwise different (for groups of one class: their "
             r"logit rows, hence their classifier rows)",
             K_g * ((lam + delta) / K_g) ** 2 + K_j * ((lam + epsilon) / K_j) ** 2 - lam**2 * (1 / K_g + 1 / K_j), ">",
             sizes | {lam: above(0), delta: above(0), epsilon: above(0)}),
    )  # fmt: skip


def _some_active_steps() -> tuple[Step, ...]:
    w, e = sp.symbols("w e", real=True)
    excess, length2 = sp.symbols("delta c", positive=True)
    scalars = Domain({d_k: above(0), lam: at_least(d_k), excess: at_least(0), length2: at_least(0)})
    return (
        Uses(r"let $w_k$ be row $k$ of $U\Sigma^{1/2}$ and $\omega_kh_k$ that of $V\Sigma^{1/2}$: $z_{jk} = w_j\cdot "
             r"h_k$, $\lambda\omega_kh_k = d_k(w_k - E_kw)$. Along $t \mapsto tz_k$ the log-sum-exp is convex, with "
             r"slope $\sum_jz_{jk}/K = 0$ at 0 and $E_kw\cdot h_k$ at 1: $E_kw\cdot(w_k-E_kw) \ge 0$, and $> 0$ "
             r"unless $z_k = 0$", cross_entropy.theorem()),
        Identity(r"(coordinate by coordinate) so $\|w_k\|^2 = \|w_k-E_kw\|^2 + \delta_k$, $\delta_k \ge 0$, and "
                 r"$\delta_k > 0$ for some $k$ if $Z \ne 0$", w**2 - (w - e) ** 2, e**2 + 2 * e * (w - e),
                 Domain({w: REAL, e: REAL})),
        Identity(r"with $c_k = \|w_k-E_kw\|^2$, $\|w_k\|^2 - \|\omega_kh_k\|^2$ is",
                 (length2 + excess) - d_k**2 / lam**2 * length2, excess + (1 - d_k**2 / lam**2) * length2, scalars),
        Sign(r"which is at least $\delta_k$ if $d_k \le \lambda$. But $\sum_k\|w_k\|^2 = \mathrm{tr}\,\Sigma = "
             r"\sum_k\|\omega_kh_k\|^2$: some class has $d_k > \lambda$ if $Z \ne 0$",
             (1 - d_k**2 / lam**2) * length2, ">=", scalars),
    )  # fmt: skip


def _contraction_steps() -> tuple[Step, ...]:
    u, e = sp.symbols("u e", real=True)
    inactive = Domain({d_k: above(0), lam: at_least(d_k), u: REAL, e: REAL})
    return (
        Identity(r"if $r > A$, some $v \ne 0$ in the range of $V$ vanishes on the $A$ active classes. With $u = "
                 r"Mv/\lambda$, $\|u\| = \|v\|$ and $v_k = (d_k/\lambda)(u_k - E_ku)$: on an active class $u_k - "
                 r"E_ku = 0$, equal to $v_k$,", (d_k / lam * (u - e)).subs(e, u), sp.Integer(0), inactive),
        Sign(r"on an inactive one $v_k^2 \le (u_k - E_ku)^2$: so $\|u\|^2 = \|v\|^2 \le \|(I-P^\top)u\|^2$. Hence "
             r"$\mathrm{rank}\,Z \le A$ whenever $\|(I-P^\top)u\| < \|u\|$ for every $u \ne 0$ in the range of $Z$ "
             r"(a condition on the optimum)", (u - e) ** 2 * (1 - d_k**2 / lam**2), ">=", inactive),
    )  # fmt: skip


def _three_classes(active: int) -> Root:
    """The optimum of the counterexample, as a root of polynomial equations in logits and probabilities."""
    top = sp.symbols("z_1:3_1:4", real=True)
    rows = [top[:3], top[3:], [-top[k] - top[3 + k] for k in range(3)]]
    pull = [sp.Rational(w, o) for w, o in zip(WEIGHTS, OMEGA, strict=True)]
    exponentials = [[sp.exp(z) for z in row] for row in rows]
    totals = [sum(row[k] for row in exponentials) for k in range(3)]
    M = sp.Matrix(3, 3, lambda j, k: pull[k] * (int(j == k) - exponentials[j][k] / totals[k]))
    scaled = sp.Matrix(3, 3, lambda j, k: rows[j][k] * OMEGA[k])
    kernel = M.row(0).cross(M.row(1))
    products = {(j, k): M.row(j).dot(M.row(k)) for j, k in ((0, 0), (1, 1), (0, 1))}
    S = {(j, k): M.row(j).dot(scaled.row(k)) for j in range(2) for k in range(2)}
    square = MULTIPLIER**2
    equations = (3 * products[0, 0] - 2 * square, 3 * products[1, 1] - 2 * square, 3 * products[0, 1] + square,
                 scaled.row(0).dot(kernel), scaled.row(1).dot(kernel), S[0, 1] - S[1, 0])  # fmt: skip
    signs = [pull[k] - MULTIPLIER if k < active else MULTIPLIER - pull[k] for k in range(3)]
    return Root(
        r"no such bound holds for general $\omega$: for $\pi \propto (20, 1, 20)$, $\omega = (1, 1, 20)$, $\lambda = "
        r"1.01$ (same factor as $\pi$), that is $d = (20, 1, 1)$, only class 1 is active, and there are logits of rank "
        r"2 with $MM^\top = \lambda^2(I-J/3)$, $Z\Omega$ zero on the kernel of $M$ and $M\Omega Z^\top$ symmetric "
        r"and positive definite across $\mathbf 1$ (leading minors 1 and 2): the KKT conditions, so this is the "
        r"optimum and $\mathrm{rank}\,Z = A+1$",
        equations,
        dict(zip(top, map(sp.Rational, NEARBY), strict=True)),
        (*signs, S[0, 0], S[0, 0] * S[1, 1] - S[0, 1] * S[1, 0]),
        r"\pi \propto (20,1,20),\ \omega = (1,1,20),\ \lambda = \tfrac{101}{100}:\quad \mathrm{rank}\,Z = 2 > A = 1",
    )


@cache
def theorem(own_pull: sp.Expr = (1 - P_g + p_g) + K_g * (rho - p_g), active: int = ACTIVE) -> Theorem:
    """Active classes have different classifier rows; a nonzero optimum has an active class; rank <= A is conditional.

    `own_pull` is the claimed K_g (y_k - E_k y) in a column of g, `active` the claimed number of active classes of the
    counterexample.
    """
    steps = (*_setting(), *_distinct_rows_steps(own_pull), *_some_active_steps(), *_contraction_steps(),
             _three_classes(active))  # fmt: skip
    A, b_g, b_j, Z, rank = (sp.Symbol(name) for name in ("A", "b_g", "b_j", "Z", r"\mathrm{rank}\,Z"))
    return Theorem(
        id="lpm.rank",
        title="Rank of the optimum and active classes: proved parts, and a counterexample for general ω",
        source="derived here",
        domain=Domain({K_g: integers(1), K_j: integers(1), lam: above(0), d_g: above(lam), d_k: at_least(0)}),
        assumptions=("cross-entropy; λ > 0 the multiplier of ‖Z diag ω‖_* and Z the optimum, 1ᵀZ = 0",
                     "d_k = π_k/ω_k; A is the number of active classes, d_k > λ; b_g is the mean logit row of a group"),
        statement=(sp.Implies(sp.And(sp.Gt(sp.Symbol("d_g"), lam), sp.Gt(sp.Symbol("d_j"), lam)), sp.Ne(b_g, b_j)),
                   sp.Implies(sp.Ne(Z, 0), sp.Ge(A, 1)),
                   sp.Implies(sp.Lt(sp.Symbol(r"\max_{u \in \mathrm{range}\,Z}\|(I-P^\top)u\|/\|u\|"), 1),
                              sp.Le(rank, A))),
        steps=steps,
        uniqueness="Proved, any ω: two active groups force B ≠ 0, so rank Z ≥ A − 1 with at most two active groups; "
                   "with two groups in all, A − 1 ≤ rank Z ≤ A. Refuted: rank Z ≤ A for general ω. Open: rank Z ≥ A − "
                   "1 with three or more active groups (any ω), and rank Z ≤ A for ω = 1 without the condition.",
    )  # fmt: skip
