"""Deep networks with ReLUs and squared error: constructions as explicit networks, and bounds of every network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import lpmjax as lpm
from lpmjax import Phase, Status
from lpmjax.objectives.relu import graph_factors

SLOW_FRAMES = [pytest.param(*x, marks=pytest.mark.slow) for x in ((10, 3, 4e-3, 0, 0.079183), (6, 2, 1e-3, 0, None))]


def network(K, M, decay, relu=True, **options):
    groups = K if isinstance(K, lpm.ClassGroups) else lpm.ClassGroups.balanced(K, 1)
    return lpm.DeepLinear(groups, (decay,) * M, decay, loss=lpm.SquaredError(), relu=relu, **options)


def output(factors):
    """Of the network, with a ReLU after every matrix but the last."""
    hidden = np.asarray(factors[-1])
    for W in factors[-2:0:-1]:
        hidden = np.maximum(np.asarray(W) @ hidden, 0)
    return np.asarray(factors[0]) @ hidden


def network_value(factors, decay, counts):
    """Loss and decays of an explicit network with equal decays."""
    counts, Z = np.asarray(counts, float), output(factors)
    sizes = sum(np.sum(np.square(W)) for W in factors[:-1]) + np.sum(counts * np.square(factors[-1]))
    return 0.5 * np.sum(counts / counts.sum() * (Z - np.eye(len(counts))) ** 2) + 0.5 * decay * sizes


@pytest.mark.slow
@pytest.mark.parametrize("K, M, decay, graph, value", [(6, 4, 1e-3, 4, 0.0144323), *SLOW_FRAMES])
def test_constructions_are_networks(K, M, decay, graph, value):
    found = lpm.solve(network(K, M, decay)).check()
    assert found.status == Status.converged and found.phase == Phase.undetermined and float(found.graph) == graph
    if value is not None:
        assert float(found.value) == pytest.approx(value, abs=6e-8 if K == 6 else 6e-7)
    factors = found.factors()
    np.testing.assert_allclose(output(factors), found.logits(), atol=1e-13)
    assert network_value(factors, decay, [1] * K) == pytest.approx(float(found.value), rel=1e-13)
    np.testing.assert_allclose(np.sum(np.square(factors[0]), 1), found.w_norm2[0], rtol=1e-12)
    np.testing.assert_allclose(np.sum(np.square(factors[-1]), 0), found.h_norm2[0], rtol=1e-12)
    again = lpm.certify(found.problem, found)
    assert again.status == Status.converged and float(again.lower_bound) == pytest.approx(float(found.lower_bound))
    for worse in (
        eqx.tree_at(lambda s: s.graph, found, np.array(4.0 - graph)),
        eqx.tree_at(lambda s: s.between, found, np.asarray(found.between) * 1.001),
    ):
        assert lpm.certify(found.problem, worse).status == Status.stalled


@pytest.mark.slow
@pytest.mark.parametrize("dim", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_unequal_counts_and_narrow_layers(dim):
    counts = [4.0, 4.0, 1.0, 1.0]
    found = lpm.solve(network(lpm.ClassGroups.from_counts(counts), 2, 1e-2, dim=dim))
    linear = lpm.solve(network(lpm.ClassGroups.from_counts(counts), 2, 1e-2, relu=False, dim=dim))
    assert float(found.value) == pytest.approx(float(linear.value), rel=1e-13)
    factors = found.factors()
    assert all((np.asarray(F) >= 0).all() for F in factors)
    np.testing.assert_allclose(output(factors), found.logits(), atol=1e-13)
    assert network_value(factors, 1e-2, counts) == pytest.approx(float(found.value), rel=1e-13)


@pytest.mark.parametrize("M, K", [(3, 6), (3, 15), (4, 6), (4, 10), (5, 15), (6, 6)])
def test_criterion_of_the_graph(M, K):
    """As the decay goes to zero the graph is better exactly where tau^2 r^(M-2) < 4 K^(M-1)."""
    r = round((1 + np.sqrt(1 + 8 * K)) / 2)
    tau = np.sqrt(2 * (r - 1)) + (r - 1) * np.sqrt(r - 2)
    objective = network(K, M, 1e-12).objective()
    assert (float(objective.minimiser().graph) > 0) == (tau**2 * r ** (M - 2) < 4 * K ** (M - 1))
    factors = graph_factors(r, M + 1)
    np.testing.assert_allclose(output(factors), np.eye(K), atol=1e-12)
    product = np.prod([np.sum(F * F) for F in factors]) / K ** (M + 1)
    assert np.log(product) / (M + 1) == pytest.approx(float(objective.log_dearer(jnp.asarray(float(r)))), rel=1e-12)
    published = {(3, 6): 1.0561, (4, 6): 0.9633, (4, 10): 0.9014, (5, 15): 0.7547}
    if (M, K) in published:
        assert product ** (1 / (M + 1)) == pytest.approx(published[M, K], abs=5e-5)


def test_a_hexagon_beats_the_orthogonal_frame():
    """With M = 2 the linear optimum is no lower bound of networks with a ReLU (nor is the orthogonal frame optimal)."""
    K, t = 6, 0.735
    Lambda = 0.255 ** (2 / 3)  # K decay, to the power 3/2: the frame is dead from 1/4 on, the hexagon from .25984
    angles = np.pi / 3 * np.arange(K)
    units = np.stack([np.cos(angles + np.pi / 6), np.sin(angles + np.pi / 6)], 1)
    points = np.stack([np.cos(angles), np.sin(angles)])
    W1, H = np.sqrt(np.sqrt(Lambda) * t) * units, np.sqrt(np.sqrt(Lambda) * t) * points
    A = np.maximum(W1 @ H, 0)
    W2 = A.T @ np.linalg.inv(A @ A.T + Lambda * np.eye(K))
    value = network_value([W2, W1, H], Lambda / K, [1] * K)
    linear, found = (lpm.solve(network(K, 2, Lambda / K, relu)) for relu in (False, True))
    assert linear.status == Status.certified and float(linear.value) == float(found.value) == 0.5
    assert value == pytest.approx(0.4963938, abs=1e-7) and float(found.lower_bound) < value


@pytest.mark.slow
@pytest.mark.parametrize("counts, M, decay", [([1] * 4, 2, 0.05), ([4, 2, 1], 3, 0.01), ([1] * 6, 2, 0.0675)])
def test_lower_bound_of_networks_from_random_starts(counts, M, decay):
    K, n, rng = len(counts), jnp.asarray(counts, float), np.random.default_rng(0)
    shapes = [(K, 2 * K), *[(2 * K, 2 * K)] * (M - 1), (2 * K, K)]
    ends = np.cumsum([0, *[a * b for a, b in shapes]])

    def value(x):
        parts = [x[i:j].reshape(shape) for i, j, shape in zip(ends, ends[1:], shapes, strict=False)]
        hidden = parts[-1]
        for W in parts[-2:0:-1]:
            hidden = jax.nn.relu(W @ hidden)
        sizes = sum(jnp.sum(W * W) for W in parts[:-1]) + jnp.sum(n * parts[-1] ** 2)
        return 0.5 * jnp.sum(n / n.sum() * (parts[0] @ hidden - jnp.eye(K)) ** 2) + 0.5 * decay * sizes

    slope = jax.jit(jax.value_and_grad(value))
    found = lpm.solve(network(lpm.ClassGroups.from_counts(counts), M, decay))
    best = np.inf
    for _ in range(20):
        start = rng.normal(size=ends[-1]) * rng.choice([0.3, 0.6])
        ended = minimize(lambda x: tuple(map(np.asarray, slope(x))), start, jac=True, method="L-BFGS-B")
        best = min(best, ended.fun)
    assert float(found.lower_bound) <= best
    if len(counts) < 6:
        assert best >= float(found.value) * (1 - 1e-6)  # nothing better was found


@pytest.mark.slow
def test_derivatives_of_both_constructions():
    def value(x, M, K):
        problem = lpm.DeepLinear(lpm.ClassGroups.balanced(K, x[0]), (x[1],) * M, x[2], lpm.SquaredError(), relu=True)
        return lpm.solve(problem).value

    x = jnp.array([1.0, 1e-3, 2e-3])
    slope = jax.grad(value)(x, 4, 6)
    for i, h in enumerate((1e-4, 1e-7, 1e-7)):
        ends = [float(value(x.at[i].add(s * h), 4, 6)) for s in (1, -1)]
        assert float(slope[i]) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)
