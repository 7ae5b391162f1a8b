"""sweep: any builder of a Problem over named axes, as an xarray.Dataset with coordinates, units and provenance."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..arguments import require_callable, require_integer
from ..problems.problem import Problem
from ..results.result import Result
from ..solvers.solver import AbstractSolver
from .into import sweep_into
from .layout import as_store
from .plan import planned


def sweep(
    builder: Callable[..., Problem],
    *,
    run: Callable[[Problem], Result] | None = None,
    method: str | AbstractSolver = "auto",
    tol: float | None = None,
    max_steps: int | None = None,
    variables: Sequence[str] | None = None,
    dtype: str = "float64",
    max_bytes: int = 2**32,
    store: str | Path | None = None,
    client: Any = None,
    progress: Callable[[int, int], None] | None = None,
    **arguments: Any,
) -> Any:
    """Solve ``builder(**arguments)`` at every point of a grid, or ``run`` whatever else returns a Result.

    Every keyword whose value is a list, range or one-dimensional array becomes a dimension of that name; the others
    (a tuple is one value) are passed as they are (numbers among them become scalar coordinates). The values of an axis
    may repeat and come in any order: each has its cell, but ``ds.sel`` finds only values that do not repeat.

    Parameters
    ----------
    builder : returns a Problem, e.g. ``LayerPeeled.two_group``; it is called under ``jax.vmap``.
    run : what to do with each problem, instead of solving it: a function of a Problem that returns a
        :class:`lpmjax.Result` and works under ``jax.vmap``; a function defined once is compiled once. The result names
        the variables.
    method, tol, max_steps : as in :func:`lpmjax.solve`, without ``run``; where a ``dim`` is below the rank of the
        optimum, "auto" falls back to "factored". Methods that choose shapes by what they find ("factored",
        "branch_and_bound") go cell by cell.
    variables : names of the result's attributes to keep; by default all.
    dtype : "float64" (whatever jax's own setting) or "float32".
    max_bytes : refuse results larger than this; with a ``store``, the largest chunk.
    store : folder (``grid.zarr``) in which the result is kept, for what is larger than memory or takes longer than one
        process lives. The grid is laid out first and filled chunk by chunk; a chunk is written whole or not at all.
        The same call goes on where the last one ended, however it ended. Needs ``lpmjax[cluster]``.
        :func:`lpmjax.open_sweep` tells how far it is, :func:`lpmjax.audit` checks it.
    client : ``dask.distributed.Client`` whose workers fill the store, a chunk a task; by default the threads of this
        process do. Workers have to see the folder and to import what the builder is made of.
    progress : called with (cells done, cells in all) from time to time.

    Returns
    -------
    xarray.Dataset with one variable per attribute, dimension ``group`` where it is per group, CF flags for ``phase``
    and ``status``, and versions, dtype, device and tolerance in its attributes. Cells that failed say so in
    ``status``; they are NaN or uncertified, never dropped. With a ``store`` the Dataset is lazy: dask arrays.

    Raises
    ------
    ValueError
        For a builder that is no function or returns no Problem, a ``run`` that is none or is given with a method, an
        empty or multi-dimensional axis, a keyword that the builder does not take, a value that it refuses (naming axis
        and position), an unknown variable, a result above ``max_bytes``, or a ``store`` that holds another sweep
        (naming what differs); for a ``client`` without a store, or functions that cannot be sent to its workers.
    OSError
        For a ``store`` that is a file or cannot be written, a full disk (what is done is kept), and one that another
        process is filling.
    ImportError
        For a ``store`` without zarr and dask, saying what to install.

    Example
    -------
    >>> import lpmjax as lpm
    >>> ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1, 10, 100], E_W=1.0, E_H=[1.0, 5.0])
    >>> dict(ds["cosine"].sizes)
    {'R': 3, 'E_H': 2, 'group': 2}
    >>> ds["cosine"].sel(group="B").round(3).values.tolist()  # nan: its classifiers are zero
    [[-0.111, -0.111], [nan, 0.517], [nan, 1.0]]
    """
    require_callable("progress", progress, "a function of (cells done, cells in all)")
    max_bytes = require_integer("max_bytes", max_bytes, 1)
    asked = {"run": run, "method": method, "tol": tol, "max_steps": max_steps, "variables": variables}
    plan = planned(builder, arguments, dtype, asked)
    if store is not None:
        shown = None if progress is None else lambda tally: progress(tally.done, tally.cells)
        return sweep_into(plan, as_store(store), max_bytes, client, shown)
    if client is not None:
        raise ValueError("client needs a store, in which its workers write: give store='grid.zarr'.")
    cells = math.prod(plan.grid.shape)
    plan.check_memory(cells, max_bytes)
    return plan.dataset(*plan.solver(cells)(plan.grid, progress))
