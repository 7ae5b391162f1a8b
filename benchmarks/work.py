"""Operations of a traced program: what the algorithm does, whatever a compiler makes of it.

Every primitive of the jaxpr is counted by its shapes; the body of a data-dependent loop is multiplied by the number of
trips that the run itself reported, in the order in which the loops appear (depth first). In a batch all lanes trip
together, so the count is of what is executed, idle lanes included.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax

_TRANSCENDENTAL = frozenset("exp exp2 expm1 log log1p pow sqrt rsqrt cbrt tanh logistic sin cos lgamma".split())
_FREE = frozenset(
    "broadcast_in_dim reshape squeeze transpose convert_element_type slice dynamic_slice concatenate iota copy "
    "stop_gradient gather scatter dynamic_update_slice pad rev expand_dims".split()
)


@dataclass
class Work:
    """Counts of one call. ``unknown_loops`` were counted as one trip: then the counts are lower bounds."""

    flops: float = 0.0  #: elementwise and reductions, one each
    matmul_flops: float = 0.0  #: products and factorisations of matrices
    transcendentals: float = 0.0
    trips: float = 0.0  #: of loops, one after another
    bytes: float = 0.0  #: arguments and results once
    unknown_loops: int = 0

    def add(self, other: "Work", times: float) -> None:
        """Add ``times`` executions of another program."""
        for name in ("flops", "matmul_flops", "transcendentals", "trips"):
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


def count(function: Callable[..., Any], *arguments: Any, trips: Sequence[float] = ()) -> dict[str, Any]:
    """Work of ``function(*arguments)``, whose data-dependent loops take ``trips``."""
    closed = jax.make_jaxpr(function)(*arguments)
    known = iter(trips)
    unknown: list[None] = []
    work = _of_jaxpr(closed.jaxpr, known, unknown)
    ends = [v.aval for v in (*closed.jaxpr.invars, *closed.jaxpr.outvars)]
    work.bytes = float(sum(math.prod(a.shape) * a.dtype.itemsize for a in ends if hasattr(a.dtype, "itemsize")))
    work.unknown_loops = len(unknown)
    return asdict(work)


def _of_jaxpr(jaxpr: Any, trips: Iterator[float], unknown: list[None]) -> Work:
    work = Work()
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "while":
            times = next(trips, None)
            if times is None:
                unknown.append(None)
            body = _of_jaxpr(parameters["body_jaxpr"].jaxpr, trips, unknown)
            work.add(body, 1.0 if times is None else times)
            work.trips += 1.0 if times is None else times
        elif name == "scan":
            work.add(_of_jaxpr(parameters["jaxpr"].jaxpr, trips, unknown), parameters["length"])
            work.trips += parameters["length"]
        elif name == "cond":
            branches = [_of_jaxpr(b.jaxpr, trips, unknown) for b in parameters["branches"]]
            work.add(max(branches, key=lambda b: b.flops + b.matmul_flops + b.transcendentals), 1)
        elif name == "custom_jvp_call":
            work.add(_of_jaxpr(parameters["call_jaxpr"].jaxpr, trips, unknown), 1)
        elif inner := parameters.get("jaxpr") or parameters.get("call_jaxpr"):
            work.add(_of_jaxpr(getattr(inner, "jaxpr", inner), trips, unknown), 1)
        else:
            _one(work, name, equation)
    return work


def _one(work: Work, name: str, equation: Any) -> None:
    shapes: list[Any] = [getattr(v.aval, "shape", ()) for v in equation.invars]
    size = max((math.prod(v.aval.shape) for v in equation.outvars), default=0)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        work.matmul_flops += 2.0 * size * math.prod(shapes[0][axis] for axis in contracted)
    elif name in ("svd", "eigh", "cholesky", "triangular_solve", "lu", "householder_product", "qr"):
        work.matmul_flops += _factorisation(name, shapes[0], equation.params, size)
    elif name in _TRANSCENDENTAL:
        work.transcendentals += size
    elif name.startswith(("reduce", "cum", "arg")):
        work.flops += math.prod(shapes[0])
    elif name not in _FREE:
        work.flops += size


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
