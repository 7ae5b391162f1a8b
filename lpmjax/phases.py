"""phases: which structure of a deep linear network is best, over numbers of classes, depths, decays and imbalance."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .arguments import leaves, require, require_positive
from .compiling import quick_jit
from .groups import ClassGroups
from .objectives.schatten import SchattenObjective
from .problems.deep_linear import DeepLinear
from .settings import nan_is_a_value
from .solvers.named import best_branch, best_candidate, branches, structures

#: relative gap that the relaxation is solved to
_TOL = 1e-8


@nan_is_a_value
def phases(K: Any, M: Any, lambda_: Any, R: Any = None) -> Any:
    """Value of every named structure of deep linear networks with cross-entropy, and which of them is best.

    ``M`` weight matrices and the features all have the decay ``lambda_``; classes have one sample, or with ``R`` the
    first ``K - K // 2`` of them R samples. (Balanced classes of n samples: ``lambda_`` stands for
    ``lambda n^(1/(M+1))``.) The best value is the best upper bound known to this library, not a certified optimum:
    :func:`lpmjax.referee` looks for better by multi-start, and ``lower_bound`` bounds the global optimum from below.

    Parameters
    ----------
    K, M : integers from 3 and from 2, a number or a list.
    lambda_, R : positive, a number or a list; R may be None.

    Returns
    -------
    xarray.Dataset over those of ``(K, M, lambda_, R)`` that are lists: ``value``, ``best`` (name of the
    simplest structure that attains it), ``rank``, ``lower_bound``, ``etf_excess`` (NaN for unequal classes), and
    ``value_of`` over ``structure`` as well (NaN where K has no such structure).

    Raises
    ------
    ValueError
        For arguments out of range.
    """
    import xarray as xr

    given = {"K": K, "M": M, "lambda_": lambda_, "R": R}
    Ks, Ms, decays, ratios = checked_axes(**given)
    with jax.enable_x64(True):
        tables = [_cells(k, Ms, decays, ratios, R is not None) for k in Ks]
    names = list(dict.fromkeys(name for table in tables for name in table["names"]))
    dims, coords = ("K", "M", "lambda_", "R"), {"K": Ks, "M": Ms, "lambda_": decays, "R": ratios}
    shape = (len(Ms), decays.size, ratios.size)
    variables: dict[str, Any] = {
        name: (dims, np.stack([table[name].reshape(shape) for table in tables]), attributes)
        for name, attributes in _WORDS.items()
    }
    value_of = np.full((len(Ks), *shape, len(names)), np.nan)
    for k, table in enumerate(tables):
        for s, name in enumerate(table["names"]):
            value_of[k, ..., names.index(name)] = table["value_of"][:, s].reshape(shape)
    variables["value_of"] = ((*dims, "structure"), value_of, {"long_name": "value of the structure", "units": "nat"})
    ds = xr.Dataset(variables, {**coords, "structure": names})
    for name, words in _COORDINATES.items():
        ds[name].attrs["long_name"] = words
    ds = ds.isel({name: 0 for name, value in given.items() if np.ndim(value) == 0})
    return ds.drop_vars("R") if R is None else ds


_COUNTS = {"K": "It is the number of classes.", "M": "It is the number of weight matrices."}


def checked_axes(K: Any, M: Any, lambda_: Any, R: Any) -> tuple[list[int], list[int], np.ndarray, np.ndarray]:
    """Values along every axis, before any work is done; ValueError for what is out of range."""
    given = {"K": K, "M": M, "lambda_": lambda_} | ({} if R is None else {"R": R})
    with jax.enable_x64(True):
        axes = {name: np.atleast_1d(np.asarray(value)) for name, value in leaves(**given).items()}
    Ks, Ms = _whole("K", axes["K"], 3), _whole("M", axes["M"], 2)
    decays, ratios = axes["lambda_"], axes.get("R", np.ones(1))
    require_positive("It is a weight decay.", lambda_=decays)
    require("R", ratios, "finite and > 0", lambda r: (r > 0) & np.isfinite(r), "It is n_A / n_B.")
    return Ks, Ms, decays, ratios


def _whole(name: str, values: np.ndarray, least: int) -> list[int]:
    require(
        name,
        values,
        f"an integer >= {least}",
        lambda x: (x >= least) & (x == np.rint(x)) & np.isfinite(x),
        _COUNTS[name],
    )
    return values.astype(int).tolist()


_WORDS = {
    "value": {"long_name": "least value of the named structures", "units": "nat"},
    "best": {"long_name": "structure of least value"},
    "rank": {"long_name": "rank of its logits"},
    "lower_bound": {"long_name": "lower bound on the global optimum", "units": "nat"},
    "etf_excess": {"long_name": "value of the simplex ETF less the least", "units": "nat"},
}
_COORDINATES = {
    "K": "number of classes",
    "M": "number of weight matrices",
    "lambda_": "weight decay of every factor",
    "R": "imbalance ratio n_A / n_B",
}


def _cells(K: int, Ms: list[int], decays: np.ndarray, ratios: np.ndarray, grouped: bool) -> dict[str, Any]:
    """Columns over all (M, decay, ratio) at one K, of which depth is a number like the others."""
    grid = np.stack(np.meshgrid(decays, ratios, indexing="ij"), axis=-1).reshape(-1, 2)

    def made(M: int) -> SchattenObjective:
        def of(cell):
            groups = _groups(K, cell[1]) if grouped else ClassGroups.balanced(K)
            return DeepLinear(groups, [cell[0]] * M, cell[0]).objective()

        return jax.vmap(of)(jnp.asarray(grid))

    objectives = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[made(M) for M in Ms])
    columns = {name: np.asarray(column) for name, column in _solved(objectives).items()}
    names = np.array([structure.name for structure in structures(objectives)])
    etf = np.flatnonzero(names == "ETF")
    excess = columns["value_of"][:, etf[0]] - columns["value"] if etf.size else np.full(len(columns["value"]), np.nan)
    return columns | {"names": names.tolist(), "best": names[columns["best"]], "etf_excess": excess}


def _groups(K: int, R: Any) -> ClassGroups:
    return ClassGroups.two_group(K - K // 2, K // 2, R)


@quick_jit
def _solved(objectives: SchattenObjective) -> dict[str, Any]:
    def cell(objective: SchattenObjective) -> dict[str, Any]:
        found = branches(objective)
        at = best_candidate(objective, found, _TOL).coordinates
        proof = objective.prove(at)
        return {
            "value": proof.value,
            "best": best_branch(found.value),
            "rank": objective.structure(proof, None).rank,
            "lower_bound": proof.value - proof.gap,
            "value_of": found.value,
        }

    return jax.vmap(cell)(objectives)
