"""Random starts of the gradient flow without decay, K = 4..10, n = 1..5, dim = K..2K, scale .01..1, to t = 1e12.

``python tests/test_flow_campaign.py 20`` follows twenty starts of each of the shapes below and prints what held, and
the margin over its largest as it is.
"""

import sys
import time

import jax
import numpy as np
import pytest

import lpmjax as lpm

SHAPES = ((4, 1, 4), (4, 3, 8), (5, 5, 7), (6, 2, 6), (7, 4, 14), (8, 1, 12), (9, 3, 9), (10, 5, 20), (10, 1, 10))
SCALES = (0.01, 0.1, 1.0)
TIMES = np.geomspace(1e-2, 1e12, 57)


def followed(K, n, dim, seeds, key=0):
    """One call: the starts have scales in turn."""
    widths, rng = (K, dim, K * n), np.random.default_rng((K, n, dim, key))
    scale = np.resize(SCALES, seeds)[:, None, None]
    start = tuple(scale * rng.normal(size=(seeds, a, b)) for a, b in ((widths[0], dim), (dim, widths[2])))
    return lpm.flow(lpm.Separation(lpm.ClassGroups.balanced(K, n)), TIMES, start=start)


def judged(ds):
    """Whether each start shows what it must, by name."""
    separated = ds["time"] >= ds["separation_time"]
    rises = np.diff(ds["smoothed_margin"].where(separated).values)
    late = ds["scaled_loss"].values[:, -1]
    drift = np.maximum(ds["balance_drift"], ds["column_sum_drift"]).max("time").values
    return {
        "status": ds["status"].values == lpm.Status.converged,
        "separated": ds["separation_time"].values < TIMES[-1],
        "loss falls": (np.diff(ds["log_loss"].values) < 0).all(1),
        "smoothed margin rises": ~(rises < -1e-13).any(1),
        "bound not crossed": (ds["log_loss"] - ds["log_lower_bound"] > -1e-12).all("time").values,
        "conserved to 1e-7": drift < 1e-7,
        "rate in [.75, 1.1]": (late > 0.75) & (late < 1.1),
    }


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize(("K", "n", "dim"), [(5, 5, 7), (10, 1, 10)])
def test_random_starts(K, n, dim):
    ds = followed(K, n, dim, 12)
    for name, held in judged(ds).items():
        assert held.all(), (name, held)
    assert ds["steps"].values.max() < 220 and (ds["margin_ratio"].values <= 1 + 1e-9).all()


def _campaign(seeds: int) -> None:
    counts, worst = {}, {"drift": 0.0, "rate": (9.0, 0.0), "steps": 0}
    ratios = {scale: [] for scale in SCALES}
    for K, n, dim in SHAPES:
        begin = time.perf_counter()
        ds = followed(K, n, dim, seeds)
        first = time.perf_counter() - begin
        begin = time.perf_counter()
        followed(K, n, dim, seeds)
        warm = time.perf_counter() - begin
        for name, held in judged(ds).items():
            counts.setdefault(name, []).extend(held.tolist())
        late = ds["scaled_loss"].values[:, -1]
        worst["drift"] = max(worst["drift"], float(ds["balance_drift"].max()), float(ds["column_sum_drift"].max()))
        worst["rate"] = min(worst["rate"][0], late.min()), max(worst["rate"][1], late.max())
        worst["steps"] = max(worst["steps"], int(ds["steps"].max()))
        for scale, ratio in zip(np.resize(SCALES, seeds), ds["margin_ratio"].values[:, -1], strict=True):
            ratios[scale].append(ratio)
        steps = f"{ds['steps'].values.min()}-{ds['steps'].values.max()} steps"
        print(f"K={K} n={n} dim={dim}: {steps}, {warm:.2f} s for {seeds} starts ({first:.1f} s first)", flush=True)
    for name, held in counts.items():
        print(f"{name}: {sum(held)} of {len(held)}")
    print(f"largest drift {worst['drift']:.1e}, rate {worst['rate'][0]:.3f} to {worst['rate'][1]:.3f}")
    for scale, values in ratios.items():
        print(f"margin over optimum at 1e12, scale {scale:g}: {min(values):.3f} to {max(values):.4f}")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    _campaign(int(sys.argv[1]))
