"""Deep linear networks with squared error: closed forms of singular values against dense logits and factors."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..certify import certify
from ..compiling import quick_jit
from ..groups import ClassGroups
from ..losses.squared_error import SquaredError
from ..problems.deep_linear import DeepLinear
from ..problems.unconstrained import UnconstrainedFeatures
from ..results.solution import Solution
from ..solve import solve
from .comparison import Comparison, Forms, claimed, full_logits, grid, relative, report
from .formula import closed_form

_DEPTHS = (1, 2, 4)
_CLASSES = (2, 1, 3)  # in each group
_GAP = 1e-12  # at which the closed form with a decayed bias is certified
_CELLS = 12  # random problems for each depth


@partial(quick_jit, static_argnames=("classes", "free_bias"))
def _solve_deep(samples, lambda_W, lambda_H, classes, free_bias):
    def one(samples, lambda_W, lambda_H):
        groups = ClassGroups(jnp.asarray(classes, samples.dtype), samples)
        return solve(DeepLinear(groups, lambda_W, lambda_H, SquaredError(), 0.0 if free_bias else None))

    return jax.vmap(one)(samples, lambda_W, lambda_H)


def _deep(classes, samples, decays, free_bias=False) -> Solution:
    """Solutions of problems with columns of samples (cells, G) and decays (cells, M + 1), the features' last."""
    return jax.tree.map(np.asarray, _solve_deep(samples, decays[:, :-1], decays[:, -1], tuple(classes), free_bias))


def _random(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples and decays at which b is up to twice the mean number of samples."""
    rng = np.random.default_rng(depth)
    samples = 10 ** rng.uniform(0, 2, (_CELLS, len(_CLASSES)))
    N = samples @ _CLASSES
    b = N / sum(_CLASSES) * 10 ** rng.uniform(-2, 0.3, _CELLS)
    return samples, _decays((b / (depth * N)) ** depth / N, depth, rng)


def _decays(product, depth: int, rng) -> np.ndarray:
    """(cells, depth + 1) of that product, a factor of a hundred apart."""
    spread = rng.uniform(-1, 1, (len(product), depth + 1))
    return np.exp(np.log(product)[:, None] / (depth + 1) + (spread - spread.mean(1, keepdims=True)) * np.log(10))


def _values(s: Solution) -> np.ndarray:
    """(cells, G) singular values of Z diag(sqrt n) on the classes of each group, without a bias."""
    classes = np.array(_CLASSES)
    first = np.cumsum(classes) - classes
    return full_logits(_CLASSES, s)[:, first, first] * np.sqrt(s.problem.groups.samples)


def schatten(forms: Forms) -> Comparison:
    """Decay of the factors of solutions, matrix by matrix."""
    errors, solved = [], []
    for depth in _DEPTHS:
        samples, decays = _random(depth)
        groups = ClassGroups(np.array(_CLASSES, float), samples[0])
        s = solve(DeepLinear(groups, tuple(decays[0, :-1]), decays[0, -1], SquaredError()))
        weights = np.sqrt(np.repeat(samples[0], _CLASSES))
        *matrices, features = map(np.asarray, s.factors())
        factors = [*matrices, features * weights]
        values = np.linalg.svd(np.asarray(s.logits()) * weights, compute_uv=False)
        values = values[values > 1e-9 * values[0]]
        spent = sum(0.5 * decay * np.sum(A**2) for decay, A in zip(decays[0], factors, strict=True))
        errors.append(relative(spent, closed_form(forms["cost"], depth, decays[0].prod(), values).sum()))
        for decay, A in zip(decays[0], factors, strict=True):
            square = np.linalg.svd(A, compute_uv=False)[: values.size] ** 2
            errors.append(relative(square, closed_form(forms["factor2"], depth, decays[0].prod(), decay, values)))
        solved.append(s)
    return report("all factors of solutions, by SVD", solved, *errors)


def separable(forms: Forms) -> Comparison:
    """Values from dense logits, and the stationarity of each singular value."""
    errors, solved = [], []
    for depth in _DEPTHS:
        samples, decays = _random(depth)
        s, N, P = _deep(_CLASSES, samples, decays), samples @ _CLASSES, decays.prod(axis=1)
        values = _values(s)
        share = closed_form(forms["cost"], depth, N[:, None], P[:, None], samples, np.maximum(values, 1e-300))
        x, alive = values / np.sqrt(samples), values > 0
        t = depth * x ** (1 - 1 / depth) * (1 - x) ** (1 + 1 / depth)
        b = closed_form(forms["b"], depth, N, P)[:, None] / samples
        errors += [relative(s.value, share @ _CLASSES), relative(t[alive], b[alive])]
        solved.append(s)
    return report("dense logits", solved, *errors)


def threshold(forms: Forms) -> Comparison:
    """Both sides of the threshold and of the last stationary point."""
    errors, solved = [], []
    for depth in (2, 3, 6):
        alive_at, last, jump = (float(closed_form(forms[name], depth)) for name in ("threshold", "last", "jump"))
        near = np.array([1 - 1e-6, 1 + 1e-6])
        t = np.concatenate([np.array([0.01, 0.5]) * alive_at, near * alive_at, near * last])
        n, N = np.full_like(t, 7.0), np.full_like(t, 21.0)
        P = (t * n / (depth * N)) ** depth / N
        decay = P ** (1 / (depth + 1))
        s = _deep((3,), n[:, None], np.repeat(decay[:, None], depth + 1, axis=1))
        stationary = np.asarray(jax.vmap(lambda one: one.branches())(s))[:, 0, 1]
        x, alive = s.within[:, 0], t < alive_at
        errors += [
            claimed((x > jump) == alive, (x == 0) != alive, np.isfinite(stationary) == (t < last)),
            relative(s.value[~alive], 0.5),
            relative(2 * s.value[alive], closed_form(forms["value"], depth, x[alive])),
            relative(2 * s.value[alive], closed_form(forms["objective"], depth, t[alive], x[alive])),
            relative(closed_form(forms["t"], depth, x[alive]), t[alive]),
            relative(closed_form(forms["product"], depth, N[alive], n[alive], x[alive]), P[alive]),
            relative(closed_form(forms["least_count"], depth, N, decay), n * t / alive_at),
            relative(closed_form(forms["stationary_count"], depth, N, decay), n * t / last),
        ]
        solved.append(s)
    return report("both sides of the threshold and of the last stationary point", solved, *errors)


def geometry(forms: Forms) -> Comparison:
    """Norms of classifier rows and features of solutions."""
    errors, solved = [], []
    for depth in _DEPTHS:
        samples, decays = _random(depth)
        s, P = _deep(_CLASSES, samples, decays), decays.prod(axis=1)[:, None]
        values, alive = _values(s), _values(s) > 0
        of_W, of_H = decays[:, :-1].prod(axis=1)[:, None], decays[:, -1:]
        h_norm2 = closed_form(forms["h_norm2"], depth, P, of_H, samples, np.maximum(values, 1e-300))
        w_norm2 = closed_form(forms["w_norm2"], depth, P, of_W, np.maximum(values, 1e-300))
        errors += [relative(s.h_norm2[alive], h_norm2[alive]), relative(s.w_norm2[alive], w_norm2[alive])]
        solved.append(s)
    return report("Gram matrices of solutions", solved, *errors)


def free_bias(forms: Forms) -> Comparison:
    """Singular values of the centred target, dense, and the bias of solutions."""
    classes, errors, solved = (2, 3), [], []
    for depth in _DEPTHS:
        samples, decays = _random(depth)
        samples = samples[:, :2]
        s, N = _deep(classes, samples, decays, free_bias=True), samples @ classes
        n = np.repeat(samples, classes, axis=1)
        target = np.sqrt(n)[:, :, None] * np.eye(sum(classes)) - n[:, :, None] * np.sqrt(n)[:, None] / N[:, None, None]
        between = closed_form(forms["between"], *classes, *samples.T)
        own = [np.repeat(samples[:, g, None], classes[g] - 1, axis=1) for g in range(2)]
        expected = np.sort(np.concatenate([*own, between[:, None]], axis=1), axis=1)
        found = np.sort(np.linalg.svd(target, compute_uv=False) ** 2, axis=1)[:, 1:]
        bias = closed_form(forms["bias"], N[:, None], samples)
        errors += [relative(found, expected), relative(s.bias, bias)]
        solved.append(s)
    return report("dense centred targets", solved, *errors)


def _biased(classes, samples, decay, bias_decay) -> UnconstrainedFeatures:
    groups = ClassGroups(jnp.asarray(classes, samples.dtype), samples)
    return UnconstrainedFeatures(groups, 2 * decay, decay / 2, SquaredError(), bias_decay=bias_decay)


def bias_transition(forms: Forms) -> Comparison:
    """One weight matrix: both sides of the transition."""
    n, bias_decay, share = grid([1.0, 30.0], [0.01, 1.0, 50.0], [0.1, 0.9, 1.1])
    K, weight = 4, closed_form(forms["weight"], bias_decay)
    decay = share * weight / closed_form(forms["transition"], K, n, 1.0, 1.0)
    s = jax.jit(jax.vmap(lambda n, c, c_b: solve(_biased((K,), n[None], c, c_b))))(n, decay, bias_decay)
    kept, N = share < 1, K * n
    found = np.sqrt(n) * s.between[:, 0, 0]
    mean = closed_form(forms["mean"], n, N, decay, weight)
    learned = K * np.sqrt(n) * decay < 1
    return report(
        "both sides of the transition",
        [s],
        claimed((found == 0) | (kept & learned)),
        relative(found[kept & learned], mean[kept & learned], np.sqrt(n)[kept & learned]),
    )


def decayed_bias(forms: Forms) -> Comparison:
    """The closed form at three counts, certified on the host by the duality gap of the biased problem."""
    rng = np.random.default_rng(0)
    samples = 10 ** rng.uniform(0, 1.5, (_CELLS, 3))
    N = samples.sum(axis=1)
    decay = np.sqrt(samples.min(axis=1)) / N * rng.uniform(0.1, 0.6, _CELLS)
    columns = (N[:, None], samples, decay[:, None])
    bias_decay = closed_form(forms["least_share"], *columns).sum(axis=1) * rng.uniform(1.2, 5, _CELLS)
    bias = closed_form(forms["bias"], samples, decay[:, None], bias_decay[:, None])
    value = closed_form(forms["value_share"], *columns, bias_decay[:, None]).sum(axis=1)
    Z = (1 - (N * decay)[:, None] / np.sqrt(samples))[:, :, None] * np.eye(3) - bias[:, :, None]
    problems = jax.vmap(lambda n, c, c_b: _biased((1, 1, 1), n, c, c_b))(samples, decay, bias_decay)
    plain = _deep((1, 1, 1), samples, np.stack([decay, decay], axis=1))
    s = certify(problems, dataclasses.replace(plain, within=np.zeros_like(samples), between=Z, bias=bias), _GAP)
    return report("duality gap of the closed form", [s], relative(s.value, value))


def two_layers(forms: Forms) -> Comparison:
    """Both sides of the threshold of two layers."""
    K, n, share = grid([2, 5], [1.0, 20.0], [0.5, 1 - 1e-6, 1 + 1e-6, 2])
    P = share**2 * closed_form(forms["largest_decay_product"], K, n)
    errors, solved = [relative(closed_form(forms["product"], K, n, P), share / 4)], []
    for classes in (2, 5):
        here = classes == K
        s = _deep((classes,), n[here, None], np.repeat(P[here, None] ** (1 / 3), 3, axis=1))
        errors.append(claimed((s.within[:, 0] >= 0.5) == (share[here] < 1)))
        solved.append(s)
    return report("both sides of the threshold", solved, *errors)
