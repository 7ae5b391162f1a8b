"""Minimum-norm separation is solved by simplex-encoded labels, whatever the class counts."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs import two_group
from proofs.domain import REAL, Domain, above, at_least, between
from proofs.symbols import K_A, K_B, K_SUM, SIZES, TWO_GROUPS
from proofs.theorem import Step, Theorem
from proofs.two_group import VECTOR_U, spectral
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.cited import JENSEN, SCHATTEN, VON_NEUMANN, WEYL, Cited
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

n_A, n_B = sp.symbols("n_A n_B", positive=True)
# Two classes j and k of any number: v = 1/delta, V = |v|^2, omega their weight in the norm, d = v omega.
v_j, v_k, V, w_j, w_k, t = sp.symbols("v_j v_k V omega_j omega_k t", positive=True)
a_j, a_k, b_j, b_k, r, s, R_jk = sp.symbols("a_j a_k b_j b_k r s R_jk", positive=True)

COUNTS = TWO_GROUPS | {n_A: above(0), n_B: above(0)}
SIGMA = sp.sqrt((K_B * n_A + K_A * n_B) / K_SUM)
_GIVEN = {two_group.a: sp.sqrt(n_A), two_group.e: sp.sqrt(n_B)}


def _encoding_steps() -> tuple[Step, ...]:
    entries = Domain({v_j: above(0), v_k: above(0), V: above(0)})
    own, other = v_k * (1 - v_k**2 / V), -v_j * v_k**2 / V
    return (
        Cited(r"the mean of the features of a class keeps every margin at least 1 and is no longer: one feature per "
              r"class", JENSEN),
        Cited(r"$\min_{WH=Z}\frac12\|W\|^2 + \frac12\sum_k\omega_k^2\|h_k\|^2 = \|Z\Omega\|_*$: minimise it over all "
              r"$Z$ of margins $\delta_kz_{kk} - \delta_jz_{jk} \ge 1$", SCHATTEN),
        Identity(r"with $v_k = 1/\delta_k$, $V = \|v\|^2$, $Z = P\,\mathrm{diag}\,v$, $P = I - vv^\top/V$, has every "
                 r"margin 1", own / v_k - other / v_j, sp.Integer(1), entries),
        Identity(r"$P$ is a projection: off the diagonal of $P^2$,", -2 * v_j * v_k / V + v_j * v_k * V / V**2,
                 -v_j * v_k / V, entries),
        Identity(r"and on it", 1 - 2 * v_k**2 / V + v_k**2 * V / V**2, 1 - v_k**2 / V, entries),
    )  # fmt: skip


def _root_steps() -> tuple[Step, ...]:
    """M = diag a - b b^T with sum b^2/a = 1 has a square root with negative off-diagonal entries."""
    pair = Domain({symbol: above(0) for symbol in (a_j, a_k, b_j, b_k, t)})
    c = 1 - r
    resolvent = -t * b_j * b_k / ((a_j + t) * (a_k + t) * t * s)
    x = sp.Symbol("lambda", positive=True)
    line = Domain({x: above(0), t: above(0)})
    primitive = 2 * sp.sqrt(x) * sp.atan(sp.sqrt(t / x)) / sp.pi
    return (
        Identity(r"so $M = (Z\Omega)^\top Z\Omega = DPD$, $D = \mathrm{diag}(v_k\omega_k)$, is $\mathrm{diag}\,a - "
                 r"bb^\top$ with $a_k = v_k^2\omega_k^2$, $b_k = v_k^2\omega_k/\sqrt V$, and $\sum_k b_k^2/a_k = "
                 r"\sum_k v_k^2/V = 1$: a singular M-matrix", (v_k**2 * w_k / sp.sqrt(V)) ** 2 / (v_k * w_k) ** 2,
                 v_k**2 / V, Domain({v_k: above(0), w_k: above(0), V: above(0)})),
        Identity(r"$(M+t)^{-1}$ has the entries $\frac{[j=k]}{a_k+t} + \frac{b_jb_k}{(a_j+t)(a_k+t)c}$, $c = 1-r$, $r "
                 r"= \sum_l\frac{b_l^2}{a_l+t}$: $(M+t)$ times it is $I$ plus", b_j * b_k / ((a_k + t) * c)
                 - b_j * b_k / (a_k + t) - b_j * b_k * r / ((a_k + t) * c), sp.Integer(0), pair | {r: between(0, 1)}),
        Identity(r"$c = \sum_l\left(\frac{b_l^2}{a_l} - \frac{b_l^2}{a_l+t}\right) = ts$, $s = "
                 r"\sum_l\frac{b_l^2}{a_l(a_l+t)} > 0$, term by term", b_k**2 / a_k - b_k**2 / (a_k + t),
                 t * b_k**2 / (a_k * (a_k + t)), pair),
        Sign(r"so off the diagonal $M(M+t)^{-1} = I - t(M+t)^{-1}$ is negative for every $t > 0$", resolvent, "<",
             pair | {s: above(0)}),
        Derivative(r"and $\sqrt\lambda = \frac1\pi\int_0^\infty\frac{\lambda}{\lambda+t}\frac{dt}{\sqrt t}$ for every "
                   r"eigenvalue: the integrand is the derivative of", primitive, (t,),
                   x / ((x + t) * sp.sqrt(t) * sp.pi), line),
        Limit(r"which tends to", primitive, t, sp.oo, sp.sqrt(x), line),
        Limit(r"from (so, eigenvalue by eigenvalue, $R = M^{1/2} = \frac1\pi\int_0^\infty M(M+t)^{-1}\frac{dt}{\sqrt "
              r"t}$ has negative off-diagonal entries, whatever $n$ and $\delta$)", primitive, t, sp.Integer(0),
              sp.Integer(0), line),
    )  # fmt: skip


def _optimality_steps() -> tuple[Step, ...]:
    entries = Domain({symbol: above(0) for symbol in (v_j, v_k, V, w_j, w_k)})
    d_j, d_k, z_jk, z_kk, B = *(v * w for v, w in ((v_j, w_j), (v_k, w_k))), *sp.symbols("z_jk z_kk beta_jk", real=True)
    M_jk = -d_j * v_j * d_k * v_k / V
    level, drop = sp.symbols("sigma delta", positive=True)
    return (
        Identity(r"$D^{-1}R$ times $R$ is $D^{-1}M = Z\Omega$ (off the diagonal; on it alike)", M_jk / d_j,
                 -v_j * v_k / V * d_k, entries),
        Identity(r"and $(D^{-1}R)(D^{-1}R)^\top = D^{-1}MD^{-1} = P$, so $D^{-1}R$ is the polar factor of $Z\Omega$: "
                 r"$\|D^{-1}R\|_2 = 1$, $\langle D^{-1}R, Z\Omega\rangle = \mathrm{tr}\,R = \|Z\Omega\|_*$",
                 M_jk / (d_j * d_k), -v_j * v_k / V, entries),
        Identity(r"let $G = D^{-1}R\Omega$. $M$ and $R$ vanish on $1/\omega$, so $v^\top G = (1/\omega)^\top R\Omega = "
                 r"0$: entry $j$ of $M/\omega$ is", d_j**2 / w_j - d_j * v_j / V * V, sp.Integer(0), entries),
        Identity(r"$\beta_{jk} = -v_jG_{jk} = -\frac{\omega_k}{\omega_j}R_{jk} > 0$ (with $-R_{jk}$ written positive), "
                 r"and $v_kG_{kk} = \sum_{j\ne k}\beta_{jk}$", -v_j * (-R_jk / d_j * w_k), w_k / w_j * R_jk,
                 entries | {R_jk: above(0)}),
        Identity(r"so $\langle G, Z'\rangle = \sum_k\sum_{j\ne k}\beta_{jk}(\delta_kz'_{kk} - \delta_jz'_{jk})$ for "
                 r"every $Z'$, term by term", B / v_k * z_kk - B / v_j * z_jk, B * (z_kk / v_k - z_jk / v_j),
                 Domain({v_j: above(0), v_k: above(0), B: REAL, z_jk: REAL, z_kk: REAL})),
        Cited(r"for feasible $Z'$: $\|Z'\Omega\|_* \ge \langle D^{-1}R, Z'\Omega\rangle = \langle G, Z'\rangle \ge "
              r"\sum\beta_{jk} = \langle G, Z\rangle = \|Z\Omega\|_*$. $Z$ is optimal, and $\beta$ a dual point that "
              r"proves it", VON_NEUMANN),
        Cited(r"equality needs all margins 1, as $\beta > 0$: $Z' = Z + vc^\top$, $PZ' = Z$, whose singular values, "
              r"times $\Omega$, are none larger", WEYL),
        Sign(r"and one is strictly smaller unless $c = 0$ (their squares sum to less): the optimum is unique",
             sp.sqrt(level**2 + drop) - level, ">", Domain({level: at_least(0), drop: above(0)})),
    )  # fmt: skip


def _two_group_steps(sigma: sp.Expr) -> tuple[Step, ...]:
    """Counts n_A and n_B, delta = 1: everything in closed form."""
    omega = Blocks.of(SIZES, (sp.sqrt(n_A), sp.sqrt(n_B)), [[0, 0], [0, 0]])
    average = Blocks.of(SIZES, (0, 0), [[1 / K_SUM] * 2] * 2)
    Z = Blocks.of(SIZES, (1, 1), [[0, 0], [0, 0]]) - average
    right = (VECTOR_U[0] * sp.sqrt(n_A) / sigma, VECTOR_U[1] * sp.sqrt(n_B) / sigma)
    root = spectral(sp.sqrt(n_A), sp.sqrt(n_B), sigma, right)
    M = (Z @ omega).T @ (Z @ omega)
    alike = {n_B: n_A}
    beta = _betas(sigma)
    cos_B = _form(two_group.COS_B, sigma)
    return (
        BlockIdentity(r"two groups, $\delta = 1$: $R = \sqrt{n_A}S_A \oplus \sqrt{n_B}S_B + \sigma rr^\top$, $r = "
                      r"\Omega u/\sigma$, with $\sigma^2 = (K_Bn_A+K_An_B)/K$, is the root of $M$", root @ root, M,
                      r"R^2 = \Omega S\Omega", COUNTS),
        Identity(r"so $\|Z\Omega\|_* = \mathrm{tr}\,R$", root.trace(), _value(sigma), COUNTS),
        *(Identity(rf"$\beta_{{{name}}}$", -sp.sqrt(n / m) * root.entry(j, k), beta[name], COUNTS)
          for name, j, k, n, m in (("AA", 0, 0, n_A, n_A), ("AB", 0, 1, n_B, n_A), ("BA", 1, 0, n_A, n_B),
                                   ("BB", 1, 1, n_B, n_B))),
        Identity(r"they add up to the value", K_A * (K_A - 1) * beta["AA"] + K_A * K_B * (beta["AB"] + beta["BA"])
                 + K_B * (K_B - 1) * beta["BB"], _value(sigma), COUNTS),
        Identity(r"$W W^\top = \sqrt{n_A}S_A \oplus \sqrt{n_B}S_B + \sigma uu^\top$ (`lpm.two_group`): the cosine "
                 r"inside B",
                 spectral(sp.sqrt(n_A), sp.sqrt(n_B), sigma).entry(1, 1)
                 / spectral(sp.sqrt(n_A), sp.sqrt(n_B), sigma).entry(1), cos_B, COUNTS),
        Identity(r"the squared norm of a feature of B is $R_{BB}/n_B$", root.entry(1) / n_B, _h_norm2_B(sigma), COUNTS),
        Sign(r"the cosine is below 1 at every imbalance: no Minority Collapse", 1 - cos_B, ">", COUNTS),
        Limit(r"and tends to 1 as $n_A/n_B \to \infty$", cos_B.subs(n_B, 1), n_A, sp.oo, sp.Integer(1),
              TWO_GROUPS | {n_A: above(0)}),
        Identity(r"balanced: the value is $(K-1)\sqrt n$", _value(sigma).subs(alike), (K_SUM - 1) * sp.sqrt(n_A),
                 TWO_GROUPS | {n_A: above(0)}),
        Identity(r"and the cosine that of the simplex ETF; so it is for $\omega = 1$, the class-averaged norm, at "
                 r"every imbalance", cos_B.subs(alike), -1 / (K_SUM - 1), TWO_GROUPS | {n_A: above(0)}),
    )  # fmt: skip


def _form(expr: sp.Expr, sigma: sp.Expr) -> sp.Expr:
    """A formula in the four scalars of `lpm.two_group` at SELI's."""
    return expr.subs(_GIVEN | {two_group.sigma: sigma}, simultaneous=True)


def _value(sigma: sp.Expr) -> sp.Expr:
    return (K_A - 1) * sp.sqrt(n_A) + (K_B - 1) * sp.sqrt(n_B) + sigma


def _h_norm2_B(sigma: sp.Expr) -> sp.Expr:
    return (1 - 1 / K_B) / sp.sqrt(n_B) + K_A / (K_B * K_SUM * sigma)


def _betas(sigma: sp.Expr) -> dict[str, sp.Expr]:
    """Multipliers of the margin of a class of the second group over one of the first."""
    return {
        "AA": sp.sqrt(n_A) / K_A * (1 - K_B * sp.sqrt(n_A) / (K_SUM * sigma)),
        "AB": n_B / (K_SUM * sigma),
        "BA": n_A / (K_SUM * sigma),
        "BB": sp.sqrt(n_B) / K_B * (1 - K_A * sp.sqrt(n_B) / (K_SUM * sigma)),
    }


@cache
def theorem(sigma: sp.Expr = SIGMA) -> Theorem:
    """Minimise |W|^2/2 + sum_k omega_k^2 |h_k|^2/2 with margins delta_k w_k.h_k - delta_j w_j.h_k >= 1.

    Any omega, any delta. `sigma` is the claimed singular value between two groups of counts n_A and n_B.
    """
    arguments = (K_A, K_B, n_A, n_B)
    swap = {K_A: K_B, K_B: K_A, n_A: n_B, n_B: n_A}
    forms = {
        "sigma": sigma,
        "value": _value(sigma),
        "cos_A": _form(two_group.COS_A, sigma),
        "cos_B": _form(two_group.COS_B, sigma),
        "w_norm2_A": _form(two_group.W_NORM2_A, sigma),
        "w_norm2_B": _form(two_group.W_NORM2_B, sigma),
        "h_norm2_A": _h_norm2_B(sigma).subs(swap, simultaneous=True),
        "h_norm2_B": _h_norm2_B(sigma),
        **{f"beta_{name}": beta for name, beta in _betas(sigma).items()},
    }
    return Theorem(
        id="ulpm.seli",
        title="Minimum-norm separation: simplex-encoded labels for any class counts",
        source="Thrampoulidis et al. 2022 (SELI); Ji et al. 2022 (balanced); positivity of the dual for all counts and "
               "the factors δ derived here",
        prior="vector scaling: arXiv 2303.07608",
        domain=COUNTS,
        assumptions=("feature dimension d ≥ K − 1", "ω² = n for the norm over samples, ω = 1 for the class average",
                     "closed forms are for two groups, ω² = n and δ = 1"),
        statement=(sp.Eq(sp.Symbol("Z"), sp.Symbol(r"(I - vv^\top/\|v\|^2)\,\mathrm{diag}(v)"), evaluate=False),
                   sp.Eq(sp.Symbol(r"\|Z\Omega\|_*"), _value(sigma), evaluate=False),
                   sp.Eq(sp.Symbol(r"\cos_B"), _form(two_group.COS_B, sigma), evaluate=False)),
        steps=(*_encoding_steps(), *_root_steps(), *_optimality_steps(), *_two_group_steps(sigma)),
        uniqueness="Z is unique; W and H up to one orthogonal matrix.",
        closed_forms={name: sp.Lambda(arguments, form) for name, form in forms.items()},
    )  # fmt: skip
