"""Point: the model of two groups that the page asks about, from the text of its inputs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from ..arguments import require
from ..problems.grouped import GroupedProblem
from ..problems.layer_peeled import LayerPeeled
from ..problems.unconstrained import UnconstrainedFeatures


@dataclasses.dataclass(frozen=True)
class Model:
    """A builder of two groups, its name in Python, and what its parameters are at first."""

    builder: Callable[..., GroupedProblem]
    python: str
    parameters: dict[str, float]


MODELS = {
    "budgets": Model(
        LayerPeeled.two_group, "lpm.LayerPeeled.two_group", {"K_A": 5, "K_B": 5, "R": 10, "E_W": 1, "E_H": 5}
    ),
    "decays": Model(
        UnconstrainedFeatures.two_group,
        "lpm.UnconstrainedFeatures.two_group",
        {"K_A": 5, "K_B": 5, "R": 10, "lambda_W": 5e-3, "lambda_H": 5e-3, "n_B": 1},
    ),
}


@dataclasses.dataclass(frozen=True)
class Point:
    """Name of a model and a number for each of its parameters."""

    model: str
    numbers: dict[str, float]

    @staticmethod
    def of(asked: Mapping[str, str]) -> "Point":
        """From the parameters of a request; ValueError naming what is missing, unknown or no number."""
        model = asked.get("model", "budgets")
        if model not in MODELS:
            raise ValueError(f"model = {model!r} is unknown: use one of {', '.join(MODELS)}.")
        known, given = MODELS[model].parameters, {name: text for name, text in asked.items() if name != "model"}
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ValueError(f"{unknown[0]} is unknown to the model {model}: its parameters are {', '.join(known)}.")
        return Point(model, {name: number(name, given.get(name, "")) for name in known})

    @staticmethod
    def first(model: str) -> "Point":
        """What the page begins with."""
        return Point(model, dict(MODELS[model].parameters))

    def problem(self) -> GroupedProblem:
        """In float64; ValueError, as the library says it, for a number out of range."""
        for name in ("K_A", "K_B"):
            require(name, self.numbers[name], "a whole number", lambda k: k == k // 1, "It counts classes.")
        with jax.enable_x64(True):
            return MODELS[self.model].builder(**self.numbers)

    def python(self) -> str:
        """A program that solves it."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.numbers.items())
        return program(
            f"problem = {MODELS[self.model].python}({arguments})",
            "solution = lpm.solve(problem).check()",
            "print(solution)",
        )


def number(name: str, text: Any) -> float:
    """What an input holds: a whole number as an int, so that it is shown as it was written."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} = {text!r} is not a number: give one, as 10 or 2.5e-3.") from None
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def program(*lines: str) -> str:
    """Python that does the same as the page, in float64."""
    head = ("import jax", "", 'jax.config.update("jax_enable_x64", True)', "import lpmjax as lpm", "")
    return "\n".join([*head, *lines]) + "\n"
