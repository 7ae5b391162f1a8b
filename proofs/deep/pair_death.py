"""When a pair of classes of a decoupled deep optimum dies: a finite imbalance, through one constant kappa."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import schatten
from proofs.deep.symbols import DEPTH, L, M, P, sigma
from proofs.domain import Domain, above, between, integers
from proofs.symbols import K_A, K_B, K
from proofs.theorem import Step, Theorem, Uses
from proofs.verifiers.blocks import BlockIdentity, Blocks
from proofs.verifiers.enclosure import Root
from proofs.verifiers.identity import Derivative, Identity, Limit
from proofs.verifiers.sign import Sign

b, c, pi_g, omega_g, kappa, lam, R = sp.symbols("b c pi_g omega_g kappa lambda R", positive=True)
POWER = 2 / L
GAIN = sp.log(K) - sp.log(1 + sp.exp(-b) + (K - 2) * sp.exp(-b / 2))
RATE = GAIN / b**POWER
DIES = 2 * pi_g * kappa - c * omega_g**POWER
# K_A classes of R samples and K_B of one, equal decays.
IMBALANCE = (4 * kappa / ((M + 1) * lam) - K_B) / K_A
LINE = Domain({K: integers(3), M: DEPTH[M], b: above(0), pi_g: above(0), omega_g: above(0), c: above(0)})


def _death_steps(dies: sp.Expr) -> tuple[Step, ...]:
    """What one block saves, at the best b."""
    pair, ones = Blocks.centring((sp.Integer(2),), 0), Blocks.of((sp.Integer(2),), [0], [[1]])
    share = 2 * pi_g * sp.log(1 + sp.exp(-b) + (K - 2) * sp.exp(-b / 2)) + c * (omega_g * b) ** POWER
    return (
        Uses(r"the block $\frac b2\begin{pmatrix}1&-1\\-1&1\end{pmatrix}$ of $Z$, zero elsewhere in its rows and "
             r"columns, adds $c(\omega_gb)^{2/(M+1)}$, $c = \frac{M+1}2P^{1/(M+1)}$, to the decays",
             schatten.theorem()),
        BlockIdentity(r"(one singular value, $b$:", pair @ pair, pair, r"S_2S_2 = S_2", Domain({K: integers(3)})),
        BlockIdentity(r"and the block leaves $\mathbf 1^\top Z = 0$)", ones @ pair, ones * 0, r"\mathbf 1^\top S_2 = 0",
                      Domain({K: integers(3)})),
        Identity(r"its own two columns depend on nothing else: margin $b$ over the partner and $b/2$ over the other "
                 r"$K-2$ classes. What it saves against $b = 0$ is", 2 * pi_g * sp.log(K) - share,
                 2 * pi_g * GAIN - c * omega_g**POWER * b**POWER, LINE),
        Identity(r"that is $b^{2/(M+1)}$ times $2\pi_g\,\mathrm{rate} - c\,\omega_g^{2/(M+1)}$, rate $= "
                 r"\mathrm{gain}/b^{2/(M+1)}$: the pair dies iff the largest value over $b$ is not positive, "
                 r"$2\pi_g\kappa \le c\,\omega_g^{2/(M+1)}$ with $\kappa = \max_b$ rate",
                 b**POWER * dies.subs(kappa, RATE), 2 * pi_g * sp.log(K) - share, LINE),
        Sign(r"(the gain is increasing in $b$, so positive,", sp.diff(GAIN, b), ">",
             Domain({K: integers(3), b: above(0)})),
        Derivative(r"with slope $1/2$ at $b = 0$: the rate tends to 0 there for $M \ge 2$,", GAIN, (b,),
                   sp.Rational(1, 2), Domain({K: integers(3)}), at={b: sp.Integer(0)}),
        Sign(r"and bounded by $\log K$: the rate tends to 0 for large $b$, and the maximum is attained)",
             sp.log(K) - GAIN, ">", Domain({K: integers(3), b: above(0)})),
    )  # fmt: skip


def _imbalance_steps(dies: sp.Expr, imbalance: sp.Expr) -> tuple[Step, ...]:
    share = {pi_g: 1 / (K_A * R + K_B), omega_g: 1, c: (M + 1) * lam / 2}
    counts = DEPTH | {K_A: integers(2), K_B: integers(2), kappa: above(0), lam: above(0)}
    table = {K_A: 2, K_B: 2, M: 2}
    return (
        Identity(r"$K_A$ classes of $R$ samples and $K_B$ of one, equal decays $\lambda$: $N = K_AR+K_B$, $\omega = "
                 r"\sqrt{n_k} = 1$, $c = \frac{M+1}2\lambda$: a minority pair dies at $R = (2\kappa/c - K_B)/K_A$",
                 dies.subs(share).subs(R, imbalance), sp.Integer(0), counts),
        Sign(r"and stays dead beyond", sp.diff(dies.subs(share), R), "<", counts | {R: above(0)}),
        Identity(r"($c$ for these decays)", schatten.COST.subs({P: lam**L, sigma: 1}), (M + 1) * lam / 2,
                 DEPTH | {lam: above(0)}),
        Identity(r"counts $(R,R,1,1)$, $M = 2$: $R = \frac{2\kappa}{3\lambda} - 1$", imbalance.subs(table),
                 2 * kappa / (3 * lam) - 1, Domain({lam: above(0), kappa: above(0)})),
    )  # fmt: skip


@cache
def theorem(dies: sp.Expr = DIES, imbalance: sp.Expr = IMBALANCE) -> Theorem:
    """A pair of classes of weight pi_g and cost weight omega_g, its block decoupled from all others.

    The arguments are the claimed expression that is negative iff the pair dies, and the R from which a minority pair
    is dead if K_A classes have R samples and K_B have one.
    """
    return Theorem(
        id="deep_ce.pair_death",
        title="Deep cross-entropy: the imbalance at which a decoupled pair dies",
        source="derived here, for pairs as in Garrod & Keating 2024",
        prior="low-rank structures: Garrod & Keating 2024 (arXiv 2410.23169) with cross-entropy, Súkeník, "
        "Lampert & Mondelli 2024 with ReLU and squared error; depth alone: arXiv 2605.23087",
        domain=LINE,
        assumptions=("the logits are a direct sum: the pair of group g is one block, uncoupled from the rest",
                     "K ≥ 3 classes; weights π_g, cost weights ω_g", "M ≥ 2; κ(K, M) = max_b of `rate`"),
        statement=(sp.Equivalent(sp.Symbol(r"\text{pair } g \text{ dies}"), sp.Le(dies, 0)),
                   sp.Eq(sp.Symbol(r"\kappa"), sp.Function(r"\max_b")(RATE), evaluate=False),
                   sp.Eq(sp.Symbol("R^*"), imbalance, evaluate=False)),
        steps=(*_death_steps(dies), *_imbalance_steps(dies, imbalance)),
        uniqueness="An equivalence within direct sums; that a decoupled pair is the best form is not claimed.",
        closed_forms={
            "gain": sp.Lambda((K, b), GAIN),
            "rate": sp.Lambda((K, M, b), RATE),
            "imbalance": sp.Lambda((K_A, K_B, M, kappa, lam), imbalance),
        },
    )  # fmt: skip


def _enclosure(depth: int, digits: str, near: tuple[str, str]) -> Root:
    """The largest rate at K = 4 to seven digits; s = b/2 and D = gain are the unknowns, kappa^(M+1) = D^(M+1)/b^2."""
    s, D = sp.symbols("s D", real=True)
    half, unit = sp.Rational(digits), sp.Rational(1, 2 * 10**7)
    power = depth + 1
    equations = (2 * sp.exp(-D / 2) - 1 - sp.exp(-s), 2 * s * sp.exp(-s) - POWER.subs(M, depth) * D * (1 + sp.exp(-s)))
    start = dict(zip((s, D), map(sp.Rational, near), strict=True))
    return Root(
        rf"$M = {depth}$: at the maximum, $\kappa^{{{power}}} = D^{{{power}}}/b^2$ lies between the powers of "
        rf"${digits} \pm 5\cdot 10^{{-8}}$", equations, start,
        (D**power - (half - unit) ** power * (2 * s) ** 2, (half + unit) ** power * (2 * s) ** 2 - D**power, s, D),
        rf"\kappa(4, {depth}) = {digits} \pm 5\cdot 10^{{-8}}",
    )  # fmt: skip


def _unimodal_steps(p: sp.Symbol, s: sp.Symbol) -> tuple[Step, ...]:
    unit = Domain({p: between(0, 1), s: above(0)})
    gain = 2 * (sp.log(2) - sp.log(1 + sp.exp(-s)))
    slope = s / (1 + sp.exp(s)) - p * (sp.log(2) - sp.log(1 + sp.exp(-s)))
    bracket = (1 - p) * (1 + sp.exp(s)) - s * sp.exp(s)
    return (
        Identity(r"at $K = 4$ the gain is a square in disguise, $2\log2 - 2\log(1+e^{-s})$ with $s = b/2$",
                 GAIN.subs({K: 4, b: 2 * s}), gain, unit),
        Derivative(r"with $p = 2/(M+1)$ the rate $\mathrm{gain}/(2s)^p$ has, through its logarithm times gain$\,s/2$, "
                   r"the slope of this sign", sp.log(gain) - p * sp.log(2 * s), (s,), 2 * slope / (s * gain), unit),
        Derivative(r"whose derivative is $((1-p)(1+e^s) - se^s)/(1+e^s)^2$", slope, (s,),
                   bracket / (1 + sp.exp(s)) ** 2, unit),
        Derivative(r"the numerator falls:", bracket, (s,), -(p + s) * sp.exp(s), unit),
        Sign(r"from a positive value at 0", bracket.subs(s, 0), ">", Domain({p: between(0, 1)})),
        Limit(r"without bound,", bracket * sp.exp(-s) / s, s, sp.oo, sp.Integer(-1), unit),
        Identity(r"so the slope starts at 0, rises and falls", slope.subs(s, 0), sp.Integer(0),
                 Domain({p: between(0, 1)})),
        Limit(r"to a negative limit: it changes its sign once, and the rate has one stationary point, its maximum",
              slope, s, sp.oo, -p * sp.log(2), unit),
    )  # fmt: skip


@cache
def kappa_theorem(two: str = ".4798880", three: str = ".5698342") -> Theorem:
    """kappa(4, M): the largest gain/b^(2/(M+1)), at its only stationary point; the arguments are seven digits."""
    p, s = sp.symbols("p s", positive=True)
    steps = (
        *_unimodal_steps(p, s),
        _enclosure(2, two, ("1.02", ".62")),
        _enclosure(3, three, ("1.37", ".93")),
    )
    return Theorem(
        id="deep_ce.kappa",
        title="The constants κ(4, M) of dying pairs",
        source="derived here",
        prior="low-rank structures: Garrod & Keating 2024 (arXiv 2410.23169) with cross-entropy, Súkeník, "
        "Lampert & Mondelli 2024 with ReLU and squared error; depth alone: arXiv 2605.23087",
        domain=Domain({s: above(0), p: between(0, 1)}),
        assumptions=("K = 4, s = b/2, p = 2/(M + 1), M ≥ 2",),
        statement=(sp.Eq(sp.Symbol(r"{\kappa(4,2)}"), sp.Symbol(rf"{{{two}\pm 5\cdot 10^{{-8}}}}"), evaluate=False),
                   sp.Eq(sp.Symbol(r"{\kappa(4,3)}"), sp.Symbol(rf"{{{three}\pm 5\cdot 10^{{-8}}}}"), evaluate=False)),
        steps=steps,
        uniqueness="The maximiser is the only stationary point.",
    )  # fmt: skip
