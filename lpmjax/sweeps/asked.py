"""What a stored sweep was asked, as a plan again. Nothing in a store is executed: functions are found by name."""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import jax

from ..archive import read, restore
from ..solve import choose_solver
from ..store import known_class
from .grid import Grid, first_problem
from .identity import differences, identity
from .layout import Layout
from .plan import Plan, planned


def plan_of(layout: Layout, given: Mapping[str, Any]) -> Plan:
    """The plan of a store; ``given`` are a builder, a run and arguments that it does not hold, or other than it names.

    Raises ValueError naming what is to be given, and what is not as the sweep had it.
    """
    asked, given = layout.asked, dict(given)
    builder = given.pop("builder", None) or _found("builder", asked["builder"])
    run = given.pop("run", None) or (None if asked["run"] is None else _found("run", asked["run"]))
    with jax.enable_x64(True):
        header, arrays = read(layout.own / "arguments.npz")
        fixed = dict(zip(asked["arguments"], restore(header["arguments"], arrays, known_class), strict=True))
    unknown = [name for name in given if name not in asked["fixed"]]
    if unknown:
        raise ValueError(f"{', '.join(unknown)} is no argument of the sweep in {layout.path}, but an axis or nothing.")
    lacking = [name for name in asked["fixed"] if name not in fixed and name not in given]
    if lacking:
        raise ValueError(f"{layout.path} does not hold {', '.join(lacking)}: give the argument as the sweep had it.")
    fixed |= given
    arguments = arguments_of(layout, fixed)
    with jax.enable_x64(asked["dtype"] == "float64"):
        first = first_problem(Grid(builder, {name: arguments[name] for name in asked["axes"]}, fixed))
    options = {name: asked[name] for name in ("tol", "max_steps")} | {"variables": list(layout.variables), "run": run}
    plan = planned(builder, arguments, asked["dtype"], options | {"method": _method(asked["method"], first)})
    different = differences(identity(plan), layout.identity, any_version=True)
    if different:
        raise ValueError(f"{layout.path} holds another sweep than what is given: {'; '.join(different)}.")
    return plan


def arguments_of(layout: Layout, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Axes from the store, and these."""
    ds = layout.dataset()
    return {name: ds[name].values for name in layout.asked["axes"]} | dict(fixed)


def _found(what: str, address: list[str]) -> Any:
    module, name = address
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ValueError(
            f"the {what} of this sweep is {name or 'no function'} of module {module or '?'}, which is not found here: "
            f"import that module first, or give {what}=."
        )
    return found


def _method(described: Any, problem: Any) -> Any:
    """A name, or a solver with the constants that it had."""
    if isinstance(described, str):
        return described
    return dataclasses.replace(choose_solver(problem, described["name"]), **described["constants"])
