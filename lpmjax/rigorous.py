"""An interval that provably contains the optimum: the duality bounds of a solution, in ball arithmetic.

The bounds themselves are those of :mod:`lpmjax.check_interval`, the stand-alone checker; here a floating solution
becomes the data that the checker needs, and what it proves about them becomes the interval.
"""

import dataclasses
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import symmetry
from .arguments import is_positive, require, require_type, scalars
from .files import json_text, write_json
from .losses.softmax import CrossEntropy
from .results.solution import Solution
from .traced import holds_tracers
from .written import as_written


@dataclasses.dataclass(frozen=True)
class RigorousBound:
    """Proof that ``lower <= optimum <= upper``, in nats.

    Attributes
    ----------
    lower, upper : floats, rounded outward.
    record : what :meth:`to_json` writes: the problem, the data that the proof needs, and the interval.
    """

    lower: float
    upper: float
    record: dict[str, Any] = dataclasses.field(repr=False, compare=False)

    @property
    def width(self) -> float:
        """``upper - lower`` in nats, rounded up."""
        return math.nextafter(self.upper - self.lower, math.inf)

    @property
    def relative_width(self) -> float:
        """``width / lower``, rounded up; infinite where ``lower`` is not positive."""
        return math.nextafter(self.width / self.lower, math.inf) if self.lower > 0 else math.inf

    def certified(self, tol: float) -> bool:
        """Whether the interval is no wider than ``tol`` times the optimum (decided exactly)."""
        scalars(tol=tol)
        require("tol", tol, "finite and > 0", is_positive, "It is relative to the optimum.")
        width = Fraction(self.upper) - Fraction(self.lower)
        return self.lower > 0 and bool(width <= Fraction(float(tol)) * Fraction(self.lower))

    def to_json(self, path: str | Path | None = None) -> str:
        """The record as JSON text, also written to ``path``; ``python check_interval.py PATH`` proves it anew.

        ``lpmjax/check_interval.py`` is one file that imports python-flint alone: send it along. Raises OSError if
        ``path`` cannot be written.
        """
        if path is not None:
            write_json(Path(path), self.record)
        return json_text(self.record)

    def __str__(self) -> str:
        kind, groups = self.record["problem"]["type"], len(self.record["problem"]["classes"])
        return (
            f"{kind}, K = {sum(self.record['problem']['classes']):g} in {groups} groups, proved in ball arithmetic:\n"
            f"{self.lower!r} <= optimum <= {self.upper!r}, relative width {self.relative_width:.2g}"
        )


def rigorous(solution: Any) -> RigorousBound:
    r"""An interval proved to contain the optimum of ``solution.problem``, rounding included.

    Only the coordinates are taken from the solution, as a place to look: whatever they are, the interval holds; if
    they are not optimal it is wide. The parameters are taken as the exact binary numbers that they are, and the loss
    weights as exactly proportional to theirs, or to the samples where they are the default ones of a float32 problem.
    Upper bound: the objective at the coordinates, brought inside the budget (cut to rank ``dim`` where the problem has
    one). Lower bound: the dual objective at the softmax probabilities, and never below 0. Both in python-flint balls; a
    second for 200 groups.

    Parameters
    ----------
    solution : one Solution of a LayerPeeled or UnconstrainedFeatures problem with CrossEntropy, integer class counts.

    Returns
    -------
    RigorousBound, with ``lower``, ``upper``, ``certified(tol)`` and ``to_json(path)``.

    Raises
    ------
    ImportError
        Without python-flint.
    ValueError
        For a batched or traced solution, coordinates that are not finite, a problem or loss that the proof does not
        cover, parameters out of range, or coordinates so large that the objective overflows.

    Source: Fenchel duality; Fang, He, Long and Su (2021) for the convex form; F. Johansson, Arb (2017), for balls.
    """
    require_type("solution", solution, Solution, "a lpmjax Solution, as lpmjax.solve returns it")
    checker = _checker()
    problem = solution.problem
    kind = type(problem).__name__
    _require_covered(problem, kind, checker)
    if holds_tracers((problem, solution.within, solution.between)):
        raise ValueError("solution is traced: balls are not JAX arrays; call rigorous outside jit, vmap and grad.")
    within, between = (np.asarray(x, np.float64) for x in (solution.within, solution.between))
    if within.ndim != 1:
        raise ValueError(
            f"solution is batched (within has shape {within.shape}), but rigorous takes one: pick an entry, "
            "jax.tree.map(lambda leaf: leaf[i], solution)."
        )
    problem, _ = as_written(problem)
    problem.check()
    counts = {name: np.asarray(getattr(problem.groups, name), np.float64) for name in ("classes", "samples", "weights")}
    here = counts["classes"] > 0  # an absent group is no part of the statement
    if within.shape != here.shape or between.shape != (here.size, here.size):
        raise ValueError(
            f"solution has coordinates of shape {within.shape} and {between.shape}, but its problem {here.size} "
            "groups: pass the solution of that problem."
        )
    paid, bias = _bias_of(problem, solution)
    statement = {"type": kind} | {name: value[here] for name, value in counts.items()}
    statement |= {"dim": problem.dim, "bias": paid}
    statement |= {name: float(getattr(problem, name)) for name in checker.PARAMETERS[kind]}
    return prove(statement, within[here], between[np.ix_(here, here)], None if bias is None else bias[here])


def prove(statement: dict[str, Any], within: np.ndarray, between: np.ndarray, bias: Any = None) -> RigorousBound:
    """An interval for a problem written as the checker reads it ("problem" in the JSON), from any coordinates.

    Parameters
    ----------
    statement : type, classes, samples, weights (each (G,)), dim, bias and the two parameters of the type.
        ``bias`` is None (none), "free" or the decay lambda_b > 0 of a bias of the logits.
    within, between : (G,), (G, G) group coordinates of the logits;  bias : (G,) bias of a class of each group, or None.

    Raises ImportError and ValueError as :func:`rigorous` does.
    """
    checker = _checker()
    from flint import ctx

    classes = np.asarray(statement["classes"])
    bias = np.zeros(classes.shape) if bias is None else np.asarray(bias, np.float64)
    if not np.array_equal(np.rint(classes), classes):
        raise ValueError(f"classes = {classes} is out of range: rigorous needs whole numbers of classes; round them.")
    for name, value in {"within": within, "between": between, "bias": bias}.items():
        if not np.isfinite(value).all():
            raise ValueError(f"solution.{name} is not finite ({value}): nothing to prove; see solution.check().")
    proof = _candidate(statement, within, between) | {"bias": bias.tolist()}
    record = {"schema": checker.SCHEMA, "problem": _lists(statement), "proof": proof}
    with ctx.workprec(checker.BITS):
        problem = checker.Problem(record["problem"])
        upper, wrong = checker.primal(problem, proof)
        high = -_below(-upper)
        _require_moderate(high, within, between)
        checker.rebalance(problem, wrong)
        _, block = checker.gradient(problem, wrong)
        proof |= _norm_data(np.array([[float(entry.mid()) for entry in row] for row in block.tolist()]))
        low = _below(checker.bounds(record)[0])
    return RigorousBound(low, high, record | {"interval": {"lower": low, "upper": high}})


def _checker() -> Any:
    try:
        from . import check_interval
    except ImportError as error:
        raise ImportError("rigorous bounds need python-flint: pip install 'lpmjax[rigor]'") from error
    return check_interval


def _require_moderate(size: Any, within: np.ndarray, between: np.ndarray) -> None:
    if not np.isfinite(size).all():
        raise ValueError(
            f"the coordinates (up to {np.abs(within).max():g} in within, {np.abs(between).max():g} in between) are so "
            "large that they prove no finite upper bound: solve again in float64 and look at solution.check()."
        )


def _candidate(statement: dict[str, Any], within: np.ndarray, between: np.ndarray) -> dict[str, Any]:
    """The coordinates as the checker reads them, of a rank that ``dim`` allows."""
    classes, dim = statement["classes"], statement["dim"]
    omega = np.sqrt(statement["samples"]) if statement["type"] == "UnconstrainedFeatures" else 1.0
    within = np.where(classes > 1, within, 0.0)  # of a single class: no logit depends on it
    # Balanced factors: half their squared norms is the nuclear norm of their product, up to the square of rounding.
    with np.errstate(all="ignore"):
        weighted = symmetry.centred(between, classes) * omega
    _require_moderate(weighted, within, between)
    left, singular, right = np.linalg.svd(weighted)
    rank = int(np.sum(singular > np.finfo(float).eps * singular[0]))
    if dim is not None:
        inside = int(np.sum(np.where(within != 0, classes - 1, 0)))
        if inside > dim:
            raise ValueError(
                f"dim = {dim} is below the rank of the solution, at least {inside}, so it proves a lower bound only: "
                "use dim >= K - 1 (or dim=None)."
            )
        rank = min(rank, dim - inside)
    root = np.sqrt(singular[:rank, None])
    return _lists({"within": within, "left": root * left.T[:rank], "right": root * right[:rank]})


def _require_covered(problem: Any, kind: str, checker: Any) -> None:
    """A field that the proof does not know might change the problem, so it is refused."""
    if kind not in checker.PARAMETERS:
        raise ValueError(f"problem is a {kind}, but rigorous covers only {' and '.join(checker.PARAMETERS)}.")
    if type(problem.loss) is not CrossEntropy or jax.tree.leaves(problem.loss):
        raise ValueError(f"loss = {problem.loss!r} is not covered: rigorous needs plain CrossEntropy().")
    known = {"groups", "loss", "dim", "bias_decay", "free_bias", *checker.PARAMETERS[kind]}
    for name in (field.name for field in dataclasses.fields(problem)):
        value = getattr(problem, name)
        if name not in known and value is not None and value is not False:
            raise ValueError(f"{name} = {value!r} is not covered by rigorous: leave it out.")


def _bias_of(problem: Any, solution: Any) -> tuple[Any, Any]:
    """None, "free" or the decay, and the (G,) bias that goes with it."""
    decay, free = getattr(problem, "bias_decay", None), getattr(problem, "free_bias", False)
    kind = "free" if free else None if decay is None else float(decay)
    bias = getattr(solution, "bias", None)
    if (kind is None) != (bias is None):
        raise ValueError("problem and solution disagree on a last-layer bias: pass the solution of that problem.")
    return kind, None if bias is None else np.asarray(bias, np.float64)


def _norm_data(block: np.ndarray) -> dict[str, Any]:
    """nu and F with F^T F close to I - B^T B / nu^2: nu the spectral norm, F the rest of the spectrum."""
    _, singular, right = np.linalg.svd(np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0))  # a hint, so any will do
    nu = max(float(singular[0]), float(np.finfo(float).tiny))  # B is zero for one group
    rest = np.sqrt(np.maximum(1 - (singular / nu) ** 2, 0.0))
    return _lists({"norm": nu, "factor": rest[rest > 0, None] * right[rest > 0]})


def _lists(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in arrays.items()}


def _below(ball: Any) -> float:
    """Largest float that is certainly at most the exact number in the ball; -inf if there is none."""
    guess = float(ball.lower()) if ball.is_finite() else -math.inf
    while guess > -math.inf and not ball >= guess:
        guess = math.nextafter(guess, -math.inf)
    return guess
