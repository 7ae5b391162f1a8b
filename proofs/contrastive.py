"""Balanced supervised contrastive learning: class means on a simplex ETF."""

from __future__ import annotations

import sympy as sp

from proofs.domain import REAL, Domain, above, at_least, integers
from proofs.symbols import E_H, K, n
from proofs.theorem import Theorem
from proofs.verifiers.cited import JENSEN, Cited
from proofs.verifiers.convex import Convex
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

t = sp.Symbol("t", positive=True)
GAP = K * E_H / ((K - 1) * t)
VALUE = sp.log(n) + sp.log(1 + (K - 1) * sp.exp(-GAP))
COSINE = -1 / (K - 1)


def theorem(value: sp.Expr = VALUE, cosine: sp.Expr = COSINE) -> Theorem:
    """Minimise the supervised contrastive loss at temperature t subject to a mean squared feature norm of at most E_H.

    The loss of anchor i is the mean over its n positives p (itself included) of
    log sum_a exp(h_i.h_a/t) - h_i.h_p/t, the sum over all Kn samples. The arguments are the claimed value and cosine.
    """
    domain = Domain({K: integers(2), n: integers(1), E_H: above(0), t: above(0)})
    delta = sp.Symbol("delta", real=True)
    P, Q = sp.symbols("P Q", positive=True)
    own, other = E_H / t, cosine * E_H / t
    psi = sp.log(1 + (K - 1) * sp.exp(-delta))
    line = Domain({K: integers(2), delta: REAL})
    means = Domain({K: integers(2), P: above(0), Q: at_least(0)})
    steps = (
        Cited(r"inside each class $\sum_a e^{h_i\cdot h_a/t} \ge n\exp(\text{class mean})$, equality at collapsed "
              r"features", JENSEN),
        Cited(r"and over the $K-1$ other classes $\sum \ge (K-1)\exp(\text{mean})$: the loss of anchor $i$ is at least "
              r"$\log n + \psi(\delta_i)$, $\delta_i$ the mean similarity to its class minus that to the others",
              JENSEN),
        Convex(r"$\psi(\delta) = \log(1+(K-1)e^{-\delta})$ is convex", psi, (delta,), line),
        Sign(r"and decreasing", sp.diff(psi, delta), "<", line),
        Cited(r"so the mean loss is at least $\log n + \psi(\text{mean of the } \delta_i)$", JENSEN),
        Identity(r"with $P = \sum_k\|\bar h_k\|^2$, $Q = \|\sum_k \bar h_k\|^2$ the mean of the $\delta_i$ is $(P - "
                 r"(Q-P)/(K-1))/(Kt)$",
                 P - (Q - P) / (K - 1), (K * P - Q) / (K - 1), means),
        Cited(r"where $P \le KE_H$", JENSEN),
        Sign(r"and $Q \ge 0$: the mean of the $\delta_i$ is at most $KE_H/((K-1)t)$",
             (K * P - Q) / (K - 1) - K * P / (K - 1),
             "<=", means),
        Identity(r"the bound, in closed form", (sp.log(n) + psi).subs(delta, GAP), value, domain),
        Identity(r"collapsed features on the ETF of squared norm $E_H$ attain it (own similarities subtracted from "
                 r"all)",
                 sp.log(n) + sp.log(1 + (K - 1) * sp.exp(other - own)), value, domain),
        Identity(r"(the ETF has $Q = 0$)", K * E_H + K * (K - 1) * cosine * E_H, sp.Integer(0), domain),
    )  # fmt: skip
    return Theorem(
        id="supcon.balanced",
        title="Balanced supervised contrastive loss: class means form a simplex ETF",
        source="Fang, He, Long & Su 2021 (PNAS) and Graf et al. 2021, the contrastive theorems; value derived here",
        domain=domain,
        assumptions=("n samples in every class", "positives and the sum include the anchor", "d ≥ K − 1"),
        statement=(sp.Eq(sp.Symbol("f^*"), value, evaluate=False),
                   sp.Eq(sp.Symbol(r"\cos(h_j,h_k)"), cosine, evaluate=False)),
        steps=steps,
        uniqueness="Equality in every inequality forces collapsed features of norm² E_H with sum zero and equal "
                   "similarities: "
        "the ETF, up to rotation.",
        closed_forms={
            "value": sp.Lambda((K, n, E_H, t), value),
            "cosine": sp.Lambda((K,), cosine),
        },
    )  # fmt: skip
