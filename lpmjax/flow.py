"""flow: the path of factors down the loss, by gradient flow to any time or by the steps of an optimiser."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .arguments import require, require_optimizer
from .paths import gradient_flow, optimiser
from .paths.dataset import dataset
from .paths.setting import Setting
from .paths.starts import RandomStart, given_factors
from .settings import nan_is_a_value

if TYPE_CHECKING:
    import optax


@nan_is_a_value
def flow(
    problem: Any,
    ts: Any,
    *,
    start: Any = None,
    key: Any = None,
    dim: int | None = None,
    scale: float | None = None,
    seeds: int | None = None,
    depth: int | None = None,
    optimizer: "optax.GradientTransformation | None" = None,
) -> Any:
    r"""Follow W and H, a feature for every sample, down the cross-entropy, and measure neural collapse on the way:

    .. math:: \dot W = -\nabla_W L,\quad \dot H = -\nabla_H L,\qquad
        L = \sum_k \frac{\pi_k}{n_k} \sum_i \log\Big(1 + \sum_{j \ne k} e^{(w_j - w_k)^\top h_{k,i}}\Big).

    The flow is integrated in log time, where it is not stiff (Dopri8 at relative tolerance 1e-9), and without
    cancellation in the gradient: t = 1e12 takes about a hundred steps, 1e300 five hundred. Once the loss is below
    ``log 2 / N`` all samples are separated, and the direction of (W, H) tends to a KKT point of the minimum-norm
    separation (:class:`lpmjax.Separation`); at the rate 1 / log t, so that the least margin may well be far below its
    limit at any time that an optimiser reaches. With weight decay the flow comes to rest at a stationary point.

    Parameters
    ----------
    problem : ``Separation(groups)``, the loss alone; or ``UnconstrainedFeatures`` or ``DeepLinear``, with weight decay:
        cross-entropy, no bias, no ReLU. Numbers of samples must be whole.
    ts : (T,) times to save, increasing from 0 on, at most 1e300; with ``optimizer`` whole numbers of steps.
    start : (W, H), shapes (K, d) and (d, N), or M + 1 factors, samples sorted by class; optionally with a common first
        axis over seeds. Instead of key, dim, scale and seeds.
    key, dim, scale, seeds : ``seeds`` (1) random starts in one compiled call: normal entries of standard deviation
        ``scale`` (0.1), in ``dim`` dimensions (the problem's, or K).
    depth : number of factors with ``Separation``, by default as many as ``start`` has, or 2.
    optimizer : an optax transformation whose steps make the path, as ``optax.sgd(0.1)``: gradient descent.

    Returns
    -------
    xarray.Dataset over (seed, time) with units and long names: ``log_loss`` and the ``log_lower_bound`` of all factors
    of its norm (with balanced classes and two factors neural collapse alone attains it), ``margin``, ``norm2``,
    ``normalised_margin`` and ``margin_ratio``, ``smoothed_margin``, ``nc0`` to ``nc3``, cosines, distances from the
    limit, drifts of what the flow conserves (without decay), ``objective`` (with decay); ``logits`` of the classes; and
    over ``seed``: ``steps``, ``status`` (converged: the last time was reached), ``separation_time`` (NaN where the loss
    has not fallen below log 2 / N; the attribute ``separation`` says it). Computed in float64 whatever jax's setting;
    not differentiable.

    Raises
    ------
    ValueError
        For times, starts or problems out of range, as zero factors, which no path leaves.
    ImportError
        Without diffrax (``pip install 'lpmjax[flow]'``), unless an optimizer is given.

    Source: Ji et al. (2022), "An unconstrained layer-peeled perspective on neural collapse"; the smoothed margin is Lyu
    and Li's (2020).

    Example
    -------
    >>> import lpmjax as lpm
    >>> ds = lpm.flow(lpm.Separation(lpm.ClassGroups.balanced(4, 3)), [1e2, 1e6, 1e12], seeds=2)
    >>> bool((ds["log_loss"] > ds["log_lower_bound"]).all()), bool((ds["separation_time"] < 1e2).all())
    (True, True)
    """
    random = RandomStart(key, dim, scale, seeds)
    if start is not None and any(value is not None for value in random):
        raise ValueError("start and random starts exclude each other: give start, or key, dim, scale and seeds.")
    require_optimizer(optimizer, "an optax transformation, or None")
    if depth is None and isinstance(start, (tuple, list)) and len(start) > 2:
        depth = len(start)
    with jax.enable_x64(True):
        setting = Setting.of(problem, depth)
        times = _times(ts, optimizer)
        factors = random.factors(setting) if start is None else given_factors(start, setting)
        if optimizer is None:
            path = gradient_flow.follow(setting, factors, times)
            return dataset(path, setting, times, gradient_flow.provenance(problem) | random.provenance(start))
        path = optimiser.follow(setting, factors, times.astype(int), optimizer)
        return dataset(path, setting, times, optimiser.provenance(problem, optimizer) | random.provenance(start))


def _times(ts: Any, optimizer: Any) -> np.ndarray:
    """Checked; ValueError unless they increase from 0 on."""
    try:
        times = np.asarray(ts, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"ts must be a list of times, got {ts!r}.") from error
    if times.ndim != 1 or not times.size or np.ma.is_masked(ts):
        raise ValueError(f"ts has shape {times.shape}: give a list of at least one time, as np.geomspace(1, 1e12, 60).")
    most = gradient_flow.LATEST if optimizer is None else 2**53
    require("ts", times, f"from 0 to {most:g}", lambda t: (t >= 0) & (t <= most), "A path begins at 0.")
    if times[-1] <= 0:
        raise ValueError(f"ts ends at {times[-1]:g}: the last must be > 0.")
    if (np.diff(times) <= 0).any():
        at = int(np.argmax(np.diff(times) <= 0))
        raise ValueError(f"ts[{at + 1}] = {times[at + 1]:g} does not exceed ts[{at}] = {times[at]:g}: sort ts.")
    if optimizer is not None:
        require("ts", times, "whole numbers of steps with an optimizer", lambda t: t == np.rint(t), "Round them.")
    return times
