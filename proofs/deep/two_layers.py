"""The extended unconstrained-feature model: two linear layers above the features, squared error, no bias."""

from __future__ import annotations

from functools import cache

import sympy as sp

from proofs.deep import geometry, schatten, squared_error, threshold
from proofs.deep.squared_error import x
from proofs.deep.symbols import M, P, lambda_j, n_k, sigma
from proofs.domain import Domain, above, integers
from proofs.symbols import K, N, n
from proofs.theorem import Theorem, Uses
from proofs.verifiers.identity import Identity
from proofs.verifiers.sign import Sign

PRODUCT = K * sp.sqrt(K * n * P)
LARGEST = sp.Rational(1, 4)
BALANCED = {M: 2, N: K * n, n_k: n}


@cache
def theorem(largest: sp.Expr = LARGEST) -> Theorem:
    """Minimise (1/(2Kn)) ||W_2 W_1 H - Y||^2 plus decays, n samples in each of K classes.

    `largest` is the claimed threshold on K sqrt(K n P), P the product of the three decays.
    """
    domain = Domain({K: integers(2), n: above(0), P: above(0)})
    two, three = (threshold.THRESHOLD.subs(M, 2), threshold.LAST.subs(M, 2))
    steps = (
        Uses(r"the scalar problem of every class, with $M = 2$, $N = Kn$ and $n_k = n$,", squared_error.theorem()),
        Identity(r"has $b/n = 2K\sqrt{KnP}$", squared_error.B.subs(BALANCED) / n, 2 * PRODUCT, domain),
        Uses(r"and its minimiser is not 0 iff $b/n < t_{\mathrm{alive}}$", threshold.theorem()),
        Identity(r"which is $1/2$ at $M = 2$: nontrivial iff $K\sqrt{KnP} < 1/4$", two, 2 * largest, domain),
        Identity(r"that is, iff $P < 1/(16K^3n)$", PRODUCT.subs(P, (largest / K) ** 2 / (K * n)), largest, domain),
        Identity(r"(the class then jumps to $\sigma = \sqrt n/2$ or more)", threshold.JUMP.subs(M, 2),
                 sp.Rational(1, 2), domain),
        Sign(r"stationary points exist beyond it, up to $3\sqrt3/16$ on $K\sqrt{KnP}$", three / 2 - largest, ">",
             domain),
        Uses(r"the optimum is an orthogonal frame", geometry.theorem()),
        Sign(r"and with $W_2 = \mathrm{diag}$, $W_1 = \mathrm{diag}$, $H$ diagonal in the classes, all entries are "
             r"non-negative,", schatten.FACTOR2.subs(M, 2), ">",
             Domain({P: above(0), sigma: above(0), lambda_j: above(0)})),
        Identity(r"so a ReLU between the layers, or on the features, leaves it as it is: the frame stays feasible "
                 r"there at the same value, an upper bound of the model with ReLU", sp.Max(x, 0), x,
                 Domain({x: above(0)})),
    )  # fmt: skip
    return Theorem(
        id="deep_mse.two_layers",
        title="Extended unconstrained features: two linear layers",
        source="Tirer & Bruna 2022 (the model, with and without ReLU); threshold derived here",
        prior="Tirer & Bruna 2022 (arXiv 2202.08087)",
        domain=domain,
        assumptions=("n samples in every class, no bias, widths ≥ K", "P = λ_{W_2}λ_{W_1}λ_H"),
        statement=(sp.Lt(PRODUCT, largest, evaluate=False),),
        steps=steps,
        uniqueness="As in `deep_mse.threshold`: at K√(KnP) = 1/4 zero and the frame tie. With ReLU only feasibility is "
                   "claimed.",
        closed_forms={"product": sp.Lambda((K, n, P), PRODUCT),
                      "largest_decay_product": sp.Lambda((K, n), (largest / K) ** 2 / (K * n))},
    )  # fmt: skip
