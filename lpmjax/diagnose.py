"""diagnose: which classes of a long-tailed data set collapse, and the least change that prevents it."""

import dataclasses
import json
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .arguments import require_flag, require_positive, scalars
from .codes import Phase, Status
from .counts.files import read
from .counts.given import by_class, class_counts
from .counts.names import told_apart
from .duality import Program, duality_gap, evaluate, gradient
from .files import json_text
from .groups import ClassGroups
from .problems.grouped import GroupedProblem
from .problems.layer_peeled import LayerPeeled
from .problems.unconstrained import UnconstrainedFeatures
from .remedies.of_budgets import of_budgets
from .remedies.of_decays import of_decays
from .remedies.remedy import KINDS, Remedy, digits
from .remedies.solves import Solves, announcer
from .results.solution import Solution
from .settings import nan_is_a_value

_ROWS = 20  #: classes that are printed one by one


@dataclasses.dataclass(frozen=True, eq=False)  # equality of arrays is an array
class Diagnosis:
    """What :func:`diagnose` found; arrays are (K,), in the caller's class order. Compare by ``record()``.

    Attributes
    ----------
    names, counts : of the classes.
    weight, slack : loss weight (of a class, sum 1), and ``log(weight / (multiplier omega))``.
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
    def known(self) -> bool:
        """Whether slack is proved: the optimum is certified, or has weight decay (known without solving)."""
        without_solving = not self.solution.problem.on_budget and bool(np.isfinite(self.slack).all())
        return without_solving or int(self.solution.status) == Status.certified

    @property
    def collapsed(self) -> np.ndarray:
        """(K,) whether slack is < 0; RuntimeError, with the remedy, where that is not known.

        A collapsed class has no direction of its own in the theory of equal classes; among distinct counts it is near
        others, not equal to them, and a lone class can keep a direction. Never a tolerance on a cosine.
        """
        if not self.known:
            raise RuntimeError(self._uncertified())
        return self.slack < 0

    def _uncertified(self) -> str:
        s = self.solution
        relative, tol = float(s.gap / np.abs(s.value)), float(s.tol)
        if not relative < 1:
            return f"Not solved ({Status(int(s.status)).name}), so which classes collapse is not known."
        enough = digits(relative, 0.1, up=True)
        return (
            f"Not certified ({Status(int(s.status)).name}): the relative gap {relative:.1e} is above tol = {tol:.1e}, "
            f"so which classes collapse is not known. A tol of {enough} accepts this gap."
        )

    def with_remedies(self, progress: Callable[[int, str], None] | None = None) -> "Diagnosis":
        """The same with its remedies, as :func:`diagnose` finds them; with those it has already, itself.

        ``progress`` is called before every solve as ``progress(solves done, what the next one is for)``.
        """
        return [self, *self.one_by_one(progress)][-1]

    def one_by_one(self, progress: Callable[[int, str], None] | None = None) -> Iterator["Diagnosis"]:
        """The same with one remedy more each time, until it has both: what is known if the search is ended."""
        return self._one_by_one(announcer(progress))

    def _one_by_one(self, announce: Callable[[str], None]) -> Iterator["Diagnosis"]:
        if len(self.remedies) == 2:
            return
        model, index = self.solution.problem.unordered, self.solution.problem.groups.class_index
        unordered = dataclasses.replace(self.solution, problem=model)
        solves = Solves(float(self.solution.tol), announce)
        found = iter(of_decays(model) if isinstance(model, UnconstrainedFeatures) else of_budgets(unordered, solves))
        known: dict[str, Remedy] = {}
        while True:
            with jax.enable_x64(True):  # not while a caller has the word
                remedy = next(found, None)
            if remedy is None:
                return
            known[remedy.kind] = dataclasses.replace(remedy, factors=remedy.factors[index])
            yield dataclasses.replace(self, remedies=tuple(known[kind] for kind in KINDS if kind in known))

    @property
    def certified(self) -> bool:
        """Whether the optimum, and that of every remedy, is certified."""
        return {int(self.solution.status), *(int(r.status) for r in self.remedies)} == {int(Status.certified)}

    def record(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries for strict JSON: None stands for NaN."""
        s, columns = self.solution, ("weight", "slack", "w_norm2", "h_norm2", "cosine")
        raw = {
            "model": type(s.problem).__name__,
            "reading": self.reading or None,
            "parameters": self.parameters,
            "equivalent": self.equivalent,
            "K": self.counts.size,
            "N": int(self.counts.sum()),
            "imbalance": float(self.counts.max() / self.counts.min()),
            "num_collapsed": int(self.collapsed.sum()) if self.known else None,
            "status": Status(int(s.status)).name,
            "phase": Phase(int(s.phase)).name,
            "rank": int(s.rank),
            "dual_margin": self.dual_margin,
            **{name: float(getattr(s, name)) for name in ("value", "gap", "tol", "multiplier")},
            "names": self.names,
            "counts": self.counts,
            "collapsed": self.collapsed if self.known else None,
            **{name: getattr(self, name) for name in columns},
            "nearest": [None if i < 0 else self.names[i] for i in self.nearest],
            "remedies": [dataclasses.asdict(r) | {"status": r.status.name} for r in self.remedies],
        }
        return json.loads(json_text(raw))

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with one row for each class, by name, and the arrays as columns; NA is not known."""
        from pandas import NA, DataFrame, Index  # xarray brings it

        columns = ("weight", "slack", "w_norm2", "h_norm2", "cosine")
        data = {"count": self.counts} | {name: getattr(self, name) for name in columns}
        data["collapsed"] = self.collapsed if self.known else NA
        data["nearest"] = [None if i < 0 else self.names[i] for i in self.nearest]
        return DataFrame(data, index=Index(self.names, name="class"))

    def __str__(self) -> str:
        s, K, n = self.solution, self.counts.size, self.counts
        margin = "" if np.isnan(self.dual_margin) else f" (dual margin {self.dual_margin:.2g})"
        size = f"{K} classes, {n.sum()} samples, imbalance {n.max() / n.min():.4g}"
        lines = [f"{type(s.problem).__name__}, {_listed(self.parameters)}"]
        lines += textwrap.wrap(f"read as {self.reading}", 80) if self.reading else []
        if not self.known:
            return "\n".join([*lines, size, "", *textwrap.wrap(self._uncertified(), 80)])
        lines += [
            f"{size}; {self.collapsed.sum()} collapsed (*)",
            f"{Phase(int(s.phase)).name}, rank {int(s.rank)} of {K - 1}{margin}; {Status(int(s.status)).name}, "
            f"relative gap {float(s.gap / s.value):.0e}",
            f"in the other form: {_listed(self.equivalent)}",
            "",
            f"{'class':<15}{'samples':>9}{'slack':>9}  {'|w|^2':>10}{'|h|^2':>10}  {'nearest':<15}{'cosine':>8}",
        ]
        order, last = np.lexsort((-n, -self.slack)), -1
        rows = _rows_shown(self.collapsed[order])
        shown = {*order[rows].tolist(), *self.nearest[order[rows]].tolist()} - {-1}
        stubs = told_apart({k: self.names[k] for k in shown}, 15)
        for row in rows:
            lines += ["..."] * (row > last + 1) + [self._row(order[row], stubs)]
            last = row
        for note in self._notes():
            lines += ["", *textwrap.wrap(note, 80)]
        for remedy in self.remedies:
            lines += ["", *textwrap.wrap(f"Remedy by {remedy.kind}: {remedy.message}", 80)]
        return "\n".join(lines)

    def _notes(self) -> list[str]:
        if int(self.solution.status) != Status.certified:
            return ["Not certified: slack is known without solving, but not phase, rank, norms and cosines."]
        if int(self.solution.phase) == Phase.separated and self.collapsed.any():
            return ["(*) slack < 0, yet all classifiers differ: a class whose count no other has keeps a direction."]
        return []

    def _row(self, k: int, stubs: Mapping[int, str]) -> str:
        near, cosine = "-", "-"
        if self.nearest[k] >= 0:
            near, value = stubs[self.nearest[k]], self.cosine[k]
            cosine = f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"
        return (
            f"{stubs[k]:<15}{self.counts[k]:>9}{self.slack[k]:>9.4f}{'*' if self.collapsed[k] else ' ':>2}"
            f"{self.w_norm2[k]:>10.4g}{self.h_norm2[k]:>10.4g}  {near:<15}{cosine:>8}"
        )


@nan_is_a_value
def diagnose(
    counts: Sequence[int] | Mapping[Any, int] | os.PathLike[str] | str,
    *,
    reading: str | None = None,
    names: Sequence[Any] | None = None,
    weights: Sequence[float] | None = None,
    sample_weights: Sequence[float] | None = None,
    E_W: float | None = None,
    E_H: float | None = None,
    lambda_W: float | None = None,
    lambda_H: float | None = None,
    remedies: bool = True,
    tol: float | None = None,
    progress: Callable[[int, str], None] | None = None,
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

    **Remedies**, with budgets each verified by solving again, with weight decay in closed form: there the multiplier is
    sqrt(lambda_W lambda_H) whatever the optimum is, so that slack is known without solving.

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
    weights : (K,) loss weight of one whole class, up to scale; by default proportional to the counts. With names of
        their own (a mapping, a Series) they go by name, else by position.
    sample_weights : (K,) instead, loss weight of one sample of each class, up to scale, like the ``weight`` of a
        framework's loss: ``weights = counts * sample_weights``.
    E_W, E_H : mean squared norms (by default 1 and 5, as in Fang et al.);  lambda_W, lambda_H : weight decays.
    remedies : whether to look for them; they take most of the time, and ``with_remedies`` of a diagnosis without them
        looks for them later.
    tol : relative duality gap of a certified result, by default that of :func:`lpmjax.solve`.
    progress : called before every solve as ``progress(solves done, what the next one is for)``; how many there will be
        is not known beforehand.

    Returns
    -------
    Diagnosis. It takes a compilation (about ten seconds) for each number G of distinct counts and a solve (a second at
    G = 100, some ten at G = 1000). Remedies under budgets take three compilations and 5 to 15 solves more; from some
    150 distinct counts on they are searched in bands of near-equal weights and verified by three to six solves each, to
    a few ten-thousandths. With weight decay they take nothing.

    Raises
    ------
    ValueError
        For counts that are not whole numbers >= 1, fewer than two classes, names that repeat or do not match, weights
        or parameters that are not positive, both kinds of weights, both pairs of parameters or half of one.

    Source: ``proofs``, ``lpm.merging``; Fang et al. (2021), Hong and Ling (2023).
    """
    if isinstance(counts, (str, os.PathLike)):
        counts = read(counts, reading)
    elif reading is not None:
        raise ValueError(f"reading = {reading!r} is for files: leave it out with counts.")
    labels, number = class_counts(counts, names)
    remedies = require_flag("remedies", remedies)
    weights = by_class("weights", weights, labels)
    sample_weights = by_class("sample_weights", sample_weights, labels)
    if tol is not None:
        require_positive("It is relative to |value|.", **scalars(tol=tol))
    announce = announcer(progress)
    with jax.enable_x64(True):
        groups = ClassGroups.from_counts(number.tolist(), weights, sample_weights=sample_weights)
        problem = _model(groups, {"E_W": E_W, "E_H": E_H}, {"lambda_W": lambda_W, "lambda_H": lambda_H})
        index = groups.class_index
        # Without the class order, which is static and would cost a compilation per data set.
        solution = Solves(tol, announce).first(problem.unordered)
        solution = dataclasses.replace(solution, problem=problem)
        nearest, cosine = _nearest(np.asarray(solution.cosines()), index)
        margin = _dual_margin(solution)
    columns = (groups.weights, solution.slack, solution.w_norm2, solution.h_norm2)
    weight, slack, w_norm2, h_norm2 = (np.asarray(x)[index] for x in columns)
    found = Diagnosis(
        names=labels,
        counts=number,
        weight=weight,
        slack=slack,
        w_norm2=w_norm2,
        h_norm2=h_norm2,
        nearest=nearest,
        cosine=cosine,
        dual_margin=margin,
        parameters=problem.scalars,
        equivalent=_equivalent(solution, number, w_norm2, h_norm2),
        remedies=(),
        solution=solution,
        reading=getattr(counts, "reading", ""),
    )
    return [found, *found._one_by_one(announce)][-1] if remedies else found


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
    loss, rival_counts, *_ = evaluate(program, within, between, None)
    pull, _ = gradient(loss.wrong, rival_counts, program.classes, program.weights, loss.total)
    block = duality_gap(program, within, between).block
    values = np.concatenate([np.repeat(pull / program.omega, repeats), np.linalg.svd(block, compute_uv=False)])
    return float(1 - np.sort(values)[::-1][rank] / float(s.multiplier))


def _equivalent(s: Solution, counts, w_norm2, h_norm2) -> dict[str, float]:
    if isinstance(s.problem, LayerPeeled):
        multiplier, ratio = float(s.multiplier), float(np.sqrt(s.problem.E_H / s.problem.E_W))
        return {"lambda_W": multiplier * ratio, "lambda_H": multiplier / ratio}
    means = (np.mean(w_norm2), np.mean(h_norm2), np.mean(counts * h_norm2))
    return dict(zip(("E_W", "E_H", "E_H_samples"), map(float, means), strict=True))


def _model(groups: ClassGroups, budgets: dict[str, Any], decays: dict[str, Any]) -> GroupedProblem:
    given = {name: value for name, value in (budgets | decays).items() if value is not None}
    if not given:
        return LayerPeeled(groups, E_W=1.0, E_H=5.0)
    if given.keys() not in (budgets.keys(), decays.keys()):
        raise ValueError(f"got {', '.join(given)}: give both of E_W, E_H, or both of lambda_W, lambda_H, or none.")
    return (LayerPeeled if "E_W" in given else UnconstrainedFeatures)(groups, **given)


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in values.items())


def _rows_shown(collapsed: np.ndarray) -> list[int]:
    """All rows, or the first, the last and those around the first collapsed one, in order of slack."""
    K = collapsed.size
    if K <= _ROWS:
        return list(range(K))
    change = int(np.argmax(collapsed)) if collapsed.any() else 0
    return sorted({*range(5), *range(max(change - 5, 0), min(change + 5, K)), *range(K - 5, K)})
