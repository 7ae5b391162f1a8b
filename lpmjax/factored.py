"""factored: local optima of the non-convex program over W and H, from random starts, each with its certificate."""

from typing import TYPE_CHECKING

from jaxtyping import Array

from .arguments import require_key, require_precision, require_type
from .problems.grouped import GroupedProblem
from .problems.problem import Problem
from .results.solution import Solution
from .settings import nan_is_a_value
from .solvers.factored import Factored
from .tries import as_tol, tries

if TYPE_CHECKING:
    import optax


@nan_is_a_value
def factored(
    problem: Problem,
    key: Array | None = None,
    restarts: int = 8,
    *,
    tol: float | None = None,
    max_steps: int | None = None,
    optimizer: "optax.GradientTransformation | None" = None,
    per_sample: bool = False,
    projected: bool = False,
    start: Solution | None = None,
) -> Solution:
    r"""Local optima of the program as it is written, over W (K, d) and H (d, K), or H (d, N) with ``per_sample``.

    No symmetry is assumed and no relaxation made, so this is what a trained last layer can do with ``dim`` feature
    dimensions. The duality gap of the convex relaxation still holds: a start that closes it has found the global
    optimum and is ``certified``. Where ``dim < K - 1`` it may not close; then a stationary point is ``converged``, and
    the best of the restarts an upper bound.

    Parameters
    ----------
    problem : a Problem; its ``dim`` is d. With ``dim=None`` the width starts small and grows until the gap closes
        (K - 1 under a trace). Under a trace its groups must be single classes (:meth:`ClassGroups.per_class`; absent
        ones pad a grid over K).
    key : random key, by default ``jax.random.key(0)``.
    restarts : number of starts, static.
    tol : relative duality gap for ``certified``, default 1e-8.
    max_steps : limit on descent steps, default 4000. Static.
    optimizer : any optax transformation; default L-BFGS.
    per_sample : one feature per sample instead of per class: within-class collapse is then found, not assumed. Needs
        whole, concrete samples.
    projected : hold the two norm budgets of :class:`LayerPeeled` by projection (``optax.projections``) after every step
        instead of by scaling; needs a first-order ``optimizer`` along the gradient (``optax.sgd``): steps that rescale
        coordinates, such as Adam's, followed by a Euclidean projection come to rest away from the optimum.
    start : Solution with W and H to start from, instead of random ones.

    Returns
    -------
    Solution (``invalid`` where traced groups are not single classes) with a leading axis of length ``restarts`` (1 with
        ``start``) and ``W``, ``H`` in the caller's class order; :func:`best` takes the best. Values, coordinates and
        norms are differentiable by every parameter (not with ``projected``); ``W`` and ``H`` are unique only up to
        rotation.

    Raises
    ------
    ValueError
        For arguments out of range or combinations that the text above excludes.
    """
    steps = {} if max_steps is None else {"max_steps": max_steps}
    solver = Factored(restarts=restarts, optimizer=optimizer, per_sample=per_sample, projected=projected, **steps)
    require_type("problem", problem, GroupedProblem, "a lpmjax Problem of ClassGroups such as LayerPeeled")
    require_type("start", start, (Solution, type(None)), "a lpmjax Solution, or None")
    require_precision(problem=problem, start=start)
    return tries(problem, solver, as_tol(problem, solver, tol), require_key(key), start)
