"""KeptSolution: the optimum of a deep linear network with squared error, possibly narrower than it wants to be."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float

from ..fields import variable
from .solution import Solution


class KeptSolution(Solution):
    """A :class:`Solution` of which a narrow layer may keep only some dimensions.

    Attributes
    ----------
    kept : (G,) share of the K_g - 1 dimensions of a group's own that stay; 1 unless ``dim`` cuts through equal classes.
        Then any subspace of so many dimensions is optimal: cosines of the group are NaN, ``w_norm2``, ``h_norm2`` and
        ``margin`` are of the mean over subspaces, and :meth:`logits` and :meth:`factors` are of one of them.
    ties : number of singular values that the optimum leaves open, as ``dim`` cuts through them or, in three or more
        factors, they are at the threshold, where zero is as good; 0 where the optimal logits are unique.
    """

    kept: Float[Array, "*batch G"] = eqx.field(
        kw_only=True,
        metadata=variable("share of a group's own dimensions that a bottleneck leaves", dims=("group",)),
    )
    ties: Float[Array, "*batch"] = eqx.field(
        kw_only=True, metadata=variable("number of singular values that the optimum leaves open")
    )

    @property
    def unique(self) -> Bool[Array, "*batch"]:
        """Whether the optimal logits are."""
        return self.ties == 0

    def branches(self) -> Float[Array, "*batch G 2"]:
        """What one of its own dimensions of each group adds to the value: (zero, the stationary point above zero).

        The optimum takes the lesser of the two, and at the threshold, where they are equal, it jumps if there are three
        factors or more; derivatives are those of the branch taken. NaN where nothing above zero is stationary.
        """
        return self.problem.objective().branches()

    def _frame(self, same: Any, K: Any, group: Any) -> Any:
        """Of the first classes of each group, as many as there are dimensions and one."""
        nx = K.__array_namespace__()
        place = nx.sum(nx.tril(same, -1), axis=1)
        size = self.kept[group] * (K - 1) + 1
        here = same & (place < size - 0.5)[:, None] & (place < size - 0.5)[None, :]
        return nx.where(here, nx.eye(K.size, dtype=K.dtype) - 1 / size[None, :], 0.0)


class NetworkSolution(KeptSolution):
    """A :class:`KeptSolution` of a network with ReLUs: the better of two constructions, ``converged``.

    ``w_norm2`` and the cosines are of the last weight matrix. Where ``dim`` cuts through equal classes, some of them
    stay and the others are zero.

    Attributes
    ----------
    graph : r, where the r(r-1)/2 classes are the edges of a complete graph; 0 for the orthogonal frame.
    """

    graph: Float[Array, "*batch"] = eqx.field(
        kw_only=True, metadata=variable("vertices of the graph whose edges are the classes; 0: orthogonal frame")
    )

    def _frame(self, same: Any, K: Any, group: Any) -> Any:
        """Of the first classes of each group, as many as there are dimensions, where not all stay."""
        nx = K.__array_namespace__()
        place = nx.sum(nx.tril(same, -1), axis=1)
        chosen = nx.diag(nx.where(place < self.kept[group] * (K - 1) - 0.5, 1.0, 0.0).astype(K.dtype))
        cut = (self.kept < 1) | (nx.diagonal(self.between) == 0)
        return nx.where(cut[group][None, :], chosen, Solution._frame(self, same, K, group))
