"""Solutions in files: every number bit by bit, and no code; what is loaded is checked before it is used."""

import io
import json
import zipfile
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .codes import Phase, Status
from .files import write_bytes
from .groups import ClassGroups, ClassOrder
from .losses import Loss
from .problems import Problem
from .solution import DESCRIPTIONS, Solution

_FORMAT = 1  #: raised when older programs could not read what is written
_HEADER = "header"  #: JSON in which every array is its name in the archive
_STATIC = (type(None), bool, int, float, str)


def save(path: Path | str, solution: Solution) -> None:
    """Write a solution (also a batched one), its problem, loss and class order to a NumPy archive ``.npz``.

    Raises ValueError for a solution under a trace, or a name that does not end in .npz; OSError naming the path.
    """
    path = _named(path)
    if not isinstance(solution, Solution):
        raise ValueError(f"solution must be a lpmjax Solution, got {type(solution).__name__}.")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(solution)):
        raise ValueError("a solution under a trace holds no numbers yet: save it outside jit, vmap and grad.")
    arrays: dict[str, np.ndarray] = {}
    described = _describe(solution, "solution", arrays)
    header = {"format": _FORMAT, "lpmjax": version("lpmjax"), "solution": described}
    content = io.BytesIO()
    arrays[_HEADER] = np.array(json.dumps(header))
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getbuffer())


def load(path: Path | str) -> Solution:
    """The solution that :meth:`Solution.save` wrote, in the dtype that it had (float64 whatever jax's own setting).

    Names, shapes, dtypes and codes are checked; the numbers are taken as they are, and
    ``lpm.certify(solution.problem, solution)`` proves them anew. Nothing in the file is executed.

    Raises
    ------
    ValueError, OSError
        Naming the file and what is wrong: it is not such an archive, is damaged, is of a later format, or holds a
        problem or loss that is not defined (import the module that defines it first).
    """
    path = _named(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop(_HEADER)))
        if header["format"] > _FORMAT:
            raise ValueError(
                f"it is of format {header['format']}, written by lpmjax {header['lpmjax']}: update lpmjax."
            )
        with jax.enable_x64(True):
            solution = _restore(header["solution"], arrays)
            _check(solution)
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a solution that lpmjax saved, or is damaged: {error}") from error
    return solution


def _named(path: Path | str) -> Path:
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".npz":
        raise ValueError(f"path = {str(path)!r} is out of range: solutions are NumPy archives, name.npz.")
    return Path(path)


def _describe(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON of a pytree; its arrays are added to ``arrays`` under their dotted names."""
    if isinstance(value, eqx.Module):
        parts = {f.name: _describe(getattr(value, f.name), f"{name}.{f.name}", arrays) for f in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    if isinstance(value, tuple):
        return {"tuple": [_describe(part, f"{name}.{i}", arrays) for i, part in enumerate(value)]}
    if isinstance(value, ClassOrder):
        arrays[name] = value.group_of_class
        return {"order": name}
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, _STATIC):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}, which cannot be saved.")


def _restore(described: Any, arrays: dict[str, np.ndarray]) -> Any:
    match described:
        case {"class": name, "fields": parts}:
            return _module(_known(name), {key: _restore(part, arrays) for key, part in parts.items()})
        case {"tuple": parts}:
            return tuple(_restore(part, arrays) for part in parts)
        case {"order": name}:
            return ClassOrder(arrays[name])
        case {"array": name}:
            if arrays[name].dtype.kind not in "fiub":
                raise ValueError(f"{name} is not an array of numbers.")
            return jnp.asarray(arrays[name])
    if isinstance(described, _STATIC):
        return described
    raise ValueError(f"it holds {described!r}.")


def _module(kind: type, parts: dict[str, Any]) -> Any:
    """With these fields as they are: __init__ would normalise weights anew, and refuse the axes of a batch."""
    unknown = parts.keys() - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(
            f"its {kind.__name__} has {', '.join(sorted(unknown))}, unknown to this version: update lpmjax."
        )
    value = object.__new__(kind)
    for f in fields(kind):
        if f.name not in parts and f.default is MISSING:
            raise ValueError(f"its {kind.__name__} lacks {f.name}.")
        object.__setattr__(value, f.name, parts.get(f.name, f.default))
    return value


def _known(name: str) -> type:
    """A class by its name: Solution, ClassGroups, any problem or loss."""
    classes = [Solution, ClassGroups]
    for kind in (Problem, Loss):
        classes += _subclasses(kind)
    for kind in classes:
        if kind.__name__ == name:
            return kind
    raise ValueError(f"it holds a {name!r}, which is not defined here: import the module that defines it first.")


def _subclasses(kind: type) -> list[type]:
    return [below for child in kind.__subclasses__() for below in (child, *_subclasses(child))]


def _check(solution: Any) -> None:
    """ValueError unless shapes, dtypes and codes are those of a solution."""
    if not isinstance(solution, Solution) or not isinstance(solution.problem, Problem):
        raise ValueError("it does not hold a solution of a problem.")
    problem, batch, G = solution.problem, solution.value.shape, solution.within.shape[-1]
    shapes = {name: batch + (G,) * len(dimensions) for name, (_, _, dimensions) in DESCRIPTIONS.items()}
    if solution.bias is not None:
        shapes["bias"] = (*batch, G)
    for name, shape in shapes.items():
        if getattr(solution, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(solution, name).shape}, not {shape}.")
    for name in ("classes", "samples", "weights"):
        if getattr(problem.groups, name).shape[-1:] != (G,):
            raise ValueError(f"the problem's {name} has shape {getattr(problem.groups, name).shape} for {G} groups.")
    order = problem.groups.order
    if order is not None and not ((order.group_of_class >= 0) & (order.group_of_class < G)).all():
        raise ValueError(f"the class order names groups other than 0 to {G - 1}.")
    for name, codes in (("status", Status), ("phase", Phase)):
        if not np.isin(np.asarray(getattr(solution, name)), list(codes)).all():
            raise ValueError(f"{name} holds a code that is not one of {', '.join(code.name for code in codes)}.")
    W, H = solution.W, solution.H
    if W is not None and H is not None and W.shape[-1:] != H.shape[-2:-1]:
        raise ValueError(f"W has shape {W.shape} and H {H.shape}.")
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(solution) if not jnp.issubdtype(leaf.dtype, jnp.integer)}
    if not kinds <= {"float32", "float64"}:
        raise ValueError(f"it holds {', '.join(sorted(kinds))}, not float32 or float64.")
