"""Equal classes: the simplex ETF, against solvers that are told of two groups and not that these are alike."""

import numpy as np

from ..losses.softmax import LabelSmoothing
from .comparison import Comparison, Forms, claimed, decayed, grid, layer_peeled, relative, relative2, report
from .formula import closed_form


def balanced(forms: Forms) -> Comparison:
    """Two groups at R = 1 on a budget."""
    K_A, K_B, E_W, E_H = grid([1, 2, 7, 5000], [1, 3, 4000], [0.01, 1, 3], [0.02, 1, 5])
    s = layer_peeled(K_A, K_B, 1.0, E_W, E_H)
    K = K_A + K_B
    exact = {name: closed_form(forms[name], K, E_W, E_H) for name in ("margin", "value", "multiplier")}
    cosine = closed_form(forms["cosine"], K)
    found = s.cosines()
    shown = np.isfinite(found)  # the cosine within a group of one class is not defined
    return report(
        "two-group solver at R = 1",
        [s],
        relative(s.margin, exact["margin"][:, None]),
        relative(s.value, exact["value"]),
        relative(s.multiplier, exact["multiplier"]),
        relative(found[shown], np.broadcast_to(cosine[:, None, None], found.shape)[shown]),
    )


def weight_decay(forms: Forms) -> Comparison:
    """Two groups at R = 1 with weight decay, on both sides of the threshold."""
    K_A, K_B, n, share, split = grid([1, 3, 50], [2, 40], [1, 500], [1e-6, 0.1, 0.9, 1.001, 3], [0.1, 2])
    K = K_A + K_B
    c = share * closed_form(forms["threshold"], K)
    lambda_W, lambda_H = c / np.sqrt(n) * split, c / np.sqrt(n) / split
    s = decayed((K_A, K_B), (n, n), (lambda_W, lambda_H))
    alive = share < 1
    errors = [claimed(np.all(s.margin[~alive] == 0, axis=-1))]
    at = [x[alive] for x in (K, n, lambda_W, lambda_H)]
    for name, found in (("alpha", s.margin), ("w_norm2", s.w_norm2), ("h_norm2", s.h_norm2)):
        errors.append(relative(found[alive], closed_form(forms[name], *at)[:, None]))
    errors.append(relative(s.value[alive], closed_form(forms["value"], *at)))
    return report("two-group solver at R = 1, both sides of the threshold", [s], *errors)


def label_smoothing(forms: Forms) -> Comparison:
    """The same with label smoothing."""
    K_A, K_B, n, epsilon, share = grid([1, 3, 50], [2, 40], [1, 500], [0.02, 0.3], [1e-3, 0.5, 0.9, 1.1, 3])
    K = K_A + K_B
    c = share * (1 - epsilon) / K
    decay = c / np.sqrt(n)
    s = decayed((K_A, K_B), (n, n), (2 * decay, decay / 2), loss=LabelSmoothing, of_loss=(epsilon,))
    alive = epsilon + c * K < 1
    at = [x[alive] for x in (K, epsilon, c)]
    return report(
        "two equal groups, both sides of the threshold",
        [s],
        claimed(np.all(s.between[~alive] == 0, axis=(-2, -1))),
        claimed(np.all((s.slack > 0) == alive[:, None], axis=-1)),
        relative(s.value[~alive], np.log(K[~alive])),
        relative2(s.margin[alive], closed_form(forms["alpha"], *at)[:, None], 1.0),
        relative(s.value[alive], closed_form(forms["value"], *at)),
    )
