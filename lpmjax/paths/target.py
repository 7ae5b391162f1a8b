"""What a path without decay tends to, and how low its loss can be at a norm: both by minimum-norm separation.

All of it comes from one decomposition. Let ``S = I - 1 1ᵀ/K`` and ``D = diag(sqrt(n))``. Logits with all margins at
least 1 have ``||Z D||_* >= gamma = ||S D||_*``, attained by SELI, ``Z = S``, for with the polar factor U of ``S D`` the
dual ``beta_jk = -sqrt(n_k) U_jk`` is positive off the diagonal (``proofs``: ``ulpm.seli``), sums to gamma, and

    sum_jk beta_jk m_jk = <U, Z D> <= ||Z D||_*,   m_jk = z_kk - z_jk.

Of the features of all samples the class means are taken: that lowers the nuclear norm, and the loss, which is convex.
"""

from typing import Any, NamedTuple

import numpy as np


class Target(NamedTuple):
    """SELI of K classes (Thrampoulidis et al. 2022); balanced it is the simplex ETF."""

    gamma: float  #: least nuclear norm of separating logits, ``sqrt(n) (K - 1)`` balanced
    dual: np.ndarray  #: (K, K) ``beta_jk`` of rival j against class k, 0 on the diagonal
    gram: np.ndarray  #: (K, K) of the classifier, up to scale: ``(S D² S)^(1/2)``

    @staticmethod
    def of(samples: np.ndarray) -> "Target":
        """For these samples of each class."""
        K = samples.size
        # From the decomposition of S D: a square root of the eigenvalues of its square loses half of the digits.
        u, s, v = np.linalg.svd((np.eye(K) - 1 / K) * np.sqrt(samples))
        u, s, v = u[:, :-1], s[:-1], v[:-1]  # S has rank K - 1
        dual = -(u @ v) * np.sqrt(samples)
        np.fill_diagonal(dual, 0.0)
        return Target(float(s.sum()), dual, (u * s) @ u.T)

    def log_least_loss(self, weights: np.ndarray, norm: Any) -> Any:
        """log of the least of ``sum_k weights_k log(1 + sum_j exp(-m_jk))`` over margins with ``sum beta m <= norm``.

        So no logits with ``||Z D||_*`` up to ``norm`` have a lower loss. Balanced it is
        ``log(1 + (K - 1) exp(-norm / gamma))``, which neural collapse attains. With the multiplier mu the rivals'
        probabilities are ``p_jk = mu beta_jk / weights_k``, and mu follows from the norm by bisection.
        """
        share = self.dual.sum(0) / weights  # of all rivals, at mu = 1
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = np.where(self.dual > 0, self.dual * np.log(weights / self.dual), 0.0).sum()

        # sum beta m = entropy - gamma log mu + sum_k beta_k log(1 - mu share_k), where m_jk = log(P_k / p_jk)
        first = (entropy - norm) / self.gamma
        low = np.minimum(first - np.log(2), -np.log(2 * share.max()))
        high = np.minimum(first, -np.log(share.max()))
        for _ in range(100):
            middle = (low + high) / 2
            with np.errstate(divide="ignore"):
                right = np.log1p(-np.minimum(np.exp(middle)[..., None] * share, 1.0)) @ self.dual.sum(0)
            above = entropy - self.gamma * middle + right > norm
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        # The larger mu has the larger loss: the smaller one keeps this a bound.
        with np.errstate(divide="ignore"):
            return np.log(-(np.log1p(-np.exp(low)[..., None] * share)) @ weights)
