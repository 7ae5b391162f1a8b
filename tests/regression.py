"""A model from outside the package, for ``test_extension``: all that somebody writes who adds one.

Multivariate regression on unconstrained features with a free bias, targets Y (m, N):
``|W H + b 1ᵀ - Y|^2 / 2N + lambda_W |W|^2 / 2 + lambda_H |H|^2 / 2N``. In Z = W H, centred, and Y~ = Y - mean this is
``|Z - Y~|^2 / 2N + sqrt(c / N) |Z|_*``, c = lambda_W lambda_H, so singular values are those of Y~ less sqrt(c N):
``Z = (I - sqrt(c) S^(-1/2))_+ Y~`` with ``S = Y~ Y~ᵀ / N`` (Andriopoulos et al. 2024).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

import lpmjax as lpm
from lpmjax.fields import parameter, variable
from lpmjax.objectives.objective import AbstractObjective, Structure
from lpmjax.solvers.solver import Candidate, TracedSolver


class Fit(lpm.Result):
    Z: Any = eqx.field(metadata=variable("fitted targets", dims=("output", "sample")))


class Gap(NamedTuple):
    value: Any
    gap: Any
    log_scale: Any
    Z: Any


class Regression(AbstractObjective):
    Y: Any
    price: Any

    def lagrangian(self, at, multiplier):
        nx = at.__array_namespace__()
        norm = nx.sum(nx.linalg.svd(at, compute_uv=False), axis=-1)
        return nx.sum((at - self.Y) ** 2, axis=(-2, -1)) / (2 * self.Y.shape[-1]) + self.price * norm

    def prove(self, at):
        nx, N, value = at.__array_namespace__(), self.Y.shape[-1], self.lagrangian(at, None)
        G = (at - self.Y) / N  # scaled into the ball of the price it is a dual point
        G = G * nx.minimum(1, self.price / nx.linalg.svd(G, compute_uv=False)[..., 0])[..., None, None]
        dual = -nx.sum(G * (N * G / 2 + self.Y), axis=(-2, -1))
        rounding = self.Y.size * nx.finfo(at.dtype).eps * value
        return Gap(value, nx.maximum(value - dual, 0) + rounding, nx.zeros_like(value), at)

    def log_multiplier(self, proof):
        return proof.value.__array_namespace__().log(self.price)

    def structure(self, proof, price):
        rank = (proof.Z.__array_namespace__().linalg.svd(proof.Z, compute_uv=False) > 1e-9).sum(-1)
        return Structure(0 * rank, rank, rank)

    def describe(self, at, found, log_multiplier):
        return {"Z": at}

    def coordinates(self, result):
        return result.Z


class SoftThreshold(TracedSolver):
    name = "soft_threshold"

    def __call__(self, objective, tol, start=None):
        u, s, v = jnp.linalg.svd(objective.Y, full_matrices=False)
        s = jnp.maximum(s - objective.Y.shape[-1] * objective.price, 0)
        return Candidate(u * s @ v, None, jnp.int32(0), jnp.bool_(True))


class RegressionFeatures(lpm.Problem):
    Y: Any
    lambda_W: Any = eqx.field(metadata=parameter("weight decay of the regressor", "It is a weight decay."))
    lambda_H: Any = eqx.field(metadata=parameter("weight decay of the features", "It is a weight decay."))
    dim: int | None = eqx.field(static=True, default=None)
    result = Fit
    solvers = (SoftThreshold(),)

    def objective(self):
        centred = self.Y - self.Y.mean(-1, keepdims=True)
        return Regression(centred, (self.lambda_W * self.lambda_H / self.Y.shape[-1]) ** 0.5)
