"""NC1 to NC4 against constructed cases with known answers and a plain reimplementation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpmjax as lpm
from lpmjax.frames import simplex_etf
from lpmjax.metrics import NeuralCollapseStream, neural_collapse

SPLITS = [1, 7, 100, 5000]


def etf(K, d=None):
    return np.asarray(simplex_etf(K, d))


def collapsed(means, counts=3):
    """Features exactly at their class means, and labels."""
    y = np.repeat(np.arange(len(means)), counts)
    return np.asarray(means)[y], y


def sample(rng, K=5, d=8, N=200):
    """Random imbalanced data, every class present, and a random classifier."""
    y = np.concatenate([np.arange(K), rng.integers(0, K, N - K) * rng.integers(0, 2, N - K)])
    rng.shuffle(y)
    return rng.normal(size=(N, d)) + 2 * rng.normal(size=(K, d))[y], y, rng.normal(size=(K, d)), rng.normal(size=K)


def flat(result):
    nc2 = result.NC2 if isinstance(result.NC2, tuple) else (result.NC2,)
    return np.array([result.NC1, *nc2, result.NC3, result.NC4])


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(flat(a), flat(b), rtol=rtol, atol=rtol)


def plain(H, y, W, b):
    """The definitions read off the papers: explicit loops, an explicit Σ_B, np.linalg.pinv. Returns both forms."""
    N, (K, d) = len(H), W.shape
    mu = np.array([np.mean([H[i] for i in range(N) if y[i] == k], axis=0) for k in range(K)])
    G = sum(mu) / K
    S_W, S_B = np.zeros((d, d)), np.zeros((d, d))
    for i in range(N):
        S_W += np.einsum("a,b->ab", H[i] - mu[y[i]], H[i] - mu[y[i]]) / N
    for k in range(K):
        S_B += np.einsum("a,b->ab", mu[k] - G, mu[k] - G) / K
    NC1 = np.trace(S_W @ np.linalg.pinv(S_B, rcond=1e-10)) / K
    NC2 = []
    for V in (mu - G, W):
        norms = [math.sqrt(sum(v * v)) for v in V]
        cosines = [V[k] @ V[m] / norms[k] / norms[m] for k in range(K) for m in range(K) if k != m]
        maximal = sum(abs(c + 1 / (K - 1)) for c in cosines) / len(cosines)
        NC2.append([np.std(norms) / np.mean(norms), np.std(cosines), maximal])
    NC3 = math.sqrt(sum((W / np.sqrt((W**2).sum()) - (mu - G) / np.sqrt(((mu - G) ** 2).sum())).ravel() ** 2))
    wrong = 0
    for h in H:
        decision = max(range(K), key=lambda k: W[k] @ h + b[k])
        wrong += decision != min(range(K), key=lambda k: math.dist(h, mu[k]))
    E = (np.eye(K) - np.ones((K, K)) / K) / np.sqrt(K - 1)
    WW, WM = W @ W.T, np.array([[w @ (m - G) for m in mu] for w in W])
    zhu = [np.linalg.norm(A / np.linalg.norm(A, "fro") - E, "fro") for A in (WW, WM)]
    papyan = [NC1, *np.ravel(NC2, order="F"), NC3, wrong / N]
    return papyan, [NC1, *zhu, wrong / N]


@pytest.mark.parametrize(("K", "d"), [(2, 1), (2, 5), (3, 2), (10, 9), (10, 30), (100, 128)])
def test_everything_is_zero_at_collapse(K, d):
    M = etf(K, d)
    H, y = collapsed(3 * M + 5)
    for form in ("papyan", "zhu"):
        result = neural_collapse(H, y, 0.1 * M, -0.5 * M.sum(1), normalisation=form)  # decides by H - 5
        np.testing.assert_allclose(flat(result), 0, atol=1e-12)
        assert all(type(value) is float for value in (result.NC1, result.NC3, result.NC4))


@pytest.mark.parametrize(("K", "d"), [(2, 4), (4, 3), (4, 7), (10, 20)])
def test_NC1_of_known_noise(K, d):
    # Each class: ±a along every axis, so Σ_W = (a²/d) I, and Σ_B = s²/(K-1) on its range of dimension K - 1.
    a, s = 0.3, 1.7
    noise = a * np.concatenate([np.eye(d), -np.eye(d)])
    H = (s * etf(K, d)[:, None] + noise).reshape(-1, d)
    result = neural_collapse(H, np.repeat(np.arange(K), 2 * d), etf(K, d))
    assert result.NC1 == pytest.approx((a / s) ** 2 * (K - 1) ** 2 / (K * d), rel=1e-12)
    assert max(*result.NC2, result.NC3) < 1e-12


def test_scatter_outside_the_span_of_the_means_does_not_count():
    H, y = collapsed(etf(3, 4), 2)
    H = H + np.outer(np.tile([1, -1], 3), [0, 0, 0, 5.0])
    assert neural_collapse(H, y, etf(3, 4)).NC1 == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("K", "d", "N"), [(2, 1, 9), (3, 2, 60), (5, 8, 200), (7, 3, 150), (6, 40, 90)])
def test_plain_reimplementation(rng, K, d, N):
    H, y, W, b = sample(rng, K, d, N)
    papyan, zhu = plain(H, y, W, b)
    np.testing.assert_allclose(flat(neural_collapse(H, y, W, b)), papyan, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(flat(neural_collapse(H, y, W, b, normalisation="zhu")), zhu, rtol=1e-11, atol=1e-14)
    assert 0 < papyan[-1] <= 1  # else NC4 would not be tested


def test_rank_deficient_means_match_a_pseudo_inverse(rng):
    H, y, W, b = sample(rng, 5, 8)
    means = np.array([H[y == k].mean(0) for k in range(5)])
    H += (means[3] - means[4]) * (y == 4)[:, None]  # classes 3 and 4 now share a mean: Σ_B has rank 3
    result = neural_collapse(H, y, W, b)
    np.testing.assert_allclose(flat(result)[:-1], plain(H, y, W, b)[0][:-1], rtol=1e-9)
    means[4] = means[3]
    distances = np.linalg.norm(H[:, None] - means, axis=2)
    decided = distances[np.arange(200), (H @ W.T + b).argmax(1)]
    assert result.NC4 == np.mean(decided > distances.min(1) + 1e-9)  # either of 3 and 4 is nearest


def test_merged_classifiers():
    W = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])  # five pairs with cosine 0, one with 1
    H, y = collapsed(W)
    result = neural_collapse(H, y, W)
    assert result.NC2.equinorm_classifiers == 0
    assert result.NC2.equiangular_classifiers == pytest.approx(math.sqrt(5) / 6, rel=1e-14)
    assert result.NC2.maximal_classifiers == pytest.approx(1 / 2, rel=1e-14)
    assert result.NC1 == 0 and result.NC4 == 0  # ties of merged classes are not mismatches
    gram = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]) / math.sqrt(6)
    distance = np.linalg.norm(gram - (np.eye(4) - 1 / 4) / math.sqrt(3))
    assert neural_collapse(H, y, W, normalisation="zhu").NC2 == pytest.approx(distance, rel=1e-14)


def test_equinorm_by_hand():
    result = neural_collapse(*collapsed([[1.0, 0], [-1, 0]]), [[1.0, 0], [-3, 0]])
    assert result.NC2.equinorm_means == 0
    assert result.NC2.equinorm_classifiers == pytest.approx(1 / 2, rel=1e-14)  # lengths 1 and 3
    assert result.NC2.maximal_classifiers == pytest.approx(0, abs=1e-15)
    assert result.NC3 == pytest.approx(math.sqrt(2 - 4 * 2 / math.sqrt(2 * 10)), rel=1e-14)


@pytest.mark.parametrize("form", ["papyan", "zhu"])
def test_measures_of_this_packages_optima(form):
    # The separated optimum has unequal cosines; the balanced one is an ETF; both have mismatch 0 and NC1 = 0.
    merged = lpm.solve(lpm.LayerPeeled.two_group(5, 5, 100.0, 1.0, 5.0)).check()
    W, H = merged.factors()
    result = neural_collapse(H.T, np.arange(10), W, normalisation=form)
    assert result.NC1 == pytest.approx(0, abs=1e-20) and result.NC4 == 0 and result.NC3 > 0.01
    W, H = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(6), 4.0, 9.0)).factors()
    np.testing.assert_allclose(flat(neural_collapse(H.T, np.arange(6), W, normalisation=form)), 0, atol=1e-12)


def test_annihilated_classifiers_have_no_cosine():
    W = np.concatenate([etf(3, 4), np.zeros((1, 4))])
    result = neural_collapse(*collapsed(etf(4, 4)), W)
    assert math.isnan(result.NC2.equiangular_classifiers) and math.isnan(result.NC2.maximal_classifiers)
    assert result.NC2.equinorm_classifiers == pytest.approx(1 / math.sqrt(3), rel=1e-14)  # lengths 1, 1, 1, 0
    assert result.NC2.equiangular_means == pytest.approx(0, abs=1e-14) and math.isfinite(result.NC3)
    W[3] = 1e-15  # rounding is not a direction either
    assert math.isnan(neural_collapse(*collapsed(etf(4, 4)), W).NC2.maximal_classifiers)


def test_class_mean_at_the_global_mean(rng):
    x = rng.normal(size=(3, 2))
    H, y = collapsed([x[0], x[1], (x[0] + x[1]) / 2], 7)
    result = neural_collapse(H, y, etf(3))
    assert math.isnan(result.NC2.equiangular_means) and math.isnan(result.NC2.maximal_means)
    assert result.NC2.equinorm_means == pytest.approx(1 / math.sqrt(2), rel=1e-12)  # lengths 1, 1, 0
    assert math.isfinite(result.NC1) and math.isfinite(result.NC3)


@pytest.mark.parametrize("form", ["papyan", "zhu"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_nothing_is_reported_without_directions(form, noise):
    H = 3.7 + noise * np.tile([[1.0, 0], [-1, 0], [0, 1], [0, -1]], (3, 1))  # every class has the same mean
    y = np.repeat(np.arange(3), 4)
    result = neural_collapse(H, y, etf(3), normalisation=form)
    assert math.isnan(result.NC1) and math.isnan(result.NC3)
    result = neural_collapse(*collapsed(etf(3)), np.zeros((3, 2)), normalisation=form)
    assert np.isnan(flat(result)[1:-1]).sum() == (4 if form == "papyan" else 2)
    assert result.NC1 == pytest.approx(0, abs=1e-15)


def test_NC4_does_not_exist_where_a_rule_decides_nothing():
    H, y = collapsed(etf(3))
    merged = np.array([[1.0, 2.0], [1.0, 2.0], [1.0 + 1e-15, 2.0]])
    for W, b in ((np.zeros((3, 2)), None), (np.ones((3, 2)), [0.5] * 3), (merged, None)):
        assert math.isnan(neural_collapse(H, y, W, b).NC4)  # every class ties, for every sample
    assert neural_collapse(H, y, np.zeros((3, 2)), [1.0, 0, 0]).NC4 == pytest.approx(2 / 3)  # the bias decides
    same_means = np.tile(H, (3, 1)), np.repeat(np.arange(3), len(H))
    assert math.isnan(neural_collapse(*same_means, etf(3)).NC4)


def test_orthogonal_classifier_and_means_have_no_self_duality(rng):
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    H, y = collapsed(np.pad(etf(3), ((0, 0), (0, 2))) @ Q)
    W = np.pad(etf(3), ((0, 0), (2, 0))) @ Q
    assert np.abs(W @ H.T).max() > 0  # rounding, which normalising would blow up
    assert math.isnan(neural_collapse(H, y, W, normalisation="zhu").NC3)
    assert neural_collapse(H, y, W).NC3 == pytest.approx(math.sqrt(2), rel=1e-14)


@pytest.mark.parametrize("form", ["papyan", "zhu"])
def test_rounding_is_relative_to_the_widest_batch(rng, form):
    stream = NeuralCollapseStream(3)
    for k in np.repeat(np.arange(3), 50):
        g, h = 1e3 * rng.normal(size=(2, 3))  # every class mean is zero, up to rounding of the features
        stream.update([g, h, -(g + h)], [k] * 3)
    stream.update(1e-6 * np.concatenate([np.eye(3), -np.eye(3)]), [0, 1, 2, 0, 1, 2])
    result = stream.result(etf(3, 3), normalisation=form)
    assert math.isnan(result.NC1) and math.isnan(result.NC3)


def test_many_collapsed_samples_leave_no_scatter(rng):
    result = neural_collapse(*collapsed(rng.normal(size=(3, 4)), 4000), rng.normal(size=(3, 4)))
    assert 0 <= result.NC1 < 1e-30


def test_class_means_far_closer_than_samples(rng):
    # Each class: 0, x, x with x = 2·1 + e_k. The means are (2/3) e_k apart and Σ_W = (8/9) 1 1ᵀ but for O(e).
    e = 1e-9 * etf(3, 4)
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    stream = NeuralCollapseStream(3)
    for H in (np.zeros((3, 4)), 2 + e, 2 + e):
        stream.update(H @ Q, np.arange(3))
    assert stream.result(etf(3, 4)).NC1 == pytest.approx(2 * (8 / 9) * 2 / (2e-9 / 3) ** 2 / 3, rel=1e-5)


@pytest.mark.parametrize(("ratio", "rank"), [(1e-6, 2), (1e-9, 1)])
def test_cut_off_of_the_pseudo_inverse(ratio, rank):
    # Σ_B = diag(1, ratio²)·2/3 and Σ_W = diag(1, ratio²)/2: each eigenvalue that counts adds 3/4, over K.
    means = np.array([[1.0, 0], [-1, 0], [0, 0]]) + ratio / math.sqrt(3) * np.array([[0, 1], [0, 1], [0, -2]])
    noise = np.array([[1, 0], [-1, 0], [0, ratio], [0, -ratio]])
    result = neural_collapse((means[:, None] + noise).reshape(-1, 2), np.repeat(np.arange(3), 4), etf(3))
    assert result.NC1 == pytest.approx(rank / 4, rel=1e-8)


@pytest.mark.parametrize("form", ["papyan", "zhu"])
def test_invariances(rng, form):
    H, y, W, b = sample(rng, K=4, d=6)
    Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    shift, order = rng.normal(size=6), rng.permutation(4)
    base = neural_collapse(H, y, W, b, normalisation=form)
    close(neural_collapse(H @ Q, y, W @ Q, b, normalisation=form), base)
    close(neural_collapse(1e3 * H, y, W, 1e3 * b, normalisation=form), base)
    close(neural_collapse(H, y, 1e-3 * W, 1e-3 * b, normalisation=form), base)
    close(neural_collapse(H + shift, y, W, b - W @ shift, normalisation=form), base)
    close(neural_collapse(H, np.argsort(order)[y], W[order], b[order], normalisation=form), base)
    padded = np.pad(H, ((0, 0), (0, 3))), y, np.pad(W, ((0, 0), (0, 3))), b
    close(neural_collapse(*padded, normalisation=form), base)


@pytest.mark.parametrize("form", ["papyan", "zhu"])
@pytest.mark.parametrize("scale", [1e-130, 1e130])
def test_extreme_scales(rng, form, scale):
    H, y, W, b = sample(rng)
    base = neural_collapse(H, y, W, normalisation=form)
    close(neural_collapse(scale * H, y, W, normalisation=form), base)
    close(neural_collapse(H, y, W * scale * scale, normalisation=form), base)
    biased = neural_collapse(H, y, W, b, normalisation=form)
    close(neural_collapse(H, y, W * scale * scale, b * scale * scale, normalisation=form), biased)


@pytest.mark.parametrize("size", SPLITS)
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("form", ["papyan", "zhu"])
def test_batches_do_not_matter(rng, size, shuffled, form):
    H, y, W, b = sample(rng, N=600)
    order = rng.permutation(600) if shuffled else np.argsort(y)  # sorted: most batches hold a single class
    stream = NeuralCollapseStream(5)
    batches = [order[i : i + size] for i in range(0, 600, size)]
    for batch in batches:
        stream.update(H[batch], y[batch])
        stream.update(H[:0], y[:0])
    np.testing.assert_array_equal(stream.counts, np.bincount(y))
    result = stream.result(W, b, second_pass=(H[batch] for batch in batches), normalisation=form)
    close(result, neural_collapse(H, y, W, b, normalisation=form))
    assert sum(stream.mismatches(H[batch], W, b) for batch in batches) == round(600 * result.NC4)


def test_more_rows_than_one_block(rng):
    H, y, W, b = sample(rng, K=3, d=2, N=9001)
    np.testing.assert_allclose(flat(neural_collapse(H, y, W, b)), plain(H, y, W, b)[0], rtol=1e-11)


@pytest.mark.parametrize("size", SPLITS)
def test_large_offset(rng, size):
    """An offset of 1e6, exact in float64 (features are multiples of 2⁻²⁰), loses nothing, though logits round."""
    H, y, W, b = sample(rng)
    H = np.round(H * 2**20) / 2**20
    stream = NeuralCollapseStream(5)
    for i in range(0, 200, size):
        stream.update(H[i : i + size] + 1e6, y[i : i + size])
    base = neural_collapse(H, y, W, b)
    close(stream.result(W, b - W @ np.full(8, 1e6), second_pass=[H + 1e6]), base)


def test_a_stream_may_go_on_after_a_result_or_an_error(rng):
    H, y, W, b = sample(rng)
    stream = NeuralCollapseStream(5)
    stream.update(H[:100], y[:100])
    assert math.isnan(stream.result(W).NC4)
    bad = H[100:].copy()
    bad[-1, -1] = np.inf
    with pytest.raises(ValueError, match="out of range"):
        stream.update(bad, y[100:])
    with pytest.raises(ValueError, match="labels"):
        stream.update(H[100:], y[100:] + 4)
    stream.update(H[100:], y[100:])
    close(stream.result(W, b, second_pass=[H]), neural_collapse(H, y, W, b))


def test_second_pass_may_be_other_data(rng):
    H, y, W, _ = sample(rng)
    stream = NeuralCollapseStream(5)
    stream.update(H, y)
    means = np.array([H[y == k].mean(0) for k in range(5)])
    test = rng.normal(size=(50, 8))
    nearest = np.linalg.norm(test[:, None] - means, axis=2).argmin(1)
    expected = np.mean((test @ W.T).argmax(1) != nearest)
    assert stream.result(W, second_pass=[test[:20], test[20:]]).NC4 == expected > 0


def test_NC4_counts_each_change_of_decision():
    M = 2 * etf(4)
    H, y = collapsed(M, 5)
    half = 0.5 * (M**2).sum(1)
    assert neural_collapse(H, y, M, -half).NC4 == 0  # the nearest-centre rule itself
    assert neural_collapse(H, y, M[[1, 0, 2, 3]]).NC4 == 0.5  # two classes exchanged
    assert neural_collapse(H, y, M, [100.0, 0, 0, 0]).NC4 == 0.75  # everything is decided as class 0
    assert neural_collapse(H, y, -M).NC4 == 1
    mislabelled = y.copy()
    mislabelled[0] = 1  # moves two means a little; labels enter in no other way
    assert neural_collapse(H, mislabelled, M).NC4 == 0
    # One feature beyond the midpoint of two means, decided otherwise by a classifier shifted past it.
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    stream = NeuralCollapseStream(2)
    stream.update(x, [0, 0, 1, 1])
    assert stream.mismatches([[0.4], [0.6]], [[0.0], [1.0]], [0.5, 0]) == 0
    assert stream.mismatches([[0.4], [0.6]], [[0.0], [1.0]], [0.7, 0]) == 1
    assert stream.mismatches([[0.5]], [[0.0], [1.0]], [0.7, 0]) == 0  # equally near: no disagreement


class Tensor:
    """What PyTorch's tensors refuse: NumPy's view of one on a device, with a gradient, or of bfloat16."""

    def __init__(self, data, grad=True, device="cuda", bfloat=False):
        self.data, self.grad, self.device, self.bfloat = data, grad, device, bfloat

    def detach(self):
        return Tensor(self.data, False, self.device, self.bfloat)

    def cpu(self):
        return Tensor(self.data, self.grad, "cpu", self.bfloat)

    def float(self):
        return Tensor(np.asarray(self.data, np.float32), self.grad, self.device)

    def numpy(self):
        if self.bfloat:
            raise TypeError("Got unsupported ScalarType BFloat16")
        if self.grad or self.device != "cpu":
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return self.data

    def __array__(self, *args, **kwargs):
        return self.numpy()

    def __len__(self):
        return len(self.data)


CONVERSIONS = {
    "float32": lambda x: np.asarray(x, np.float32),
    "float16": lambda x: np.asarray(x, np.float16),
    "longdouble": lambda x: np.asarray(x, np.longdouble),
    "int8": lambda x: np.asarray(x, np.int8),
    "list": lambda x: x.tolist(),
    "rows": lambda x: tuple(jnp.asarray(x)),
    "jax": lambda x: jnp.asarray(x),
    "jax bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16),
    "tensor": lambda x: Tensor(np.asarray(x, np.float32)),
    "tensor bfloat16": lambda x: Tensor(x, bfloat=True),
    "tensor rows": lambda x: [Tensor(row) for row in x],
}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_kinds_of_array(rng, kind):
    H, W, b = rng.integers(-9, 10, (40, 3)), rng.integers(-9, 10, (4, 3)), rng.integers(-9, 10, 4)
    y = np.arange(40) % 4
    base = neural_collapse(H.astype(float), y, W.astype(float), b.astype(float))
    convert = CONVERSIONS[kind]
    result = neural_collapse(convert(H), convert(y), convert(W), convert(b))
    assert result == base


def test_memory_layout_does_not_matter(rng):
    H, y, W, b = sample(rng)
    base = neural_collapse(H, y, W, b)
    assert neural_collapse(np.asfortranarray(H), y, np.asfortranarray(W), b) == base
    assert neural_collapse(H[::-1][::-1], np.repeat(y, 2)[::2], W, b) == base


def test_float32_data_is_measured_in_float64(rng):
    H, y, W, b = sample(rng)
    H, W, b = (x.astype(np.float32) for x in (H, W, b))
    expected = plain(H.astype(float), y, W.astype(float), b.astype(float))[0]
    np.testing.assert_allclose(flat(neural_collapse(H, y, W, b)), expected, rtol=1e-11)
    kept = H.copy()
    neural_collapse(H, y, W, b)
    np.testing.assert_array_equal(H, kept)


def bad_call(**changes):
    H, y = collapsed(etf(3, 4), 2)
    arguments = {"features": H, "labels": y, "W": etf(3, 4)} | changes
    return neural_collapse(**arguments)


NAN, INF = float("nan"), float("inf")
BAD = {
    "fractional label": ({"labels": [0, 0, 1, 1, 2, 1.5]}, r"labels\[5\] = 1.5 .* 0, ..., 2.*Number the classes"),
    "NaN label": ({"labels": [0, 0, 1, 1, 2, NAN]}, r"labels\[5\] = nan"),
    "infinite label": ({"labels": [0, 0, 1, 1, 2, INF]}, r"labels\[5\] = inf"),
    "label K": ({"labels": [0, 0, 1, 1, 2, 3]}, r"labels\[5\] = 3"),
    "ignored label": ({"labels": [-100, 0, 1, 1, 2, 2]}, r"labels\[0\] = -100 .*drop ignored"),
    "too few labels": ({"labels": [0, 1, 2]}, r"labels has shape \(3,\): it must be \(6,\)"),
    "one-hot labels": ({"labels": np.eye(3)[[0, 0, 1, 1, 2, 2]]}, "argmax"),
    "text labels": ({"labels": list("aabbcc")}, "labels must be an array of real numbers"),
    "empty class": ({"labels": [0, 0, 2, 2, 2, 2]}, r"counts\[1\] = 0 .*Add samples, or drop the class from W"),
    "one sample": ({"features": np.ones((1, 4)), "labels": [0]}, "2 of 3 classes have no samples"),
    "no samples": ({"features": np.ones((0, 4)), "labels": []}, "3 of 3 classes have no samples"),
    "NaN feature": ({"features": np.full((6, 4), NAN)}, r"features\[0, 0\] = nan .*finite"),
    "infinite feature": ({"features": np.full((6, 4), -INF)}, r"features\[0, 0\] = -inf"),
    "huge feature": ({"features": np.full((6, 4), 1e150)}, "1e\\+140.*rescale"),
    "tiny spread": ({"features": np.arange(24.0).reshape(6, 4) * 1e-150}, "Multiply them by a constant"),
    "complex features": ({"features": np.ones((6, 4), complex)}, "features must be an array of real numbers.*complex"),
    "ragged features": ({"features": [[1.0], [1.0, 2.0]]}, "features must be an array of real numbers"),
    "records": ({"features": np.zeros((6, 4), [("x", float)])}, "features must be an array of real numbers"),
    "no features": ({"features": None}, "features must be an array of real numbers"),
    "image features": ({"features": np.ones((6, 2, 2))}, r"features has shape \(6, 2, 2\).*reshape"),
    "flat features": ({"features": np.ones(6)}, r"features has shape \(6,\)"),
    "d = 0": ({"features": np.ones((6, 0))}, "d >= 1"),
    "W transposed": ({"W": etf(3, 4).T[:3]}, r"W has shape \(3, 3\): it must be \(K, d\) = \(3, 4\)"),
    "kernel (d, K)": ({"W": etf(3, 4).T}, r"W has shape \(4, 3\), but features have d = 4.*Transpose it.*kernel.T"),
    "masked features": ({"features": np.ma.array(np.ones((6, 4)), mask=np.eye(6, 4))}, "features has masked entries"),
    "masked labels": ({"labels": np.ma.array([0, 0, 1, 1, 2, 2], mask=[0, 0, 0, 0, 0, 1])}, "labels has masked"),
    "one class": ({"W": np.ones((1, 4))}, r"W has shape \(1, 4\).*K >= 2"),
    "flat W": ({"W": np.ones(4)}, r"W has shape \(4,\)"),
    "NaN W": ({"W": np.full((3, 4), NAN)}, r"W\[0, 0\] = nan .*diverged"),
    "infinite b": ({"b": [0, INF, 0]}, r"b\[1\] = inf"),
    "long b": ({"b": np.zeros(4)}, r"b has shape \(4,\): it must be \(3,\)"),
    "normalisation": ({"normalisation": "Papyan"}, '"papyan" or "zhu"'),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        bad_call(**changes)


@pytest.mark.parametrize("K", [1, 0, 2.5, True, "3"])
def test_bad_number_of_classes(K):
    with pytest.raises(ValueError, match=r"K = .* integer >= 2"):
        NeuralCollapseStream(K)


def test_stream_errors():
    H, y = collapsed(etf(3, 4))
    stream = NeuralCollapseStream(3)
    with pytest.raises(ValueError, match="no samples"):
        stream.mismatches(H, etf(3, 4))
    stream.update(H, y)
    with pytest.raises(ValueError, match="features has d = 5, but the first batch had d = 4"):
        stream.update(np.ones((3, 5)), y[:3])
    with pytest.raises(ValueError, match="Transpose it"):
        stream.result(etf(3, 4).T)
    used = iter([H])
    assert stream.result(etf(3, 4), second_pass=used).NC4 == 0
    with pytest.raises(ValueError, match="second_pass has no samples: give the batches again"):
        stream.result(etf(3, 4), second_pass=used)
    with pytest.raises(ValueError, match=r"for one array give \[array\]"):
        stream.result(etf(3, 4), second_pass=H)
    late = np.ones((5000, 4))
    late[4500, 2] = NAN
    with pytest.raises(ValueError, match=r"features\[4096:\]\[404, 2\] = nan"):
        stream.update(late, np.zeros(5000))


def test_traced_features_are_refused():
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda H: neural_collapse(H, [0, 1], np.eye(2)).NC1)(np.eye(2))
