"""Deep linear networks with squared error: closed forms, their certificates, and what narrow layers leave."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import lpmjax as lpm
from lpmjax import Phase, Status
from lpmjax.shrinkage import jump, log_size

SQUARED = lpm.SquaredError()
SLOW = pytest.mark.slow


def deep(counts, lambda_W, lambda_H, **options):
    groups = counts if isinstance(counts, lpm.ClassGroups) else lpm.ClassGroups.from_counts(counts)
    return lpm.DeepLinear(groups, lambda_W, lambda_H, loss=SQUARED, **options)


def network_value(factors, bias, counts, decays):
    """Loss and decays of explicit factors, with one feature for each class, worth as many as it has samples."""
    counts, Z = np.asarray(counts, float), np.linalg.multi_dot([np.eye(len(counts)), *factors])
    Z = Z if bias is None else Z + np.asarray(bias)[:, None]
    loss = 0.5 * np.sum(counts / counts.sum() * (Z - np.eye(len(counts))) ** 2)
    sizes = [np.sum(np.square(F)) for F in factors[:-1]] + [np.sum(counts * np.square(factors[-1]))]
    return loss + 0.5 * np.dot(decays, sizes)


@pytest.mark.parametrize(
    "lambda_W, lambda_H, value",
    [
        pytest.param((1e-2,), 1e-2, 0.06032641, marks=SLOW),
        ((5e-3, 1e-2), 2e-3, 0.03345587),
        pytest.param((3e-3, 5e-3, 1e-2), 2e-3, 0.03547667, marks=SLOW),
    ],
)
def test_unequal_counts_and_decays(lambda_W, lambda_H, value):
    counts = [4.0, 8.0, 2.0]
    found = lpm.solve(deep(counts, lambda_W, lambda_H)).check()
    assert found.status == Status.certified and float(found.value) == pytest.approx(value, abs=1e-8)
    factors = found.factors()
    assert len(factors) == len(lambda_W) + 1
    assert network_value(factors, None, counts, [*lambda_W, lambda_H]) == pytest.approx(float(found.value), rel=1e-13)
    order = found.problem.groups.class_index
    product = np.linalg.multi_dot([np.eye(3), *factors[:-1]])
    np.testing.assert_allclose(np.diagonal(product @ product.T), found.w_norm2[order], rtol=1e-12)
    np.testing.assert_allclose(np.sum(np.square(factors[-1]), 0), found.h_norm2[order], rtol=1e-12)
    if len(lambda_W) == 2:
        sigma = np.asarray(found.within) * np.sqrt(found.problem.groups.samples)
        np.testing.assert_allclose(sigma, [2.7822, 1.9480, 1.3555], atol=5e-5)
        np.testing.assert_allclose(found.h_norm2, [0.5739, 0.9050, 1.4213], atol=5e-5)
        np.testing.assert_allclose(found.w_norm2, [1.6861, 1.0483, 0.6464], atol=5e-5)


PUBLISHED = [
    ([200, 100, 50, 50], 1, None, 0.0189421356),
    ([200, 100, 50, 50], 3, None, 0.0122184004),
    ([200, 100, 50, 50], 6, None, 0.0132203534),
    ([200, 100, 50, 50], 1, 0.0, 0.0135405819),
    ([100] * 4, 1, None, 0.0198),
    ([100] * 4, 3, None, 0.0126290470),
    ([100] * 4, 6, None, 0.0135074082),
    ([100] * 4, 9, None, 0.0158438954),
    ([100] * 4, 1, 0.0, 0.75 * 0.0198),
    ([100] * 4, 9, 0.0, 0.75 * 0.0158438954),
]


@pytest.mark.parametrize(
    "counts, M, bias_decay, value",
    [
        row
        if row[:3] == ([200, 100, 50, 50], 3, None) or row[2:] == (0.0, 0.0135405819)
        else pytest.param(*row, marks=SLOW)
        for row in PUBLISHED
    ],
)
def test_published_settings(counts, M, bias_decay, value):
    found = lpm.solve(deep(counts, (5e-4,) * M, 5e-4, bias_decay=bias_decay))
    assert found.status == Status.certified and float(found.value) == pytest.approx(value, abs=1e-10)
    if bias_decay == 0:
        np.testing.assert_allclose(found.bias[found.problem.groups.class_index], np.array(counts) / sum(counts))
        np.testing.assert_allclose(found.logits().sum(0), 1, atol=1e-12)  # all of the mean is the bias
        values = np.linalg.svd(np.diag(np.sqrt(counts)) - np.outer(counts, np.sqrt(counts)) / sum(counts))[1]
        if len(set(counts)) > 1:
            np.testing.assert_allclose(values[:3], [11.92282, 8.387281, 7.071068], rtol=1e-6)
        assert network_value(
            found.factors(), found.bias[found.problem.groups.class_index], counts, [5e-4] * (M + 1)
        ) == (pytest.approx(float(found.value), rel=1e-12))


@pytest.mark.parametrize("M", [2, pytest.param(3, marks=SLOW), pytest.param(6, marks=SLOW)])
def test_jump_on_both_sides_of_the_threshold(M):
    n, N = 4.0, 12.0
    decay = 1e-2 * float(n / lpm.boundary.deep_mse(M, N, 1e-2)) ** (M / (M + 1))
    decays = decay * jnp.array([1 - 1e-3, 1 + 1e-3, 1.0])
    found = jax.vmap(lambda x: lpm.solve(deep(lpm.ClassGroups.balanced(3, n), (x,) * M, x)))(decays)
    below, above, _ = np.asarray(found.within)[:, 0]
    assert above == 0 and below == pytest.approx((M - 1) / M, rel=2e-3) and below > (M - 1) / M
    assert (found.status == Status.certified).all() and found.value[1] == 0.5 > found.value[0]
    assert list(np.asarray(found.ties) > 0) == [False, False, True] and float(found.value[2]) == pytest.approx(0.5)
    zero, other = np.moveaxis(np.asarray(found.branches())[:, 0], -1, 0)
    assert other[0] < zero[0] and other[1] > zero[1] and other[2] == pytest.approx(zero[2], rel=1e-13)
    c = 0.5 * (M + 1) * np.asarray(decays)
    for i, (low, high) in enumerate([(0.4, 1.0), (0.0, 1.0)]):
        brute = minimize_scalar(
            lambda z, i=i: n / 2 / N * (1 - z) ** 2 + c[i] * (np.sqrt(n) * abs(z)) ** (2 / (M + 1)),
            bounds=(low, high), method="bounded", options={"xatol": 1e-12},
        )  # fmt: skip
        assert min(brute.fun, n / 2 / N) * 3 == pytest.approx(float(found.value[i]), rel=1e-12)


def test_largest_root_is_not_the_optimum_between_the_thresholds():
    """0.5 < b/n < 0.6495 with M = 2: stationary, and worse than zero."""
    decay = 1e-2
    n = float(lpm.boundary.deep_mse(2, 30.0, decay, stationary=True)) * 1.1
    counts = [n, 30 - n]
    assert lpm.boundary.deep_mse(2, 30.0, decay) > n
    found = lpm.solve(deep(counts, (decay,) * 2, decay))
    small = int(np.argmin(found.problem.groups.samples))
    assert found.status == Status.certified and found.within[small] == 0 and found.phase == Phase.annihilated
    zero, root = np.asarray(found.branches())[small]
    assert root > zero * 1.01
    wrong = _with_logit(found, small, _largest_root(decay, n))
    refuted = lpm.certify(found.problem, wrong)
    assert refuted.status == Status.stalled and float(refuted.value - found.value) == pytest.approx(root - zero)
    assert float(refuted.lower_bound) <= float(found.value)


def _largest_root(decay, n, N=30.0):
    """z in (0, 1] with the objective's slope zero, by bisection from above the inflection."""
    w = decay * N * n ** (-2 / 3)  # (L/2) q = 1
    low, high = 0.25, 1.0
    for _ in range(200):
        z = 0.5 * (low + high)
        low, high = (z, high) if z - 1 + w * z ** (-1 / 3) < 0 else (low, z)
    return high


def _with_logit(found, g, z):
    between = np.array(found.between)
    between[g, g] = z
    within = np.array(found.within)
    within[g] = z
    return eqx.tree_at(lambda s: (s.within, s.between), found, (within, between))


def test_moved_points_are_not_certified():
    found = lpm.solve(deep([8, 4, 2, 2], (5e-3, 1e-2), 2e-3))
    assert lpm.certify(found.problem, found).status == Status.certified
    tail = np.zeros((3, 3))
    tail[0, 1] = 1e-4  # one more direction costs more than it moves
    moved = [
        _with_logit(found, 0, float(found.within[0]) * 1.0001),
        _with_logit(found, 1, 0.0),
        eqx.tree_at(lambda s: s.between, found, np.asarray(found.between) + tail),
        eqx.tree_at(lambda s: s.kept, found, np.array([1.0, 1.0, 0.0])),
    ]
    for worse in moved:
        again = lpm.certify(found.problem, worse)
        assert again.status == Status.stalled and float(again.lower_bound) <= float(found.value) < float(again.value)


def test_weights_that_do_not_follow_are_not_proved():
    """The flag says default weights; whoever replaces the leaf gets no false certificate."""
    found = lpm.solve(deep([8, 4], (5e-3, 1e-2), 2e-3))
    groups = found.problem.groups
    other = eqx.tree_at(lambda p: p.groups.weights, found.problem, groups.weights * jnp.array([1.2, 0.6]))
    again = lpm.certify(other, found)
    assert again.status == Status.stalled and again.lower_bound == 0


@pytest.mark.parametrize(
    "M, bias_decay", [(2, 0.0), *(pytest.param(*x, marks=SLOW) for x in ((1, None), (1, 0.0), (2, None)))]
)
def test_derivatives_by_counts_classes_and_decays(M, bias_decay):
    def outputs(x):
        groups = lpm.ClassGroups(x[:2], x[2:4])
        s = lpm.solve(deep(groups, tuple(x[5:]), x[4], bias_decay=bias_decay))
        return jnp.concatenate([s.value[None], s.slack, s.within, s.between.ravel(), s.h_norm2, s.w_norm2])

    x = jnp.array([2.0, 3.0, 9.0, 2.0, 2e-3, 5e-3, 1e-2][: 5 + M])
    jacobian, outputs = jax.jit(jax.jacfwd(outputs)), jax.jit(outputs)
    steps = 1e-5 * np.asarray(x)
    numeric = [(outputs(x.at[i].add(h)) - outputs(x.at[i].add(-h))) / (2 * h) for i, h in enumerate(steps)]
    np.testing.assert_allclose(jacobian(x), np.stack(numeric, 1), rtol=1e-6, atol=1e-7)


@SLOW
def test_second_derivative_of_the_value():
    def value(n):
        return lpm.solve(deep(lpm.ClassGroups.per_class(n), (5e-3,) * 2, 2e-3, bias_decay=0.0)).value

    n = jnp.array([8.0, 4.0, 2.0])
    hessian, slope = jax.jit(jax.hessian(value))(n), jax.jit(jax.grad(value))
    numeric = [(slope(n.at[i].add(1e-4)) - slope(n.at[i].add(-1e-4))) / 2e-4 for i in range(3)]
    np.testing.assert_allclose(hessian, np.stack(numeric, 1), rtol=1e-6, atol=1e-10)


NARROW = [
    ([8, 4, 2, 2], None, 2, 0.0, 2),  # the two largest classes stay
    ([8, 4, 2, 2], None, 3, 2.0, 3),  # one of two equal ones: any direction of theirs
    ([4, 4, 4, 4], None, 2, 4.0, 2),
    ([8, 4, 2, 2], 0.0, 2, 0.0, 2),
    ([4, 4, 4], 0.0, 1, 2.0, 1),
    ([8, 4, 2, 2], None, 9, 0.0, 4),
]


@pytest.mark.parametrize(
    "counts, bias_decay, dim, ties, rank",
    [row if i == 1 else pytest.param(*row, marks=SLOW) for i, row in enumerate(NARROW)],
)
def test_narrow_layers(counts, bias_decay, dim, ties, rank):
    decays = (5e-3, 1e-2)
    found = lpm.solve(deep(counts, decays, 2e-3, bias_decay=bias_decay, dim=dim))
    assert found.status == Status.certified and int(found.rank) == rank
    assert float(found.ties) == ties and bool(found.unique) == (ties == 0)
    logits, factors = np.asarray(found.logits()), found.factors()
    assert [F.shape for F in factors] == [(len(counts), dim), (dim, dim), (dim, len(counts))]
    index = found.problem.groups.class_index
    bias = None if bias_decay is None else np.asarray(found.bias)[index]
    product = np.linalg.multi_dot(factors)
    np.testing.assert_allclose(product if bias is None else product + bias[:, None], logits, atol=1e-12)
    assert network_value(factors, bias, counts, [*decays, 2e-3]) == pytest.approx(float(found.value), rel=1e-12)
    again = lpm.certify(found.problem, found)
    assert again.status == Status.certified and float(again.value) == pytest.approx(float(found.value), rel=1e-14)
    if ties:
        equal = np.asarray(found.problem.groups.samples) == min(counts)
        assert np.isnan(found.cosines()[equal]).all()
        w = np.linalg.multi_dot([np.eye(len(counts)), *factors[:-1]])
        mean = np.bincount(index, np.sum(w * w, 1)) / np.bincount(index)
        np.testing.assert_allclose(found.w_norm2, mean, rtol=1e-12)
    if rank > 1:
        narrower = deep(counts, decays, 2e-3, bias_decay=bias_decay, dim=rank - 1)
        assert lpm.certify(narrower, found).status == Status.invalid


def _independent_optimum(counts, decays, dim, bias, starts, seed=0):
    """Least value over all factors from random starts, with SciPy, and its factors."""
    K, L, rng = len(counts), len(decays), np.random.default_rng(seed)
    shapes = [(K, dim), *[(dim, dim)] * (L - 2), (dim, K)]
    ends = np.cumsum([0, *[a * b for a, b in shapes]])
    counts, decays = jnp.asarray(counts, float), jnp.asarray(decays)

    def parts(x):
        factors = [x[i:j].reshape(shape) for i, j, shape in zip(ends, ends[1:], shapes, strict=False)]
        return factors, x[ends[-1] :] if bias else None

    def value(x):
        factors, b = parts(x)
        Z = factors[0]
        for F in factors[1:]:
            Z = Z @ F
        Z = Z if b is None else Z + b[:, None]
        sizes = jnp.stack([*[jnp.sum(F * F) for F in factors[:-1]], jnp.sum(counts * factors[-1] ** 2)])
        return 0.5 * jnp.sum(counts / counts.sum() * (Z - jnp.eye(K)) ** 2) + 0.5 * jnp.sum(decays * sizes)

    slope = jax.jit(jax.value_and_grad(value))
    best = None
    for _ in range(starts):
        start = rng.normal(size=ends[-1] + (K if bias else 0)) * rng.choice([0.3, 0.6, 1.0])
        found = minimize(lambda x: tuple(map(np.asarray, slope(x))), start, jac=True, method="L-BFGS-B",
                         options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9})  # fmt: skip
        best = found if best is None or found.fun < best.fun else best
    return best.fun, [np.asarray(F) for F in parts(best.x)[0]]


@SLOW
@pytest.mark.parametrize(
    "counts, decays, bias_decay, dim",
    [
        ([8, 4, 2], (5e-3, 1e-2, 2e-3), None, None),
        ([8, 4, 2], (5e-3, 1e-2, 2e-3), 0.0, None),
        ([8, 4, 2], (3e-3, 5e-3, 1e-2, 2e-3), None, None),
        ([8, 4, 2, 2], (5e-3, 1e-2, 2e-3), None, 2),
        ([4, 4, 4, 4], (5e-3, 1e-2, 2e-3), None, 2),
        ([60, 30, 1], (2e-2, 2e-2, 2e-2), None, None),  # one class zero
    ],
)
def test_against_all_factors_from_many_starts(counts, decays, bias_decay, dim):
    found = lpm.solve(deep(counts, decays[:-1], decays[-1], bias_decay=bias_decay, dim=dim))
    value, factors = _independent_optimum(counts, decays, dim or len(counts), bias_decay is not None, 30)
    assert value == pytest.approx(float(found.value), rel=1e-9) and value > float(found.lower_bound)
    mine = found.factors()
    if not found.unique:
        spectra = [[np.linalg.svd(F, compute_uv=False) for F in many] for many in (factors, mine)]
        np.testing.assert_allclose(np.stack(spectra[0][1:-1]), np.stack(spectra[1][1:-1]), atol=1e-4)
        return
    for one, other in zip(
        factors, mine, strict=True
    ):  # of every factor the singular values, of W and H the Gram matrix
        one_values, other_values = (np.linalg.svd(F, compute_uv=False) for F in (one, other))
        size = min(len(one_values), len(other_values))
        np.testing.assert_allclose(one_values[:size], other_values[:size], atol=1e-4)
    product, ours = (np.linalg.multi_dot([np.eye(len(counts)), *many[:-1]]) for many in (factors, mine))
    np.testing.assert_allclose(product @ product.T, ours @ ours.T, atol=1e-4)
    np.testing.assert_allclose(factors[-1].T @ factors[-1], np.transpose(mine[-1]) @ mine[-1], atol=1e-4)


@SLOW
def test_one_weight_matrix_is_the_unconstrained_features_model():
    groups = lpm.ClassGroups.from_counts([8, 4, 2])
    for loss in (None, SQUARED):
        one = lpm.solve(lpm.DeepLinear(groups, (5e-3,), 2e-3, loss=loss))
        other = lpm.solve(lpm.UnconstrainedFeatures(groups, 5e-3, 2e-3, loss=loss))
        assert float(one.value) == pytest.approx(float(other.value), rel=1e-14)
        for name in ("within", "between", "slack", "w_norm2", "h_norm2", "margin", "multiplier"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-14)
        for a, b in zip(one.factors(dim=3), other.factors(dim=3), strict=True):
            np.testing.assert_allclose(a @ a.T if a.shape[0] == 3 else a.T @ a, b @ b.T if b.shape[0] == 3 else b.T @ b,
                                       atol=1e-12)  # fmt: skip


def test_bias_transition_of_the_mean_direction():
    """Where the mean logit dies, on the symmetric path of K = 3, n = 4: at a* = decay / (1 + decay) of the bias."""
    K, n, decay = 3, 4.0, 5e-3
    for M, expected in ((1, 0.03), (2, 0.06), (3, 0.0779423)):
        L, N = M + 1, K * n
        # N price / a* is the price of the mean direction; it dies where that has its threshold at sqrt(n)
        price = 0.5 * L * decay * N
        star = np.exp((2 - 2 / L) * (log_size(np.log(price), L, jump(L)) - 0.5 * np.log(n)))
        assert star == pytest.approx(expected, abs=5e-8)


def test_traced_lanes_and_float32():
    groups = lpm.ClassGroups.balanced(4, 10)
    solve = jax.jit(jax.vmap(lambda x, y: lpm.solve(deep(groups, (x, y), 1e-3))))
    found = solve(jnp.array([1e-3, -1.0, 1e-3, jnp.nan]), jnp.array([1e-3, 1e-3, jnp.inf, 1e-3]))
    assert list(found.status) == [0, 4, 4, 4] and np.isnan(found.value[1:]).all()
    with jax.enable_x64(False):
        single = lpm.solve(deep(lpm.ClassGroups.from_counts([8, 4, 2]), (1e-3, 3e-3), 2e-3))
        assert single.value.dtype == "float32" and single.status == Status.converged
    proved = lpm.certify(single.problem, single, tol=1e-5)
    exact = lpm.solve(deep([8, 4, 2], (1e-3, 3e-3), 2e-3))
    assert proved.status == Status.certified
    assert abs(float(proved.value - exact.value)) <= float(proved.gap) < 1e-5 * float(exact.value)


def test_sweep_save_and_export(tmp_path):
    groups = lpm.ClassGroups.from_counts([200, 100, 50, 50])
    grid = lpm.sweep(
        lpm.DeepLinear, groups=groups, lambda_W=(5e-4,) * 3, lambda_H=[5e-4, 1e-3], loss=SQUARED,
        variables=["value", "status", "ties", "kept"],
    )  # fmt: skip
    assert grid["value"].values[0] == pytest.approx(0.0122184004, abs=1e-10) and (grid["status"] == 0).all()
    assert grid["lambda_H"].attrs["long_name"] == "weight decay of the features" and grid["kept"].dims[-1] == "group"
    found = lpm.solve(deep(groups, (5e-4,) * 3, 5e-4, dim=3))
    found.save(tmp_path / "deep.npz")
    again = lpm.load(tmp_path / "deep.npz")
    jax.tree.map(np.testing.assert_array_equal, again, found)
    assert again.problem.num_factors == 4
    written = jax.export.export(jax.jit(lpm.solve))(found.problem).serialize()
    assert float(jax.export.deserialize(written).call(found.problem).value) == pytest.approx(
        float(found.value), rel=1e-13
    )


BAD = [
    ({"lambda_W": 1e-3}, r"lambda_W must hold one decay for each .* \(1e-3, 1e-3\)"),
    ({"lambda_W": ()}, "lambda_W is empty"),
    ({"lambda_W": "ab"}, "lambda_W must hold one decay"),
    ({"lambda_W": (1e-3, -1.0)}, r"lambda_W\[1\] = -1 is out of range: lambda_W must be finite and > 0"),
    ({"lambda_W": (1e-3, [1.0])}, r"lambda_W\[1\] must be one number"),
    ({"lambda_H": 0.0}, "lambda_H = 0 is out of range"),
    ({"dim": 0}, "dim = 0 is out of range"),
    ({"dim": 1.5}, "dim = 1.5 is out of range"),
    ({"bias_decay": -1.0}, "bias_decay = -1 is out of range"),
    ({"relu": "yes"}, "relu must be True or False"),
    ({"relu": True, "bias_decay": 0.0}, "relu = True is out of range"),
    ({"relu": True, "loss": None}, "relu = True is out of range"),
    ({"relu": True, "lambda_W": (1e-3,)}, "relu = True is out of range"),
    ({"relu": True, "groups": lpm.ClassGroups([1, 1], [2, 1], [1, 1])}, "groups without weights"),
    ({"loss": "mse"}, "loss must be"),
]


@pytest.mark.parametrize("change, message", BAD)
def test_bad_input(change, message):
    good = {"groups": lpm.ClassGroups([1, 1], [2, 1]), "lambda_W": (1e-3, 1e-3), "lambda_H": 1e-3, "loss": SQUARED}
    with pytest.raises(ValueError, match=message):
        lpm.DeepLinear(**(good | change))


def test_thresholds():
    assert float(lpm.boundary.deep_mse(1, 14, 1e-2)) == pytest.approx((14 * 1e-2) ** 2)
    for stationary, ratio in ((False, 0.5), (True, 9 / 8 / np.sqrt(3))):
        n = lpm.boundary.deep_mse(2, 150, 1e-2, stationary)
        assert 2 * 150 * np.sqrt(150e-6) / n == pytest.approx(ratio)
    slope = jax.grad(lpm.boundary.deep_mse, argnums=(0, 1, 2))(3.0, 150.0, 1e-2)
    for i, h in enumerate((1e-5, 1e-3, 1e-7)):
        ends = [
            lpm.boundary.deep_mse(*(x + s * h * (i == j) for j, x in enumerate((3.0, 150.0, 1e-2)))) for s in (1, -1)
        ]
        assert float(slope[i]) == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-6)
    for bad, message in (((0, 1, 1), "M = 0"), ((1, -1, 1), "N = -1"), ((1, 1, 0), "decay = 0")):
        with pytest.raises(ValueError, match=message):
            lpm.boundary.deep_mse(*bad)
