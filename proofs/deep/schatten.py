"""What a product of several decayed factors costs: a Schatten quasi-norm of the product, and the balanced factors."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep.symbols import DEPTH, L, M, P, lambda_j, sigma
from proofs.domain import above
from proofs.theorem import Theorem
from proofs.verifiers.cited import AM_GM, HORN, Cited
from proofs.verifiers.identity import Derivative, Identity

COST = L / 2 * P ** (1 / L) * sigma ** (2 / L)
FACTOR2 = P ** (1 / L) * sigma ** (2 / L) / lambda_j


@cache
def theorem(factor2: sp.Expr = FACTOR2, cost: sp.Expr = COST) -> Theorem:
    """min sum_j (lambda_j/2) ||A_j||^2 over A_1 ... A_L = Z is sum_i (L/2) P^(1/L) sigma_i(Z)^(2/L).

    The arguments are the claimed squared singular value of factor j and the claimed cost of one singular value of Z.
    """
    product, square, following, t = sp.symbols("p a b t", positive=True)
    domain = DEPTH | {P: above(0), sigma: above(0), lambda_j: above(0)}
    steps = (
        Cited(r"$\sum_i\sigma_i(Z)^{2/L} \le \sum_i\prod_j\sigma_i(A_j)^{2/L}$ for $Z = A_1\cdots A_L$, $L = M+1$, "
              r"singular values in decreasing order", HORN),
        Cited(r"for each $i$, $\sum_j\lambda_j\sigma_i(A_j)^2 \ge L\,\prod_j(\lambda_j\sigma_i(A_j)^2)^{1/L}$", AM_GM),
        Identity(r"where with $p = \prod_j\sigma_i(A_j)$ half the right side is the cost of $p$: so no factors of $Z$ "
                 r"cost less than $\sum_i \frac L2P^{1/L}\sigma_i(Z)^{2/L}$", L * (P * product**2) ** (1 / L) / 2,
                 cost.subs(sigma, product), DEPTH | {P: above(0), product: above(0)}),
        Identity(r"equality: let factor $j$ have the squared singular values $P^{1/L}\sigma^{2/L}/\lambda_j$, its "
                 r"right singular vectors the left ones of factor $j+1$. Then the singular value of the product, the "
                 r"square root of $\prod_j (P^{1/L}\sigma^{2/L}/\lambda_j)$, is $\sigma$",
                 (factor2 * lambda_j) ** (L / 2) / sp.sqrt(P), sigma, domain),
        Identity(r"the $L$ factors cost the same each, together the bound", L * lambda_j * factor2 / 2, cost, domain),
        Derivative(r"consecutive factors of any minimiser are balanced: $\lambda_j\|A_j\|^2 = "
                   r"\lambda_{j+1}\|A_{j+1}\|^2$ on every singular direction, because exchanging scale between them "
                   r"($a$, $b$ their shares of the decay) has this slope", square * t**2 + following / t**2, (t,),
                   2 * (square - following), DEPTH | {square: above(0), following: above(0), t: above(0)},
                   at={t: sp.Integer(1)}),
        Cited(r"if the smallest width is $R$ then $\mathrm{rank}\,Z \le R$, the sums end at $i = R$, and the balanced "
              r"factors have these widths: the same cost", HORN),
    )  # fmt: skip
    return Theorem(
        id="deep.schatten",
        title="Decayed factors of a product: the Schatten variational form",
        source="Srebro, Rennie & Jaakkola 2004 (L = 2); Shang, Liu & Cheng 2016 (any L); derived here from Horn's "
        "inequality",
        domain=domain,
        assumptions=("L = M + 1 ≥ 2 factors with decays λ_j > 0, P their product", "every width is at least rank Z"),
        statement=(sp.Eq(sp.Symbol(r"\min \sum_j \tfrac{\lambda_j}{2}\|A_j\|^2"),
                         sp.Function(r"\sum_i")(cost), evaluate=False),
                   sp.Eq(sp.Symbol(r"{\sigma_i(A_j)^2}"), factor2, evaluate=False)),
        steps=steps,
        uniqueness="The singular values of every factor are unique (equality in AM–GM); singular vectors up to an "
                   "orthogonal matrix between consecutive factors.",
        closed_forms={
            "cost": sp.Lambda((M, P, sigma), cost),
            "factor2": sp.Lambda((M, P, lambda_j, sigma), factor2),
        },
    )  # fmt: skip
