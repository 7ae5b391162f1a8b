"""Remedies under weight decay, in closed form: there the multiplier, and with it slack, is known without solving."""

import jax.numpy as jnp
import numpy as np

from ..codes import Status
from ..duality import Program, slacks
from ..groups import ClassGroups
from ..problems.unconstrained import UnconstrainedFeatures
from .remedy import Remedy, digits, none_needed, reweighting, without
from .thresholds import just_above

_EXACT = (
    "Exact, without solving: a class collapses iff its loss weight is below sqrt(lambda_W lambda_H n_k), whatever the "
    "optimum is."
)


def of_decays(model: UnconstrainedFeatures) -> tuple[Remedy, Remedy]:
    """By weights and by decay; ``factors`` are (G,)."""
    slack = _least_slack(model)
    if slack >= 0:
        return none_needed(model, "weights", slack), none_needed(model, "decay", slack)
    return _by_weights(model), _by_decay(model)


def _least_slack(model: UnconstrainedFeatures) -> float:
    """The multiplier is the penalty, whatever the optimum is."""
    program = Program.of(model)
    return float(np.min(np.asarray(slacks(program, jnp.log(program.charge.amount)))))


def _by_decay(model: UnconstrainedFeatures) -> Remedy:
    def milder(x: float) -> UnconstrainedFeatures:
        return UnconstrainedFeatures(model.groups, *(decay * np.exp(-x) for decay in (model.lambda_W, model.lambda_H)))

    root = -_least_slack(model)
    x, slack = just_above(root, lambda x: _least_slack(milder(x)))
    scale, new, accuracy = float(np.exp(-x)), milder(x).scalars, x - root
    shown = ", ".join(f"{name} = {digits(value, accuracy, up=False)}" for name, value in new.items())
    what = f"both weight decays times {digits(scale, accuracy, up=False)}: {shown}. {_EXACT}"
    return Remedy("decay", scale, np.ones(model.groups.num_groups), new, slack, Status.certified, accuracy, what)


def _by_weights(model: UnconstrainedFeatures) -> Remedy:
    groups = model.groups
    classes, samples, weights, omega = map(np.asarray, (groups.classes, groups.samples, groups.weights, model.omega))
    price = float(np.asarray(model.penalty))
    used = price * np.sum(classes * omega)
    if used >= 1:
        what = f"there is none: sqrt(lambda_W lambda_H) * sum of sqrt(n_k) = {used:.4g} must be below 1."
        return without(model, "weights", Status.certified, what)
    # The least c with c = price * sum of max(weights, c omega), from below: it and the set of raised classes only grow.
    raised, level = None, price
    while raised is None or (raised != (weights < level * omega)).any():
        raised = weights < level * omega
        level = price * np.sum(classes * weights * ~raised) / (1 - price * np.sum(classes * omega * raised))

    def with_weights(x: float) -> UnconstrainedFeatures:
        more = ClassGroups(classes, samples, np.maximum(weights, np.exp(x) * omega))
        return UnconstrainedFeatures(more, model.lambda_W, model.lambda_H)

    root = float(np.log(level))
    x, slack = just_above(root, lambda x: _least_slack(with_weights(x)))
    factors, what = reweighting(model, x, x - root)
    what = f"{what} {_EXACT}"
    return Remedy("weights", float(factors.max()), factors, model.scalars, slack, Status.certified, x - root, what)
