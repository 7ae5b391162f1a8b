"""Pytrees in NumPy archives: numbers bit by bit and names, no code; whose classes they are is for the reader to say."""

import io
import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .files import write_bytes
from .orders import ClassOrder, order_of
from .traced import holds_tracers

_FORMAT = 1  #: raised when older programs could not read what is written
_HEADER = "header"  #: JSON in which every array is its name in the archive
_STATIC = (type(None), bool, int, float, str)


def archive_path(path: Path | str) -> Path:
    """The path of an archive; ValueError for a name that does not end in .npz."""
    if not isinstance(path, (str, Path)) or Path(path).suffix != ".npz":
        raise ValueError(f"path = {str(path)!r} is out of range: solutions are NumPy archives, name.npz.")
    return Path(path)


def write(path: Path | str, name: str, value: Any) -> None:
    """Write a pytree of modules under this name.

    Raises ValueError under a trace, or for a path that does not end in .npz; OSError naming the path.
    """
    path = archive_path(path)
    if holds_tracers(value):
        raise ValueError(f"a {name} under a trace holds no numbers yet: save it outside jit, vmap and grad.")
    arrays: dict[str, np.ndarray] = {}
    header = {"format": _FORMAT, "lpmjax": version("lpmjax"), name: _describe(value, name, arrays)}
    content = io.BytesIO()
    arrays[_HEADER] = np.array(json.dumps(header))
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getbuffer())


def can_hold(value: Any) -> bool:
    """Whether :func:`write` takes it."""
    try:
        _describe(value, "value", {})
    except ValueError:
        return False
    return True


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays, for :func:`restore`; raises what NumPy does, or ValueError for a later format."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays.pop(_HEADER)))
    if header["format"] > _FORMAT:
        raise ValueError(f"it is of format {header['format']}, written by lpmjax {header['lpmjax']}: update lpmjax.")
    return header, arrays


def restore(described: Any, arrays: dict[str, np.ndarray], known: Callable[[str], type]) -> Any:
    """The pytree of this JSON; ``known`` gives the classes by their names. Raises ValueError for anything else."""
    match described:
        case {"class": name, "fields": parts}:
            return _module(known(name), {key: restore(part, arrays, known) for key, part in parts.items()})
        case {"tuple": parts}:
            return tuple(restore(part, arrays, known) for part in parts)
        case {"order": str(name)}:
            return ClassOrder(arrays[name])
        case {"bands": dict(names)}:
            return order_of({part: arrays[name] for part, name in names.items()})
        case {"array": name}:
            if arrays[name].dtype.kind not in "fiub":
                raise ValueError(f"{name} is not an array of numbers.")
            return jnp.asarray(arrays[name])
    if isinstance(described, _STATIC):
        return described
    raise ValueError(f"it holds {described!r}.")


def _describe(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON of a pytree; its arrays are added to ``arrays`` under their dotted names."""
    if isinstance(value, eqx.Module):
        parts = {f.name: _describe(getattr(value, f.name), f"{name}.{f.name}", arrays) for f in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    if isinstance(value, tuple):
        return {"tuple": [_describe(part, f"{name}.{i}", arrays) for i, part in enumerate(value)]}
    if isinstance(value, ClassOrder):
        parts = {f"{name}.{part}" if part != "group_of_class" else name: array for part, array in value.parts().items()}
        arrays.update(parts)
        names = dict(zip(value.parts(), parts, strict=True))
        return {"order": name} if len(names) == 1 else {"bands": names}
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, _STATIC):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}, which cannot be saved.")


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
