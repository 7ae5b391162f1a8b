"""Loss weights against collapse: what ``diagnose`` suggests, inverse frequencies, and none, in the same networks."""

from typing import Any

import numpy as np

from ..arguments import require_type
from ..diagnose import diagnose
from ..settings import nan_is_a_value
from .cell import Cell, trained_cell
from .comparison import halves
from .grid import Experiment, Progress

SCHEMES = ("none", "diagnose", "inverse frequency")


@nan_is_a_value
def reweighted(experiment: Experiment, depth: int, progress: Progress | None = None) -> Any:
    """Train the networks of one depth again with other loss weights.

    ``diagnose`` is asked with the budgets ``E_W``, ``E_H`` that were measured in the networks without weights (means
    over the seeds), and its remedy by weights is applied; where it finds that no class collapses, or no remedy, the
    weights stay as they are. Inverse frequency gives every class the same weight.

    Parameters
    ----------
    experiment : whose networks of that depth are trained already.
    depth : one of its depths.

    Returns
    -------
    xarray.Dataset over (scheme, ratio, decay, seed), with ``half`` where it says: ``cosine``, ``w_norm2``,
    ``test_accuracy``, and ``factor`` (largest factor of a class's weight that diagnose suggests; 1 is none). A ratio
    of 1 is left out where there are others.

    Raises
    ------
    ValueError
        If nothing of that depth is trained.
    """
    import xarray as xr

    require_type("experiment", experiment, Experiment, "an lpmjax.experiment.Experiment")
    settings, tell = experiment.settings, progress or (lambda *_: None)
    trained = [ratio for ratio in settings.ratios if (depth, ratio) in experiment.cells]
    if not trained:
        raise ValueError(f"depth = {depth!r} has no trained networks: complete the experiment first.")
    ratios = [ratio for ratio in trained if ratio > 1] or trained
    total, rows = len(ratios), []
    for done, ratio in enumerate(ratios):
        plain = experiment.cells[depth, ratio]
        tell(done, total, f"reweighting ratio {ratio:g}")
        factors = _factors(plain, settings.seeds)
        cells = [plain]
        for weights in (plain.counts * factors, np.ones_like(factors)):
            changed = weights / weights.sum(1, keepdims=True)
            cells.append(trained_cell(experiment.images, settings, depth, ratio, changed))
        rows.append(_row(cells, factors.max(1), settings))
    tell(total, total, "reweighting")
    coords = {"scheme": list(SCHEMES), "decay": list(settings.decays), "seed": list(range(settings.seeds))}
    return xr.concat(rows, xr.Variable("ratio", ratios)).assign_coords(coords).assign_attrs(depth=depth)


def _factors(plain: Cell, seeds: int) -> np.ndarray:
    """(networks, K) factors on the weights of classes, the same for all seeds of a decay."""
    found = []
    for i in range(0, len(plain.measures), seeds):
        own = plain.measures[i : i + seeds]
        E_W, E_H = (float(np.mean([getattr(m, name) for m in own])) for name in ("w_norm2", "h_norm2"))
        remedy = diagnose(plain.counts.tolist(), E_W=E_W, E_H=E_H).remedies[0]
        found += [remedy.factors] * seeds
    return np.stack(found)


def _row(cells: list[Cell], factor: np.ndarray, settings: Any) -> Any:
    import xarray as xr

    shape = (len(cells), len(settings.decays), settings.seeds)
    dims, classes = ("scheme", "decay", "seed"), ("class", "other_class")

    def of(name: str) -> Any:
        values = np.stack([[getattr(m, name) for m in cell.measures] for cell in cells])
        return xr.DataArray(values.reshape(*shape, *values.shape[2:]), dims=(*dims, *classes[: values.ndim - 2]))

    return xr.Dataset(
        {
            "cosine": halves(of("cosines"), pairs=True),
            "w_norm2": halves(of("w_norm2")),
            "test_accuracy": halves(of("test_accuracy")),
            "factor": (dims[1:], factor.reshape(shape[1:])),
        }
    )
