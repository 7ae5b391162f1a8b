"""Ji, Lu, Zhang, Deng and Su 2022: neural collapse along the gradient flow of unconstrained features, without decay."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import frames
from ..flow import flow
from ..groups import ClassGroups
from ..plot.flow import flow as draw_flow
from ..problems.separation import Separation
from ..reproduction import Check, Claim, Reproduction

_K, _N, _SEEDS = 4, 3, 4
#: start of the path along neural collapse, whose margin at time 200 is known
_ALPHA, _TIME = 0.5, 200.0


def compute() -> Any:
    """Random starts over fourteen decades of time, and the margin of a start at neural collapse."""
    problem = Separation(ClassGroups.balanced(_K, _N))
    ds = flow(problem, np.geomspace(1e-2, 1e12, 57), seeds=_SEEDS)
    W, H = frames.seli([float(_N)] * _K, _K)
    start = _ALPHA**0.5 * W, _ALPHA**0.5 * jnp.repeat(H, _N, axis=1)
    Z = flow(problem, [_TIME], start=start)["logits"].values[0, -1]
    words = {"long_name": f"margin at t = {_TIME:g} from neural collapse of margin {_ALPHA}", "units": "nat"}
    return ds.assign(ray_margin=((), Z[0, 0] - Z[1, 0], words))


def checks(ds: Any) -> list[Check]:
    """What is exact along the flow, and where it ends."""
    loss, last = ds["log_loss"].values, ds.isel(time=-1)
    drift = float(max(ds["balance_drift"].max(), ds["column_sum_drift"].max()))
    ratio = last["scaled_loss"].values
    above = (ds["log_loss"] >= ds["log_lower_bound"] - 1e-12).all("time").sum()
    return [
        Check(
            "margin along exact neural collapse, by Ei(a) + (K-1) log a = 2t/sqrt(n) + C",
            float(ds["ray_margin"]),
            "7.187625",
        ),
        Check("starts of which the loss falls at every time", float((np.diff(loss) < 0).all(1).sum()), str(_SEEDS)),
        Check("starts of which the loss is never below the bound of its norm", float(above), str(_SEEDS)),
        Check("drift of W'W - HH' and 1'W, relative", drift, "0.000000"),
        Check("least cosine between centred classifiers at t = 1e12", float(last["w_cosine_min"].mean()), "-0.33"),
        Check("largest cosine between centred classifiers at t = 1e12", float(last["w_cosine_max"].mean()), "-0.33"),
        Check(
            "starts with a loss at t = 1e12 of .79 to 1.05 times its asymptote",
            float(((ratio > 0.79) & (ratio < 1.05)).sum()),
            str(_SEEDS),
        ),
        Check("least margin over the largest at t = 1e12", float(last["margin_ratio"].mean()), "1.00"),
    ]


def draw(ds: Any) -> Any:
    """The four panels of :func:`lpmjax.plot.flow`."""
    return draw_flow(ds)[0].figure


_SOURCE = "Ji, Lu, Zhang, Deng and Su 2022 (arXiv 2110.02796)"

REPRODUCTION = Reproduction(
    title="loss, cosines, spread of the margins and distance from neural collapse along the gradient flow",
    source=f"{_SOURCE}, the four panels of the training of unconstrained features",
    setting=f"K = {_K}, n = {_N}, d = {_K}, no decay, {_SEEDS} normal starts of scale 0.1, t = 1e-2 .. 1e12",
    differs="the paper takes gradient steps on the model and on networks, over some decades of time; here the flow "
    "itself is integrated in log time, and predicted rates are drawn beside it.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "Gradient flow of cross-entropy on balanced unconstrained features, without decay, tends in direction "
            "to neural collapse (from the random starts that were tried, to 1 / log t)",
            f"{_SOURCE}: to a KKT point of minimum-norm separation",
            prior="homogeneous networks in general: Lyu and Li 2020; Hadamard starts: arXiv 2512.04006",
        ),
    ),
)
