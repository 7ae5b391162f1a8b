"""Ji, Lu, Zhang, Deng and Su 2022: every critical point on the sphere but neural collapse is a strict saddle."""

from typing import Any

import numpy as np

from ..groups import ClassGroups
from ..landscape.search import critical_points
from ..plot.critical_points import critical_points as draw_points
from ..problems.separation import Separation
from ..reproduction import Check, Claim, Reproduction

_K, _n, _NORM2 = 4, 2, 20.0
#: least values with the classes of every block tied, from descents that share no code
_LEVELS = {"[1,1,1,1]": "0.2500622156", "[2,1,1]": ".4549022888", "[2,2]": ".7218737853", "[3,1]": ".8345637134"}


def compute() -> Any:
    """Minima tied along every set partition of the classes, and what they are in the whole landscape."""
    return critical_points(Separation(ClassGroups.balanced(_K, _n)), norm2=_NORM2)


def checks(ds: Any) -> list[Check]:
    """Levels, and the verdict of every one of them."""
    found = [
        Check(f"value of blocks {name}", float(ds["value"].sel(partition=name)), digits)
        for name, digits in _LEVELS.items()
    ]
    bound = np.log1p((_K - 1) * np.exp(-_NORM2 / (2 * _n**0.5 * (_K - 1))))
    found.append(
        Check("least value less the lower bound of this norm", float(ds["value"].min() - bound), "0.0000000000")
    )
    names = ds["verdict"].attrs["flag_meanings"].split()
    for verdict, count in (("global_minimum", 1), ("strict_saddle", len(_LEVELS))):
        found.append(Check(verdict.replace("_", " "), float((ds["verdict"] == names.index(verdict)).sum()), str(count)))
    return found


def draw(ds: Any) -> Any:
    """Value against rank, by :func:`lpmjax.plot.critical_points`."""
    return draw_points(ds).figure


_SOURCE = "Ji, Lu, Zhang, Deng and Su 2022 (arXiv 2110.02796)"

REPRODUCTION = Reproduction(
    title="critical points of unconstrained features on a sphere, by set partition",
    source=f"{_SOURCE}, the theorem on the landscape",
    setting=f"K = {_K}, n = {_n}, d = {_K}, |W|² + |H|² = {_NORM2:g}, cross-entropy; all set partitions of the classes",
    differs="a table where the paper has a theorem: not all critical points, but saddles at every level, each with "
    "its direction of descent.",
    compute=compute,
    checks=checks,
    draw=draw,
    claims=(
        Claim(
            "Every critical point on the sphere but neural collapse is a strict saddle (all that were found)",
            _SOURCE,
            prior="with weight decay: Zhu et al. 2021",
        ),
    ),
)
