"""Everything works under jax's strict settings: no NaN but those that are values, no promotion, no leaked tracer."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lpmjax as lpm

FLAGS = {
    "debug_nans": (True, False),
    "check_tracer_leaks": (True, False),
    "numpy_rank_promotion": ("raise", "allow"),
    "numpy_dtype_promotion": ("strict", "standard"),
}


@contextlib.contextmanager
def strict(*names):
    """Set for the whole process, as a program does: context managers do not reach the threads of a sweep."""
    if "debug_nans" in names:  # what was compiled without it would not look for NaN
        jax.clear_caches()
    for name in names:
        jax.config.update(f"jax_{name}", FLAGS[name][0])
    try:
        yield
    finally:
        for name in names:
            jax.config.update(f"jax_{name}", FLAGS[name][1])


def two_group(R=10.0, **static):
    return lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0, **static)


def three(E_H=1.0, **static):
    return lpm.LayerPeeled(lpm.ClassGroups([2, 1, 1], [9.0, 3.0, 1.0]), 1.0, E_H, **static)


def decay(price=1e-2, **static):
    return lpm.UnconstrainedFeatures(lpm.ClassGroups([2, 1, 1], [9.0, 3.0, 1.0]), price, 1e-2, **static)


def single(price=1e-2, **static):
    return lpm.UnconstrainedFeatures(lpm.ClassGroups.per_class([3.0, 1.0, 1.0]), price, 1e-2, dim=2, **static)


TRACED = {
    "closed form": lambda: lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(4), 1.0, 1.0)),
    "two groups": lambda: lpm.solve(two_group()),
    "two groups with decay": lambda: lpm.solve(lpm.UnconstrainedFeatures(lpm.ClassGroups([2, 3], [9, 1]), 0.01, 0.01)),
    "nonnegative": lambda: lpm.solve(decay(nonnegative=True)),
    "grouped": lambda: lpm.solve(three()),
    "long tail": lambda: lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.long_tail(4, 10.0, size=5), 1.0, 1.0)),
    "logit adjusted": lambda: lpm.solve(three(loss=lpm.LogitAdjusted())),
    "label smoothing": lambda: lpm.solve(three(loss=lpm.LabelSmoothing())),
    "squared error": lambda: lpm.solve(three(loss=lpm.SquaredError())),
    "free bias": lambda: lpm.solve(decay(bias_decay=0.0)),
    "decayed bias": lambda: lpm.solve(decay(bias_decay=0.1, loss=lpm.LabelSmoothing())),
    "squared error with bias": lambda: lpm.solve(decay(bias_decay=0.1, loss=lpm.SquaredError())),
    "warm start": lambda: lpm.solve(three(), start=lpm.solve(three())),
    "batch": lambda: jax.vmap(lambda R: lpm.solve(two_group(R)))(jnp.array([1.0, 10.0, -1.0])),
    "batch of three groups": lambda: jax.vmap(lambda E_H: lpm.solve(three(E_H)))(jnp.array([1.0, 2.0])),
    "gradient": lambda: jax.grad(lambda R: lpm.solve(two_group(R)).cosine[1])(10.0),
    "hessian": lambda: jax.hessian(lambda R: lpm.solve(two_group(R)).value)(10.0),
    "gradient of three groups": lambda: jax.grad(lambda E_H: lpm.solve(three(E_H)).cosines()[0, 1])(1.0),
    "gradient with bias": lambda: jax.grad(
        lambda c: lpm.solve(decay(c, bias_decay=c, loss=lpm.LabelSmoothing())).cosine[0]
    )(1e-2),
    "hessian of three groups": lambda: jax.hessian(
        lambda c: lpm.solve(decay(c, bias_decay=0.0, loss=lpm.SquaredError())).value
    )(1e-2),
    "logits": lambda: lpm.solve(three()).logits(4),
    "factored": lambda: lpm.factored(single(), restarts=2),
    "factored with adjustment": lambda: lpm.factored(single(loss=lpm.LogitAdjusted()), restarts=2),
    "factored with bias": lambda: lpm.factored(single(bias_decay=0.1, loss=lpm.LabelSmoothing()), restarts=2),
    "factored squared error": lambda: lpm.factored(single(bias_decay=0.0, loss=lpm.SquaredError()), restarts=2),
    "factored nonnegative": lambda: lpm.factored(single(nonnegative=True), restarts=2),
    "factored gradient": lambda: jax.grad(lambda c: lpm.best(lpm.factored(single(c), restarts=2)).value)(1e-2),
    "projected": lambda: lpm.factored(
        lpm.LayerPeeled(lpm.ClassGroups.per_class([3.0, 1.0]), 1.0, 1.0), projected=True, optimizer=optax.sgd(0.1)
    ),
    "boundaries": lambda: jax.grad(lambda s: lpm.boundary.merged(5.0, 5.0, s) + lpm.boundary.annihilated(5.0, 5.0, s))(
        1.0
    ),
    "annihilation end": lambda: lpm.boundary.annihilation_end(5, jnp.array([5.0, 6.0])),
    "simplex": lambda: lpm.frames.simplex_etf(4),
}


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("name", TRACED)
def test_nothing_is_promoted(name, x64):
    with jax.enable_x64(x64), strict("numpy_rank_promotion", "numpy_dtype_promotion"):
        jax.eval_shape(TRACED[name])


def views(solution):
    return solution.cosines(), solution.logits(), solution.factors(), str(solution)


RUN = {
    "exact": lambda: (
        views(lpm.solve(two_group(1e3))),
        lpm.solve(decay(nonnegative=True)),
        jax.grad(lambda R: lpm.solve(two_group(R)).cosine[1])(10.0),
        jax.vmap(lambda R: lpm.solve(two_group(R)))(jnp.array([1.0, 1e3, -1.0])),
        lpm.boundary.merged([5, 1], 5, 1.0),
    ),
    "certify": lambda: lpm.certify(two_group(1e3), lpm.solve(two_group(1e3))),
    "sweep": lambda: lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1.0, 1e3], E_W=1.0, E_H=5.0),
    "diagnose": lambda: lpm.diagnose([100, 100, 1, 1], E_W=1.0, E_H=5.0, remedies=False).record(),
}
RUN_SLOWLY = {
    "grouped": lambda: (
        views(lpm.solve(three())),
        jax.grad(lambda E_H: lpm.solve(three(E_H)).cosine[0])(1.0),
        jax.vmap(lambda E_H: lpm.solve(three(E_H)))(jnp.array([1.0, -1.0])),
    ),
    "factored": lambda: (
        views(lpm.solve(two_group(dim=4))),
        lpm.certify(problem := single(bias_decay=0.1), lpm.factored(problem, restarts=2)),
        lpm.factored(lpm.LayerPeeled.two_group(1, 2, 2.0, 1.0, 1.0), restarts=2, per_sample=True),
    ),
    "sweep of three groups": lambda: lpm.sweep(three, E_H=[1.0, 2.0]),
    "diagnose": lambda: (lpm.diagnose([9, 3, 1, 1]), lpm.diagnose([9, 3, 1, 1], lambda_W=1e-2, lambda_H=1e-2)),
}


# Each is a compilation of everything: NaN is what a user meets first.
@pytest.mark.parametrize("flag", ["debug_nans", *(pytest.param(f, marks=pytest.mark.slow) for f in [*FLAGS][1:])])
@pytest.mark.parametrize("name", RUN)
def test_runs_under_each_flag(name, flag):
    with strict(flag):
        jax.block_until_ready(RUN[name]())


@pytest.mark.slow
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", RUN_SLOWLY)
def test_descents_run_under_each_flag(name, flag):
    with strict(flag):
        jax.block_until_ready(RUN_SLOWLY[name]())


@pytest.mark.slow
def test_the_flags_do_look():
    with strict("debug_nans"), pytest.raises(FloatingPointError):
        jnp.log(-1.0)
    with strict("numpy_rank_promotion"), pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 2)) + jnp.ones(2)
    with strict("numpy_dtype_promotion"), pytest.raises(Exception, match="dtype_promotion"):
        jnp.ones(2) + jnp.arange(2)
    kept = []
    with strict("check_tracer_leaks"), pytest.raises(Exception, match="Leaked"):
        jax.jit(kept.append)(1.0)


def test_cosines_that_do_not_exist_are_still_nan():
    with strict("debug_nans"):
        cosine = lpm.solve(lpm.LayerPeeled.two_group(7, 3, 10.0, 1.0, 5.0)).cosine
    assert np.isnan(cosine[1])  # an index into it raises under the flag, if nothing like it was compiled before
