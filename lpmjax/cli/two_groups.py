"""``lpmjax solve`` and ``lpmjax boundary``: one problem, and where the phases of two groups change."""

from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from .. import boundary as boundaries
from ..codes import Phase, Status
from ..fields import words_of
from ..files import check_writable, json_text, write_json
from ..results.logits import group_names
from ..results.solution import Solution
from ..solve import solve as solve_problem
from .common import K_A, K_B, Json, LambdaH, LambdaW, Out, exit_by, parsed_list, print_table
from .interrupt import interruptible
from .models import Bias, Counts, Dim, LongTail, LossName, described

Float = float | None
_BUDGET = "Budget: mean squared norm of a"


def solve(
    K_A: Annotated[Float, typer.Option("--K-A", help="Classes in group A.", show_default="5")] = None,
    K_B: Annotated[Float, typer.Option("--K-B", help="Classes in group B.", show_default="5")] = None,
    R: Annotated[Float, typer.Option("--R", help="Imbalance ratio n_A / n_B.", show_default="10")] = None,
    counts: Counts = None,
    long_tail: LongTail = None,
    E_W: Annotated[Float, typer.Option("--E-W", help=f"{_BUDGET} classifier row.", show_default="1")] = None,
    E_H: Annotated[Float, typer.Option("--E-H", help=f"{_BUDGET} feature.", show_default="5")] = None,
    lambda_W: LambdaW = None,
    lambda_H: LambdaH = None,
    n_B: Annotated[
        Float, typer.Option("--n-B", help="Samples in a class of group B, with weight decay.", show_default="1")
    ] = None,
    loss: LossName = None,
    bias: Bias = None,
    dim: Dim = None,
    tol: Annotated[
        Float,
        typer.Option(help="Relative duality gap to certify.", show_default="1e-10; 1e-8 for other than two groups"),
    ] = None,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Solve one problem: norm budgets (Layer-Peeled Model) or weight decay (unconstrained features).

    The classes are two groups of equal ones (--K-A, --K-B, --R), a list of
    counts or a long tail. Options that exclude each other are an error.
    """
    if out is not None:
        check_writable(out)
    numbers = {"K_A": K_A, "K_B": K_B, "R": R, "n_B": n_B}
    numbers |= {"E_W": E_W, "E_H": E_H, "lambda_W": lambda_W, "lambda_H": lambda_H}
    builder, arguments = described(numbers, counts, long_tail, loss, bias, dim)
    solution = interruptible(solve_problem, builder(**arguments), tol=tol)
    record = _record(solution)
    print(json_text(record) if json_ else solution)
    if out is not None:
        write_json(out, record)
    exit_by(np.asarray(solution.status))


def _record(solution: Solution) -> dict[str, Any]:
    record: dict[str, Any] = {name: np.asarray(getattr(solution, name)) for name in words_of(solution)}
    record["status"] = Status(int(solution.status)).name
    record["phase"] = Phase(int(solution.phase)).name
    record["groups"] = group_names(solution.problem.groups.num_groups)
    record["cosines"] = np.asarray(solution.cosines())
    problem = solution.problem
    record["bias"] = None if solution.bias is None else np.asarray(solution.bias)
    record |= {"method": solution.method, "tol": float(solution.tol)}
    return record | {"model": type(problem).__name__, "loss": type(problem.loss).__name__}


def boundary(
    K_A: K_A = 5,
    K_B: K_B = 5,
    s: Annotated[
        str, typer.Option("--s", help="Norm budget sqrt(E_W E_H): number, list or from:to:points.")
    ] = "0.1:10:9",
    log: Annotated[
        bool, typer.Option("--log", help="Print log R0 and log R1, for R0 overflows at large s (JSON has both).")
    ] = False,
    json_: Json = False,
    out: Out = None,
) -> None:
    """Print the imbalance ratios R0(s) and R1(s) from which the minority merges and vanishes.

    In JSON a boundary that does not exist is null in both R and log R; a ratio too large for a float only in R.
    """
    if out is not None:
        check_writable(out)
    budget = parsed_list("s", s)
    curves = {"log R0": boundaries.merged, "log R1": boundaries.annihilated}
    logs = {name: np.asarray(interruptible(curve, K_A, K_B, budget, log=True)) for name, curve in curves.items()}
    with np.errstate(over="ignore"):
        ratios = {name.removeprefix("log "): np.exp(value) for name, value in logs.items()}
    record = {"K_A": K_A, "K_B": K_B, "s": budget} | ratios | logs
    if json_:
        print(json_text(record))
    else:
        _print_boundary(K_A, K_B, budget, logs, log)
    if out is not None:
        write_json(out, record)


def _print_boundary(K_A: float, K_B: float, budget: np.ndarray, logs: dict[str, np.ndarray], log: bool) -> None:
    table = Table(title=f"K_A = {K_A:g}, K_B = {K_B:g}", box=box.SIMPLE_HEAD)
    prefix = "log " if log else ""
    for heading in ("s", f"merged from {prefix}R0", f"annihilated from {prefix}R1"):
        table.add_column(heading, justify="right")
    for s_value, *row in zip(budget, *logs.values(), strict=True):
        table.add_row(f"{s_value:.10g}", *(_ratio(x, log) for x in row))
    print_table(table)


def _ratio(log_ratio: float, log: bool) -> str:
    if not np.isfinite(log_ratio):
        return "never"
    if log or log_ratio > 700:
        return f"{log_ratio:.10g}" if log else f"exp({log_ratio:.10g})"
    return f"{np.exp(log_ratio):.10g}"
