"""Solutions from files: what is loaded is checked before it is used."""

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .archive import archive_path, read, restore
from .codes import Phase, Status
from .groups import ClassGroups
from .losses import Loss
from .problems.problem import Problem
from .solution import DESCRIPTIONS, Solution


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
    path = archive_path(path)
    try:
        header, arrays = read(path)
        with jax.enable_x64(True):
            solution = restore(header["solution"], arrays, _known)
            _check(solution)
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a solution that lpmjax saved, or is damaged: {error}") from error
    return solution


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
