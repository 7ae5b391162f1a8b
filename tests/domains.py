"""Random problems over the ordinary and the extreme domain of the two-group solver."""

import jax
import jax.numpy as jnp
import numpy as np

import lpmjax as lpm


def ordinary(rng, count):
    """K_A, K_B in 1..1000, R in [1, 1e6], s in [0.01, 20]."""
    K_A, K_B = (rng.integers(1, 1001, count).astype(float) for _ in range(2))
    return K_A, K_B, 10 ** rng.uniform(0, 6, count), 10 ** rng.uniform(-2, np.log10(20), count)


def extreme(rng, count):
    """K_A, K_B in 1..1e6, R in [1, 1e20], s in [1e-6, 1e2], all log-uniform."""
    K_A, K_B = (np.floor(10 ** rng.uniform(0, 6, count)) for _ in range(2))
    return K_A, K_B, 10 ** rng.uniform(0, 20, count), 10 ** rng.uniform(-6, 2, count)


@jax.jit
def solve_batch(K_A, K_B, R, s):
    """Layer-Peeled Models with E_W = E_H = s."""
    return jax.vmap(lambda a, b, r, e: lpm.solve(lpm.LayerPeeled.two_group(a, b, r, e, e)))(
        *map(jnp.asarray, (K_A, K_B, R, s))
    )
