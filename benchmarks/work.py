"""Operations of a program: what the algorithm does, whatever a compiler makes of it.

Every primitive of the jaxpr is counted by its shapes, times the executions of the loop or branch it stands in, which a
run of the same program with counters reports (:mod:`.executions`). In a batch all lanes trip together, so the count
is of what is executed, idle lanes included.
"""

import importlib
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

import jax

from lpmjax.solvers import stages

from .executions import called, run_counted

_TRANSCENDENTAL = frozenset("exp exp2 expm1 log log1p pow sqrt rsqrt cbrt tanh logistic sin cos lgamma".split())
_FREE = frozenset(
    "broadcast_in_dim reshape squeeze transpose convert_element_type slice dynamic_slice concatenate iota copy "
    "stop_gradient gather scatter dynamic_update_slice pad rev expand_dims".split()
)


@dataclass
class Work:
    """Counts of one call."""

    flops: float = 0.0  #: elementwise and reductions, one each
    matmul_flops: float = 0.0  #: products and factorisations of matrices
    transcendentals: float = 0.0
    trips: float = 0.0  #: of loops, one after another
    bytes: float = 0.0  #: arguments and results once


def count(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Work of ``function(*arguments)``, which is run for it."""
    work = Work()
    _counted(work, function, arguments)
    return asdict(work)


def count_solve(solve: Callable[[], Any]) -> dict[str, float]:
    """Work of an eager call of ``lpmjax.solve``, which may call compiled programs several times, at shapes that it
    chooses on the way."""
    work, module = Work(), importlib.import_module("lpmjax.solve")
    compiled = module._solve
    open_scout = inspect.unwrap(stages._scout)  # what it calls is counted

    def counted(problem: Any, tol: Any, start: Any, solver: Any) -> Any:
        return _counted(work, lambda *given: compiled(*given, solver), (problem, tol, start))

    with mock.patch.object(module, "_solve", counted), mock.patch.object(stages, "_scout", open_scout):
        solve()
    return asdict(work)


def _counted(work: Work, function: Callable[..., Any], arguments: Any) -> Any:
    """Results of the call, its work added to ``work``."""
    program, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    results, counts = run_counted(program, jax.tree.leaves(arguments))
    _add(work, program.jaxpr, 1.0, iter(counts))
    ends = [v.aval for v in (*program.jaxpr.invars, *program.jaxpr.outvars)]
    work.bytes += float(sum(math.prod(a.shape) * a.dtype.itemsize for a in ends if hasattr(a.dtype, "itemsize")))
    return jax.tree.unflatten(jax.tree.structure(shape), results)


def _add(work: Work, jaxpr: Any, times: float, counts: Iterator[int]) -> None:
    """Add ``times`` executions of a program; ``counts``: those of the loops and branches inside."""
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "while":
            trips = next(counts)
            work.trips += trips
            _add(work, parameters["body_jaxpr"].jaxpr, trips, counts)
        elif name == "scan":
            work.trips += times * parameters["length"]
            _add(work, parameters["jaxpr"].jaxpr, times * parameters["length"], counts)
        elif name == "cond":
            for branch in parameters["branches"]:
                _add(work, branch.jaxpr, next(counts), counts)
        elif (inner := called(equation)) is not None:
            _add(work, getattr(inner, "jaxpr", inner), times, counts)
        else:
            _one(work, name, equation, times)


def _one(work: Work, name: str, equation: Any, times: float) -> None:
    shapes: list[Any] = [getattr(v.aval, "shape", ()) for v in equation.invars]
    size = max((math.prod(v.aval.shape) for v in equation.outvars), default=0)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        work.matmul_flops += times * 2.0 * size * math.prod(shapes[0][axis] for axis in contracted)
    elif name in ("svd", "eigh", "cholesky", "triangular_solve", "lu", "householder_product", "qr"):
        work.matmul_flops += times * _factorisation(name, shapes[0], equation.params, size)
    elif name in _TRANSCENDENTAL:
        work.transcendentals += times * size
    elif name.startswith(("reduce", "cum", "arg")):
        work.flops += times * math.prod(shapes[0])
    elif name not in _FREE:
        work.flops += times * size


def _factorisation(name: str, shape: Any, parameters: dict[str, Any], size: int) -> float:
    """Leading terms of Golub and Van Loan, fourth edition (tables 5.5.1, 8.6.1 and section 8.3)."""
    batch, m, n = float(math.prod(shape[:-2])), shape[-2], shape[-1]
    long, short = max(m, n), min(m, n)
    if name == "svd":
        vectors = parameters.get("compute_uv", True)
        values = 4.0 * long * short**2 - 4 / 3 * short**3
        return batch * (4.0 * long**2 * short + 22.0 * short**3 if vectors else values)
    if name == "triangular_solve":
        return float(size) * n
    return batch * {"eigh": 9.0, "cholesky": 1 / 3}.get(name, 4 / 3) * long * short**2
