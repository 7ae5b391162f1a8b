"""The cases by name, in the order in which they run. Each is a generator of rows."""

from collections.abc import Callable, Iterator

from ..rows import Row
from ..settings import Settings
from . import batches, calculus, deep, devices, flow, grouped, latency, programs, side_by_side, two_group

CASES: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "eager": latency.eager,
    "many_classes": grouped.many_classes,
    "precision": batches.precision,
    "boundary": calculus.boundary,
    "derivative": calculus.derivative,
    "phase_diagram": latency.phase_diagram,
    "padded": batches.padded,
    "devices": devices.run,
    "deep_separable": deep.separable,
    "deep_referee": deep.referee,
    "flow": flow.run,
    "rounds": batches.rounds,
    "two_group": two_group.run,
    "factored": grouped.factored,
    "grouped": grouped.many_groups,
    "peers": side_by_side.peers,
    "tails": side_by_side.tails,
    "programs": programs.run,
    "work_precision": side_by_side.work_precision,
}
