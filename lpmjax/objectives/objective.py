"""Objective: the numbers of a problem, each evaluated once, and what they say of any coordinates."""

import abc
from typing import Any, NamedTuple, Protocol

import equinox as eqx
from jaxtyping import Array, Float, Int


class Proof(Protocol):
    """What coordinates prove: ``value - gap`` bounds the global optimum from below. Both times ``exp(log_scale)``."""

    value: Any
    gap: Any  #: includes an allowance for its own rounding
    log_scale: Any


class Structure(NamedTuple):
    """What optimal coordinates look like."""

    phase: Int[Array, "*batch"]
    rank: Array
    dim: Array  #: least feature dimension that reaches them
    #: (..., G) groups whose classifier rows and features are zero, whatever noise they have; None where none can be
    gone: Any = None


class AbstractObjective(eqx.Module):
    """A function of coordinates, pytrees that are its own business; there are no flags: a variant is a class.

    Everything works for traced arrays as for NumPy's, so that what is solved under a trace is proved on the host.
    """

    @abc.abstractmethod
    def prove(self, at: Any) -> Any:
        """The :class:`Proof` of coordinates, from them alone: no solver's word is taken."""

    @abc.abstractmethod
    def lagrangian(self, at: Any, multiplier: Any) -> Float[Array, ""]:
        """Objective plus ``multiplier`` times what a constraint is exceeded by, all times the proof's
        ``exp(log_scale)``; its derivative by the numbers of the objective is that of the optimal value (envelope)."""

    @abc.abstractmethod
    def log_multiplier(self, proof: Any) -> Float[Array, "*batch"]:
        """Logarithm of the multiplier of the spectral cost, or of its price."""

    @abc.abstractmethod
    def structure(self, proof: Any, price: Any) -> Structure:
        """Phase, rank and least dimension of what was proved; ``price`` is the multiplier times ``exp(log_scale)``."""

    @abc.abstractmethod
    def describe(self, at: Any, found: Structure, log_multiplier: Any) -> dict[str, Any]:
        """The fields that the problem's kind of :class:`lpmjax.Result` adds, differentiable by coordinates."""

    @abc.abstractmethod
    def coordinates(self, result: Any) -> Any:
        """The coordinates of a result, in NumPy; ValueError where they are not those of this objective."""

    def proved(self, proof: Any, at: Any) -> Any:
        """The coordinates that a proof is about, where it brought ``at`` into the constraints."""
        return at

    def is_stationary(self, proof: Any) -> Any:
        """Whether what was proved is the best that its kind can do, by a test of its own, where the gap stays open."""
        return False

    def left_open(self, proof: Any, at: Any, rounding: Any) -> Any:
        """By how much the optimum of the problem as it was written can be below what ``proof`` says, times
        ``exp(log_scale)``; ``rounding`` is what :meth:`lpmjax.Problem.as_written` found, None for none."""
        nx = proof.value.__array_namespace__()
        return nx.full_like(proof.value, 0.0 if rounding is None else nx.inf)

    def gap_within(self, proof: Any, tol: Any) -> Any:
        """Whether the gap is within ``tol`` of the value."""
        nx = proof.value.__array_namespace__()
        size = nx.abs(proof.value)
        return (proof.gap <= tol * size) & (size >= nx.finfo(proof.value.dtype).tiny)
