"""diagnose: which classes of a long-tailed data set collapse, and the least change that prevents it."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .arguments import require_flag, require_positive, scalars
from .counts.files import read
from .counts.given import by_class, class_counts
from .diagnosis import Diagnosis
from .duality import Program, duality_gap, evaluate, gradient
from .groups import ClassGroups
from .problems.grouped import GroupedProblem
from .problems.layer_peeled import LayerPeeled
from .problems.unconstrained import UnconstrainedFeatures
from .remedies.narrow_bands import NarrowBands, in_narrow_bands
from .remedies.solves import MANY, Solves, announcer
from .results.solution import Solution
from .settings import nan_is_a_value

_ALL = 500  #: distinct counts up to which all are solved for if no ``tol`` is given
_TOL_IN_BANDS = 1e-4  #: of more


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
    tol : relative duality gap of a certified result, by default that of :func:`lpmjax.solve` for up to 500 distinct
        counts, and 1e-4 for more. From some 150 distinct counts on a loose one is answered in bands of near-equal
        classes (``Diagnosis.in_bands``), where half as many bands as distinct counts prove it or fewer: then the
        multiplier is known in an interval (of 1 or 2 % at 1e-4), and classes within it are ``undecided``.
    progress : called before every solve as ``progress(solves done, what the next one is for)``; how many there will be
        is not known beforehand.

    Returns
    -------
    Diagnosis. It takes a compilation (about ten seconds) for each number G of distinct counts and a solve (a second at
    G = 100, ten seconds to minutes at G = 1000). Remedies under budgets take three compilations and 5 to 15 solves
    more; from some 150 distinct counts on they are searched in bands of near-equal weights and verified by three to six
    solves each, to a few ten-thousandths, in bands to about a hundredth. With weight decay they take nothing.

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
        bands = _in_bands(problem, tol, announce)
        if bands is None:
            # Without the class order, which is static and would cost a compilation per data set.
            solution = Solves(tol, announce).first(problem.unordered)
            solution = dataclasses.replace(solution, problem=problem)
        else:
            solution = bands.proof.bands
        index = solution.problem.groups.class_index
        nearest, cosine = _nearest(np.asarray(solution.cosines()), index)
        margin = _dual_margin(solution) if bands is None else float("nan")
        # A class weighs what it does, not what its band does.
        more = _log_price(problem)[groups.class_index] - _log_price(solution.problem)[index]
    weight = np.asarray(groups.weights)[groups.class_index]
    slack, w_norm2, h_norm2 = (np.asarray(x)[index] for x in (solution.slack, solution.w_norm2, solution.h_norm2))
    found = Diagnosis(
        names=labels,
        counts=number,
        weight=weight,
        slack=slack + more,
        w_norm2=w_norm2,
        h_norm2=h_norm2,
        nearest=nearest,
        cosine=cosine,
        dual_margin=margin,
        parameters=problem.scalars,
        equivalent=_equivalent(solution, number, w_norm2, h_norm2),
        remedies=(),
        solution=solution,
        in_bands=bands,
        reading=getattr(counts, "reading", ""),
    )
    return [found, *found._one_by_one(announce)][-1] if remedies else found


def _in_bands(problem: GroupedProblem, tol: float | None, announce: Callable[[str], None]) -> NarrowBands | None:
    """In bands, where a solve of all groups would take long and no more is asked for than bands prove."""
    groups = problem.groups.num_groups
    asked = tol if tol is not None else _TOL_IN_BANDS if groups > _ALL else 0.0
    return in_narrow_bands(problem, asked, Solves(None, announce)) if groups > MANY and asked > 0 else None


def _log_price(problem: GroupedProblem) -> np.ndarray:
    """(G,) log of the multiplier at which slack is 0."""
    return np.log(np.asarray(problem.groups.weights) / np.asarray(problem.omega))


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
