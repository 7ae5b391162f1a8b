"""Remedies of the Layer-Peeled Model, found and verified by solving again: more loss weight, or a larger E_H."""

from collections.abc import Iterator

import numpy as np

from ..codes import Status
from ..groups import ClassGroups
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.solution import Solution
from .narrow_bands import NarrowBands
from .of_many import budget_of_many, weights_of_many
from .regrouped import raised
from .remedy import Remedy, digits, least, none_needed, reweighting, status, without
from .solves import MANY, Solves
from .thresholds import Found, noise, root_between, verified

_UNDECIDED = "none found: whether any class collapses is undecided; a smaller tol may do."
_UNSOLVED = "none found: a solve beside the threshold was not certified; a larger tol may do."


def of_budgets(solution: Solution, solves: Solves) -> Iterator[Remedy]:
    """By budget and by weights, each as it is found; ``factors`` are (G,)."""
    model = solution.problem
    if status(solution) != Status.certified:
        for kind in ("budget", "weights"):
            yield without(model, kind, Status.stalled, "none found: the optimum itself is not certified.")
    elif least(solution) >= 0:
        for kind in ("budget", "weights"):
            yield none_needed(model, kind, least(solution))
    elif model.groups.num_groups > MANY:
        yield _more_budget(model, budget_of_many(model, least(solution), solves))
        yield _more_weight(model, weights_of_many(model, least(solution), solves))
    else:
        at_price = solves.next(_cheapest(model.groups), "the budget needed")
        yield _more_budget(model, _budget(model, at_price, solves))
        yield _more_weight(model, _level(model, at_price, solves))


def of_budgets_in_bands(bands: NarrowBands, solves: Solves) -> Iterator[Remedy]:
    """The same, of intervals."""
    model, (low, high) = bands.proof.problem.unordered, map(np.min, bands.slack)
    if low < 0 <= high:
        for kind in ("budget", "weights"):
            yield without(model, kind, Status.stalled, _UNDECIDED)
    elif low >= 0:
        for kind in ("budget", "weights"):
            yield none_needed(model, kind, float(low))
    else:
        yield _more_budget(model, budget_of_many(model, float(high), solves, bands))
        yield _more_weight(model, weights_of_many(model, float(high), solves, bands))


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


def _budget(model: LayerPeeled, at_price: Solution, solves: Solves) -> Found | None:
    """Log of the factor on E_H."""

    def with_more(x: float) -> LayerPeeled:
        return LayerPeeled(model.groups, model.E_W, model.E_H * np.exp(x))

    root = float(2 * np.log(_used(at_price, model)))
    return verified(lambda x: solves.next(with_more(x), "verifying E_H"), root, at_price)


def _level(model: LayerPeeled, at_price: Solution, solves: Solves) -> Found | None:
    """Log of the level that weights are raised to."""
    weights, latest = np.asarray(model.groups.weights), at_price

    def excess(x: float) -> float:
        nonlocal latest
        latest = solves.next(_cheapest(raised(model.groups, np.exp(x))), "the weights needed")
        more = _used(latest, model) - 1
        return more if abs(more) > noise(latest) else 0.0

    def trial(x: float) -> Solution:
        changed = LayerPeeled(raised(model.groups, np.exp(x)), model.E_W, model.E_H)
        return solves.next(changed, "verifying the weights")

    # At equal weights the highest price is the least one at which logits are zero.
    root = root_between(excess, (np.log(weights.min()), _used(at_price, model) - 1), (np.log(weights.max()), -1.0))
    return verified(trial, root, latest)


def _more_budget(model: LayerPeeled, found: Found | None) -> Remedy:
    if found is None:
        return without(model, "budget", Status.stalled, _UNSOLVED)
    new, scale = found.problem.scalars, float(np.exp(found.x))
    shown = f"E_W = {new['E_W']:.6g}, E_H = {digits(new['E_H'], found.accuracy, up=True)}"
    what = f"E_H times {digits(scale, found.accuracy, up=True)}: {shown}."
    return found.remedy("budget", scale, np.ones(model.groups.num_groups), what)


def _more_weight(model: LayerPeeled, found: Found | None) -> Remedy:
    if found is None:
        return without(model, "weights", Status.stalled, _UNSOLVED)
    factors, what = reweighting(model, found.x, found.accuracy)
    return found.remedy("weights", float(factors.max()), factors, what)
