"""What a first call costs: the size of each method's program, and the time to trace, lower and compile it."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm

from ..rows import Row, judge, row
from ..settings import Settings
from ..timing import time_jitted


def _tail(G: int) -> Callable[[Any], lpm.ClassGroups]:
    return lambda ratio: lpm.ClassGroups.long_tail(G, ratio)


def _problems() -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """By what is solved: the method whose gap is asked for, and the problem of an imbalance ratio."""
    five, decays = _tail(5), (5e-3, 5e-3)
    squared = lpm.SquaredError()
    return {
        "one group": ("two_group", lambda R: lpm.LayerPeeled(lpm.ClassGroups.balanced(10, R), 1.0, 1.0)),
        "two groups": ("two_group", lambda R: lpm.LayerPeeled.two_group(5, 5, R, 1.0, 5.0)),
        "five groups": ("grouped", lambda R: lpm.LayerPeeled(five(R), 1.0, 1.0)),
        "five groups, weight decay": ("grouped", lambda R: lpm.UnconstrainedFeatures(five(R), *decays)),
        "five groups, weight decay, free bias": (
            "grouped",
            lambda R: lpm.UnconstrainedFeatures(five(R), *decays, bias_decay=0.0),
        ),
        "five groups, squared error, free bias": (
            "grouped",
            lambda R: lpm.UnconstrainedFeatures(five(R), *decays, loss=squared, bias_decay=0.0),
        ),
        "100 groups": ("grouped", lambda R: lpm.LayerPeeled(_tail(100)(R), 1.0, 1.0)),
        "deep linear, squared error": (
            "two_group",
            lambda R: lpm.DeepLinear(five(R), (1e-3, 1e-3), 1e-3, loss=squared),
        ),
        "separation": ("two_group", lambda R: lpm.Separation(five(R))),
    }


def run(settings: Settings) -> Iterator[Row]:
    """Each problem alone, then with the gradient of its value, and of its least slack, by the imbalance ratio."""
    problems = _problems()
    chosen = settings.pick(["one group"], ["two groups", "five groups"], list(problems))
    ratio = jnp.asarray(10.0, settings.dtype)
    for name in chosen:
        method, problem = problems[name]

        def solve(R, problem=problem):
            return lpm.solve(problem(R))

        def with_gradient_of(view, solve=solve):
            return jax.value_and_grad(lambda R: (view(solution := solve(R)), solution), has_aux=True)

        kinds: dict[str, Callable[[Any], Any]] = {
            "solve": solve,
            "and gradient of the value": with_gradient_of(lambda solution: solution.value),
            "and gradient of the least slack": with_gradient_of(lambda solution: jnp.min(solution.slack)),
        }
        for how, function in kinds.items():
            if how.endswith("slack") and name == "separation":
                continue  # nothing collapses there: it has none
            yield _program({"problem": name, "how": how}, function, ratio, settings.gap(method), settings)


def _program(instance: dict[str, Any], function: Callable[[Any], Any], ratio: Any, gap: float, settings: Settings):
    """One compilation with nothing traced before."""
    jax.clear_caches()
    measured = time_jitted(function, ratio, settings=Settings("tiny", settings.dtype))
    solution = measured.result if instance["how"] == "solve" else measured.result[0][1]
    verdict = judge(solution, gap)
    if instance["how"] != "solve" and not np.isfinite(measured.result[1]):
        verdict["certified"] = 0
    return row("programs", instance, verdict, measured, settings)
