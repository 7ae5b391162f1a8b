"""The non-convex program as it is written, W and H of a given dimension: descent from any pair of them."""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..bias import Bias
from ..losses.loss import Loss
from .descent import LBFGS, FirstOrder, Until, descend, norm
from .implicit import with_derivative

if TYPE_CHECKING:
    import optax

#: relative stationarity that a descent aims at, and that it must reach to count as converged
_GOAL, _ACCEPT = 1e-11, 1e-7
#: where a loss can vanish, the least value that stationarity is relative to
_LEAST = 1e-4


class Columns(eqx.Module):
    """The program column by column: one column of features per class, or per sample. Budgets or penalties."""

    loss: Loss
    rows: Bool[Array, " K"]  #: which classes are present
    label: Int[Array, " C"]
    weights: Float[Array, " C"]
    omega: Float[Array, " C"]
    shift: Float[Array, " K"] | None
    budgets: tuple[Array, Array] | None  #: of the squared norms of W and of H diag(omega)
    penalties: Any  #: pair or None; on the same two, halved
    bias: Bias
    squared: bool = eqx.field(static=True)  #: features are squares, for they are >= 0
    projected: bool = eqx.field(static=True)  #: budgets held by projection; otherwise by scaling


class Pair(NamedTuple):
    """Classifier, features (their square roots if ``squared``; times omega) and bias."""

    W: Float[Array, "K d"]
    H: Float[Array, "d C"]
    bias: Any  #: (K,) or None
    #: root of the budget that is left, in a descent whose loss may not want all of it; otherwise None
    spare: Any = None


class Found(NamedTuple):
    """One local optimum."""

    pair: Pair  #: W, H and bias of the model itself
    log_value: Float[Array, ""]
    steps: Int[Array, ""]
    restarts: Int[Array, ""]
    converged: Bool[Array, ""]  #: stationary
    finished: Bool[Array, ""]  #: ended by its own criterion, not by the step limit


def random_pair(key: Array, program: Columns, dim: int) -> Pair:
    """Gaussian factors, of the size of the budgets or of margins of order one."""
    first, second = jax.random.split(key)
    K, C = program.rows.size, program.label.size
    dtype = program.weights.dtype
    W = jax.random.normal(first, (K, dim), dtype)
    H = jax.random.normal(second, (dim, C), dtype)
    W = jnp.where(program.rows[:, None], W, 0.0)
    H = jnp.where(program.weights[None, :] > 0, H, 0.0)
    if program.squared:
        H = jnp.abs(H)
    spread = jnp.sqrt(jnp.mean(program.omega) / jnp.sqrt(jnp.asarray(dim, dtype)))
    sizes = (spread, spread) if program.budgets is None else _radii(program, W, H)
    bias = jnp.zeros(K, dtype) if program.bias.present else None
    pair = Pair(sizes[0] * W, sizes[1] * H, bias)
    return pair._replace(spare=jnp.sqrt(_cost(pair, program))) if _may_spare(program) else pair


def _may_spare(program: Columns) -> bool:
    """Whether the budgets, held by scaling, may be more than an optimum wants."""
    return program.budgets is not None and program.loss.coercive and not program.projected


def _radii(program: Columns, W, H):
    assert program.budgets is not None
    features = H * H if program.squared else H
    E_W, E_H = program.budgets
    return jnp.sqrt(E_W / jnp.sum(W * W)), jnp.sqrt(E_H / jnp.sum(features * features))


def descend_pair(
    program: Columns, start: Pair, max_steps: int, optimizer: "optax.GradientTransformation | None"
) -> Found:
    """Descend from ``start``; the result carries its derivative by the program's numbers."""
    eps = float(jnp.finfo(program.weights.dtype).eps)
    every = 10 if start.W.size + start.H.size < 10**5 else 25
    until = Until(max(_GOAL, 50 * eps), jnp.asarray(max(_ACCEPT, 1e3 * eps)), max_steps, every)
    method = LBFGS() if optimizer is None else FirstOrder(optimizer, _project if program.projected else None)
    found = descend(_objective, _residual, start, program, until, method)
    point = found.x if program.projected else with_derivative(_objective, found.x, program)
    return measured(point, program, found.steps, found.restarts, found.converged, found.finished)


def measured(x: Pair, program: Columns, steps, restarts, converged, finished) -> Found:
    """What a descent that ended at ``x`` has found: W and H within the budgets, and their value."""
    value = _objective(x, program)
    log_value = jnp.log(value) if program.loss.vanishing else value
    return Found(_scaled_back(x, program), log_value, steps, restarts, converged, finished)


def is_stationary(x: Pair, program: Columns):
    """Whether a descent (in float64) would count as converged at ``x``."""
    return _residual(x, program) <= _ACCEPT


def widened(key: Array, pair: Pair, program: Columns, dim: int) -> Pair:
    """The same pair with more columns, small and random: at zero they would stay there."""
    fresh = random_pair(key, program, dim - pair.W.shape[1])
    W, H = pair.W, pair.H
    small = 1e-2 * jnp.sqrt(jnp.sum(W * W) / jnp.sum(fresh.W * fresh.W))
    return pair._replace(W=jnp.concatenate([W, small * fresh.W], 1), H=jnp.concatenate([H, small * fresh.H], 0))


def unscaled(pair: Pair, program: Columns) -> Pair:
    """Variables of the descent from W and H of the model: the inverse of what :class:`Found` returns."""
    balance = _balance(program)
    H = pair.H * program.omega[None, :] * jnp.sqrt(balance)
    x = Pair(pair.W / jnp.sqrt(balance), jnp.sqrt(H) if program.squared else H, pair.bias)
    if not _may_spare(program):
        return x
    return x._replace(spare=jnp.sqrt(jnp.maximum(_budget(program) - _cost(x, program), 0.0)))


def _features(x: Pair, program: Columns):
    return x.H * x.H if program.squared else x.H


def _balance(program: Columns):
    """sqrt(E_W / E_H) or sqrt(lambda_H / lambda_W): the descent works at equal norms."""
    if program.projected:
        return jnp.ones(())
    if program.budgets is not None:
        return jnp.sqrt(program.budgets[0] / program.budgets[1])
    assert program.penalties is not None
    return jnp.sqrt(program.penalties[1] / program.penalties[0])


def _cost(x: Pair, program: Columns):
    features = _features(x, program)
    return 0.5 * (jnp.sum(x.W * x.W) + jnp.sum(features * features))


def _budget(program: Columns):
    assert program.budgets is not None
    return jnp.sqrt(program.budgets[0]) * jnp.sqrt(program.budgets[1])


def _stretch(x: Pair, program: Columns):
    """What brings the product of the factors, and what they spare, onto the budget."""
    if program.budgets is None or program.projected:
        return jnp.ones(())
    spare = 0.0 if x.spare is None else x.spare * x.spare
    return _budget(program) / (_cost(x, program) + spare)


def _scaled_back(x: Pair, program: Columns) -> Pair:
    balance, stretch = _balance(program), _stretch(x, program)
    W = x.W * jnp.sqrt(balance * stretch)
    return Pair(W, _features(x, program) * jnp.sqrt(stretch / balance) / program.omega[None, :], x.bias)


def _objective(x: Pair, program: Columns):
    """Loss, or loss and decay; its logarithm unless the loss can vanish."""
    features = _features(x, program)
    Z = _stretch(x, program) * (x.W @ features) / program.omega[None, :]
    if x.bias is not None:
        Z = Z + x.bias[:, None]
    if program.shift is not None:
        Z = Z + program.shift[:, None]
    own = jnp.take_along_axis(Z, program.label[None, :], axis=0)[0]
    wrong = program.rows[:, None] & (jnp.arange(program.rows.size)[:, None] != program.label[None, :])
    margins = jnp.where(wrong, own[None, :] - Z, 0.0)
    rival_counts, scale = wrong.astype(Z.dtype), jnp.zeros((), Z.dtype)
    if program.budgets is not None:
        scale = program.loss.log_scale(margins, rival_counts)
    loss = program.loss.on_groups(jnp.where(wrong, margins - scale, 0.0), rival_counts, own)
    value = jnp.sum(program.weights * loss.value)
    if program.penalties is not None:
        value = value + jnp.sqrt(program.penalties[0]) * jnp.sqrt(program.penalties[1]) * _cost(x, program)
    value = value + program.bias.paid(x.bias, 1.0)
    if program.loss.vanishing:
        return value
    return jnp.log(jnp.maximum(value, jnp.finfo(value.dtype).tiny)) - scale


def _residual(x: Pair, program: Columns):
    """Norm of the gradient of log(value) times the norm of the factors."""

    value, slope = jax.value_and_grad(lambda x: _objective(x, program))(x)
    if program.loss.vanishing:
        slope = jax.tree.map(lambda leaf: leaf / jnp.maximum(value, _LEAST), slope)
    if not program.projected:
        return norm(slope) * norm(x)
    # Of the constrained problem: how far a unit step is from coming back by projection.
    back = _project(jax.tree.map(lambda a, g: a - norm(x) ** 2 * g, x, slope), program)
    return norm(jax.tree.map(jnp.subtract, back, x)) / norm(x)


def _project(x: Pair, program: Columns) -> Pair:
    """Onto the two budget balls (``optax.projections``)."""
    import optax

    assert program.budgets is not None
    W = optax.projections.projection_l2_ball(x.W, jnp.sqrt(program.budgets[0]))
    return x._replace(W=W, H=optax.projections.projection_l2_ball(x.H, jnp.sqrt(program.budgets[1])))


def solve_pairs(program: Any, starts: Pair, max_steps: int, optimizer: Any) -> Found:
    """:func:`descend_pair` from a batch of starts."""
    return jax.vmap(lambda start: descend_pair(program, start, max_steps, optimizer))(starts)
