"""The control: the same training on the peeled models themselves must end at what the solvers say."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..groups import ClassGroups
from ..problems.deep_linear import DeepLinear
from ..problems.unconstrained import UnconstrainedFeatures
from ..referee import referee
from ..settings import nan_is_a_value
from ..solve import solve
from . import nets
from .grid import Experiment, Progress
from .observation import by_class, cosines
from .training import Task, train

#: residual at which the control is done: it runs in float64, lest rounding be taken for a difference
_TOL = 1e-6
#: inner width, size of random entries, relative distance of equal values
_WIDTH, _SIZE, _SAME = 16, 0.5, 1e-6
#: random starts of the referee at each width, and at full width if those do not find it
_RESTARTS, _MORE = 8, 400


class Control(NamedTuple):
    """Where one training of a peeled model ended."""

    value: float  #: objective of the trained factors
    optimum: float  #: by the solver; of three or more factors the best that the referee finds
    value_error: float  #: relative, to the optimum
    gram_error: float  #: largest relative Frobenius distance of ``W Wᵀ`` and of the class means' ``Hᵀ H``; NaN if deep
    residual: float
    rank: int
    structure: str  #: name of a structure of the same value, else its blocks of classes with cosines other than 0
    known: bool  #: whether the value is that of the optimum, a named structure or a start of the referee


def control(counts: np.ndarray, lambda_W: np.ndarray, lambda_H: np.ndarray, seed: int = 0) -> list[Control]:
    """Train free features, one for each sample, and M matrices, as networks are trained, and compare with the solvers.

    Parameters
    ----------
    counts : (K,) samples of each class.
    lambda_W : (trainings, M) decays of the matrices, last layer first.
    lambda_H : (trainings,) decays of the features.
    seed : of the random start.

    Deep models have many stationary points: named ones (:mod:`lpmjax.structures`), and others that random starts of the
    referee find as well. Values are the same to a relative 1e-6. Blocks are written with a letter for each class, A for
    the largest count: "AA AA BB B" are three pairs, of opposite classifiers, and a class by itself.
    """
    labels = np.repeat(np.arange(counts.size), counts)
    decays = np.concatenate([lambda_H[:, None], lambda_W[:, ::-1]], axis=1)
    trainings, factors = decays.shape

    def repeated(x: np.ndarray) -> jax.Array:
        return jnp.asarray(np.tile(x, (trainings, 1)))

    with jax.enable_x64(True):
        samples = repeated(np.arange(labels.size)), repeated(labels), repeated(np.full(labels.size, 1 / labels.size))
        tasks = Task(*samples, jnp.asarray(decays))
        keys = jax.random.split(jax.random.key(seed), trainings)
        starts = jax.vmap(lambda key: nets.peeled(key, labels.size, counts.size, factors, _WIDTH, _SIZE))(keys)
        trained = train(starts, tasks, _TOL)
        groups = ClassGroups.from_counts(counts.tolist())
        compare = _two_factors if factors == 2 else _deep
        found = []
        for i, value in enumerate(np.asarray(trained.value)):
            weights = [np.asarray(weight[i]) for weight in trained.network.weights]
            ended = compare(groups, decays[i], weights, labels, float(value))
            found.append(ended._replace(residual=float(trained.residual[i])))
    return found


@nan_is_a_value
def controls(experiment: Experiment, progress: Progress | None = None) -> Any:
    """:func:`control` at every depth, ratio and decay that is trained, with decays of features as measured there.

    They are those of the networks of the first seed. Returns an xarray.Dataset over (depth, ratio, decay) with the
    fields of :class:`Control`.
    """
    import xarray as xr

    settings, tell = experiment.settings, progress or (lambda *_: None)
    cells, rows = list(experiment.cells.items()), []
    for done, ((depth, ratio), cell) in enumerate(cells):
        tell(done, len(cells), f"control depth {depth}, ratio {ratio:g}")
        first = [measures.lambda_first for measures in cell.measures[:: settings.seeds]]
        decays = np.tile(np.array(settings.decays)[:, None], depth - 1)
        found = control(cell.counts, decays, np.array(first))
        fields = {name: ("decay", np.array([getattr(one, name) for one in found])) for name in Control._fields}
        row = xr.Dataset(fields, {"decay": list(settings.decays)})
        rows.append(row.expand_dims(depth=[depth], ratio=[ratio]))
    tell(len(cells), len(cells), "control")
    return xr.combine_by_coords(rows)


def _two_factors(groups: ClassGroups, decays, weights, labels, value: float) -> Control:
    optimum = solve(UnconstrainedFeatures(groups, decays[1], decays[0]))
    W, H = (np.asarray(factor) for factor in optimum.factors())
    means = by_class(weights[0], labels, len(W))
    pairs = ((weights[1] @ weights[1].T, W @ W.T), (means @ means.T, H.T @ H))
    grams = max(float(np.linalg.norm(mine - best) / np.linalg.norm(best)) for mine, best in pairs)
    error = value / float(optimum.value) - 1
    known = abs(error) <= _SAME
    return Control(
        value, float(optimum.value), error, grams, np.nan, _rank(weights[1]), _blocks(weights[1], groups), known
    )


def _deep(groups: ClassGroups, decays, weights, labels, value: float) -> Control:
    model = DeepLinear(groups, decays[:0:-1].tolist(), decays[0])
    judge = referee(model, restarts=_RESTARTS)
    optimum = float(judge.solution.value)
    named = [name for name, other in judge.named.items() if abs(value / other - 1) <= _SAME]
    again = judge.converged & (np.abs(judge.values / value - 1) <= _SAME)
    structure = named[0] if named else _blocks(weights[-1], groups)
    known = bool(named) or bool(again.any()) or _found_again(model, value)
    return Control(value, optimum, value / optimum - 1, np.nan, np.nan, _rank(weights[-1]), structure, known)


def _found_again(model: DeepLinear, value: float) -> bool:
    """By one of many starts of the referee of full width, as that of what was trained."""
    full = model.groups.class_index.size - 1
    judge = referee(model, jax.random.key(1), _MORE, widths=(full,))
    return bool((judge.converged & (np.abs(judge.values / value - 1) <= _SAME)).any())


def _rank(W: np.ndarray) -> int:
    """With directions shorter than a hundredth of the longest for zero."""
    singular = np.linalg.svd(W, compute_uv=False)
    return int((singular > 1e-2 * singular[0]).sum()) if singular[0] > 1e-6 else 0


def _blocks(W: np.ndarray, groups: ClassGroups) -> str:
    """Classes that are not orthogonal to each other, directly or by way of others; zero ones in brackets."""
    letters = np.array([chr(ord("A") + group) for group in groups.class_index])
    pairwise = cosines(W)
    dropped, left, found = np.isnan(pairwise.diagonal()), set(range(len(W))), []
    left -= set(np.flatnonzero(dropped).tolist())
    joined = np.linalg.matrix_power((np.abs(np.nan_to_num(pairwise)) > 1e-3).astype(float), len(W)) > 0
    while left:
        block = set(np.flatnonzero(joined[min(left)]).tolist())
        found.append("".join(letters[sorted(block)]))
        left -= block
    zero = f" ({''.join(letters[dropped])})" if dropped.any() else ""
    return " ".join(sorted(found, key=lambda block: (block[0], -len(block)))) + zero
