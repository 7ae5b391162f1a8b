"""Pictures of one result: vectors in three dimensions, Gram matrices, spectra; and what a notebook shows."""

import dataclasses

import jax
import numpy as np
import pytest
from matplotlib import pyplot

import lpmjax as lpm
from lpmjax import plot

ETF = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.balanced(4), E_W=1.0, E_H=4.0))
MIXED = lpm.solve(lpm.LayerPeeled(lpm.ClassGroups.from_counts([1.0, 9.0, 1.0, 9.0, 9.0]), E_W=1.0, E_H=4.0))


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def tips(ax, filled):
    """(points, 3) of marks that are filled, or open, in the order of drawing."""
    lines = [line for line in ax.lines if line.get_marker() not in ("None", "+")]
    chosen = [line for line in lines if (line.get_markerfacecolor() != "none") == filled]
    drawn = [np.stack(line.get_data_3d(), axis=1) for line in chosen]
    return np.concatenate([points for points in drawn if points.size])


def test_geometry_shows_the_simplex():
    ax = plot.geometry(ETF)
    points = tips(ax, filled=True)
    np.testing.assert_allclose(points @ points.T, (4 * np.eye(4) - 1) / 3, atol=1e-7)
    np.testing.assert_allclose(tips(ax, filled=False), points, atol=1e-7)  # scaled features lie on them
    assert "100% of the squared norms" in ax.get_title()
    assert [text.get_text() for text in ax.texts] == ["1", "2", "3", "4"]


def test_groups_differ_in_marks_and_in_lightness():
    ax = plot.geometry(MIXED)
    legend = {
        text.get_text(): line
        for text, line in zip(ax.get_legend().get_texts(), ax.get_legend().get_lines(), strict=True)
    }
    A, B = legend["group A"], legend["group B"]
    grey = [np.dot(line.get_color()[:3], (0.299, 0.587, 0.114)) for line in (A, B)]
    assert A.get_marker() != B.get_marker() and abs(grey[0] - grey[1]) > 0.3
    assert [text.get_text() for text in ax.texts] == ["B1", "A1", "B2", "A2", "A3"]  # the caller's order
    share = float(ax.get_title().split(": ")[1].split("%")[0])
    values = np.linalg.svd(np.concatenate([MIXED.factors()[0], MIXED.factors()[1].T / 2]), compute_uv=False) ** 2
    assert share == pytest.approx(100 * values[:3].sum() / values.sum(), rel=2e-3)


def test_gram_is_that_of_the_callers_classes():
    ax = plot.gram(MIXED)
    G = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(np.diag(G)[[1, 0]], MIXED.w_norm2, rtol=1e-9)
    assert G[0, 2] / G[0, 0] == pytest.approx(float(MIXED.cosine[1]), rel=1e-9)
    assert [text.get_text() for text in ax.texts[:2]] == [f"{G[0, 0]:.2f}", f"{G[0, 1]:.2f}"]
    H = np.asarray(plot.gram(MIXED, of="features", label=False).images[0].get_array())
    np.testing.assert_allclose(np.diag(H)[[1, 0]], MIXED.h_norm2, rtol=1e-9)
    lightness = pyplot.get_cmap("cividis")(np.linspace(0, 1, 64))[:, :3] @ (0.299, 0.587, 0.114)
    assert (np.diff(lightness) > 0).all()


def test_a_feature_for_each_sample_is_drawn_as_the_mean_of_its_class():
    rng = np.random.default_rng(0)
    groups = lpm.ClassGroups.from_counts([1.0, 3.0, 2.0])
    problem = lpm.LayerPeeled(groups, E_W=1.0, E_H=1.0)
    found = dataclasses.replace(MIXED, problem=problem, W=rng.normal(size=(3, 2)), H=rng.normal(size=(2, 6)))
    G = np.asarray(plot.gram(found, of="features").images[0].get_array())
    means = np.stack([np.asarray(found.H)[:, part].mean(1) for part in (slice(0, 1), slice(1, 4), slice(4, 6))])
    np.testing.assert_allclose(G, means @ means.T, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("relu", [False, True])
def test_deep_models_are_drawn_as_their_norms_say(relu):
    groups = lpm.ClassGroups.from_counts([20.0, 20.0, 8.0])
    deep = lpm.solve(lpm.DeepLinear(groups, (0.01, 0.01), 0.01, lpm.SquaredError(), relu=relu))
    G = np.asarray(plot.gram(deep).images[0].get_array())
    np.testing.assert_allclose(np.diag(G), np.asarray(deep.w_norm2)[[0, 0, 1]], rtol=1e-9)
    values = np.asarray(plot.spectrum(deep).lines[0].get_ydata())
    np.testing.assert_allclose(values, np.linalg.svd(deep.logits(), compute_uv=False), rtol=1e-9)


def test_spectrum_has_the_singular_values_of_the_logits():
    ax = plot.spectrum(MIXED)
    above, zero = (np.asarray(line.get_ydata()) for line in ax.lines)
    np.testing.assert_allclose(above, np.linalg.svd(MIXED.logits(), compute_uv=False)[:4], rtol=1e-9)
    assert zero.tolist() == [0.0] and "rank 4" in ax.get_title()


def test_models_of_features_alone_and_vanished_ones():
    alone = lpm.solve(lpm.SupervisedContrastive(lpm.ClassGroups.balanced(3), E_H=1.0, temperature=0.7))
    assert tips(plot.geometry(alone), filled=False).shape == (3, 3)
    assert plot.spectrum(alone).get_title().startswith("SupervisedContrastive: features")
    with pytest.raises(ValueError, match=r"no classifier: draw gram\(sol, of='features'\)"):
        plot.gram(alone)
    zero = dataclasses.replace(ETF, within=0 * ETF.within, between=0 * ETF.between)
    for draw in (plot.geometry, plot.gram, plot.spectrum):
        draw(zero).figure.canvas.draw()


def test_what_cannot_be_drawn_is_refused():
    batch = jax.tree.map(lambda x: np.stack([x, x]), ETF)
    for draw in (plot.geometry, plot.gram, plot.spectrum):
        with pytest.raises(ValueError, match=r"sol is a batch of shape \(2,\)"):
            draw(batch)
    with pytest.raises(ValueError, match="three-dimensional"):
        plot.geometry(ETF, ax=pyplot.subplots()[1])
    with pytest.raises(ValueError, match=r"of = 'logits' is out of range: .* classifiers, features"):
        plot.gram(ETF, of="logits")


def test_a_notebook_shows_the_certificate():
    shown = ETF._repr_html_()
    bounds = f"[{float(ETF.lower_bound):.10g}, {float(ETF.value):.10g}]"
    assert f"&#10003; certified to 1e-10, relative: the global optimum lies in {bounds}" in shown
    assert str(ETF).splitlines()[-1] in shown
    open_ = dataclasses.replace(ETF, status=np.int8(lpm.Status.converged))
    assert "&#9675; converged: not proved optimal" in open_._repr_html_()
    stalled = dataclasses.replace(ETF, status=np.int8(lpm.Status.stalled))
    assert "&#10007; stalled: " in stalled._repr_html_() and "certified" not in stalled._repr_html_().split("<pre")[0]
    batch = jax.tree.map(lambda x: np.stack([x, x]), ETF)
    assert batch._repr_html_().startswith("<pre>LayerPeeled, batch (2,)")
