"""DeepSolution: a stationary point of a deep linear network, class by class, with a bound on the global optimum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..arguments import require_integer, require_precision
from ..fields import variable
from ..settings import nan_is_a_value
from ..traced import concrete
from .result import Result


class DeepSolution(Result):
    """Best stationary point found of a model of three or more factors: ``lower_bound <= global optimum <= value``.

    Classes of equal count need not play equal parts at an optimum, so everything is said of each class, in the caller's
    order. Leaves carry leading batch axes after ``jax.vmap``; those with floats are differentiable by every parameter,
    ``W`` and ``H`` only up to rotation.

    Attributes
    ----------
    W, H : (K, d), (d, K) product of all weight matrices, and features; ``W @ H`` are the logits without bias. At
        balanced norms and in singular coordinates: ``Wᵀ W`` and ``H Omega² Hᵀ`` are diagonal.
    bias : (K,) last-layer bias or None.
    pairwise : (K, K) cosines between classifier rows, NaN where a row is zero.
    w_norm2, h_norm2, margin : (K,) squared norms of rows of W and of features, least logit margin.
    spectrum : (d,) singular values of ``W H Omega``, largest first.
    relaxed_within, relaxed_between, relaxed_bias : logits of the convex relaxation in group coordinates
        (:mod:`lpmjax.symmetry`), which prove ``lower_bound``.
    """

    W: Float[Array, "*batch K d"]
    H: Float[Array, "*batch d K"]
    bias: Float[Array, "*batch K"] | None
    pairwise: Float[Array, "*batch K K"]
    w_norm2: Float[Array, "*batch K"] = eqx.field(
        metadata=variable("squared norm of a row of the product of all weights", dims=("class",))
    )
    h_norm2: Float[Array, "*batch K"] = eqx.field(metadata=variable("squared norm of a feature", dims=("class",)))
    margin: Float[Array, "*batch K"] = eqx.field(
        metadata=variable("least margin of a class over its rivals", dims=("class",))
    )
    spectrum: Float[Array, "*batch d"] = eqx.field(
        metadata=variable("singular values of the weighted logits", dims=("direction",))
    )
    relaxed_within: Float[Array, "*batch G"]
    relaxed_between: Float[Array, "*batch G G"]
    relaxed_bias: Float[Array, "*batch G"] | None

    def logits(self) -> Float[Array, "K K"]:
        """(..., K, K) column k holds the logits of every sample of class k; a bias is included."""
        Z = self.W @ self.H
        return Z if self.bias is None else Z + self.bias[..., :, None]

    def cosines(self) -> Float[Array, "*batch K K"]:
        """(..., K, K) cosines between classifier rows."""
        return self.pairwise

    @nan_is_a_value
    def factors(self, dim: int | None = None) -> tuple[Array, ...]:
        """All L = M + 1 factors at balanced norms, last layer first, features (d, K) last; ``W = W_M ... W_1``.

        ``dim`` is the inner width, by default that of ``W``. Unique up to rotations. Raises ValueError if it is below
        the rank, or for a batched solution.
        """
        require_precision(solution=self)
        if self.W.ndim > 2:
            raise ValueError("factors of a batched solution: use jax.vmap(lambda s: s.factors())(solution).")
        found = concrete(self)
        d = found.W.shape[1] if dim is None else require_integer("dim", dim, 1)
        if d < found.rank:
            raise ValueError(f"dim = {d} is below the rank of the optimum: pass dim >= {int(found.rank)}.")
        problem, at = found.problem, found.problem.objective().coordinates(found)
        nx = at.root.__array_namespace__()
        order = nx.sort(nx.argsort(-at.root, stable=True)[:d])
        pad = d - order.size
        left, right = nx.pad(at.left[:, order], ((0, 0), (0, pad))), nx.pad(at.right[order], ((0, pad), (0, 0)))
        inner = nx.diag(nx.pad(at.root[order], (0, pad)))
        decays = [*problem.lambda_W, problem.lambda_H]
        mean = nx.exp(nx.mean(nx.log(nx.stack(decays))))
        first, *middle, last = (nx.sqrt(mean / decay) for decay in decays)
        omega = problem.omega[problem.groups.class_index]
        factors = first * left, *(scale * inner for scale in middle), last * right / omega[None, :]
        return jax.tree.map(jnp.asarray, factors)

    def _size(self) -> str:
        return f", K = {self.W.shape[-2]}, L = {self.problem.num_factors} factors"

    def _details(self) -> list[str]:
        pairwise = np.asarray(self.pairwise)
        cosines = pairwise[np.triu_indices(len(pairwise), 1)]
        kinds, counts = np.unique(np.round(cosines[np.isfinite(cosines)], 6), return_counts=True)
        listed = ", ".join(f"{kind:.4f} ({count})" for kind, count in zip(kinds, counts, strict=True))
        lines = [f"global optimum in [{float(self.lower_bound):.10g}, {float(self.value):.10g}]"]
        lines.append(f"cosines (pairs of classes): {listed if len(kinds) <= 12 else f'{len(kinds)} values'}")
        return lines
