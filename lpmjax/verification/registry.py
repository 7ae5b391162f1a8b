"""COMPARISONS: per theorem, its closed forms against what the solvers return on a grid of its domain.

Where possible the two sides share no formula: the budget solver against the penalty solver, two groups at R = 1
against the balanced closed form, group coordinates against K x K matrices, a boundary against the phases.
"""

from collections.abc import Callable

from . import balanced, convexity, deep, grouped, minority, two_group, ulpm
from .comparison import Comparison, Forms

COMPARISONS: dict[str, Callable[[Forms], Comparison]] = {
    "ce.convex": convexity.cross_entropy,
    "lpm.relaxation": convexity.relaxation,
    "certificate.budget": convexity.budget_gap,
    "certificate.penalty": convexity.penalty_gap,
    "lpm.balanced": balanced.balanced,
    "ufm.balanced": balanced.weight_decay,
    "ufm.label_smoothing": balanced.label_smoothing,
    "lpm.two_group": two_group.logits,
    "lpm.kkt": two_group.kkt,
    "lpm.unique": two_group.unique,
    "lpm.one_scalar": two_group.one_scalar,
    "lpm.merging": minority.merging,
    "lpm.merged_boundary": minority.merged_boundary,
    "lpm.annihilated_boundary": minority.annihilated_boundary,
    "lpm.minority_collapse": minority.minority_collapse,
    "lpm.oversampling": minority.oversampling,
    "lpm.grouped": grouped.grouped,
    "lpm.rank": grouped.rank,
    "ufm.squared_error": grouped.squared_error,
    "ulpm.seli": ulpm.seli,
    "ulpm.lower_bound": ulpm.lower_bound,
    "ulpm.ray": ulpm.ray,
    "ulpm.hadamard": ulpm.hadamard,
    "ulpm.landscape": ulpm.landscape,
    "ulpm.path": ulpm.path,
    "deep.schatten": deep.schatten,
    "deep_mse.separable": deep.separable,
    "deep_mse.threshold": deep.threshold,
    "deep_mse.geometry": deep.geometry,
    "deep_mse.free_bias": deep.free_bias,
    "deep_mse.bias_transition": deep.bias_transition,
    "deep_mse.decayed_bias": deep.decayed_bias,
    "deep_mse.two_layers": deep.two_layers,
}
