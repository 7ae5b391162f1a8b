"""Squared error of a deep network with a ReLU after every weight matrix but the last: the better of two constructions.

The *orthogonal frame* is the optimum of the linear network, whose factors can all be non-negative, so that it is
feasible here too. For K = r(r-1)/2 classes of equal count and M >= 3 weight matrices, classes can be the edges of a
complete graph on r vertices: features of rank r are its incidence matrix B, and as ``relu(Bᵀ B - 1) = I`` one ReLU
makes them orthogonal (Súkeník, Lampert and Mondelli 2024, a strongly regular graph; ``proofs``: ``deep_relu.graph``).
Both are upper bounds, and neither need be optimal. The linear optimum is no lower bound, since a ReLU can raise the
nuclear norm: with M = 2, six classes on a hexagon are better than the orthogonal frame near its threshold.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from ..shrinkage import shrunk
from .objective import Structure
from .separable import KeptCoordinates, SeparableObjective

#: relative distance from the construction that still is the construction
_SAME = 1e-8


class NetworkCoordinates(NamedTuple):
    """:class:`KeptCoordinates` of the logits, and by which construction they are made."""

    within: Float[Array, "*batch G"]
    between: Float[Array, "*batch G G"]
    bias: None
    kept: Float[Array, "*batch G"]
    graph: Float[Array, "*batch"]  #: r of the graph, or 0 for the orthogonal frame


class ReluProof(NamedTuple):
    """What :class:`NetworkCoordinates` prove."""

    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]
    log_scale: Float[Array, "*batch"]
    at: NetworkCoordinates
    values: Float[Array, "*batch G"]
    constructed: Any  #: whether it is the construction itself


class ReluObjective(SeparableObjective):
    """Loss plus half the decay of all factors, of which the ReLUs see all but the first."""

    def vertices(self) -> Float[Array, "*batch"]:
        """r, if the classes of one group are the edges of a complete graph on r >= 4 vertices, else 0."""
        classes = self.program.classes
        nx = classes.__array_namespace__()
        K = nx.sum(classes, axis=-1)
        r = nx.rint(0.5 * (1 + nx.sqrt(1 + 8 * K)))
        possible = self.num_factors > 3 and classes.shape[-1] == 1 and (self.dim is None or self.dim >= 6)
        wide = True if self.dim is None else K <= self.dim
        return nx.where((0.5 * r * (r - 1) == K) & (r >= 4) & possible & wide, r, 0.0)

    def log_dearer(self, graph) -> Float[Array, "*batch"]:
        """Logarithm of what a construction pays over what the orthogonal frame of the same logits does."""
        classes, L = self.program.classes, self.num_factors
        nx = classes.__array_namespace__()
        r, K = nx.where(graph > 0, graph, 4.0), nx.sum(classes, axis=-1)
        nuclear = nx.sqrt(2 * (r - 1)) + (r - 1) * nx.sqrt(r - 2)  # norm of the incidence matrix
        product = 2 * nx.log(K) + (L - 3) * nx.log(r) + 2 * nx.log(nuclear) - math.log(4)
        return nx.where(graph > 0, product / L - nx.log(K), 0.0)

    def minimiser(self) -> NetworkCoordinates:
        """The better of the two constructions, differentiable by the numbers of the program."""
        plain, r = super().minimiser(), self.vertices()
        nx, omega, L = plain.within.__array_namespace__(), self.program.omega, self.num_factors
        frame = self.targets().best
        other = shrunk(omega, (self.log_price + self.log_dearer(r))[..., None], L)
        better = (r > 0) & (other.least[..., 0] < frame.least[..., 0])
        graph = nx.where(better, r, 0.0)
        within = nx.where(better[..., None], other.ratio, plain.within)
        between = nx.where(better[..., None, None], other.ratio[..., None], plain.between)
        return NetworkCoordinates(within, between, None, plain.kept, graph)

    def lagrangian(self, at: Any, multiplier: Any) -> Float[Array, ""]:
        """Loss of the logits and cost of the construction."""
        nx, frame = at.within.__array_namespace__(), KeptCoordinates(at.within, at.between, at.bias, at.kept)
        loss = self.loss(frame)
        return loss + nx.exp(self.log_dearer(at.graph)) * (super().lagrangian(frame, None) - loss)

    def prove(self, at: Any) -> ReluProof:
        """The value less a lower bound of every network."""
        nx, eps = at.within.__array_namespace__(), float(np.finfo(at.within.dtype).eps)
        cleaned, values = self.cleaned(at)
        value, best = self.lagrangian(cleaned, None), self.minimiser()
        off = nx.max(nx.abs(at.between - best.between), axis=(-2, -1)) + nx.max(
            nx.abs(at.within - best.within), axis=-1
        )
        off = off + nx.max(nx.abs(at.kept - best.kept), axis=-1) + nx.abs(at.graph - best.graph)
        gap = nx.maximum(value - self.lower_bound(value), 0.0) + 16 * max(2, values.shape[-1]) * eps * value
        return ReluProof(value, gap, nx.zeros_like(value), cleaned, values, off <= max(_SAME, 1e2 * eps))

    def lower_bound(self, value) -> Float[Array, "*batch"]:
        """Of every network, given the ``value`` of one. X = Z Omega, A its last hidden layer times Omega, M = L - 1.

        A ReLU raises no Frobenius norm, so all factors together pay at least ``c |X|_F^(2/L)``, and all but the last
        matrix W at least ``k |A|_F^(2/M)``. The first makes one scalar problem of size sqrt(N). The second is concave
        in ``|A|_F^2``, so above its chord up to the most that ``value`` can pay for; with what W pays the chord makes a
        nuclear norm of X = W A.
        """
        nx, L = value.__array_namespace__(), self.num_factors
        M, spread = L - 1, self.spread
        alone = spread * shrunk(1 / nx.sqrt(spread), self.log_price, L).least
        mean = 2 * self.program.charge.amount / L
        below = 0.5 * M * mean * self.sizes[..., 0] ** (1 / M)  # k
        log_slope = M * nx.log(below) + (1 - M) * nx.log(value)
        log_price = 0.5 * (nx.log(2 * mean / self.sizes[..., 0]) + log_slope) - nx.log(spread)
        each = shrunk(self.program.omega, log_price[..., None], 2).least
        return nx.maximum(alone, spread * nx.sum(self.program.classes * each, axis=-1))

    def is_stationary(self, proof: ReluProof) -> Any:
        """Whether it is the better construction, its scale stationary."""
        return proof.constructed

    def describe(self, at: Any, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """Norms are of the last weight matrix and of the features."""
        dearer = at.within.__array_namespace__().exp(self.log_dearer(at.graph))[..., None]
        views = super().describe(at, found, log_multiplier)
        return views | {name: views[name] * dearer for name in ("w_norm2", "h_norm2")} | {"graph": at.graph}

    def coordinates(self, result: Any) -> Any:
        """In float64."""
        at, nx = super().coordinates(result), self.program.omega.__array_namespace__()
        return NetworkCoordinates(at.within, at.between, None, at.kept, nx.asarray(result.graph, nx.float64))

    def classifier_power(self) -> tuple[Any, float]:
        """Of the last weight matrix alone."""
        return self.sizes[..., 0], 2 / self.num_factors

    def factors(self, Z: Any, group: Any, dim: int | None) -> tuple[Array, ...]:
        """All L of them, last layer first and class features last; between them a ReLU, which leaves the product Z."""
        nx, omega, L, K = Z.__array_namespace__(), self.program.omega[group], self.num_factors, Z.shape[0]
        size, r = nx.diagonal(Z) * omega, int(self.minimiser().graph)
        if r == 0:
            width = K if dim is None else dim
            order = nx.argsort(-size, stable=True)[:width]
            chosen = nx.pad(nx.eye(K, dtype=Z.dtype)[:, order], ((0, 0), (0, width - order.size)))
            roots = nx.sqrt(self.sizes)[:, None] * (size @ chosen)[None, :] ** (1 / L)
            inner = tuple(nx.diag(root) for root in roots[1:-1])
            return chosen * roots[0][None, :], *inner, roots[-1][:, None] * chosen.T / omega[None, :]
        shapes = graph_factors(r, L)
        paid = nx.exp(self.log_dearer(nx.asarray(r, Z.dtype))) * nx.sum(size ** (2 / L)) * self.sizes
        scaled = [nx.asarray(F, Z.dtype) * nx.sqrt(p / np.sum(F * F)) for F, p in zip(shapes, paid, strict=True)]
        return *scaled[:-1], scaled[-1] / omega[None, :]


def graph_factors(r: int, L: int) -> list[np.ndarray]:
    """Factors of unit scale whose network, with a ReLU after every matrix but the last, is the identity."""
    edges = [(i, j) for i in range(r) for j in range(i)]
    B = np.array([[float(v in edge) for edge in edges] for v in range(r)])
    left, values, right = np.linalg.svd(B, full_matrices=False)
    root = np.sqrt(values)
    middle = [np.eye(r) for _ in range(L - 4)]
    return [np.eye(len(edges)), B.T - 0.5, *middle, left * root, root[:, None] * right]
