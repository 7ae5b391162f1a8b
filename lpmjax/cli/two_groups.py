"""``lpmjax solve`` and ``lpmjax boundary``: one two-group problem, and where its phases change."""

from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from .. import boundary as boundaries
from ..files import check_writable, json_text, write_json
from ..groups import ClassGroups
from ..problems import LayerPeeled, UnconstrainedFeatures
from ..solution import DESCRIPTIONS, Phase, Solution, Status, group_names
from ..solve import solve as solve_problem
from .common import K_A, K_B, Json, Out, console, exit_by, parsed_list


def solve(
    K_A: K_A = 5,
    K_B: K_B = 5,
    R: Annotated[float, typer.Option("--R", help="Imbalance ratio n_A / n_B.")] = 10.0,
    E_W: Annotated[float, typer.Option("--E-W", help="Budget: mean squared norm of a classifier row.")] = 1.0,
    E_H: Annotated[float, typer.Option("--E-H", help="Budget: mean squared norm of a feature.")] = 5.0,
    lambda_W: Annotated[
        float | None, typer.Option("--lambda-W", help="Weight decay of the classifier (with --lambda-H and --n-B).")
    ] = None,
    lambda_H: Annotated[float | None, typer.Option("--lambda-H", help="Weight decay of the features.")] = None,
    n_B: Annotated[
        float, typer.Option("--n-B", help="Samples in a class of group B, for the weight-decay form.")
    ] = 1.0,
    tol: Annotated[float | None, typer.Option(help="Relative duality gap to certify (default 1e-10).")] = None,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Solve one two-group problem: norm budgets (Layer-Peeled Model) or weight decay (unconstrained features)."""
    if out is not None:
        check_writable(out)
    if (lambda_W is None) != (lambda_H is None):
        raise ValueError("--lambda-W and --lambda-H go together: give both for the weight-decay form, or neither.")
    if lambda_W is None:
        problem = LayerPeeled.two_group(K_A, K_B, R, E_W, E_H)
    else:
        groups = ClassGroups.two_group(K_A, K_B, R)
        groups = ClassGroups(groups.classes, groups.samples * n_B)
        problem = UnconstrainedFeatures(groups, lambda_W, lambda_H)
    solution = solve_problem(problem, tol=tol)
    record = _record(solution)
    if out is not None:
        write_json(out, record)
    print(json_text(record) if json_ else solution)
    exit_by(np.asarray(solution.status))


def _record(solution: Solution) -> dict[str, Any]:
    record: dict[str, Any] = {name: np.asarray(getattr(solution, name)) for name in DESCRIPTIONS}
    record["status"] = Status(int(solution.status)).name
    record["phase"] = Phase(int(solution.phase)).name
    record["groups"] = group_names(solution.problem.groups.num_groups)
    record["cosines"] = np.asarray(solution.cosines())
    return record | {"method": solution.method, "tol": float(solution.tol), "model": type(solution.problem).__name__}


def boundary(
    K_A: K_A = 5,
    K_B: K_B = 5,
    s: Annotated[
        str, typer.Option("--s", help="Norm budget sqrt(E_W E_H): number, list or from:to:points.")
    ] = "0.1:10:9",
    log: Annotated[bool, typer.Option("--log", help="Print log R0 and log R1 (R0 overflows at large s).")] = False,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Print the imbalance ratios R0(s) and R1(s) from which the minority merges and vanishes.

    In JSON a boundary that does not exist is null in both R and log R; a ratio too large for a float only in R.
    """
    if out is not None:
        check_writable(out)
    budget = parsed_list("s", s)
    logs = {
        "log R0": np.asarray(boundaries.merged(K_A, K_B, budget, log=True)),
        "log R1": np.asarray(boundaries.annihilated(K_A, K_B, budget, log=True)),
    }
    with np.errstate(over="ignore"):
        ratios = {name.removeprefix("log "): np.exp(value) for name, value in logs.items()}
    record = {"K_A": K_A, "K_B": K_B, "s": budget} | ratios | logs
    if out is not None:
        write_json(out, record)
    if json_:
        print(json_text(record))
        return
    table = Table(title=f"K_A = {K_A:g}, K_B = {K_B:g}", box=box.SIMPLE_HEAD)
    prefix = "log " if log else ""
    for heading in ("s", f"merged from {prefix}R0", f"annihilated from {prefix}R1"):
        table.add_column(heading, justify="right")
    for s_value, *row in zip(budget, *logs.values(), strict=True):
        table.add_row(f"{s_value:.10g}", *(_ratio(x, log) for x in row))
    console().print(table)


def _ratio(log_ratio: float, log: bool) -> str:
    if not np.isfinite(log_ratio):
        return "never"
    if log or log_ratio > 700:
        return f"{log_ratio:.10g}" if log else f"exp({log_ratio:.10g})"
    return f"{np.exp(log_ratio):.10g}"
