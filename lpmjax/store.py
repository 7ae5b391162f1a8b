"""Solutions from files: what is loaded is checked before it is used."""

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .archive import archive_path, read, restore
from .codes import Phase, Status
from .fields import words_of
from .groups import ClassGroups
from .losses.loss import Loss
from .problems.problem import Problem
from .results.logits import LogitSolution
from .results.result import Result
from .results.solution import Solution


def load(path: Path | str) -> Any:
    """The solution that :meth:`lpmjax.Result.save` wrote, in the dtype that it had (float64 whatever jax's setting).

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
            solution = restore(header["solution"], arrays, known_class)
            _check(solution)
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a solution that lpmjax saved, or is damaged: {error}") from error
    return solution


def known_class(name: str) -> type:
    """A class by its name: ClassGroups, any result, problem or loss."""
    classes: list[type] = [ClassGroups]
    for kind in (Result, Problem, Loss):
        classes += _subclasses(kind)
    for kind in classes:
        if kind.__name__ == name:
            return kind
    raise ValueError(f"it holds a {name!r}, which is not defined here: import the module that defines it first.")


def _subclasses(kind: type) -> list[type]:
    return [below for child in kind.__subclasses__() for below in (child, *_subclasses(child))]


def _check(solution: Any) -> None:
    """ValueError unless shapes, dtypes and codes are those of a solution."""
    if not isinstance(solution, Result) or not isinstance(solution.problem, Problem):
        raise ValueError("it does not hold a solution of a problem.")
    batch, sizes = solution.value.shape, dict[str, int]()
    if isinstance(solution, LogitSolution):
        _check_groups(solution)
        sizes["group"] = solution.within.shape[-1]
    for name, words in words_of(solution).items():
        shape = getattr(solution, name).shape
        # A dimension has one size, wherever it stands; the two of a G x G block are alike.
        sized = zip((dim.removeprefix("logit_") for dim in words.dims), shape[len(batch) :], strict=False)
        expected = batch + tuple(sizes.setdefault(dim, size) for dim, size in sized)
        if shape != expected or len(shape) != len(batch) + len(words.dims):
            raise ValueError(f"{name} has shape {shape}, not {expected}.")
    for name, codes in (("status", Status), ("phase", Phase)):
        if not np.isin(np.asarray(getattr(solution, name)), list(codes)).all():
            raise ValueError(f"{name} holds a code that is not one of {', '.join(code.name for code in codes)}.")
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(solution) if not jnp.issubdtype(leaf.dtype, jnp.integer)}
    if not kinds <= {"float32", "float64"}:
        raise ValueError(f"it holds {', '.join(sorted(kinds))}, not float32 or float64.")


def _check_groups(solution: LogitSolution) -> None:
    """ValueError unless all of it has the same number of groups."""
    problem, batch, G = solution.problem, solution.value.shape, solution.within.shape[-1]
    for name in ("classes", "samples", "weights"):
        if getattr(problem.groups, name).shape[-1:] != (G,):
            raise ValueError(f"the problem's {name} has shape {getattr(problem.groups, name).shape} for {G} groups.")
    order = problem.groups.order
    if order is not None and not ((order.group_of_class >= 0) & (order.group_of_class < G)).all():
        raise ValueError(f"the class order names groups other than 0 to {G - 1}.")
    if not isinstance(solution, Solution):
        return
    if solution.bias is not None and solution.bias.shape != (*batch, G):
        raise ValueError(f"bias has shape {solution.bias.shape}, not {(*batch, G)}.")
    W, H = solution.W, solution.H
    if W is not None and H is not None and W.shape[-1:] != H.shape[-2:-1]:
        raise ValueError(f"W has shape {W.shape} and H {H.shape}.")
