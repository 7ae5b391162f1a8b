"""Remedies of the Layer-Peeled Model, found and verified by solving again: more loss weight, or a larger E_H."""

import numpy as np

from ..codes import Status
from ..groups import ClassGroups
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.solution import Solution
from .remedy import Remedy, digits, least, none_needed, reweighting, status, without
from .solves import Solves
from .thresholds import noise, root_between, verified

_UNSOLVED = "none found: a solve beside the threshold was not certified; a larger tol may do."


def of_budgets(solution: Solution, solves: Solves) -> tuple[Remedy, Remedy]:
    """By weights and by budget; ``factors`` are (G,)."""
    model = solution.problem
    if status(solution) != Status.certified:
        why = "none found: the optimum itself is not certified."
        return without(model, "weights", Status.stalled, why), without(model, "budget", Status.stalled, why)
    slack = least(solution)
    if slack >= 0:
        return none_needed(model, "weights", slack), none_needed(model, "budget", slack)
    at_price = solves.next(_cheapest(model.groups), "the budget needed")
    by_budget = _by_budget(model, at_price, solves)
    return _by_weights(model, at_price, solves), by_budget


def _cheapest(groups: ClassGroups) -> UnconstrainedFeatures:
    """At the highest price of the spectral cost at which no class collapses: the least weight."""
    classes, weights = np.asarray(groups.classes), np.asarray(groups.weights)
    price = weights[classes > 0].min()
    # With one feature a class, omega = 1; with equal decays, |W|^2 is the nuclear norm of the logits.
    return UnconstrainedFeatures(ClassGroups(classes, np.ones_like(weights), weights), price, price)


def _used(at_price: Solution, model: LayerPeeled) -> float:
    """Budget that an optimum at a price uses, as a multiple of the model's."""
    spent = np.sum(np.asarray(at_price.problem.groups.classes * at_price.w_norm2))
    return float(spent) / float(np.asarray(model.budget))


def _by_budget(model: LayerPeeled, at_price: Solution, solves: Solves) -> Remedy:
    def with_more(x: float) -> LayerPeeled:
        return LayerPeeled(model.groups, model.E_W, model.E_H * np.exp(x))

    root = float(2 * np.log(_used(at_price, model)))
    found = verified(lambda x: solves.next(with_more(x), "verifying E_H", at_price), root, at_price)
    if found is None:
        return without(model, "budget", Status.stalled, _UNSOLVED)
    new, scale = found.after.problem.scalars, float(np.exp(found.x))
    shown = f"E_W = {new['E_W']:.6g}, E_H = {digits(new['E_H'], found.accuracy, up=True)}"
    what = f"E_H times {digits(scale, found.accuracy, up=True)}: {shown}."
    return found.remedy("budget", scale, np.ones(model.groups.num_groups), what)


def _by_weights(model: LayerPeeled, at_price: Solution, solves: Solves) -> Remedy:
    weights, latest = np.asarray(model.groups.weights), at_price

    def excess(x: float) -> float:
        nonlocal latest
        latest = solves.next(_cheapest(_raised(model.groups, np.exp(x))), "the weights needed", latest)
        more = _used(latest, model) - 1
        return more if abs(more) > noise(latest) else 0.0

    def trial(x: float) -> Solution:
        changed = LayerPeeled(_raised(model.groups, np.exp(x)), model.E_W, model.E_H)
        return solves.next(changed, "verifying the weights", latest)

    # At equal weights the highest price is the least one at which logits are zero.
    root = root_between(excess, (np.log(weights.min()), _used(at_price, model) - 1), (np.log(weights.max()), -1.0))
    found = verified(trial, root, latest)
    if found is None:
        return without(model, "weights", Status.stalled, _UNSOLVED)
    factors, what = reweighting(model, found.x, found.accuracy)
    return found.remedy("weights", float(factors.max()), factors, what)


def _raised(groups: ClassGroups, level: float) -> ClassGroups:
    """All weights below a level raised to it."""
    classes, samples, weights = map(np.asarray, (groups.classes, groups.samples, groups.weights))
    below = weights < level
    if below.any():
        # Equal weights make one group whatever the counts, and the others absent: as groups of their own, all at the
        # threshold at once, they would be next to insoluble.
        last, number = np.flatnonzero(below)[-1], np.sum(classes[below])
        classes = np.where(below, 0, classes)
        classes[last] = number
    return ClassGroups(classes, samples, np.maximum(weights, level))
