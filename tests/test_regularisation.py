"""The regularisation path: certified down to a decay of 1e-200, its limits and rates, an independent fixed point."""

import numpy as np
import pytest
from matplotlib import pyplot

import lpmjax as lpm
from lpmjax import Status, plot
from lpmjax.regularisation import regularisation_path

Groups = lpm.ClassGroups


def fixed_point(n, pi, decay, steps=300):
    """Logits at which ``pi_k p_k`` balances the decay: ``m_jk = log(P_k pi_k / (decay beta_jk))``, damped by half."""
    K, D, off = len(n), np.sqrt(n), ~np.eye(len(n), dtype=bool)
    Z = np.log(1 / decay) * (np.eye(K) - 1 / K)
    for _ in range(steps):
        u, _, vt = np.linalg.svd(Z * D)
        beta = np.where(off, -(u[:, :-1] @ vt[:-1]) * D, 1.0)
        right = 1 - decay * np.sum(np.where(off, beta, 0), axis=0) / pi
        margins = np.where(off, np.log(right * pi) - np.log(decay) - np.log(beta), 0.0)
        Z = 0.5 * (Z + margins.mean(0) - margins)
    return Z


@pytest.fixture(scope="module")
def path():
    return regularisation_path(lpm.Separation(Groups.from_counts([7, 3, 2])))


@pytest.mark.slow
def test_every_point_is_certified_and_on_its_way(path):
    across = np.log(1 / path["decay"].values)
    assert path["decay"].values[-1] == pytest.approx(1e-200) and (path["status"] == Status.certified).all()
    assert float(path["rate"]) == pytest.approx(0.362217, abs=1e-6)
    off = (path["distance"] * across - path["rate"]).values[across > 20] * across[across > 20]
    assert np.abs(off).max() < 0.05 and np.abs(off[-1] - off[-2]) < 1e-3  # the next order, 1 / log(1 / decay)^2
    margin = path["normalised_margin"].values
    assert (np.diff(margin) > 0).all() and margin[-1] == pytest.approx(1, abs=1e-3) and margin[-1] < 1
    assert path.attrs["title"] == "regularisation path to Separation, norm per_sample"


@pytest.mark.slow
def test_an_independent_fixed_point_is_on_the_path(path):
    n = np.array([7.0, 3.0, 2.0])
    for i in (0, 8, -1):
        at = path.isel(decay=i)
        Z = fixed_point(n, n / n.sum(), float(at["decay"]))
        np.testing.assert_allclose(at["between"], Z, atol=1e-9 * np.abs(Z).max())


@pytest.mark.parametrize(
    ("norm", "rate", "cosine"),
    [("per_sample", 0.776599, 0.07944565), pytest.param("class_average", 1.15129255, -1 / 3, marks=pytest.mark.slow)],
)
def test_two_groups(norm, rate, cosine):
    """Per sample the limit is SELI; on the class average, the Layer-Peeled Model, the simplex ETF."""
    ds = regularisation_path(lpm.Separation(Groups.two_group(2, 2, 10.0), norm=norm), [1e-4, 1e-50, 1e-100, 1e-200])
    across = np.log(1 / ds["decay"].values)
    assert (ds["status"] == Status.certified).all()
    assert float(ds["rate"]) == pytest.approx(rate, abs=1e-6)
    reached = (ds["distance"] * across).values
    assert 2 * reached[3] - reached[2] == pytest.approx(rate, abs=3e-5)  # without its 1 / log(1 / decay)
    np.testing.assert_allclose(ds["limit_cosine"][1], cosine, atol=1e-8)
    assert abs(float(ds["cosine"][-1, 1]) - cosine) < 2e-3
    if norm == "class_average":
        s = float(ds["norm"][1]) / 4
        budget = lpm.solve(lpm.LayerPeeled.two_group(2, 2, 10.0, E_W=s, E_H=s)).check()
        np.testing.assert_allclose(budget.within, ds["within"][1], rtol=1e-10)
        assert float(budget.multiplier) == pytest.approx(1e-50, rel=1e-8)


@pytest.mark.slow
def test_another_limit_is_not_approached():
    n = [7.0, 3.0, 2.0]
    scaled = lpm.Separation(Groups.from_counts(n), delta=[1.0, 0.7, 1.4])
    ds = regularisation_path(scaled, [1e-6, 1e-12, 1e-100])
    assert ds["status"].values[:2].tolist() == [Status.certified] * 2 and ds["status"][2] == Status.stalled
    assert np.isnan(ds["distance"][2]) and np.isnan(ds["normalised_margin"][2])
    reached = (ds["distance"] * np.log(1 / ds["decay"])).values
    assert abs(2 * reached[1] - reached[0] - float(ds["rate"])) < 0.01
    plain = lpm.solve(lpm.Separation(Groups.from_counts(n)))
    wrong = ds["between"].values[1] / np.linalg.norm(ds["between"].values[1])
    assert np.linalg.norm(wrong - plain.between / np.linalg.norm(plain.between)) > 0.2 > 10 * float(ds["distance"][1])


def test_figure_contrasts_limits():
    limits = {name: lpm.Separation(Groups.two_group(2, 2, 10.0), norm=name) for name in ("per_sample", "class_average")}
    paths = {name: regularisation_path(limit, [1e-2, 1e-9]) for name, limit in limits.items()}
    own = pyplot.subplots(1, 2)[1]
    left, right = plot.regularisation_paths(paths, axes=own)
    assert left is own[0] and right.get_xscale() == right.get_yscale() == "log"
    for i, ds in enumerate(paths.values()):
        across, height = right.lines[2 * i + 1].get_data()
        np.testing.assert_allclose(np.asarray(across) * np.asarray(height), float(ds["rate"]))
        assert left.lines[2 * i + 1].get_ydata()[0] == float(ds["limit_cosine"][1])
        np.testing.assert_array_equal(left.lines[2 * i].get_ydata(), ds["cosine"][:, 1])
    pyplot.close("all")
    with pytest.raises(ValueError, match=r"group = 'C' is not in per_sample: choose from A, B"):
        plot.regularisation_paths(paths, group="C")
    with pytest.raises(ValueError, match="paths is empty"):
        plot.regularisation_paths({})
    with pytest.raises(ValueError, match="ds lacks distance"):
        plot.regularisation_paths({"sweep": paths["per_sample"].drop_vars("distance")})


def test_bad_input():
    limit = lpm.Separation(Groups.balanced(4, 3.0))
    for decay, place in ((0.0, r"\[0\]"), ([0.1, 1.0], r"\[1\]"), ([-1.0], r"\[0\]")):
        with pytest.raises(ValueError, match=rf"decay{place} = .* is out of range: decay must be in \(0, 1\)"):
            regularisation_path(limit, decay)
    with pytest.raises(ValueError, match=r"limit must be a lpmjax\.Separation, got 3"):
        regularisation_path(3)
