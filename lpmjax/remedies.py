"""Remedies: the least change of a model after which no class collapses, in closed form or verified by solving again."""

import dataclasses
import decimal
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import require_callable
from .codes import Status
from .duality import Program, slacks
from .groups import ClassGroups
from .problems.grouped import GroupedProblem
from .problems.layer_peeled import LayerPeeled
from .problems.unconstrained import UnconstrainedFeatures
from .results.solution import Solution
from .solve import as_tol, choose_solver, solve

_MARGINS = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  #: relative steps to either side of a threshold, narrowest first
_NOISE = 100  #: relative duality gaps within which slack and the budget used are accurate (observed: 50)
_WIDE = 150  #: groups from which a solve is worth more than the compilations that make it cheaper

_UNSOLVED = "a solve beside the threshold was not certified; a larger tol may do."
_EXACT = (
    "Exact, without solving: a class collapses iff its loss weight is below sqrt(lambda_W lambda_H n_k), whatever the "
    "optimum is."
)


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Remedy:
    """The least change of one ``kind`` after which every slack is >= 0: in closed form, or as found by solving again.

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
    require_callable("progress", progress, "called with (solves done, what the next one is for)")
    done = itertools.count()
    return lambda purpose: None if progress is None else progress(next(done), purpose)


@dataclasses.dataclass(frozen=True, eq=False)
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

    def problem(self, groups: ClassGroups, parameters: dict[str, float]) -> GroupedProblem:
        """The model at these weights and parameters."""
        if self.has_budgets:
            return LayerPeeled(groups, parameters["E_W"], parameters["E_H"])
        return UnconstrainedFeatures(groups, parameters["lambda_W"], parameters["lambda_H"])

    def optimum(self) -> Solution:
        """Of the model as it is."""
        self.announce("the model")
        problem = self.problem(self.groups, self.parameters)
        # The default as a number: beside None it would compile again.
        tol = float(as_tol(problem, choose_solver(problem, "auto"), self.tol))
        # The rank may be far below the number of groups, which is worth a few compilations where there are many.
        return solve(problem, tol=tol) if self.groups.num_groups > _WIDE else _full_width(problem, tol, None)

    def changed(self, problem: GroupedProblem, purpose: str, near: Solution | None = None) -> Solution:
        """Optimum of a problem of the same number of groups; one compilation serves all of one type.

        ``near`` : where to start from, for which many groups are worth a compilation more.
        """
        self.announce(purpose)
        if near is None or self.groups.num_groups <= _WIDE:
            return _full_width(problem, self.tol, None)
        same = np.array_equal(near.problem.groups.classes, problem.groups.classes)
        return _full_width(problem, self.tol, dataclasses.replace(near, problem=problem) if same else None)

    def cheapest(self, groups: ClassGroups, purpose: str, near: Solution | None = None) -> Solution:
        """Optimum at the highest price of the spectral cost at which no class collapses: the least weight."""
        classes, weights = np.asarray(groups.classes), np.asarray(groups.weights)
        price = weights[classes > 0].min()
        # With one feature a class, omega = 1; with equal decays, |W|^2 is the nuclear norm of the logits.
        penalised = UnconstrainedFeatures(ClassGroups(classes, np.ones_like(weights), weights), price, price)
        return self.changed(penalised, purpose, near)

    def milder(self, x: float) -> dict[str, float]:
        """E_H times exp(x), or both decays over exp(x)."""
        if self.has_budgets:
            return self.parameters | {"E_H": self.parameters["E_H"] * float(np.exp(x))}
        return {name: value * float(np.exp(-x)) for name, value in self.parameters.items()}

    def known_slack(self, groups: ClassGroups, parameters: dict[str, float]) -> float:
        """Least slack with weight decay, whose multiplier is the penalty whatever the optimum is."""
        program = Program.of(self.problem(groups, parameters))
        return float(np.min(np.asarray(slacks(program, jnp.log(program.charge.amount)))))

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
    if not model.has_budgets:
        return _by_weights_at_decay(model), _by_decay(model)
    plain = _none_needed(model, "weights", least(solution))
    if status(solution) != Status.certified:
        failed = _not_found(model, "weights", "the optimum itself is not certified.")
        return failed, dataclasses.replace(failed, kind="budget")
    if plain.slack >= 0:
        return plain, dataclasses.replace(plain, kind="budget")
    budget, at_price = float(np.asarray(solution.problem.budget)), model.cheapest(model.groups, "the budget needed")
    by_budget = _by_budget(model, 2 * np.log(_spent(at_price) / budget), at_price)
    return _by_weights_on_budget(model, budget, at_price), by_budget


def _spent(s: Solution) -> float:
    """Budget that an optimum at a price uses."""
    return float(np.sum(np.asarray(s.problem.groups.classes * s.w_norm2)))


def _none_needed(model: Model, kind: str, slack: float) -> Remedy:
    ones = np.ones(model.groups.num_groups)
    return Remedy(kind, 1.0, ones, model.parameters, slack, Status.certified, 0.0, "none needed.")


def _not_found(model: Model, kind: str, why: str) -> Remedy:
    nothing = dataclasses.replace(_none_needed(model, kind, np.nan), scale=None, accuracy=np.nan)
    return dataclasses.replace(nothing, status=Status.stalled, message=f"none found: {why}")


def _by_decay(model: Model) -> Remedy:
    before = model.known_slack(model.groups, model.parameters)
    if before >= 0:
        return _none_needed(model, "decay", before)
    x, slack = _just_above(-before, lambda x: model.known_slack(model.groups, model.milder(x)))
    scale, new, accuracy = float(np.exp(-x)), model.milder(x), x + before
    shown = ", ".join(f"{name} = {digits(value, accuracy, up=False)}" for name, value in new.items())
    what = f"both weight decays times {digits(scale, accuracy, up=False)}: {shown}. {_EXACT}"
    return Remedy("decay", scale, np.ones(model.groups.num_groups), new, slack, Status.certified, accuracy, what)


def _by_budget(model: Model, root: float, near: Solution) -> Remedy:
    def trial(x: float) -> Solution:
        return model.changed(model.problem(model.groups, model.milder(x)), "verifying E_H", near)

    found = _verified(trial, root, near)
    if found is None:
        return _not_found(model, "budget", _UNSOLVED)
    new, scale = model.milder(found.x), float(np.exp(found.x))
    shown = f"E_W = {new['E_W']:.6g}, E_H = {digits(new['E_H'], found.accuracy, up=True)}"
    what = f"E_H times {digits(scale, found.accuracy, up=True)}: {shown}."
    return found.remedy("budget", scale, np.ones(model.groups.num_groups), new, what)


def _by_weights_on_budget(model: Model, budget: float, near: Solution) -> Remedy:
    weights = np.asarray(model.groups.weights)

    latest = near

    def excess(x: float) -> float:
        nonlocal latest
        latest = model.cheapest(model.raised(np.exp(x)), "the weights needed", latest)
        more = _spent(latest) / budget - 1
        return more if abs(more) > _noise(latest) else 0.0

    def trial(x: float) -> Solution:
        changed = model.problem(model.raised(np.exp(x)), model.parameters)
        return model.changed(changed, "verifying the weights", latest)

    # At equal weights the highest price is the least one at which logits are zero.
    root = _root(excess, (np.log(weights.min()), _spent(near) / budget - 1), (np.log(weights.max()), -1.0))
    found = _verified(trial, root, latest)
    if found is None:
        return _not_found(model, "weights", _UNSOLVED)
    factors, what = _reweighting(model, found.x, found.accuracy)
    return found.remedy("weights", float(factors.max()), factors, model.parameters, what)


def _by_weights_at_decay(model: Model) -> Remedy:
    problem = model.problem(model.groups, model.parameters)
    before = model.known_slack(model.groups, model.parameters)
    if before >= 0:
        return _none_needed(model, "weights", before)
    classes, weights, omega = map(np.asarray, (model.groups.classes, model.groups.weights, problem.omega))
    price = float(np.asarray(problem.penalty))
    used = price * np.sum(classes * omega)
    if used >= 1:
        what = f"there is none: sqrt(lambda_W lambda_H) * sum of sqrt(n_k) = {used:.4g} must be below 1."
        nothing = _none_needed(model, "weights", np.nan)
        return dataclasses.replace(nothing, scale=None, accuracy=np.nan, message=what)
    # The least c with c = price * sum of max(weights, c omega), from below: it and the set of raised classes only grow.
    raised, level = None, price
    while raised is None or (raised != (weights < level * omega)).any():
        raised = weights < level * omega
        level = price * np.sum(classes * weights * ~raised) / (1 - price * np.sum(classes * omega * raised))
    root = float(np.log(level))
    x, slack = _just_above(root, lambda x: model.known_slack(model.raised(np.exp(x)), model.parameters))
    factors, what = _reweighting(model, x, x - root)
    what = f"{what} {_EXACT}"
    return Remedy("weights", float(factors.max()), factors, model.parameters, slack, Status.certified, x - root, what)


def _just_above(root: float, slack: Callable[[float], float]) -> tuple[float, float]:
    """The next x above a root known to rounding at which the least slack, as computed, is positive; and that slack."""
    step = float(np.finfo(float).eps)
    while slack(root + step) <= 0:
        step *= 2
    return root + step, slack(root + step)


def _reweighting(model: Model, x: float, accuracy: float) -> tuple[np.ndarray, str]:
    """Factors that raise weights to exp(x) omega, and the words for them."""
    omega = np.asarray(model.problem(model.groups, model.parameters).omega)
    factors = np.maximum(1.0, np.exp(x) * omega / np.asarray(model.groups.weights))
    raised, classes = factors > 1, np.asarray(model.groups.classes)
    lowest, highest = (digits(float(f), accuracy, up=True) for f in (factors[raised].min(), factors.max()))
    between = highest if lowest == highest else f"{lowest} to {highest}"
    return factors, f"loss weight times {between} on {np.sum(classes[raised]):.0f} of {np.sum(classes):.0f} classes."


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """Just above a threshold: certified, with every slack >= 0; a relative ``accuracy`` below, some slack is < 0."""

    x: float
    after: Solution
    accuracy: float

    def remedy(self, kind: str, scale: float, factors: np.ndarray, parameters: dict[str, float], what: str) -> Remedy:
        slack, code = least(self.after), status(self.after)
        proof = (
            f"Solved again: least slack {slack:.1e}, {code.name}; negative with {self.accuracy:.0e} less (relative)."
        )
        return Remedy(kind, scale, factors, parameters, slack, code, self.accuracy, f"{what} {proof}")


def _verified(trial: Callable[[float], Solution], root: float, near: Solution) -> _Found | None:
    """The closest pair of solves around a root that tells its two sides apart, or None.

    What the duality gap leaves open decides how close that can be; ``near`` tells beforehand.
    """
    for margin in _MARGINS:
        if margin < _noise(near):
            continue
        after = trial(root + margin)
        if least(after) >= 0 and status(after) == Status.certified and _noise(after) <= margin:
            before = trial(root - margin)
            if least(before) < 0 and _noise(before) <= margin:
                return _Found(root + margin, after, 2 * margin)
    return None


def _noise(s: Solution) -> float:
    return _NOISE * float(np.asarray(s.gap / s.value))


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


def digits(value: float, accuracy: float, up: bool) -> str:
    """As many digits as a relative accuracy bears, at most ten, rounded to the side on which nothing collapses."""
    number = min(10, max(1, int(-np.log10(max(accuracy, 1e-12)))))
    rounding = decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR
    rounded = decimal.Context(prec=number, rounding=rounding).create_decimal_from_float(value)
    return f"{float(rounded):.{number}g}"


def listed(values: dict[str, float]) -> str:
    """``name = value`` with commas."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in values.items())


@jax.jit
def _full_width(problem: GroupedProblem, tol: float | None, start: Solution | None) -> Solution:
    # Under a trace the factorisation has full width, whatever the rank will be.
    return solve(problem, tol=tol, start=start)
