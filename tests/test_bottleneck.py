"""More classes than dimensions and one: best optima of balanced Layer-Peeled Models in two and three dimensions."""

import numpy as np
import pytest

import lpmjax as lpm

#: (d, K): values at E_W = 1 and E_H = 1, and E_H = 5
VALUES = {
    (2, 4): (0.626523375, 0.203086745),
    (2, 5): (0.845781009, 0.379534413),
    (2, 6): (1.027709352, 0.551092799),
    (2, 7): (1.181827034, 0.703222912),
    (2, 8): (1.315356058, 0.836431065),
    (3, 5): (0.790261356, 0.264456234),
    (3, 6): (0.958143765, 0.363902974),
    (3, 7): (1.110787338, 0.492872682),
    (3, 8): (1.242462386, 0.602626737),
}


@pytest.mark.slow
@pytest.mark.parametrize(("d", "K"), VALUES)
def test_known_values(d, K):
    for E_H, value in zip((1.0, 5.0), VALUES[d, K], strict=True):
        s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(K), 1.0, E_H, dim=d), restarts=16)
        assert float(s.value) == pytest.approx(value, abs=2e-9)
        assert float(s.lower_bound) <= float(s.value) and int(s.status) == lpm.Status.converged
        if d == 2:  # a polygon: classifier rows of equal norm at equal angles
            angle = 2 * np.pi * np.arange(K) / K
            polygon = np.log(np.sum(np.exp(np.sqrt(E_H) * (np.cos(angle) - 1))))
            assert float(s.value) == pytest.approx(polygon, abs=1e-9)
            assert np.ptp(np.sum(np.asarray(s.W) ** 2, axis=1)) < 1e-4
