"""Coupled against decoupled weight decay: neural collapse along training by Adam and by AdamW.

Where the gradients of the loss and of ``decay |W|² / 2`` cancel, the rows of a classifier sum to zero, for those of the
gradient of cross-entropy do. AdamW decays weights outside of its adaptive step, and has no such stationary points.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from .cell import initial, prepared, stacked_tasks
from .images import Images
from .observation import measured
from .settings import Settings
from .training import Task, cross_entropy, first_order, objective

#: looks at the networks, steps between two, and the first learning rate, which falls to zero by half a cosine
_LOOKS, _EVERY, _RATE = 12, 250, 3e-3
KINDS = ("coupled", "decoupled")


def decoupled(images: Images, settings: Settings, depth: int, ratio: float = 1.0) -> Any:
    """Train by Adam with the decay in the gradient, and by AdamW, from the same starts on the same samples.

    Returns an xarray.Dataset over (kind, step, decay, seed): ``loss`` and NC0 to NC4 as in
    :meth:`Experiment.dataset`. NC0 is ``|1ᵀ W|² / K`` over ``|W|² / K`` as well, ``NC0_relative``.

    Source: arXiv 2602.16642 reports that NC0 has to vanish for NC2 and NC3 to, and that decoupled decay prevents it.
    """
    import xarray as xr

    settings.check(images)
    counts = settings.counts(images, ratio)
    samples, decays = prepared(images, settings, counts)
    tasks = stacked_tasks(images, samples, decays, np.ones((decays.size, counts.size)), depth)
    starts = initial(images, settings, depth)
    shape = (_LOOKS, len(settings.decays), settings.seeds)
    names = ("loss", "NC0", "NC1", "NC2", "NC3", "NC4", "NC0_relative")
    values = np.empty((len(KINDS), *shape, len(names)))
    for i, kind in enumerate(KINDS):
        course = _course(starts, tasks, coupled=kind == "coupled")
        for look in range(_LOOKS):
            networks = jax.tree.map(lambda leaf, look=look: leaf[:, look], course)
            found = measured(networks, tasks, images.pixels, samples)
            rows = [[*(getattr(m, name) for name in names[:-1]), m.NC0 / m.w_norm2.mean()] for m in found]
            values[i, look] = np.reshape(rows, (*shape[1:], len(names)))
    dims = ("kind", "step", "decay", "seed")
    coords = {"kind": list(KINDS), "step": _EVERY * np.arange(1, _LOOKS + 1), "decay": list(settings.decays)}
    variables = {name: (dims, values[..., j]) for j, name in enumerate(names)}
    return xr.Dataset(variables, coords, {"depth": depth, "ratio": ratio, "data": images.name})


@partial(jax.jit, static_argnames="coupled")
def _course(networks: Any, tasks: Task, coupled: bool) -> Any:
    """Networks (lanes, looks) along training."""
    import optax

    rate = optax.cosine_decay_schedule(_RATE, _LOOKS * _EVERY)

    def run(network: Any, task: Task) -> Any:
        if coupled:
            return first_order(objective, network, task, optax.adam(rate), _LOOKS, _EVERY)
        adamw = optax.adamw(rate, weight_decay=task.decays[0])  # pyright: ignore[reportArgumentType] (a traced number)
        return first_order(cross_entropy, network, task, adamw, _LOOKS, _EVERY)

    return jax.vmap(run)(networks, tasks)
