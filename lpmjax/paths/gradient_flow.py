"""Gradient flow in logarithmic time, where it is not stiff: t = 1e12 costs about a hundred explicit steps.

In ``log(t + T0)`` the velocity is of order log t at all times, where in t itself its scale falls like 1/t and an
implicit solver has to follow. With weight decay the flow comes to rest, and stays there from then on.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..extras import diffrax_modules
from .path import Path
from .setting import Setting
from .velocity import Landscape, log_loss, velocity

#: the offset of the logarithm of time: flows start at t = 0
T0 = 1e-3
#: error of a step relative to the factors, and absolute
RTOL, ATOL = 1e-9, 1e-12
#: of the solver; 1e300 takes about five hundred, decays that are far apart most
MAX_STEPS = 2**16
#: a decayed flow is at rest where its velocity is below this, relative to that of decay alone, or where its factors
#: have decayed to the errors of the solver
AT_REST, VANISHED = 1e-7, 100 * ATOL
#: the last time that a float holds, with room for the velocity
LATEST = 1e300
#: no log loss is below this
_NEVER = -1e6


def follow(setting: Setting, start: Any, times: np.ndarray) -> Path:
    """The flow from ``start`` (with a seed axis) at ``times``, increasing from 0 on."""
    diffrax_modules()  # before any work: what is compiled already would not ask for it
    at, saves = Landscape.of(setting), jnp.log(jnp.asarray(times) + T0)
    factors, steps, reached, _ = _flow(start, saves, _NEVER, at)
    # Once more until the loss is low enough: an event ends a solve, and the first goes on.
    *_, fallen = _flow(start, saves, setting.log_separated, at)
    return Path.of(start, factors, steps, np.maximum(np.exp(fallen) - T0, 0.0), reached)


def provenance(problem: Any) -> dict[str, Any]:
    """How the path was had, for its data set."""
    method = f"Dopri8 in log(t + {T0:g}), rtol {RTOL:g}, atol {ATOL:g}"
    return {"title": f"gradient flow of {type(problem).__name__}", "method": method, "time_unit": "1"}


@jax.jit
def _flow(starts: Any, saves: Any, until: Any, at: Landscape) -> Any:
    """Of every seed: factors at ``saves`` (log times), steps, whether all of them are there, and the log time at which
    the log loss fell below ``until``, NaN if it did not."""
    diffrax, optimistix = diffrax_modules()

    def above(t, y, args, **kwargs):
        return log_loss(y, at) - until

    # flip: what it looks for falls. It would look itself otherwise, and give up where rounding hides the root.
    event = diffrax.Event(above, optimistix.Bisection(rtol=1e-12, atol=1e-12, flip=True), direction=False)
    adaptive = diffrax.PIDController(rtol=RTOL, atol=ATOL)
    # Steps end at the saves: in between the interpolant has a hundred times the error.
    controller = diffrax.ClipStepSizeController(adaptive, step_ts=saves)
    term = diffrax.ODETerm(lambda log_time, factors, _: _move(factors, log_time, at))

    def one(start):
        found = diffrax.diffeqsolve(
            term, diffrax.Dopri8(), jnp.log(T0), saves[-1], None, start, event=event, throw=False,
            saveat=diffrax.SaveAt(ts=saves, t1=True), stepsize_controller=controller, max_steps=MAX_STEPS,
        )  # fmt: skip
        end = jnp.max(jnp.where(jnp.isfinite(found.ts), found.ts, -jnp.inf))
        fallen = jnp.where(found.event_mask, end, jnp.nan)
        fallen = jnp.where(log_loss(start, at) <= until, -jnp.inf, fallen)  # an event is a crossing
        factors = tuple(y[:-1] for y in found.ys)
        return factors, found.stats["num_steps"], found.result == diffrax.RESULTS.successful, fallen

    # On CPU one after another: batches of small products are slow there, and each flow ends when it is done.
    return jax.lax.map(one, starts) if jax.default_backend() == "cpu" else jax.vmap(one)(starts)


def _move(factors: Any, log_time: Any, at: Landscape) -> Any:
    """The velocity; none where loss and decay hold each other. There its rounding, times t, would be stiff."""
    moves = velocity(factors, log_time, at)
    if at.decays is None:
        return moves
    fall = [decay * factor for decay, factor in zip(at.decays, factors, strict=True)]
    held = _norm(moves) <= AT_REST * jnp.exp(log_time) * _norm(fall)
    inward = sum(jnp.sum(factor * move) for factor, move in zip(factors, moves, strict=True)) < 0
    rests = held | (inward & (_norm(factors) <= VANISHED))
    return jax.tree.map(lambda move: jnp.where(rests, 0.0, move), moves)


def _norm(factors: Any) -> Any:
    return jnp.sqrt(sum(jnp.sum(factor * factor) for factor in factors))
