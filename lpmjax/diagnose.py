"""diagnose: which classes of a long-tailed data set collapse, and the least change that prevents it."""

import dataclasses
import itertools
import json
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .arguments import leaves, require_positive
from .certificate import Program, duality_gap, evaluate, gradient
from .counts.files import read
from .counts.given import by_class, class_counts
from .counts.names import told_apart
from .files import json_text
from .groups import ClassGroups
from .remedies import Model, Remedy, find_remedies, listed
from .solution import Phase, Solution, Status

_ROWS = 20  #: classes that are printed one by one


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What :func:`diagnose` found; arrays are (K,), in the caller's class order.

    Attributes
    ----------
    names, counts : of the classes.
    weight, slack, collapsed : loss weight (sum 1), ``log(weight / (multiplier omega))``, and whether that is < 0. A
        collapsed class has no direction of its own in the theory of equal classes; among distinct counts it is near
        others, not equal to them, and a lone class can keep a direction. Never a tolerance on a cosine.
    w_norm2, h_norm2 : squared norms of classifier row and feature.
    nearest, cosine : index of the class whose classifier row is closest in direction (-1: none), and the cosine.
    dual_margin : ``1 - sigma / multiplier`` of the largest singular value of the gradient beyond the rank, how far the
        next direction is from being used; NaN at full rank K - 1.
    parameters, equivalent : of the model, and of the other form (:func:`diagnose` defines it).
    remedies : two, of kind "weights" and of "budget" or "decay"; none if not asked for.
    solution : the optimum, in groups of equal classes.
    reading : how the counts were read, if they come from a file.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    weight: np.ndarray
    slack: np.ndarray
    collapsed: np.ndarray
    w_norm2: np.ndarray
    h_norm2: np.ndarray
    nearest: np.ndarray
    cosine: np.ndarray
    dual_margin: float
    parameters: dict[str, float]
    equivalent: dict[str, float]
    remedies: tuple[Remedy, ...]
    solution: Solution
    reading: str = ""

    @property
    def certified(self) -> bool:
        """Whether the optimum, and that of every remedy, is certified."""
        return {int(self.solution.status), *(int(r.status) for r in self.remedies)} == {int(Status.certified)}

    def record(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries for strict JSON: None stands for NaN."""
        s, columns = self.solution, ("weight", "slack", "collapsed", "w_norm2", "h_norm2", "cosine")
        raw = {
            "model": type(s.problem).__name__,
            "reading": self.reading or None,
            "parameters": self.parameters,
            "equivalent": self.equivalent,
            "K": self.counts.size,
            "N": int(self.counts.sum()),
            "imbalance": float(self.counts.max() / self.counts.min()),
            "num_collapsed": int(self.collapsed.sum()),
            "status": Status(int(s.status)).name,
            "phase": Phase(int(s.phase)).name,
            "rank": int(s.rank),
            "dual_margin": self.dual_margin,
            **{name: float(getattr(s, name)) for name in ("value", "gap", "tol", "multiplier")},
            "names": self.names,
            "counts": self.counts,
            **{name: getattr(self, name) for name in columns},
            "nearest": [None if i < 0 else self.names[i] for i in self.nearest],
            "remedies": [dataclasses.asdict(r) | {"status": r.status.name} for r in self.remedies],
        }
        return json.loads(json_text(raw))

    def __str__(self) -> str:
        s, K = self.solution, self.counts.size
        margin = "" if np.isnan(self.dual_margin) else f" (dual margin {self.dual_margin:.2g})"
        lines = [
            f"{type(s.problem).__name__}, {listed(self.parameters)}",
            f"{K} classes, {self.counts.sum()} samples, imbalance {self.counts.max() / self.counts.min():.4g}; "
            f"{self.collapsed.sum()} collapsed (*)",
            f"{Phase(int(s.phase)).name}, rank {int(s.rank)} of {K - 1}{margin}; {Status(int(s.status)).name}, "
            f"relative gap {float(s.gap / s.value):.0e}",
            f"in the other form: {listed(self.equivalent)}",
            "",
            f"{'class':<15}{'samples':>9}{'slack':>9}  {'|w|^2':>10}{'|h|^2':>10}  {'nearest':<15}{'cosine':>8}",
        ]
        lines[1:1] = textwrap.wrap(f"read as {self.reading}", 80) if self.reading else []
        order, last = np.lexsort((-self.counts, -self.slack)), -1
        rows = _rows_shown(self.collapsed[order])
        shown = {*order[rows].tolist(), *self.nearest[order[rows]].tolist()} - {-1}
        stubs = told_apart({k: self.names[k] for k in shown}, 15)
        for row in rows:
            lines += ["..."] * (row > last + 1) + [self._row(order[row], stubs)]
            last = row
        if int(s.phase) == Phase.separated and self.collapsed.any():
            note = "(*) slack < 0, yet all classifiers differ: a class whose count no other has keeps a direction."
            lines += ["", *textwrap.wrap(note, 80)]
        for remedy in self.remedies:
            lines += ["", *textwrap.wrap(f"Remedy by {remedy.kind}: {remedy.message}", 80)]
        return "\n".join(lines)

    def _row(self, k: int, stubs: Mapping[int, str]) -> str:
        near, cosine = "-", "-"
        if self.nearest[k] >= 0:
            near, value = stubs[self.nearest[k]], self.cosine[k]
            cosine = f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"
        return (
            f"{stubs[k]:<15}{self.counts[k]:>9}{self.slack[k]:>9.4f}{'*' if self.collapsed[k] else ' ':>2}"
            f"{self.w_norm2[k]:>10.4g}{self.h_norm2[k]:>10.4g}  {near:<15}{cosine:>8}"
        )


def diagnose(
    counts: Sequence[int] | Mapping[Any, int] | os.PathLike[str] | str,
    *,
    reading: str | None = None,
    names: Sequence[Any] | None = None,
    weights: Sequence[float] | None = None,
    E_W: float | None = None,
    E_H: float | None = None,
    lambda_W: float | None = None,
    lambda_H: float | None = None,
    remedies: bool = True,
    tol: float | None = None,
    progress: Callable[[int, None], None] | None = None,
) -> Diagnosis:
    r"""Which classes collapse in a model of the last layer, and the least change that prevents it.

    The model is :class:`UnconstrainedFeatures` if ``lambda_W`` and ``lambda_H`` are given (``lambda_W/2 |W|^2 +
    lambda_H/2 |H|^2`` beside a loss averaged over all N samples), else :class:`LayerPeeled` with budgets ``E_W`` and
    ``E_H``. Class k is collapsed where ``slack_k = log(weight_k / (multiplier omega_k)) < 0``. Solved in float64.

    **The other form** (``equivalent``). A LayerPeeled optimum is that of the penalised program with class-averaged
    features, ``loss + lambda_W/2 |W|^2 + lambda_H/2 sum_k (1/n_k) sum_i |h_ki|^2``, at ``lambda_W = multiplier
    sqrt(E_H/E_W)``, ``lambda_H = multiplier sqrt(E_W/E_H)``; UnconstrainedFeatures prices every sample's feature
    instead (omega = sqrt n, not 1). A weight-decay optimum is that of the loss under ``(1/K) |W|^2 <= E_W`` and
    ``(1/K) sum_ki |h_ki|^2 <= E_H_samples``; ``E_H`` beside them is its mean squared feature norm per class, as one
    measures it in a network. For unequal counts LayerPeeled at those E_W and E_H is another model.

    **Remedies**, each verified by solving again:

    - "weights": factors >= 1 on the loss weights (a weighted mean; oversampling, without new features). Weights below
      ``c omega_k`` are raised to that, with the least c. With weight decay no class can do with less: weights q_k above
      the given ones and above ``lambda omega_k sum q``, lambda = sqrt(lambda_W lambda_H), are closed under minima class
      by class, and there are any if ``lambda sum_k sqrt(n_k) < 1``. With budgets the same holds if the multiplier
      increases with every weight: observed, not proved. There equal weights always suffice.
    - "budget": the least factor on E_H. The optimal value is convex in the budget, so there is one threshold: what the
      penalised program spends at a price of the least weight.
    - "decay": the largest factor <= 1 on both decays, ``exp(min slack)``: with default weights no class collapses iff
      ``n_min >= N^2 lambda_W lambda_H``.

    Parameters
    ----------
    counts : whole numbers >= 1, samples of each of K >= 2 classes: a sequence or array, a mapping from class to count,
        a pandas Series or xarray DataArray with its index, or the path of a file (:func:`lpmjax.counts.read`).
    reading : of a file: whether its lines hold "counts" or "labels", where both are possible.
    names : (K,) names, by default those that come with the counts, or 0..K-1.
    weights : (K,) loss weight of a class, up to scale; by default proportional to the counts. With names of their own
        (a mapping, a Series) they go by name, else by position.
    E_W, E_H : mean squared norms (by default 1 and 5, as in Fang et al.);  lambda_W, lambda_H : weight decays.
    remedies : whether to look for them.
    tol : relative duality gap of a certified result, by default that of :func:`lpmjax.solve`.
    progress : called as ``progress(solves done, None)``; their number is not known beforehand.

    Returns
    -------
    Diagnosis. It takes two compilations (about ten seconds each) for each number G of distinct counts, a solve (a
    second at G = 100, minutes at G = 1000), and for remedies 5 to 15 more solves.

    Raises
    ------
    ValueError
        For counts that are not whole numbers >= 1, fewer than two classes, names that repeat or do not match, weights
        or parameters that are not positive, both pairs of parameters or half of one.

    Source: ``proofs``, ``lpm.merging``; Fang et al. (2021), Hong and Ling (2023).
    """
    if isinstance(counts, (str, os.PathLike)):
        counts = read(counts, reading)
    elif reading is not None:
        raise ValueError(f"reading = {reading!r} is for files: leave it out with counts.")
    labels, number = class_counts(counts, names)
    weights = by_class("weights", weights, labels)
    if tol is not None:
        require_positive("It is relative to |value|.", tol=tol)
    solves = itertools.count(1)
    with jax.enable_x64(True):
        parameters = _parameters({"E_W": E_W, "E_H": E_H}, {"lambda_W": lambda_W, "lambda_H": lambda_H})
        groups = ClassGroups.from_counts(number.tolist(), weights)
        index = groups.class_index
        # Without the class order, which is static and would cost a compilation per data set.
        unordered = ClassGroups(groups.classes, groups.samples, groups.weights)
        model = Model(unordered, parameters, tol, lambda: progress and progress(next(solves), None))
        solution = model.optimum()
        found = find_remedies(model, solution) if remedies else ()
        solution = solution.replace(problem=model.problem(groups, parameters))
        nearest, cosine = _nearest(np.asarray(solution.cosines()), index)
        margin = _dual_margin(solution)
    columns = (groups.weights, solution.slack, solution.w_norm2, solution.h_norm2)
    weight, slack, w_norm2, h_norm2 = (np.asarray(x)[index] for x in columns)
    return Diagnosis(
        names=labels,
        counts=number,
        weight=weight,
        slack=slack,
        collapsed=slack < 0,
        w_norm2=w_norm2,
        h_norm2=h_norm2,
        nearest=nearest,
        cosine=cosine,
        dual_margin=margin,
        parameters=parameters,
        equivalent=_equivalent(parameters, number, float(solution.multiplier), w_norm2, h_norm2),
        remedies=tuple(dataclasses.replace(r, factors=r.factors[index]) for r in found),
        solution=solution,
        reading=getattr(counts, "reading", ""),
    )


def _nearest(cosines: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class with the largest cosine to each class, -1 for none, and that cosine; ``cosines`` is (G, G)."""
    known = np.where(np.isnan(cosines), -np.inf, cosines)
    group, best = np.argmax(known, axis=1), np.max(known, axis=1)
    order = np.argsort(index, kind="stable")
    begin = np.searchsorted(index[order], np.arange(len(cosines)))
    first, second = order[begin], order[np.minimum(begin + 1, index.size - 1)]
    near = first[group][index]
    near = np.where(near == np.arange(index.size), second[index], near)  # only within a group of two or more
    found = np.isfinite(best)[index]
    return np.where(found, near, -1), np.where(found, best[index], np.nan)


def _dual_margin(s: Solution) -> float:
    """``1 - sigma / multiplier`` of the first singular value beyond the rank; in-group values have K_g - 1 copies."""
    program = jax.tree.map(np.asarray, Program.of(s.problem))
    within, between = np.asarray(s.within), np.asarray(s.between)
    rank, repeats = int(s.rank), np.rint(program.classes).astype(int) - 1
    if not 0 <= rank < repeats.sum() + repeats.size - 1:
        return float("nan")
    loss, others, _ = evaluate(program, within, between, None, np)
    pull, _ = gradient(loss.wrong, others, program.classes, program.weights, np, loss.total)
    block = duality_gap(program, within, between, np).block
    values = np.concatenate([np.repeat(pull / program.omega, repeats), np.linalg.svd(block, compute_uv=False)])
    return float(1 - np.sort(values)[::-1][rank] / float(s.multiplier))


def _equivalent(parameters, counts, multiplier: float, w_norm2, h_norm2) -> dict[str, float]:
    if "E_W" in parameters:
        ratio = float(np.sqrt(parameters["E_H"] / parameters["E_W"]))
        return {"lambda_W": multiplier * ratio, "lambda_H": multiplier / ratio}
    means = (np.mean(w_norm2), np.mean(h_norm2), np.mean(counts * h_norm2))
    return dict(zip(("E_W", "E_H", "E_H_samples"), map(float, means), strict=True))


def _parameters(budgets: dict[str, Any], decays: dict[str, Any]) -> dict[str, float]:
    given = {name: value for name, value in (budgets | decays).items() if value is not None}
    if not given:
        return {"E_W": 1.0, "E_H": 5.0}
    if given.keys() not in (budgets.keys(), decays.keys()):
        raise ValueError(f"got {', '.join(given)}: give both of E_W, E_H, or both of lambda_W, lambda_H, or none.")
    return {name: float(value) for name, value in leaves(**given).items()}


def _rows_shown(collapsed: np.ndarray) -> list[int]:
    """All rows, or the first, the last and those around the first collapsed one, in order of slack."""
    K = collapsed.size
    if K <= _ROWS:
        return list(range(K))
    change = int(np.argmax(collapsed)) if collapsed.any() else 0
    return sorted({*range(5), *range(max(change - 5, 0), min(change + 5, K)), *range(K - 5, K)})
