"""solve as a JAX function: tracing, batching, ahead-of-time compilation, lanes, dtypes, views, errors."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import names

import lpmjax as lpm


def problem(R=10.0, E_H=5.0, K_A=5, K_B=5):
    return lpm.LayerPeeled.two_group(K_A, K_B, R, 1.0, E_H)


def test_one_trace_serves_every_value():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def value(K_A, K_B, R, E_W, E_H):
        return lpm.solve(lpm.LayerPeeled.two_group(K_A, K_B, R, E_W, E_H)).value

    chex.clear_trace_counter()
    for K_A, R, E_W, E_H in [
        (5.0, 10.0, 1.0, 5.0),
        (7.0, 3.0, 2.0, 1.0),
        (1.0, 1e20, 1e-6, 1e-6),
        (1e6, 0.5, 9.0, 9.0),
    ]:
        assert np.isfinite(value(K_A, 10.0, R, E_W, E_H))


def solves_compiled():
    return names.count("jit(_solve)")


def test_second_eager_solve_does_not_compile():
    lpm.solve(problem(10.0))
    before = solves_compiled()
    for R in (3, 20.0, np.float64(7.0), jnp.array(5.0)):
        lpm.solve(problem(R, K_A=np.int64(4)))
    assert solves_compiled() == before
    lpm.solve(problem(10.0), max_steps=59)
    assert solves_compiled() == before + 1


def test_another_class_order_does_not_compile():
    lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.from_counts([9, 9, 1]), 1.0, 5.0))
    before = solves_compiled()
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.from_counts([1, 9, 1, 9]), 1.0, 5.0))
    assert solves_compiled() == before
    assert s.problem.groups.class_index.tolist() == [1, 0, 1, 0]


def test_gradient_by_the_problem_itself():
    slopes = jax.grad(lambda p: lpm.solve(p).value)(problem(10.0))
    s = lpm.solve(problem(10.0))
    assert float(slopes.E_H) == pytest.approx(-float(s.multiplier) * 10 / (2 * 5**0.5), rel=1e-12)


def test_vmap_equals_the_loop_and_lanes_do_not_touch():
    R = jnp.array([1.0, 10.0, -3.0, 100.0, jnp.nan, 1e20])
    batch = jax.vmap(lambda R: lpm.solve(problem(R)))(R)
    assert batch.status.tolist() == [0, 0, 4, 0, 4, 0]
    for i in (0, 1, 3, 5):
        single = lpm.solve(problem(float(R[i])))
        one = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
        chex.assert_trees_all_close(one, single, rtol=1e-11, atol=1e-13)
    for i in (2, 4):
        assert np.isnan(batch.value[i])
        assert batch.phase[i] == lpm.Phase.undetermined
        assert int(batch.rank[i]) == -1
    with pytest.raises(RuntimeError, match=r"2 of 6 .*\n.*\(2,\): invalid"):
        batch.check()
    assert "4 certified, 2 invalid" in str(batch)


def test_traced_counts_below_one_are_invalid_not_absent():
    s = jax.vmap(lambda K: lpm.solve(problem(K_A=K)))(jnp.array([0.0, 0.5, 1.0]))
    assert s.status.tolist() == [4, 4, 0]


def test_ahead_of_time():
    compiled = jax.jit(lpm.solve).lower(problem(10.0)).compile()
    assert float(compiled(problem(20.0)).value) == float(lpm.solve(problem(20.0)).value)


def test_views_under_jit():
    Z = jax.jit(lambda R: lpm.solve(problem(R)).logits(num_classes=10))(10.0)
    s = lpm.solve(problem(10.0))
    np.testing.assert_allclose(Z, s.logits(), atol=1e-14)
    np.testing.assert_allclose(np.asarray(Z).sum(0), 0, atol=1e-13)
    batch = jax.vmap(lambda R: lpm.solve(problem(R)))(jnp.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="vmap"):
        batch.logits()
    assert jax.vmap(lambda s: s.logits(num_classes=10))(batch).shape == (2, 10, 10)
    assert batch.cosines().shape == (2, 2, 2)
    with pytest.raises(ValueError, match="num_classes = 14"):
        s.logits(14)
    with pytest.raises(ValueError, match="whole numbers"):
        lpm.solve(problem(K_A=2.5, K_B=3.5)).logits()
    assert "empty" in str(jax.vmap(lambda R: lpm.solve(problem(R)))(jnp.zeros(0)))
    with pytest.raises(ValueError, match="traced"):
        jax.jit(lambda R: lpm.solve(problem(R)).logits())(10.0)


@pytest.mark.parametrize("R", [1.0, 10.0, 100.0])
def test_factors_meet_both_budgets_and_give_the_views(R):
    s = lpm.solve(lpm.LayerPeeled.two_group(4, 6, R, 2.0, 3.0))
    W, H = s.factors()
    assert W.shape == (10, 9)
    assert float(jnp.mean(jnp.sum(W**2, 1))) == pytest.approx(2.0, rel=1e-12)
    assert float(jnp.mean(jnp.sum(H**2, 0))) == pytest.approx(3.0, rel=1e-12)
    np.testing.assert_allclose(W @ H, s.logits(), atol=1e-12)
    index = s.problem.groups.class_index
    np.testing.assert_allclose(jnp.sum(W**2, 1), s.w_norm2[index], atol=1e-12)
    np.testing.assert_allclose(jnp.sum(H**2, 0), s.h_norm2[index], atol=1e-12)
    G = np.asarray(W @ W.T) / np.sqrt(np.outer(s.w_norm2[index], s.w_norm2[index]))
    np.testing.assert_allclose([G[0, 1], G[8, 9], G[0, 9]], [*s.cosine, s.cosines()[0, 1]], atol=1e-12)
    Z = np.asarray(s.logits())
    rivals = np.where(np.eye(10, dtype=bool), -np.inf, Z)
    np.testing.assert_allclose(np.diag(Z) - rivals.max(0), s.margin[index], atol=1e-12)


def test_weight_decay_factors_reach_the_value():
    groups = lpm.ClassGroups([3, 2], [30.0, 4.0])
    s = lpm.solve(lpm.UnconstrainedFeatures(groups, 5e-3, 2e-3)).check()
    W, H = s.factors()
    n = np.asarray(groups.samples)[groups.class_index]
    weights = np.asarray(groups.weights)[groups.class_index]
    loss = -(weights * np.diag(jax.nn.log_softmax(W @ H, axis=0))).sum()
    total = loss + 5e-3 / 2 * float(jnp.sum(W**2)) + 2e-3 / 2 * float((n * jnp.sum(H**2, 0)).sum())
    assert total == pytest.approx(float(s.value), rel=1e-13)
    np.testing.assert_allclose(jnp.sum(H**2, 0), s.h_norm2[groups.class_index], atol=1e-12)
    np.testing.assert_allclose(jnp.sum(W**2, 1), s.w_norm2[groups.class_index], atol=1e-12)


def test_dim_is_enough_exactly_from_the_rank_on():
    merged = lpm.LayerPeeled.two_group(5, 5, 100.0, 1.0, 5.0, dim=5)  # rank 5: five dimensions lose nothing
    assert lpm.solve(merged).status == lpm.Status.certified
    assert lpm.solve(merged).factors()[0].shape == (10, 5)
    too_small = lpm.LayerPeeled.two_group(5, 5, 10.0, 1.0, 5.0, dim=8)
    with pytest.raises(ValueError, match="dim = 8"):
        lpm.solve(too_small, method="two_group")
    with pytest.raises(ValueError, match="dim = 3 is below"):
        lpm.solve(problem(100.0)).factors(dim=3)


def test_printed_table():
    text = str(lpm.solve(problem(100.0)))
    assert "merged, rank 5, certified by two_group" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: lpm.solve(5), "problem must be"),
        (lambda: lpm.solve(problem(), method="closed_form"), "method = 'closed_form'"),
        (lambda: lpm.solve(problem(), method="magic"), "method = 'magic'"),
        (lambda: lpm.solve(problem(), tol=0.0), "tol = 0 is out"),
        (lambda: lpm.solve(problem(), max_steps=0), "max_steps = 0"),
        (lambda: lpm.solve(problem(), start=5, method="grouped"), "start must be a lpmjax Solution"),
    ],
)
def test_errors_say_what_to_do(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_closed_form_on_problems():
    s = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(4), 1.0, 1.0), method="closed_form")
    assert s.status == lpm.Status.certified
    # K is a value: one compilation, also for a million classes.
    values = jax.vmap(lambda K: lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(K), 1.0, 1.0)).value)
    assert np.isfinite(values(jnp.array([2.0, 10.0, 1e6]))).all()


def test_cosines_of_a_batch_of_data_sets_in_the_caller_s_order():
    def solve(ratio):
        samples = jnp.stack([jnp.ones_like(ratio), ratio])  # the majority second: the groups are reordered
        return lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.per_class(samples), 1.0, 1.0))

    batch = jax.vmap(solve)(jnp.asarray([2.0, 5.0]))
    for i, ratio in enumerate((2.0, 5.0)):
        np.testing.assert_allclose(batch.cosines()[i], solve(jnp.asarray(ratio)).cosines(), atol=1e-14)
