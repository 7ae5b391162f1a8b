"""Symbols and constants that several theorems share, named as in the papers."""

from __future__ import annotations

import sympy as sp

from proofs.domain import Domain, above, integers

K, K_A, K_B, n = sp.symbols("K K_A K_B n", positive=True)
E_W, E_H, lambda_W, lambda_H = sp.symbols("E_W E_H lambda_W lambda_H", positive=True)
R, S, N, s, m, alpha = sp.symbols("R S N s m alpha", positive=True)

# Two groups: kappa_A = sqrt(K_B/K), kappa_B = sqrt(K_A/K); alpha_A and alpha_B turn x and y into margins.
SIZES = (K_A, K_B)
K_SUM = K_A + K_B
KAPPA_A = sp.sqrt(K_B / K_SUM)
KAPPA_B = sp.sqrt(K_A / K_SUM)
ALPHA_A = sp.sqrt(K_SUM / K_B) / K_A
ALPHA_B = sp.sqrt(K_SUM / K_A) / K_B

TWO_GROUPS = Domain({K_A: integers(2), K_B: integers(2)})
BUDGETS = Domain({E_W: above(0), E_H: above(0)})
