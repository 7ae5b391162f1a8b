"""Prediction against observation: errors of each model, collapse of the minority, and a table of both."""

from typing import Any

import numpy as np

from ..arguments import require_type

#: the minority has collapsed where the mean cosine of its classifiers is above, or their squared norm a smaller share
#: of the majority's; the same rule for networks and models
_COSINE, _SHARE = 0.5, 0.01


def compared(ds: Any) -> Any:
    """What the halves of the classes have in common, and how far predictions are off.

    Parameters
    ----------
    ds : Dataset of :meth:`Experiment.dataset`.

    Returns
    -------
    xarray.Dataset with ``cosine``, ``w_norm2``, ``train_accuracy``, ``test_accuracy`` over ``half`` (majority,
    minority; means over classes or their pairs), ``collapsed`` (mean cosine of the minority's classifiers above 0.5, or
    their squared norm below 1 % of the majority's), the same of predictions as ``predicted_*``, ``onset`` and
    ``predicted_onset`` (least ratio of the grid from which on more than half of the seeds have collapsed, inf if none)
    and, over ``predictor``, ``cosine_error``, ``w_norm2_error`` (relative) and ``value_error`` (relative).

    Raises
    ------
    ValueError
        If ``ds`` is no such Dataset.
    """
    import xarray as xr

    require_type("ds", ds, xr.Dataset, "a Dataset of lpmjax.experiment.Experiment.dataset")
    missing = [name for name in ("cosines", "predicted_cosines", "samples") if name not in ds]
    if missing:
        raise ValueError(f"ds lacks {', '.join(missing)}: give a Dataset of lpmjax.experiment.Experiment.dataset.")
    found = xr.Dataset()
    for prefix in ("", "predicted_"):
        found[f"{prefix}cosine"] = halves(ds[f"{prefix}cosines"], pairs=True)
        found[f"{prefix}w_norm2"] = halves(ds[f"{prefix}w_norm2"])
        norms = found[f"{prefix}w_norm2"]
        share = norms.sel(half="minority") / norms.sel(half="majority")
        known = share.notnull()
        collapsed = (found[f"{prefix}cosine"].sel(half="minority") > _COSINE) | (share < _SHARE)
        found[f"{prefix}collapsed"] = collapsed.where(known).drop_vars("half", errors="ignore")
        found[f"{prefix}onset"] = _onset(found[f"{prefix}collapsed"])
    for name in ("train_accuracy", "test_accuracy"):
        found[name] = halves(ds[name])
    found["cosine_error"] = found["predicted_cosine"] - found["cosine"]
    found["w_norm2_error"] = found["predicted_w_norm2"] / found["w_norm2"] - 1
    found["value_error"] = ds["predicted_value"] / ds["predicted_observed_value"] - 1
    return found


def halves(values: Any, pairs: bool = False) -> Any:
    """Means over the first half of the classes (with the middle one) and the second, or over their pairs."""
    import xarray as xr

    K = values.sizes["class"]
    first = K - K // 2
    parts = []
    for chosen in (slice(0, first), slice(first, K)):
        own = values.isel({"class": chosen})
        if pairs:
            own = own.isel(other_class=chosen)
            apart = xr.DataArray(~np.eye(own.sizes["class"], dtype=bool), dims=("class", "other_class"))
            own = own.where(apart).mean("other_class")
        parts.append(own.mean("class"))
    return xr.concat(parts, xr.Variable("half", ["majority", "minority"]), coords="minimal", compat="override")


def _onset(collapsed: Any) -> Any:
    """Least finished ratio from which on more than half of the seeds have collapsed."""
    finished = collapsed.notnull().any("seed")
    most = collapsed.mean("seed") > 0.5
    ratios = most["ratio"]
    without = ratios.where(finished & ~most).max("ratio")  # the largest without collapse
    later = ratios.where(finished & ((ratios > without) | without.isnull())).min("ratio")
    return later.fillna(np.inf).where(finished.any("ratio"))


def errors(ds: Any, found: Any) -> list[dict[str, Any]]:
    """One row for each depth and model: means of absolute errors over what is finished, and how often collapse is told.

    Errors of cosines are of those that exist: a minority that is predicted to be zero has none.
    ``agree``, ``missed`` and ``false`` are shares of networks: as observed, collapsed but not predicted, and predicted
    but not collapsed. The first row of a depth, of the model "seeds", is how far networks are from the mean over seeds.
    """
    rows = []
    for depth in ds["depth"].values:
        rows.append({"depth": int(depth), "model": "seeds"} | _spread(ds.sel(depth=depth), found.sel(depth=depth)))
        for name in ds["predictor"].values:
            own = found.sel(depth=depth, predictor=name)
            seen, said = own["collapsed"], own["predicted_collapsed"]
            known = seen.notnull() & said.notnull()
            count = max(int(known.sum()), 1)
            rows.append(
                {
                    "depth": int(depth),
                    "model": str(name),
                    "cosine_majority": _mean_size(own["cosine_error"].sel(half="majority")),
                    "cosine_minority": _mean_size(own["cosine_error"].sel(half="minority")),
                    "w_norm2_majority": _mean_size(own["w_norm2_error"].sel(half="majority")),
                    "w_norm2_minority": _mean_size(own["w_norm2_error"].sel(half="minority")),
                    "value": _mean_size(own["value_error"]),
                    "agree": float(((seen == said) & known).sum()) / count,
                    "missed": float(((seen > said) & known).sum()) / count,
                    "false": float(((seen < said) & known).sum()) / count,
                }
            )
    return rows


def _spread(ds: Any, found: Any) -> dict[str, float]:
    """Mean distance from the mean over seeds: below it no prediction that knows no seed can come."""
    row = {name: float("nan") for name in ("agree", "missed", "false")}
    for half in ("majority", "minority"):
        cosine, norm = (found[name].sel(half=half) for name in ("cosine", "w_norm2"))
        row[f"cosine_{half}"] = _mean_size(cosine - cosine.mean("seed"))
        row[f"w_norm2_{half}"] = _mean_size(norm / norm.mean("seed") - 1)
    row["value"] = _mean_size(ds["objective"] / ds["objective"].mean("seed") - 1)
    return row


def _mean_size(error: Any) -> float:
    return float(abs(error).mean())
