import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.frames import simplex_etf


@pytest.mark.parametrize(("K", "d"), [(2, None), (3, 2), (10, 9), (10, 25), (200, 199)])
def test_simplex_etf(K, d):
    M = np.asarray(simplex_etf(K, d))
    assert M.shape == (K, d or K - 1)
    np.testing.assert_allclose(M @ M.T, (K * np.eye(K) - 1) / (K - 1), atol=1e-13)
    np.testing.assert_allclose(M.sum(0), 0, atol=1e-13)


def test_simplex_etf_is_the_optimum_up_to_rotation():
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(6), 4.0, 9.0))
    W, H = s.factors()
    np.testing.assert_allclose(W @ W.T, 4 * np.asarray(simplex_etf(6) @ simplex_etf(6).T), atol=1e-12)
    np.testing.assert_allclose(W / 2, H.T / 3, atol=1e-12)


@pytest.mark.parametrize(("K", "d"), [(1, None), (5, 3), (2.5, None), (5, 4.0)])
def test_no_frame_there(K, d):
    with pytest.raises(ValueError, match="out of range"):
        simplex_etf(K, d)
