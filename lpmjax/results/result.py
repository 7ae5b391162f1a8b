"""Result: what every problem's solution says, whatever its coordinates are."""

from html import escape
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8

from .. import archive
from ..codes import Phase, Status
from ..fields import variable
from ..traced import holds_tracers
from .html import as_html


class Result(eqx.Module):
    """Optimum of a problem with its certificate; a subclass adds what the optimum looks like, a field each.

    Leaves carry leading batch axes after ``jax.vmap``. Fields with the metadata of :func:`lpmjax.fields.variable` are
    what a sweep keeps; floats are NaN where ``status`` is ``invalid`` or ``nonfinite``.
    """

    problem: Any
    value: Float[Array, "*batch"] = eqx.field(metadata=variable("optimal value of the objective", "nat"))
    log_value: Float[Array, "*batch"] = eqx.field(
        metadata=variable("logarithm of the optimal value, finite where that underflows")
    )
    lower_bound: Float[Array, "*batch"] = eqx.field(
        metadata=variable("certified lower bound on the optimal value", "nat")
    )
    gap: Float[Array, "*batch"] = eqx.field(metadata=variable("duality gap, rounding included", "nat"))
    tol: Float[Array, "*batch"]
    multiplier: Float[Array, "*batch"] = eqx.field(
        metadata=variable("multiplier of the spectral budget, or its price", "nat")
    )
    status: Int8[Array, "*batch"] = eqx.field(metadata=variable("solver status"))
    phase: Int8[Array, "*batch"] = eqx.field(metadata=variable("structure of the optimum"))
    rank: Int[Array, "*batch"] = eqx.field(metadata=variable("rank of the optimal logits"))
    steps: Int[Array, "*batch"] = eqx.field(metadata=variable("solver steps"))
    restarts: Int[Array, "*batch"] = eqx.field(
        metadata=variable("times that the descent began anew from where it had come to rest")
    )
    method: str = eqx.field(static=True, kw_only=True)

    @property
    def certified(self) -> Bool[Array, "*batch"]:
        """Which entries are certified: ``status == Status.certified``."""
        return self.status == Status.certified

    @staticmethod
    def coordinate(dim: str, size: int) -> tuple[list[Any], str]:
        """Labels and long name of a dimension that variables have beyond those of a sweep."""
        return list(range(size)), dim

    def save(self, path: Any) -> None:
        """Write all of it, problem and class order included, to an archive ``name.npz`` that :func:`lpmjax.load` reads.

        Raises ValueError for another suffix or under a trace, OSError naming a path that cannot be written.
        """
        archive.write(path, "solution", self)

    def check(self) -> "Result":
        """Return self if every entry is certified or converged; else raise RuntimeError naming entries and remedies.

        On the host: call it outside jit.
        """
        status = np.asarray(self.status)
        bad = np.argwhere((status != Status.certified) & (status != Status.converged))
        if len(bad) == 0:
            return self
        lines = [f"{len(bad)} of {status.size} solutions are neither certified nor converged."]
        for index in bad[:5]:
            at = tuple(int(i) for i in index)
            ratio = float(np.asarray(self.gap)[at] / np.abs(np.asarray(self.value)[at]))
            where = f"entry {at}: " if at else ""
            lines.append(f"{where}{Status.message(status[at])} (gap / |value| = {ratio:.2g})")
        raise RuntimeError("\n".join(lines))

    def _details(self) -> list[str]:
        """Lines that a printed single result ends with."""
        return []

    def _size(self) -> str:
        """How large the problem is, with a comma before it."""
        return ""

    def __str__(self) -> str:
        if holds_tracers(self):
            return repr(self)
        return self._table() if np.ndim(self.value) == 0 else self._summary()

    def _repr_html_(self) -> str:
        """What a notebook shows: the certificate in a sentence above the printed table; of a batch its summary."""
        traced = holds_tracers(self)
        if traced or np.ndim(self.value):
            return f"<pre>{escape(str(self))}</pre>"
        bounds = float(self.lower_bound), float(self.value)
        return as_html(str(self), bounds, float(self.tol), int(self.status))

    def _table(self) -> str:
        value, gap = float(self.value), float(self.gap)
        relative = gap / abs(value) if value else float("nan")
        head = (
            f"{type(self.problem).__name__}{self._size()}: {Phase(int(self.phase)).name}, rank {int(self.rank)}, "
            f"{Status(int(self.status)).name} by {self.method} in {int(self.steps)} steps",
            f"value {value:.10g}, relative gap {relative:.2g} (tol {float(self.tol):.2g}), "
            f"multiplier {float(self.multiplier):.6g}",
        )
        return "\n".join([*head, *self._details()])

    def _summary(self) -> str:
        title = f"{type(self.problem).__name__}, batch {tuple(self.value.shape)}"
        if self.value.size == 0:
            return f"{title}: empty"
        status, phase = np.asarray(self.status).ravel(), np.asarray(self.phase).ravel()
        with np.errstate(all="ignore"):
            relative = np.asarray(self.gap / np.abs(self.value))
        worst = f"{np.nanmax(relative):.2g}" if np.isfinite(relative).any() else "nan"
        count = [f"{(status == code).sum()} {code.name}" for code in Status if (status == code).any()]
        where = [f"{(phase == code).sum()} {code.name}" for code in Phase if (phase == code).any()]
        return (
            f"{title}: {', '.join(count)}\n"
            f"phases: {', '.join(where)}\nworst relative gap {worst}, at most {int(np.max(self.steps))} steps"
        )
