"""The cases by name, in the order in which they run. Each is a generator of rows."""

from collections.abc import Callable, Iterator

from ..rows import Row
from ..settings import Settings
from . import batches, calculus, deep, devices, flow, grouped, latency, programs, side_by_side, two_group

CASES: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "programs": programs.run,
    "two_group": two_group.run,
    "grouped": grouped.many_groups,
    "many_classes": grouped.many_classes,
    "factored": grouped.factored,
    "padded": batches.padded,
    "rounds": batches.rounds,
    "derivative": calculus.derivative,
    "boundary": calculus.boundary,
    "eager": latency.eager,
    "phase_diagram": latency.phase_diagram,
    "precision": batches.precision,
    "devices": devices.run,
    "peers": side_by_side.peers,
    "work_precision": side_by_side.work_precision,
    "tails": side_by_side.tails,
    "deep_separable": deep.separable,
    "deep_referee": deep.referee,
    "flow": flow.run,
}
