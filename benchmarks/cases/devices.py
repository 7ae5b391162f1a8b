"""One device against all devices of the host, the lanes of a batch sharded over them."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..rows import Row, judge, missing, on_accelerator, row
from ..settings import Settings
from ..timing import time_jitted
from .two_group import grid, solve_lanes


def run(settings: Settings) -> Iterator[Row]:
    """Two-group lanes; on CPU this case's process is given one XLA device per core."""
    every = jax.device_count()
    if every == 1:
        reason = "one device"
        gap = settings.gap("two_group")
        yield missing("devices", {"how": "all devices"}, "lpmjax", "skipped", reason, settings, gap)
        return
    cells = settings.pick(64, 10**5, 10**7 if on_accelerator() else 10**6) // every * every
    for devices in (1, every):
        mesh = Mesh(np.array(jax.devices()[:devices]), ("lanes",))
        points = jax.device_put(grid(cells, settings.dtype), NamedSharding(mesh, PartitionSpec("lanes")))
        measured = time_jitted(solve_lanes, *points, settings=settings)
        verdict = judge(measured.result, settings.gap("two_group"))
        measured.result = None
        yield row("devices", {"how": "sharded lanes", "cells": cells}, verdict, measured, settings) | {
            "devices": devices
        }
