"""Best first: the simplices of least bound are halved until no bound is below the cutoff, or nodes run out.

What the lower bound rests on: some minimiser lies in the cover (:mod:`.cover`, with the radius of the first upper
bound), halves cover what they are halves of, exactly, and every simplex that is no longer halved has a bound of
:mod:`.bound`. The least of those, and of the ones still open, is the lower bound, whatever multipliers were found and
wherever was halved.
"""

import heapq
import time
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..arguments import require, require_integer, require_positive
from .barrier import Point, lower_bounds
from .bisection import edges
from .bound import Relaxation
from .cover import GRID, bisected, gram_basis, roots
from .descent import descend, random_logits
from .program import Program

_BATCH = 64
_FINEST = 1e-5  #: barrier, over the value, that is fine enough for any looser tolerance
_STARTS, _PROBES = 24, 4  #: descents from random points, and from relaxations


class GlobalBounds(NamedTuple):
    """``lower <= optimum <= upper``, and logits of value ``upper``."""

    lower: float
    upper: float
    Z: Float[np.ndarray, "K K"] | None  #: column k the logits of class k; None: the caller's bound stands
    nodes: int
    seconds: float


class _Node(NamedTuple):
    bound: float
    tie: int
    root: int
    vertices: Int[np.ndarray, "m m"]
    w: Float[np.ndarray, " m"]
    zeta: Float[np.ndarray, "K d"]


class _Tree:
    """Open simplices, and the least bound of those that are done with."""

    def __init__(self, program: Program, upper: float, tol: float):
        K = len(program.weights)
        self.tol = tol
        self.relaxation = Relaxation.of(program, program.radius(upper))
        self.roots = np.einsum("rme,exy->rmxy", roots(program.weights, program.omega), gram_basis(K))
        self.open: list[_Node] = []
        self.done, self.nodes = np.inf, 0
        count, m = self.roots.shape[:2]
        units = np.broadcast_to(np.eye(m, dtype=np.int64) << GRID, (count, m, m))
        start = Point(np.full((count, m), 1 / m), np.zeros((count, K, K - 1)))
        self.add(np.arange(count), units, start, np.full(count, -np.inf), upper)

    @property
    def lower(self) -> float:
        """Of the optimum."""
        return min(self.done, self.open[0].bound if self.open else np.inf)

    def matrices(self, root: Int[np.ndarray, " B"], vertices: Int[np.ndarray, "B m m"]) -> Float[np.ndarray, "B m d d"]:
        """Vertices, in units of the radius."""
        return np.einsum("bij,bjxy->bixy", vertices * 2.0**-GRID, self.roots[root])

    def add(self, root, vertices, start: Point, above, upper: float) -> None:
        """Bound simplices, which are part of ones with the bounds ``above``, and keep those that stay open."""
        cutoff = upper * (1 - self.tol)
        bound, point = lower_bounds(
            self.relaxation, self.matrices(root, vertices), start, cutoff, min(0.01 * self.tol, _FINEST) * upper
        )
        bound = np.fmax(bound, above)
        for b in range(len(bound)):
            if bound[b] < cutoff:
                node = _Node(bound[b], self.nodes + b, root[b], vertices[b], point.w[b], point.zeta[b])
                heapq.heappush(self.open, node)
            else:
                self.done = min(self.done, bound[b])
        self.nodes += len(bound)

    def halve(self, upper: float) -> Float[np.ndarray, "B K K"]:
        """Halve the simplices of least bound; the logits where the relaxation of each was least."""
        nodes = [heapq.heappop(self.open) for _ in range(min(_BATCH, len(self.open)))]
        bound, _, root, vertices, w, zeta = (np.array(field) for field in zip(*nodes, strict=True))
        V = self.matrices(root, vertices)
        first, second = edges(self.relaxation, V, w)
        halves, exact = bisected(vertices, first, second)
        self.done = min(self.done, np.min(bound[~exact], initial=np.inf))
        for half, (new, old) in zip(halves, ((first, second), (second, first)), strict=True):
            start = Point(_moved(w, new, old)[exact], zeta[exact])
            self.add(root[exact], half[exact], start, bound[exact], upper)
        return (zeta @ self.relaxation.basis.T).swapaxes(-1, -2)


def _moved(w, new, old):
    """Barycentric coordinates, where vertex ``new`` has moved to the middle of its edge to ``old``."""
    each, w = np.arange(len(w)), w.copy()
    of_new, of_old = w[each, new], w[each, old]
    w[each, new], w[each, old] = 2 * np.minimum(of_new, of_old), np.maximum(of_old - of_new, 0)
    return w


def global_bounds(
    program: Program,
    upper: tuple[float, Float[np.ndarray, "K K"] | None] | None = None,
    tol: float = 1e-3,
    max_nodes: int = 200_000,
    improve: bool = True,
) -> GlobalBounds:
    """Bounds on the optimum of a deep cross-entropy problem.

    Parameters
    ----------
    program : K from 2 to 5 classes, L >= 3 factors. One core closes 1e-6 for K = 3 in seconds and 1e-3 for K = 4 in a
        minute or so; K = 5 stops at ``max_nodes``.
    upper : any value that is not below the optimum, and logits that have it; default log K at Z = 0.
    tol : relative gap to stop at.
    max_nodes : simplices to bound before giving up; ``lower`` holds even so.
    improve : lower ``upper`` by descents from random starts and from where relaxations are least.

    Raises
    ------
    ValueError
        For K, L, tol or max_nodes out of range, or numbers that are not positive.
    """
    _require(program, tol, max_nodes)
    began = time.monotonic()
    K = len(program.weights)
    value, Z = upper or (float(program.value(np.zeros((K, K)))), np.zeros((K, K)))
    if improve:
        value, Z = min((value, Z), descend(program, random_logits(program, _STARTS)), key=lambda found: found[0])
    tree, rounds = _Tree(program, value, tol), 0
    while tree.open and tree.lower < value * (1 - tol) and tree.nodes < max_nodes:
        starts = tree.halve(value)
        rounds += 1
        if improve and rounds & (rounds - 1) == 0:  # ever more seldom
            value, Z = min((value, Z), descend(program, starts[:_PROBES]), key=lambda found: found[0])
    return GlobalBounds(min(tree.lower, value), value, Z, tree.nodes, time.monotonic() - began)


def _require(program: Program, tol: float, max_nodes: int) -> None:
    K = len(program.weights)
    require("weights", np.asarray(K), "of 2 to 5 classes", lambda k: (k >= 2) & (k <= 5), "The cover grows with K^2.")
    require_integer("L", program.L, 3)
    require_integer("max_nodes", max_nodes, 1)
    require("tol", tol, "above 0 and below 1", lambda t: (t > 0) & (t < 1), "It is relative to the value.")
    require_positive("", weights=program.weights, omega=program.omega, price=program.price)
