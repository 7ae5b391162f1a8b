"""Traced: whether arrays hold numbers now, or are computed later."""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.core import Tracer

T = TypeVar("T")


def holds_tracers(tree: Any) -> bool:
    """Whether any of its arrays is traced."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def is_traced(arguments: Any) -> bool:
    """Whether a computation on these is not carried out now: one is traced, or the caller is, with all of it closed
    over."""
    # All that is done in a traced function is traced.
    return holds_tracers(arguments) or isinstance(jax.lax.stop_gradient(0.0), Tracer)


def concrete(tree: T) -> T:
    """Its arrays in NumPy, of whose operations none is compiled; as it is if any of them is traced."""
    return tree if holds_tracers(tree) else jax.tree.map(np.asarray, tree)
