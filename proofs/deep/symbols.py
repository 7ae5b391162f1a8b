"""Symbols of the deep models: M weight matrices and the features, P the product of all M + 1 decays."""

from __future__ import annotations

import sympy as sp

from proofs.domain import Domain, above, integers
from proofs.symbols import N

M, P, n_k, sigma, lambda_j = sp.symbols("M P n_k sigma lambda_j", positive=True)
L = M + 1

DEPTH = Domain({M: integers(1)})
DEEP = Domain({M: integers(2)})
SCALES = Domain({P: above(0), N: above(0), n_k: above(0)})
