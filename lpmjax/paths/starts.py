"""Where paths begin: factors that the caller gives, or random ones."""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import is_positive, require, require_integer, require_key, require_unmasked, scalars
from ..compiling import quick_jit
from .setting import Setting

Factors = tuple[Any, ...]
_normal = quick_jit(jax.random.normal, ("shape", "dtype"), once=True)
#: standard deviation of random entries
SCALE = 0.1


class RandomStart(NamedTuple):
    """Independent normal entries of standard deviation ``scale``; None is "not given"."""

    key: Any = None
    dim: Any = None
    scale: Any = None
    seeds: Any = None

    def factors(self, setting: Setting) -> Factors:
        """(S, K, d), ..., (S, d, N), one draw for each of S seeds."""
        scale = SCALE if self.scale is None else scalars(scale=self.scale)["scale"]
        require("scale", scale, "finite and > 0", is_positive, "Zero factors are a stationary point.")
        asked = self.dim if self.dim is not None else setting.dim
        dim = setting.K if asked is None else require_integer("dim", asked, 1)
        if setting.dim not in (None, dim):
            raise ValueError(
                f"dim = {dim} is out of range: the problem has dim = {setting.dim}; leave one of them out."
            )
        seeds = 1 if self.seeds is None else require_integer("seeds", self.seeds, 1)
        widths = (setting.K, *(dim,) * (setting.depth - 1), setting.labels.size)
        keys = jax.random.split(require_key(self.key), setting.depth)
        shapes = zip(keys, pairwise(widths), strict=True)
        return tuple(scale * _normal(key, (seeds, m, n), jnp.float64) for key, (m, n) in shapes)

    def provenance(self, start: Any) -> dict[str, Any]:
        """How the path began, for its data set."""
        if start is not None:
            return {"start": "given"}
        key, scale = require_key(self.key), SCALE if self.scale is None else self.scale
        typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        return {
            "start": "independent normal entries",
            "scale": float(scale),
            "key": np.asarray(jax.random.key_data(key) if typed else key),
        }


def given_factors(start: Any, setting: Setting) -> Factors:
    """The caller's factors with a seed axis; ValueError for what is no start of the flow."""
    if not isinstance(start, (tuple, list)) or len(start) != setting.depth:
        raise ValueError(
            f"start must be a tuple of {setting.depth} factors, such as (W0, H0), got "
            f"{type(start).__name__}{f' of {len(start)}' if isinstance(start, (tuple, list)) else ''}."
        )
    names = ["start[0] (W)", *(f"start[{j}]" for j in range(1, setting.depth - 1)), f"start[{setting.depth - 1}] (H)"]
    factors = [_array(name, value) for name, value in zip(names, start, strict=True)]
    batched = {factor.ndim for factor in factors}
    if batched not in ({2}, {3}) or len({factor.shape[:-2] for factor in factors}) > 1:
        raise ValueError(f"start has shapes {_shapes(factors)}: all must have two axes, or a common seed axis before.")
    inner = [factor.shape[-1] for factor in factors[:-1]]
    widths = [setting.K, *inner, setting.labels.size]
    wanted = list(pairwise(widths))
    if [factor.shape[-2:] for factor in factors] != wanted or 0 in inner:
        raise ValueError(
            f"start has shapes {_shapes(factors)}: it must be W (K, d), ..., H (d, N) with K = {setting.K} classes and "
            f"N = {setting.labels.size} samples sorted by class, d >= 1. Transpose features in rows."
        )
    if setting.dim is not None and min(inner) != setting.dim:
        raise ValueError(f"start has inner dimension {min(inner)}, but the problem has dim = {setting.dim}.")
    factors = [factor if factor.ndim == 3 else factor[None] for factor in factors]
    if not factors[0].shape[0]:
        raise ValueError(f"start has shapes {_shapes(factors)}: there must be at least one seed.")
    zero = sum((factor == 0).all((-2, -1)).astype(int) for factor in factors)
    if (zero >= 2).any():
        raise ValueError("start has two zero factors, a stationary point that no path leaves: make them small instead.")
    return tuple(jnp.asarray(factor, jnp.float64) for factor in factors)


def _array(name: str, value: Any) -> np.ndarray:
    require_unmasked(name, value)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be an array of numbers, got {type(value).__name__}.") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be an array of real numbers, got {array.dtype}.")
    require(name, array, "finite", np.isfinite, "A path begins at numbers.")
    return array.astype(float)


def _shapes(factors: list[np.ndarray]) -> str:
    return ", ".join(str(factor.shape) for factor in factors)
