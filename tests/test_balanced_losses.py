"""Balanced optima of label smoothing with weight decay, on either side of where they vanish."""

import numpy as np
import pytest

import lpmjax as lpm


@pytest.mark.slow
def test_label_smoothing_with_weight_decay():
    K, n, W, H, epsilon = 4, 2.0, 5e-3, 2e-3, 0.1
    s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(K, n), W, H, lpm.LabelSmoothing(epsilon))).check()
    wrong = epsilon / K + np.sqrt(n * W * H)
    assert float(s.margin[0]) == pytest.approx(np.log((1 - (K - 1) * wrong) / wrong), rel=1e-9)
    assert s.status == lpm.Status.certified


def test_label_smoothing_vanishes_where_epsilon_and_the_price_add_up():
    for epsilon, rank in ((0.97, 2), (0.99, 0)):  # epsilon + c K = 0.991 and 1.011
        s = lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups.balanced(3), 7e-3, 7e-3, lpm.LabelSmoothing(epsilon)))
        assert (int(s.rank), s.status) == (rank, lpm.Status.certified)
