"""Regularisation path: optima of cross-entropy as the weight decay vanishes, against minimum-norm separation."""

from typing import Any

import jax
import numpy as np

from .arguments import leaves, require, require_type
from .codes import Status
from .groups import ClassGroups
from .losses.softmax import CrossEntropy
from .losses.vector_scaling import VectorScaling
from .objectives.of_groups import GroupCoordinates
from .problems.separation import Separation
from .problems.unconstrained import UnconstrainedFeatures
from .settings import nan_is_a_value
from .solve import solve
from .sweeps.sweep import sweep

_DECAYS = 10.0 ** -np.geomspace(2, 200, 25)


@nan_is_a_value
def regularisation_path(limit: Separation, decay: Any = _DECAYS) -> Any:
    """Optima of cross-entropy at a price ``decay`` of the norm, and how far their direction is from its limit.

    Each point is the global optimum of ``sum_k pi_k loss(z_k, k) + decay ||Z diag(omega)||_*``, certified by itself. As
    the decay goes to zero, ``Z = log(1 / decay) Z_inf + Z_1 + o(1)`` with ``Z_inf`` the minimum-norm separation
    ``limit``, so that directions are ``rate / log(1 / decay)`` apart (``proofs``: ``ulpm.path``). With
    ``norm="per_sample"`` the points are :class:`lpmjax.UnconstrainedFeatures` with ``lambda_W = lambda_H = decay``, and
    the limit is SELI; with ``norm="class_average"`` they are :class:`lpmjax.LayerPeeled` on the budgets
    ``sqrt(E_W E_H) = norm / K`` as these grow, and the limit is the simplex ETF. With factors ``delta`` the loss is
    :class:`lpmjax.VectorScaling`.

    Parameters
    ----------
    limit : a Separation; ``weights`` of its groups are those of the loss.
    decay : positive, below 1, a list or one-dimensional array; by default from 1e-2 to 1e-200.

    Returns
    -------
    xarray.Dataset over ``decay``: what a sweep of the points keeps, and ``norm`` (``||Z diag(omega)||_*``),
    ``distance`` (Frobenius, of Z diag(omega) over its norm to that of the limit) and ``normalised_margin`` (least
    margin over norm, as a share of the largest), NaN where a point is not certified or zero; ``limit_cosine`` (of each
    group) and ``rate``. Points with ``delta`` other than ones have no certificate where the loss is below the rounding
    of its logits, at decays below some 1e-20.

    Raises
    ------
    ValueError
        If ``limit`` is no Separation or batched, or a decay is not in (0, 1).

    Source: the limit is Ji et al. (2022), Theorem 1 for balanced classes, and Thrampoulidis et al. (2022).
    """
    require_type("limit", limit, Separation, "a lpmjax.Separation")
    with jax.enable_x64(True):
        decays = np.atleast_1d(np.asarray(leaves(decay=decay)["decay"]))
        require("decay", decays, "in (0, 1)", lambda x: (x > 0) & (x < 1), "It is a weight decay, on its way to zero.")
        limit, _ = limit.as_written()
        given = limit.groups
        groups = ClassGroups(given.classes, limit.omega**2, given.samples if given.default_weights else given.weights)
        plain = bool((limit.delta == 1).all())

        def at_price(decay):
            loss = CrossEntropy() if plain else VectorScaling(limit.delta)
            return UnconstrainedFeatures(groups, decay, decay, loss)

        ds = sweep(at_price, decay=decays)
        end = jax.tree.map(np.asarray, solve(limit))
    return _with_limit(ds, limit, end, np.asarray(groups.weights))


def _with_limit(ds: Any, limit: Any, end: Any, weights: np.ndarray) -> Any:
    """The same with what relates it to its limit."""
    objective = limit.objective()
    points = GroupCoordinates(ds["within"].values, objective.centred(ds["between"].values))
    paths, target = _vector(objective, points), _vector(objective, GroupCoordinates(end.within, end.between))
    unit = target / np.linalg.norm(target)
    norm = np.where((ds["status"].values == Status.certified) & paths.any(axis=-1), objective.norm(points), np.nan)
    length = np.where(np.isnan(norm), np.nan, np.linalg.norm(paths, axis=-1))
    least = np.min(np.where(objective.rivals > 0, objective.margins(points), np.inf), axis=(-2, -1))
    here = np.where(end.dual > 0, end.dual, 1.0)
    way = _vector(objective, objective.of_margins(np.log(weights / here)))  # Z_1 of the docstring
    measured = {
        "norm": (norm, "nuclear norm of Z diag(omega)"),
        "distance": (np.linalg.norm(paths / length[:, None] - unit, axis=-1), "distance of the direction to its limit"),
        "normalised_margin": (least / norm * end.value, "least margin over norm, as a share of the largest"),
        "limit_cosine": (end.cosine, "cosine between two classifiers at the limit"),
        "rate": (
            np.linalg.norm(way - (way @ unit) * unit) / np.linalg.norm(target),
            "limit of distance times log(1 / decay)",
        ),
    }
    dims = {"limit_cosine": "group", "rate": ()}
    ds["decay"].attrs = {"long_name": "weight decay sqrt(lambda_W lambda_H)", "units": "1"}
    title = f"regularisation path to {type(limit).__name__}, norm {limit.norm}"
    ds.attrs |= {"title": title, "builder": "regularisation_path"}
    return ds.assign(
        {
            name: (dims.get(name, "decay"), value, {"long_name": words, "units": "1"})
            for name, (value, words) in measured.items()
        }
    )


def _vector(objective: Any, at: GroupCoordinates) -> np.ndarray:
    """Coordinates of ``Z diag(omega)``, of its Frobenius norm."""
    within = at.within * objective.omega * np.sqrt(np.maximum(objective.classes - 1, 0))
    block = (at.between * objective.omega).reshape(*at.within.shape[:-1], -1)
    return np.concatenate([within, block], axis=-1)
