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


def test_cosine_leaves_the_undefined_region_blank():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=5, K_B=5, R=[1.0, 2.0, 1e3], E_W=1.0, E_H=[1.0, 5.0])
    ax = plot.cosine(ds)
    first = np.asarray(ax.lines[0].get_ydata())
    assert np.isfinite(first[:2]).all()
    assert np.isnan(first[2])
    np.testing.assert_allclose(first[0], -1 / 9, rtol=1e-12)


def test_wrong_dimensions_are_refused():
    ds = lpm.sweep(lpm.LayerPeeled.two_group, K_A=[4, 5], K_B=5, R=[1.0, 2.0], E_W=1.0, E_H=[1.0, 5.0])
    with pytest.raises(ValueError, match="phase_diagram needs"):
        plot.phase_diagram(ds)
    with pytest.raises(ValueError, match="cosine needs"):
        plot.cosine(ds)
