"""Identity: what a stored sweep is, so that only the same one goes on with it."""

import hashlib
import json
import re
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from .plan import Plan
from .task import Run

FORMAT = 1  #: of a store; raised when older programs could not go on with what is written


_LPMJAX, _JAX = "lpmjax version", "jax version"
_BUILDS, _RUNS = "what the builder computes", "what run computes"


def identity(plan: Plan) -> dict[str, str]:
    """What has to be the same, by name. Numbers are shown; whatever else is, and what functions compute, is hashed."""
    grid, corner = plan.grid, {name: axis[0] for name, axis in plan.grid.axes.items()}
    said = {_LPMJAX: version("lpmjax"), _JAX: version("jax"), "format of the store": str(FORMAT)}
    said |= {"builder": name_of(grid.builder)}
    said |= {f"argument {name}": _axis(axis) for name, axis in grid.axes.items()}
    fixed = {name: _plain(value) for name, value in grid.fixed.items()}
    said |= {f"argument {name}": _argument(value) for name, value in fixed.items()}
    said |= {"dtype": plan.dtype, "variables": ", ".join(sorted(plan.names))}
    with jax.enable_x64(plan.dtype == "float64"):
        if isinstance(plan.task, Run):
            said |= {"run": name_of(plan.task.run), _RUNS: _computation(plan.task.run, plan.first)}
        else:
            said |= {"method": repr(plan.task.solver), "tol": repr(plan.task.tol)}
        return said | {_BUILDS: _computation(lambda **values: grid.builder(**values, **fixed), **corner)}


def digest(said: dict[str, str]) -> str:
    """One hash of an identity."""
    return _hash(json.dumps(said, sort_keys=True).encode())


def differences(ours: dict[str, str], stored: dict[str, str], any_version: bool = False) -> list[str]:
    """A line for each thing that differs; ``any_version``: of lpmjax. Any jax will do."""
    names = {name for name in (*ours, *stored) if ours.get(name) != stored.get(name)}
    if names & {_LPMJAX, _JAX}:  # others may trace the same functions in other words
        names -= {_BUILDS, _RUNS}
    names -= {_JAX, _LPMJAX} if any_version else {_JAX}
    # Other arguments make other computations, which says nothing of the functions.
    names = names - {_BUILDS, _RUNS} or names
    order = [name for name in dict.fromkeys((*ours, *stored)) if name in names]
    return [f"{name} is {ours.get(name, 'none')}, in the store {stored.get(name, 'none')}" for name in order]


def name_of(function: Any) -> str:
    """Of a builder or a run."""
    return getattr(function, "__qualname__", type(function).__name__)


def _axis(axis: np.ndarray) -> str:
    return f"{axis.size} values from {axis[0]:g} to {axis[-1]:g} ({_hash(axis.tobytes())})"


def _plain(value: Any) -> Any:
    """Numbers as Python's own, which they equal: an archive gives arrays back."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    number = isinstance(value, (np.generic, np.ndarray, jax.Array)) and np.ndim(value) == 0
    return np.asarray(value).item() if number else value


def _argument(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if value is None or isinstance(value, (bool, float, str)):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_argument, value))})"
    leaves, tree = jax.tree.flatten(value)
    return f"a {type(value).__name__} ({_hash(_shown(tree).encode(), *map(_content, leaves))})"


def _computation(function: Any, *arguments: Any, **keywords: Any) -> str:
    """Hash of what a function computes: a change of its code that changes nothing is none."""
    traced, made = jax.make_jaxpr(function, return_shape=True)(*arguments, **keywords)
    shown = f"{_shown(traced.jaxpr)} {_shown(jax.tree.structure(made))}"
    return _hash(shown.encode(), *map(_content, traced.consts))


def _shown(value: Any) -> str:
    """Text of it without addresses in memory, which differ between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def _content(leaf: Any) -> bytes:
    array = np.asarray(leaf)
    if array.dtype == object:
        return _shown(leaf).encode()
    return f"{array.dtype} {array.shape}".encode() + array.tobytes()


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
