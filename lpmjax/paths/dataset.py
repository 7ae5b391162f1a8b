"""The Dataset of a path: variables over seeds and times, units and provenance."""

from typing import Any

import numpy as np

from ..codes import Status, flags
from ..fields import Words
from ..provenance import made_by
from .measures import WORDS, class_logits, measured
from .path import Path
from .setting import Setting
from .target import Target

_OF_TIME = {
    "scaled_loss": Words("loss over its asymptote gamma / (2 t log t), gamma = sqrt(n) (K - 1) balanced; from t = 2"),
    "logits": Words("mean logits of a class", "nat"),
}
_OF_SEEDS = {
    "separation_time": Words("first time at which the loss is below what separates all samples; NaN: not reached"),
    "steps": Words("steps taken, rejected ones included"),
    "status": Words("how the path ended: converged means at the last time, or at rest"),
}


def dataset(path: Path, setting: Setting, times: np.ndarray, provenance: dict[str, Any]) -> Any:
    """All that is measured along the path; ``provenance`` becomes attributes."""
    import xarray as xr  # a third of a second

    target, over = Target.of(setting.samples), ("seed", "time")
    found = measured(path, setting, target)
    variables: dict[str, Any] = {name: (over, values, _attrs(WORDS[name])) for name, values in found.items()}
    variables["logits"] = ((*over, "row", "class"), class_logits(path, setting), _attrs(_OF_TIME["logits"]))
    unit = provenance["time_unit"]
    if setting.decays is None and setting.depth == 2 and unit == "1":
        scaled = _scaled_loss(found["log_loss"], times, target.gamma)
        variables["scaled_loss"] = (over, scaled, _attrs(_OF_TIME["scaled_loss"]))
    for name, words in _OF_SEEDS.items():
        variables[name] = ("seed", getattr(path, name), _attrs(words))
    variables["separation_time"][2]["units"] = unit
    variables["status"][2].update(flags(Status))
    coords = {
        "seed": ("seed", np.arange(path.steps.size), {"long_name": "start", "units": "1"}),
        "time": ("time", times, {"long_name": "time" if unit == "1" else "steps of the optimizer", "units": unit}),
    }
    return xr.Dataset(variables, coords, _attributes(path, setting, times, provenance))


def _scaled_loss(log_loss: np.ndarray, times: np.ndarray, gamma: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        asymptote = np.log(gamma / 2) - np.log(times) - np.log(np.log(times))
        return np.where(times >= 2, np.exp(log_loss - asymptote), np.nan)


def _attributes(path: Path, setting: Setting, times: np.ndarray, provenance: dict[str, Any]) -> dict[str, Any]:
    late, starts = int(np.isnan(path.separation_time).sum()), path.steps.size
    said = f"not reached by {times[-1]:g} in {late} of {starts} starts" if late else f"reached in all {starts} starts"
    dim = min(factor.shape[-1] for factor in path.factors[:-1])
    if ended := int((path.status != Status.converged).sum()):
        said += f"; {ended} of {starts} ended before the last time (status), so give earlier times or smaller starts"
    more: dict[str, Any] = {} if setting.decays is None else {"decays": np.array(setting.decays)}
    if dim < setting.K - 1:
        more["remark"] = (
            f"dim = {dim} < K - 1 = {setting.K - 1}: log_lower_bound, margin_ratio and the distances refer to the "
            "separation in K - 1 dimensions, which is out of reach"
        )
    return {
        **provenance,
        "loss": "CrossEntropy",
        "depth": setting.depth,
        "dim": dim,
        "samples": setting.samples,
        "weights": setting.weights,
        **more,
        "separation": said,
        "dtype": "float64",
        **made_by(),
    }


def _attrs(words: Words) -> dict[str, Any]:
    return {"long_name": words.long_name, "units": words.units}
