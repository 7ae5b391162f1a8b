"""Layout: a store on disk. The whole grid is laid out first, in zarr, which any reader of zarr opens at any time.

Beside the arrays a folder holds what the sweep is (``sweep.json``), what it was asked with (``arguments.npz``), the
lock, and the ledger of chunks that are done. Cells that are not done are NaN, and -1 in integers.
"""

import dataclasses
import hashlib
import json
import math
import secrets
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import archive
from ..arguments import require_type
from ..extras import zarr_modules
from ..files import write_bytes
from ..solvers.solver import AbstractSolver
from .chunks import Chunks
from .identity import FORMAT, digest
from .plan import Plan

_FOLDER = ".lpmjax"


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a store is, without its numbers."""

    path: Path
    chunks: Chunks
    variables: dict[str, int]  #: number of dimensions that each has beyond those of the grid
    identity: dict[str, str]
    asked: dict[str, Any]  #: JSON of what :func:`lpmjax.sweeps.plan.planned` was asked
    files: dict[str, str]  #: sha256 of every file that no chunk replaces

    @property
    def cells(self) -> int:
        """Of the whole grid."""
        return math.prod(self.chunks.grid)

    @property
    def own(self) -> Path:
        """The folder beside the arrays."""
        return self.path / _FOLDER

    def array_file(self, name: str, chunk: int) -> Path:
        """Of a variable in a chunk."""
        place = (*self.chunks.at(chunk), *(0,) * self.variables[name])
        return self.path.joinpath(name, "c", *map(str, place))

    def damaged(self) -> list[str]:
        """Files of coordinates and metadata that are not what was laid out, or gone."""
        files = ((name, self.path / name, sha256) for name, sha256 in self.files.items())
        return [name for name, file, sha256 in files if not is_intact(file, sha256)]

    def dataset(self) -> Any:
        """The lazy xarray.Dataset of dask arrays, a chunk of the store each."""
        _, xr = zarr_modules()
        return xr.open_zarr(self.path, consolidated=True)[list(self.variables)]


def as_store(store: Any) -> Path:
    """The path of a store; ValueError unless it is one."""
    require_type("store", store, (str, Path), "the path of a folder, as 'grid.zarr'")
    return Path(store)


def is_intact(file: Path, sha256: str | None) -> bool:
    """Whether a file is there and has this hash."""
    return file.is_file() and _sha256(file.read_bytes()) == sha256


def is_store(path: Path) -> bool:
    """Whether a sweep is laid out there."""
    return (path / _FOLDER / "sweep.json").is_file()


def read_layout(path: Path) -> Layout:
    """ValueError or OSError naming the path, if no sweep is laid out there or its description is damaged."""
    if not is_store(path):
        there = "is a file" if path.is_file() else "holds no sweep" if path.exists() else "does not exist"
        raise ValueError(f"{path} {there}: give the folder that lpmjax.sweep(..., store=...) has filled.")
    try:
        written = json.loads((path / _FOLDER / "sweep.json").read_bytes())
        content = written["content"]
        if written["sha256"] != _sha256(json.dumps(content).encode()):
            raise ValueError("its hash is another")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: its sweep.json is not what was written ({error}).") from error
    if content["format"] > FORMAT:
        raise ValueError(f"{path} is of format {content['format']}, of a later lpmjax: update lpmjax.")
    chunks = Chunks(tuple(content["grid"]), tuple(content["chunk"]))
    return Layout(path, chunks, content["variables"], content["identity"], content["asked"], content["files"])


def lay_out(plan: Plan, chunks: Chunks, path: Path, said: dict[str, str]) -> None:
    """Make the store of a sweep, in a folder that takes its name last: it is there whole or not at all.

    Raises OSError naming the path, also where something else is there already.
    """
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        partial.mkdir(parents=True)
        _write_arrays(plan, chunks, partial, digest(said))
        described = _write_asked(plan, partial)
        files = sorted(file for file in partial.rglob("*") if file.is_file())
        content = {
            "format": FORMAT,
            "identity": said,
            "grid": chunks.grid,
            "chunk": chunks.shape,
            "variables": {name: len(own) for name, (own, _) in plan.cell.items()},
            "asked": described,
            "files": {file.relative_to(partial).as_posix(): _sha256(file.read_bytes()) for file in files},
        }
        content = json.loads(json.dumps(content))
        written = {"sha256": _sha256(json.dumps(content).encode()), "content": content}
        write_bytes(partial / _FOLDER / "sweep.json", json.dumps(written, indent=1).encode())
        partial.rename(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; choose another place.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_arrays(plan: Plan, chunks: Chunks, path: Path, sweep: str) -> None:
    """Coordinates, attributes and the metadata of every variable, none of whose chunks is there yet."""
    zarr_modules()
    import dask.array as da

    empty, encoding = {}, {}
    for name, (own, kind) in plan.cell.items():
        empty[name] = da.empty(chunks.grid + own, dtype=kind, chunks=chunks.shape + own)
        encoding[name] = {"chunks": chunks.shape + own, "fill_value": np.nan if kind.kind == "f" else -1}
    ds = plan.dataset(empty, fell_back=plan.falls_back).assign_attrs(sweep=sweep)
    # zarr has text of any length only
    ds = ds.assign_coords({name: c.astype(object) for name, c in ds.coords.items() if c.dtype.kind == "U"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
        ds.to_zarr(path, mode="a", compute=False, zarr_format=3, encoding=encoding, consolidated=True)


def _write_asked(plan: Plan, path: Path) -> dict[str, Any]:
    """What the sweep was asked with, so that an audit can build its problems; arguments that no archive holds are left
    out, and an audit has to be given them."""
    (path / _FOLDER / "done").mkdir(parents=True)
    kept = {name: value for name, value in plan.grid.fixed.items() if archive.can_hold(value)}
    archive.write(path / _FOLDER / "arguments.npz", "arguments", tuple(kept.values()))
    method = plan.asked["method"]
    if isinstance(method, AbstractSolver):
        method = {"name": method.name, "constants": dataclasses.asdict(method)}
    run, builder, tol, max_steps = plan.asked["run"], plan.grid.builder, plan.asked["tol"], plan.asked["max_steps"]
    return {
        "method": method,
        "tol": None if tol is None else float(tol),
        "max_steps": None if max_steps is None else int(max_steps),
        "dtype": plan.dtype,
        "builder": _address(builder),
        "run": None if run is None else _address(run),
        "arguments": list(kept),
        "fixed": list(plan.grid.fixed),
        "axes": list(plan.grid.axes),
    }


def _address(function: Any) -> list[str]:
    return [getattr(function, "__module__", ""), getattr(function, "__qualname__", "")]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Writer:
    """Writes whole chunks, from any thread."""

    def __init__(self, layout: Layout):
        zarr, _ = zarr_modules()
        self._layout, self._written = layout, {}
        store = _whole_files(zarr, layout.path, self._written)
        # A chunk of fill values is a file like any other: one that is missing is then damage.
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._arrays = {name: zarr.open_array(store, path=name) for name in layout.variables}

    def write(self, chunk: int, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Each variable's file, whole or not at all; their hashes. Raises OSError naming the file."""
        where = self._layout.chunks.slices(chunk)
        hashes = {}
        for name, array in arrays.items():
            self._arrays[name][(*where, ...)] = array
            key = str(self._layout.array_file(name, chunk).relative_to(self._layout.path).as_posix())
            hashes[name] = self._written.pop(key)
        return hashes


def _whole_files(zarr: Any, path: Path, written: dict[str, str]) -> Any:
    """A zarr store in a folder that replaces files whole and remembers their hashes."""
    import asyncio

    class WholeFiles(zarr.storage.LocalStore):
        async def set(self, key: str, value: Any) -> None:
            content = value.to_bytes()
            await asyncio.to_thread(write_bytes, path / key, content)
            written[key] = _sha256(content)

    return WholeFiles(path)
