import numpy as np
import pytest
from matplotlib import pyplot

import lpmjax as lpm
from lpmjax import plot


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def test_phase_diagram_draws_phases_and_exact_curves():
    s = np.linspace(0.05, 3, 30)
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=np.geomspace(1, 1e3, 20), E_W=1.0, E_H=s**2)
    own = pyplot.subplots()[1]
    ax = plot.phase_diagram(ds, ax=own)
    assert ax is own
    mesh = ax.collections[0].get_array()
    np.testing.assert_array_equal(np.ravel(mesh), ds["phase"].values.ravel())
    R0 = next(line for line in ax.lines if "R_0" in line.get_label())
    budget, height = R0.get_data()
    np.testing.assert_allclose(height, lpm.boundary.merged(5, 5, np.asarray(budget)), rtol=1e-12)
    assert any("R_1" in line.get_label() for line in ax.lines)
    assert ax.get_yscale() == "log"
    assert "E_W E_H" in ax.get_xlabel()


@pytest.mark.parametrize(("K_A", "K_B", "edge"), [(5, 5, 1e3), (7, 3, 1e-2)])
def test_the_vertical_boundary_reaches_the_edge(K_A, K_B, edge):
    s = np.linspace(0.05, 3, 12)
    R = np.geomspace(min(edge, 1), max(edge, 1), 8)
    ax = plot.phase_diagram(lpm.sweep(lpm.LayerPeeled.two_group, K_A=K_A, K_B=K_B, R=R, E_W=1.0, E_H=s**2))
    minority = (K_A, K_B) if edge > 1 else (K_B, K_A)
    R1 = next(line for line in ax.lines if "R_1" in line.get_label())
    budget, height = map(np.asarray, R1.get_data())
    assert budget[-1] == pytest.approx(float(lpm.boundary.annihilation_end(*minority)), rel=1e-14)
    assert height.max() > edge if edge > 1 else height.min() < edge
    assert (ax.get_ylim()[0], ax.get_ylim()[1]) == (R.min(), R.max())


def dots_and_curves(ax):
    """The sweep's points, and the labelled lines, each budget's in turn."""
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    return dots, [line for line in ax.lines if line.get_label().startswith("$E")]


def test_cosine_leaves_the_undefined_region_blank():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1.0, 2.0, 1e3], E_W=1.0, E_H=[1.0, 5.0])
    dots, curves = dots_and_curves(plot.cosine(ds))
    first = np.asarray(dots[0].get_ydata())
    assert np.isfinite(first[:2]).all()
    assert np.isnan(first[2])
    np.testing.assert_allclose(first[0], -1 / 9, rtol=1e-12)
    end = float(lpm.boundary.annihilated(5, 5, 1.0))
    R, height = map(np.asarray, curves[0].get_data())
    assert R[np.isfinite(height)].max() == pytest.approx(end, rel=2e-9)
    assert np.isfinite(height[end > R]).all()


def test_cosine_is_exact_between_the_points_of_the_sweep():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=7, K_B=3, R=[0.01, 1.0, 1e3], E_W=[1.0, 20.0], E_H=1.0)
    ax = plot.cosine(ds)
    dots, curves = dots_and_curves(ax)
    assert [line.get_label() for line in curves] == ["$E_W$ = 1", "$E_W$ = 20"]
    for E_W, line in zip([1.0, 20.0], curves, strict=True):
        R, height = map(np.asarray, line.get_data())
        kink = np.searchsorted(R, float(lpm.boundary.merged(7, 3, E_W**0.5)))
        assert R[kink] == pytest.approx(float(lpm.boundary.merged(7, 3, E_W**0.5)), rel=1e-12)
        assert height[kink + 1] == 1
        for at in (3, kink - 1):
            single = lpm.solve(lpm.LayerPeeled.two_group(7, 3, R[at], E_W, 1.0))
            assert height[at] == pytest.approx(float(single.cosine[1]), abs=1e-9)
    lowest = min(np.nanmin(line.get_ydata()) for line in dots)
    assert ax.get_ylim()[0] < lowest < -0.2
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.y1 < ax.get_window_extent().y0  # below the axes, not on a curve
    assert legend.y0 >= 0
    assert len({line.get_linewidth() for line in ax.lines if line.get_solid_capstyle() == "butt"}) == 2


def test_points_of_other_models_are_joined_as_they_are():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=2, K_B=2, R=[2.0, 1.0], E_W=1.0, E_H=[0.1, 0.2])
    ds.attrs["loss"] = "LogitAdjusted"
    _, curves = dots_and_curves(plot.cosine(ds))
    assert np.asarray(curves[0].get_xdata()).tolist() == [1.0, 2.0]
    with pytest.raises(
        ValueError, match=r"phase_diagram draws the boundaries of LayerPeeled with CrossEntropy .* LogitA"
    ):
        plot.phase_diagram(ds)


def test_wrong_dimensions_are_refused():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=[4, 5], K_B=5, R=[1.0, 2.0], E_W=1.0, E_H=[1.0, 5.0])
    with pytest.raises(ValueError, match="phase_diagram needs"):
        plot.phase_diagram(ds)
    with pytest.raises(ValueError, match="cosine needs"):
        plot.cosine(ds)


@pytest.mark.parametrize(("copies", "K"), [(1, 4), (500, 2000)])
def test_diagnosis_marks_the_collapsed_classes(copies, K):
    counts = [100, 1, 100, 1] * copies
    found = lpm.diagnose(counts, names=[f"class ${k}" for k in range(K)], remedies=False, E_W=1.0, E_H=2.0 / copies)
    own = pyplot.subplots(2)[1]
    axes = plot.diagnosis(found, axes=own)
    assert axes is own
    upper = {line.get_marker(): line for line in axes[0].lines if line.get_marker() in ("o", "v")}
    assert upper["v"].get_label() == f"collapsed: slack < 0 ({K // 2} of {K})"
    np.testing.assert_allclose(upper["v"].get_ydata(), found.slack[found.collapsed])
    np.testing.assert_allclose(upper["o"].get_xdata(), np.arange(1, K // 2 + 1))
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in axes[1].lines])
    assert drawn.size == 2 * K
    np.testing.assert_allclose(drawn.max(), max(found.w_norm2.max(), found.h_norm2.max()))
    ticks = [tick.get_text() for tick in axes[1].get_xticklabels()]
    assert (K > 30) or ticks == [rf"class \${k}" for k in (0, 2, 1, 3)]
    assert axes[1].get_xscale() == ("log" if K > 30 else "linear")
    axes[0].figure.canvas.draw()  # names with a dollar sign are no mathematics


def test_a_norm_of_zero_is_drawn_at_the_edge():
    found = lpm.diagnose([8, 8, 1, 1], lambda_W=0.2, lambda_H=0.2, remedies=False)
    zero = found.w_norm2 == 0
    assert zero.any()
    axes = plot.diagnosis(found)
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in axes[1].lines])
    assert drawn.size == 8
    assert (drawn > 0).all()
