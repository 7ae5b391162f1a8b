"""How often each loop body and each branch of a traced program runs: the program itself, run with counters beside it.

What a data-dependent loop does is known only by running it. The counters come in one order, depth first: of a ``while``
its body and then what is inside; of a ``cond`` each branch in turn; of a ``scan``, whose length is known, what is
inside.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

#: parameters under which equations that only call another program keep it
_CALLED = ("jaxpr", "call_jaxpr", "call")
_CALLS = frozenset(
    "jit pjit closed_call core_call checkpoint remat2 custom_jvp_call custom_vjp_call custom_vmap_call".split()
)


def run_counted(program: Any, arguments: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Results of a closed jaxpr, and how often each of its bodies ran."""
    results, counts = jax.jit(lambda *arguments: _run(program, arguments))(*arguments)
    return results, np.asarray(counts).tolist()


def called(equation: Any) -> Any | None:
    """The program that this equation calls once, or None."""
    if equation.primitive.name not in _CALLS:
        return None
    return next(equation.params[name] for name in _CALLED if name in equation.params)


def _bodies(equation: Any) -> list[tuple[Any, bool]]:
    """The programs inside, and whether each has a counter of its own."""
    name, parameters = equation.primitive.name, equation.params
    if name == "while":
        return [(parameters["body_jaxpr"], True)]
    if name == "cond":
        return [(branch, True) for branch in parameters["branches"]]
    if name == "scan":
        return [(parameters["jaxpr"], False)]
    inner = called(equation)
    return [] if inner is None else [(inner, False)]


def _size(program: Any) -> int:
    """Number of counters."""
    return sum(own + _size(body) for equation in _open(program).eqns for body, own in _bodies(equation))


def _open(program: Any) -> Any:
    return getattr(program, "jaxpr", program)


def _zeros(size: int) -> Any:
    return jnp.zeros(size, jnp.int32)


def _run(program: Any, arguments: Sequence[Any]) -> tuple[list[Any], Any]:
    """Results, and the counters in order."""
    jaxpr, constants = _open(program), getattr(program, "consts", ())
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def value(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    counts = []
    for equation in jaxpr.eqns:
        found, inside = _equation(equation, [value(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
        counts.append(inside)
    return [value(atom) for atom in jaxpr.outvars], jnp.concatenate(counts) if counts else _zeros(0)


def _equation(equation: Any, arguments: list[Any]) -> tuple[list[Any], Any]:
    size = sum(own + _size(body) for body, own in _bodies(equation))
    if size == 0:
        found = equation.primitive.bind(*arguments, **equation.primitive.get_bind_params(equation.params))
        return found if equation.primitive.multiple_results else [found], _zeros(0)
    return {"while": _while, "scan": _scan, "cond": _cond}.get(equation.primitive.name, _call)(equation, arguments)


def _call(equation: Any, arguments: list[Any]) -> tuple[list[Any], Any]:
    return _run(called(equation), arguments)


def _while(equation: Any, arguments: list[Any]) -> tuple[list[Any], Any]:
    parameters = equation.params
    cut, end = parameters["cond_nconsts"], parameters["cond_nconsts"] + parameters["body_nconsts"]
    of_cond, of_body, first = arguments[:cut], arguments[cut:end], arguments[end:]

    def on(state: list[Any]) -> Any:
        """Of each lane, where lanes of a batch are in lockstep: their axes come first."""
        return _run(parameters["cond_jaxpr"], [*of_cond, *state])[0][0]

    def body(carry: Any) -> Any:
        state, counts = carry
        found, inside = _run(parameters["body_jaxpr"], [*of_body, *state])
        moves = on(state)
        lanes = [jnp.reshape(moves, moves.shape + (1,) * (x.ndim - moves.ndim)) for x in found]
        state = [jnp.where(lane, new, old) for lane, new, old in zip(lanes, found, state, strict=True)]
        return state, counts + jnp.concatenate([jnp.ones(1, jnp.int32), inside])

    first = first, _zeros(1 + _size(parameters["body_jaxpr"]))
    return jax.lax.while_loop(lambda carry: jnp.any(on(carry[0])), body, first)


def _scan(equation: Any, arguments: list[Any]) -> tuple[list[Any], Any]:
    parameters, program = equation.params, equation.params["jaxpr"]
    cut, end = parameters["num_consts"], parameters["num_consts"] + parameters["num_carry"]

    def body(carry: Any, x: Any) -> Any:
        state, counts = carry
        found, inside = _run(program, [*arguments[:cut], *state, *x])
        return (found[: end - cut], counts + inside), found[end - cut :]

    first = (arguments[cut:end], _zeros(_size(program)))
    how = {"length": parameters["length"], "reverse": parameters["reverse"]}
    (state, counts), found = jax.lax.scan(body, first, arguments[end:], **how)
    return [*state, *found], counts


def _cond(equation: Any, arguments: list[Any]) -> tuple[list[Any], Any]:
    branches = equation.params["branches"]
    sizes = [1 + _size(branch) for branch in branches]

    def counted(at: int) -> Any:
        def run(operands: list[Any]) -> Any:
            found, inside = _run(branches[at], operands)
            before, after = _zeros(sum(sizes[:at])), _zeros(sum(sizes[at + 1 :]))
            return found, jnp.concatenate([before, jnp.ones(1, jnp.int32), inside, after])

        return run

    return jax.lax.switch(arguments[0], [counted(at) for at in range(len(branches))], arguments[1:])
