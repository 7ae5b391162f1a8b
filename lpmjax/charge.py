"""How the spectral cost of the logits is charged: a hard budget, or a price."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float


class Charge(eqx.Module):
    """What limits the spectral cost; everything is times the ``exp(log_scale)`` of the loss."""

    amount: eqx.AbstractVar[Array]

    @abc.abstractmethod
    def paid(self, cost: Any) -> Any:
        """What the objective pays for a spectral cost."""

    @abc.abstractmethod
    def inside(self, cost: Any) -> Any:
        """Factor up to 1 that brings coordinates of this cost into the constraint."""

    @abc.abstractmethod
    def onto(self, cost: Any) -> Any:
        """Factor that makes coordinates of this cost, whose scale is free, those of the problem."""

    @abc.abstractmethod
    def unused(self, price: Any, cost: Any) -> Any:
        """What is left of the constraint at this cost, at a dual price."""

    @abc.abstractmethod
    def reach(self, cost: Any) -> Any:
        """Largest cost of an optimum, as far as it is known from coordinates of this cost."""

    @abc.abstractmethod
    def lagrangian(self, cost: Any, multiplier: Any) -> Any:
        """What the cost adds to the Lagrangian."""

    @abc.abstractmethod
    def log_multiplier(self, norm: Any, log_scale: Any) -> Any:
        """Logarithm of the multiplier, where the gradient has spectral norm ``norm * exp(-log_scale)``."""


class Budget(Charge):
    """The cost is at most ``amount``."""

    amount: Float[Array, "*batch"]
    granted: Float[Array, "*batch"]  #: as it was given: no optimum wants more than ``amount``
    #: whether the budget reaches where the loss itself is least; None where it always binds
    unbound: Any = None

    def paid(self, cost):
        """Nothing."""
        return 0.0

    def inside(self, cost):
        """Onto the ball from outside."""
        nx = cost.__array_namespace__()
        return nx.where(cost > self.amount, self.amount / nx.where(cost > 0, cost, 1.0), 1.0)

    def onto(self, cost):
        """To spend all of it."""
        return self.amount / cost

    def unused(self, price, cost):
        """At the price of the multiplier."""
        return price * (self.amount - cost)

    def reach(self, cost):
        """All of the budget."""
        return cost.__array_namespace__().maximum(cost, self.amount)

    def lagrangian(self, cost, multiplier):
        """What the budget is exceeded by."""
        return multiplier * (cost - self.amount)

    def log_multiplier(self, norm, log_scale):
        """Minus infinity where the budget does not bind."""
        nx = norm.__array_namespace__()
        binds = norm > 0 if self.unbound is None else (norm > 0) & ~self.unbound
        return nx.where(binds, nx.log(nx.where(binds, norm, 1.0)) - log_scale, -nx.inf)


class Price(Charge):
    """The objective pays ``amount`` for every unit of cost."""

    amount: Float[Array, "*batch"]

    def paid(self, cost):
        """All of it."""
        return self.amount * cost

    def inside(self, cost):
        """Everything is allowed."""
        return cost.__array_namespace__().ones_like(cost)

    def onto(self, cost):
        """As they are."""
        return 1.0

    def unused(self, price, cost):
        """Nothing is granted."""
        return 0.0

    def reach(self, cost):
        """That of the coordinates."""
        return cost

    def lagrangian(self, cost, multiplier):
        """What is paid."""
        return self.amount * cost

    def log_multiplier(self, norm, log_scale):
        """That of the price, whatever the gradient."""
        return self.amount.__array_namespace__().log(self.amount)
