"""The experiment: every network of a grid trained, measured and predicted, and kept as it is finished."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import require_type
from ..provenance import made_by
from ..settings import nan_is_a_value
from .cell import Cell, trained_cell
from .images import Images
from .prediction import PREDICTORS, Prediction, predicted
from .settings import Settings

#: told how many networks are done, of how many, and what is being done
Progress = Callable[[int, int, str], None]


class Experiment:
    """Trained networks beside peeled models, over depth, ratio, decay and seed.

    ``complete`` trains what is missing, depth by depth and ratio by ratio; ``dataset`` is of what is finished. So an
    experiment that was interrupted loses at most the networks of one depth and ratio, and can go on from there.

    Raises
    ------
    ValueError
        If the images are too few for the settings, or a ratio leaves a class empty.
    """

    def __init__(self, images: Images, settings: Settings):
        require_type("images", images, Images, "Images, as lpmjax.experiment.load returns them")
        require_type("settings", settings, Settings, "lpmjax.experiment.Settings")
        settings.check(images)
        self.images, self.settings = images, settings
        self.cells: dict[tuple[int, float], Cell] = {}
        self._predictions: dict[tuple[int, float], list[dict[str, Prediction]]] = {}

    @property
    def total(self) -> int:
        """Number of networks."""
        s = self.settings
        return len(s.depths) * len(s.ratios) * len(s.decays) * s.seeds

    @property
    def done(self) -> int:
        """Number of networks that are trained, measured and predicted."""
        return len(self._predictions) * len(self.settings.decays) * self.settings.seeds

    @nan_is_a_value
    def complete(self, progress: Progress | None = None) -> "Experiment":
        """Train, measure and predict what is not finished yet; returns itself."""
        for depth in self.settings.depths:
            for ratio in self.settings.ratios:
                if (depth, ratio) not in self._predictions:
                    self._finish(depth, ratio, progress or (lambda *_: None))
        return self

    def _finish(self, depth: int, ratio: float, progress: Progress) -> None:
        before, total, words = self.done, self.total, f"depth {depth}, ratio {ratio:g}"
        progress(before, total, f"training {words}")

        def tell(more: int) -> None:
            progress(before + more, total, f"training {words}")

        cell = trained_cell(self.images, self.settings, depth, ratio, progress=tell)
        progress(before, total, f"predicting {words}")
        found = [
            predicted(cell.counts, np.full(depth, decay), measures)
            for decay, measures in zip(cell.decays, cell.measures, strict=True)
        ]
        self.cells[depth, ratio], self._predictions[depth, ratio] = cell, found

    def dataset(self) -> Any:
        """xarray.Dataset over (depth, ratio, decay, seed): what was measured of each network, some of it by class (by
        place, most samples first), and ``predicted_*`` over ``predictor``; NaN where nothing is finished."""
        import xarray as xr

        s, K = self.settings, self.images.num_classes
        grid = {"depth": list(s.depths), "ratio": list(s.ratios), "decay": list(s.decays), "seed": list(range(s.seeds))}
        table = _Table(tuple(map(len, grid.values())), K)
        for (depth, ratio), said in list(self._predictions.items()):  # after Ctrl-C training may go on in its thread
            cell = self.cells[depth, ratio]
            at = s.depths.index(depth), s.ratios.index(ratio)
            for i, measures in enumerate(cell.measures):
                place = (*at, *divmod(i, s.seeds))
                table.put(place, "", measures._asdict() | _ended(cell, i) | {"samples": cell.counts.astype(float)})
                for j, name in enumerate(PREDICTORS):
                    table.put((j, *place), "predicted_", said[i][name]._asdict())
        coords = grid | {"class": list(range(K)), "other_class": list(range(K)), "predictor": list(PREDICTORS)}
        ds = xr.Dataset(table.variables(("predictor", *grid)), coords)
        for name, words in _COORDINATES.items():
            ds[name].attrs["long_name"] = words
        return ds.assign_attrs(
            title="trained networks and peeled models",
            data=self.images.name,
            architecture=str(s.architecture),
            profile=str(s.profile),
            width=s.width,
            samples_largest_class=s.samples,
            tol=s.tol,
            optimiser="Adam with coupled weight decay, then L-BFGS, until the residual is at most tol",
            networks_finished=self.done,
            networks=self.total,
            **made_by(),
        )


def _ended(cell: Cell, i: int) -> dict[str, Any]:
    return {name: float(getattr(cell.trained, name)[i]) for name in ("residual", "steps", "converged")}


class _Table:
    """Arrays that are filled place by place."""

    def __init__(self, shape: tuple[int, ...], K: int):
        self._shape, self._K = shape, K
        self._arrays: dict[str, np.ndarray] = {}

    def put(self, place: tuple[int, ...], prefix: str, values: dict[str, Any]) -> None:
        """Values of one network; those of a prediction have an axis more, which comes first."""
        shape = (len(PREDICTORS), *self._shape) if prefix else self._shape
        for name, value in values.items():
            if prefix + name not in self._arrays:
                self._arrays[prefix + name] = np.full((*shape, *np.shape(value)), np.nan)
            self._arrays[prefix + name][place] = value

    def variables(self, dims: tuple[str, ...]) -> dict[str, Any]:
        """For a Dataset."""
        found = {}
        for name, array in self._arrays.items():
            own, known = (dims, name.removeprefix("predicted_")) if name.startswith("predicted_") else (dims[1:], name)
            words, units = WORDS[known]
            rest = ("class", "other_class")[: array.ndim - len(own)]
            found[name] = ((*own, *rest), array, {"long_name": words, "units": units})
        return found


#: variables: words and units
WORDS = {
    "objective": ("cross-entropy and weight decay", "nat"),
    "loss": ("cross-entropy, as weighted in training", "nat"),
    "residual": ("norm of the gradient over that of its part from weight decay", "1"),
    "steps": ("steps of L-BFGS", "1"),
    "converged": ("whether the residual is at most tol", "1"),
    "samples": ("samples of a class", "1"),
    "NC0": ("|1ᵀ W|² / K", "1"),
    "NC1": ("variability within classes over that between", "1"),
    "NC2": ("distance of W Wᵀ from that of a simplex ETF", "1"),
    "NC3": ("distance of W Mᵀ from a simplex ETF", "1"),
    "NC4": ("share of samples whose class is not that of the nearest mean", "1"),
    "rank": ("rank of the classifier, of singular values above 1 % of the largest", "1"),
    "weight_imbalance": ("largest relative difference of two decayed squared norms of weights", "1"),
    "w_norm2": ("squared norm of a classifier row", "1"),
    "h_norm2": ("mean squared norm of the features of a class", "1"),
    "cosines": ("cosine between two classifier rows, NaN where one is zero", "1"),
    "mean_cosines": ("cosine between two class means about their mean", "1"),
    "singular_values": ("singular values of the classifier, largest first", "1"),
    "train_accuracy": ("accuracy on the training samples of a class", "1"),
    "test_accuracy": ("accuracy on the test samples of a class", "1"),
    "lambda_H": ("decay of free features that balances the classifier", "1"),
    "lambda_first": ("decay of free first hidden outputs that balances the second weight", "1"),
    "value": ("optimal value of the model", "nat"),
    "observed_value": ("the same quantity of the network", "nat"),
    "slack": ("log of the loss weight over multiplier times omega; below 0 is collapsed", "1"),
    "status": ("solver status (lpmjax.Status)", "1"),
}
_COORDINATES = {
    "depth": "number of weight matrices",
    "ratio": "imbalance ratio n_max / n_min",
    "decay": "weight decay of every weight",
    "seed": "random seed of samples, classes and initial weights",
    "class": "class by place, most samples first",
    "predictor": "peeled model",
}
