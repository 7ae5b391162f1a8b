"""Remedies: the least change of a model after which no class collapses, each verified by solving again."""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import numpy as np

from .groups import ClassGroups
from .problems import LayerPeeled, Problem, UnconstrainedFeatures
from .solution import Solution, Status
from .solve import choose_method, limits, solve

_MARGINS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  #: relative steps to either side of a threshold, narrowest first
_WIDE = 300  #: groups from which a solve is worth more than the compilations that make it cheaper


@dataclasses.dataclass(frozen=True)
class Remedy:
    """The least change of one ``kind`` after which every slack is >= 0, as found by solving again.

    Attributes
    ----------
    kind : "weights", "budget" or "decay".
    scale : largest factor on a class's weight, factor >= 1 on E_H, or factor <= 1 on both decays; 1 if none is needed,
        None if there is none or none was found (``message`` says which).
    factors : (K,) factors >= 1 on the classes' loss weights (ones for the other kinds).
    parameters : of the model with the remedy;  slack, status : of its optimum, least over classes.
    accuracy : relative; by so much less, solved as well, some slack is negative.
    """

    kind: str
    scale: float | None
    factors: np.ndarray
    parameters: dict[str, float]
    slack: float
    status: Status
    accuracy: float
    message: str


def announcer(progress: Callable[[int, str], None] | None) -> Callable[[str], None]:
    """Calls ``progress`` with how often it was called before."""
    done = itertools.count()
    return lambda purpose: None if progress is None else progress(next(done), purpose)


@dataclasses.dataclass(frozen=True)
class Model:
    """A model whose weights and parameters vary; ``announce`` is told what every solve is for, before it starts."""

    groups: ClassGroups
    parameters: dict[str, float]
    tol: float | None
    announce: Callable[[str], None]

    @property
    def has_budgets(self) -> bool:
        """Whether it is a LayerPeeled model, with a budget and omega = 1."""
        return "E_W" in self.parameters

    def problem(self, groups: ClassGroups, parameters: dict[str, float]) -> Problem:
        """The model at these weights and parameters."""
        if self.has_budgets:
            return LayerPeeled(groups, parameters["E_W"], parameters["E_H"])
        return UnconstrainedFeatures(groups, parameters["lambda_W"], parameters["lambda_H"])

    def optimum(self) -> Solution:
        """Of the model as it is."""
        self.announce("the model")
        problem = self.problem(self.groups, self.parameters)
        # The default as a number: beside None it would compile again.
        tol = float(limits(problem, choose_method(problem, "auto"), self.tol, None)[0])
        # The rank may be far below the number of groups, which is worth a few compilations where there are many.
        return solve(problem, tol=tol) if self.groups.num_groups > _WIDE else _full_width(problem, tol)

    def changed(self, problem: Problem, purpose: str) -> Solution:
        """Optimum of a problem of the same number of groups; one compilation serves all of one type."""
        self.announce(purpose)
        return _full_width(problem, self.tol)

    def spent(self, groups: ClassGroups, purpose: str) -> float:
        """Budget that the optimum uses at the highest price at which no class collapses: the least weight."""
        classes, weights = np.asarray(groups.classes), np.asarray(groups.weights)
        price = weights[classes > 0].min()
        # With one feature a class, omega = 1; with equal decays, |W|^2 is the nuclear norm of the logits.
        penalised = UnconstrainedFeatures(ClassGroups(classes, np.ones_like(weights), weights), price, price)
        return float(np.sum(classes * np.asarray(self.changed(penalised, purpose).w_norm2)))

    def milder(self, x: float) -> dict[str, float]:
        """E_H times exp(x), or both decays over exp(x)."""
        if self.has_budgets:
            return self.parameters | {"E_H": self.parameters["E_H"] * float(np.exp(x))}
        return {name: value * float(np.exp(-x)) for name, value in self.parameters.items()}

    def raised(self, level: float) -> ClassGroups:
        """All weights below ``level * omega`` raised to that."""
        classes, samples, weights = map(np.asarray, (self.groups.classes, self.groups.samples, self.groups.weights))
        lowest = level * np.ones_like(samples) if self.has_budgets else level * np.sqrt(samples)
        below = weights < lowest
        if self.has_budgets and below.any():
            # Equal weights make one group whatever the counts, and the others absent: as groups of their own, all at
            # the threshold at once, they would be next to insoluble.
            last, number = np.flatnonzero(below)[-1], np.sum(classes[below])
            classes = np.where(below, 0, classes)
            classes[last] = number
        return ClassGroups(classes, samples, np.maximum(weights, lowest))


def find_remedies(model: Model, solution: Solution) -> tuple[Remedy, Remedy]:
    """The remedy by weights, and that by budget or decay; ``factors`` are (G,)."""
    kind = "budget" if model.has_budgets else "decay"
    ones = np.ones(model.groups.num_groups)
    plain = Remedy("weights", 1.0, ones, model.parameters, least(solution), status(solution), 0.0, "none needed.")
    failed = dataclasses.replace(plain, scale=None, slack=np.nan, status=Status.stalled, accuracy=np.nan)
    failed = dataclasses.replace(failed, message="none found: a solve was not certified; solve with a larger tol.")
    if status(solution) != Status.certified:
        return failed, dataclasses.replace(failed, kind=kind)
    if least(solution) >= 0:
        return plain, dataclasses.replace(plain, kind=kind)
    if model.has_budgets:
        needed = model.spent(model.groups, "the budget needed") / float(np.asarray(solution.problem.budget))
        first = _by_weights_on_budget(model, solution, needed)
        second = _by_parameters(model, kind, "E_H", 2 * np.log(needed))
    else:
        first = _by_weights_at_decay(model, solution)
        second = _by_parameters(model, kind, "both weight decays", -least(solution))
    return first or failed, second or dataclasses.replace(failed, kind=kind)


def _by_parameters(model: Model, kind: str, name: str, root: float) -> Remedy | None:
    found = _verified(lambda x: model.changed(model.problem(model.groups, model.milder(x)), f"verifying {name}"), root)
    if found is None:
        return None
    new, scale = model.milder(found.x), float(np.exp(found.x if kind == "budget" else -found.x))
    what = f"{name} times {scale:.10g}: {listed(new)}."
    return found.remedy(kind, scale, np.ones(model.groups.num_groups), new, what)


def _by_weights_on_budget(model: Model, solution: Solution, needed: float) -> Remedy | None:
    weights, budget = np.asarray(model.groups.weights), float(np.asarray(solution.problem.budget))

    def excess(x: float) -> float:
        return model.spent(model.raised(np.exp(x)), "the weights needed") / budget - 1

    # At equal weights the highest price is the least one at which logits are zero.
    root = _root(excess, (np.log(weights.min()), needed - 1), (np.log(weights.max()), -1.0))
    return _reweighted(model, solution, root)


def _by_weights_at_decay(model: Model, solution: Solution) -> Remedy | None:
    groups, omega, price = model.groups, np.asarray(solution.problem.omega), float(np.asarray(solution.problem.penalty))
    used = price * np.sum(groups.classes * omega)
    if used >= 1:
        what = f"there is none: sqrt(lambda_W lambda_H) * sum of sqrt(n_k) = {used:.4g} must be below 1."
        ones = np.ones(omega.size)
        return Remedy("weights", None, ones, model.parameters, np.nan, status(solution), np.nan, what)
    weights, classes = np.asarray(groups.weights), np.asarray(groups.classes)
    # The least c with c = price * sum of max(weights, c omega), from below: it and the set of raised classes only grow.
    raised, level = None, price
    while raised is None or (raised != (weights < level * omega)).any():
        raised = weights < level * omega
        level = price * np.sum(classes * weights * ~raised) / (1 - price * np.sum(classes * omega * raised))
    return _reweighted(model, solution, np.log(level))


def _reweighted(model: Model, solution: Solution, root: float) -> Remedy | None:
    def trial(x: float) -> Solution:
        return model.changed(model.problem(model.raised(np.exp(x)), model.parameters), "verifying the weights")

    found = _verified(trial, root)
    if found is None:
        return None
    factors = np.maximum(1.0, np.exp(found.x) * np.asarray(solution.problem.omega / model.groups.weights))
    raised, classes = factors > 1, np.asarray(model.groups.classes)
    lowest, highest = f"{factors[raised].min():.10g}", f"{factors.max():.10g}"
    between = highest if lowest == highest else f"{lowest} to {highest}"
    what = f"loss weight times {between} on {np.sum(classes[raised]):.0f} of {np.sum(classes):.0f} classes."
    return found.remedy("weights", float(factors.max()), factors, model.parameters, what)


@dataclasses.dataclass(frozen=True)
class _Found:
    """Just above a threshold: certified, with every slack >= 0; a relative ``accuracy`` below, some slack is < 0."""

    x: float
    after: Solution
    accuracy: float

    def remedy(self, kind: str, scale: float, factors: np.ndarray, parameters: dict[str, float], what: str) -> Remedy:
        slack, code = least(self.after), status(self.after)
        proof = (
            f"Solved again: least slack {slack:.1e}, {code.name}; negative with a relative {self.accuracy:.0e} less."
        )
        return Remedy(kind, scale, factors, parameters, slack, code, self.accuracy, f"{what} {proof}")


def _verified(trial: Callable[[float], Solution], root: float) -> _Found | None:
    """The closest pair of solves around a root that proves it, or None.

    With many classes at the threshold at once the solver may not close its gap; then a wider pair is certified.
    """
    for margin in _MARGINS:
        after = trial(root + margin)
        if least(after) >= 0 and status(after) == Status.certified and least(trial(root - margin)) < 0:
            return _Found(root + margin, after, 2 * margin)
    return None


def _root(f: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Root of f by false position (Illinois) between two points (x, f(x)), f > 0 at the lower and < 0 at the upper."""
    (low_x, low_f), (high_x, high_f), x, at_x = low, high, low[0], 0.0
    for _ in range(50):
        x = (low_x * high_f - high_x * low_f) / (high_f - low_f)
        previous, at_x = at_x, f(x)
        if not abs(at_x) > 1e-9 or high_x - low_x < 1e-10:  # NaN stops, too
            break
        same_side = previous * at_x > 0
        if at_x > 0:
            low_x, low_f, high_f = x, at_x, high_f / 2 if same_side else high_f
        else:
            high_x, high_f, low_f = x, at_x, low_f / 2 if same_side else low_f
    return x


def least(s: Solution) -> float:
    """Least slack over the classes."""
    return float(np.min(np.asarray(s.slack)))


def status(s: Solution) -> Status:
    """As the enumeration."""
    return Status(int(s.status))


def listed(values: dict[str, float]) -> str:
    """``name = value`` with commas."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in values.items())


@jax.jit
def _full_width(problem: Problem, tol: float | None) -> Solution:
    # Under a trace the factorisation has full width, whatever the rank will be.
    return solve(problem, tol=tol)
