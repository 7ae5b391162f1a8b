"""Solvers that one would use instead, each with a ladder of settings from loose to tight."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..instances import Instance


@dataclass(frozen=True)
class Peer:
    """A solver of an :class:`Instance` or of a batch of them.

    ``prepare(instances, seconds)`` imports and builds whatever can be reused and returns ``solve(knob)``, whose result
    ``logits`` turns into one K x K array per instance, outside the time that counts. ``prepare`` raises ImportError
    where the solver is not installed. ``ladder`` holds the values of its one knob from loose to tight.
    """

    name: str
    prepare: Callable[[Sequence[Instance], float], tuple[Callable[[Any], Any], Callable[[Any], list[Any]]]]
    ladder: tuple[Any, ...]
    most_classes: int  #: larger instances are not tried
    why: str = ""  #: the reason for that limit
    batch: bool = False
    two_groups_only: bool = False
    precision_ladder: tuple[Any, ...] = ()  #: for work against precision, where it is not ``ladder``


def all_peers() -> dict[str, Peer]:
    """By name, lpmjax first."""
    from . import conic, descents, ours

    return {peer.name: peer for peer in (*ours.PEERS, *conic.PEERS, *descents.PEERS)}
