import jax
import matplotlib as mpl
import pytest

mpl.use("Agg")
jax.config.update("jax_enable_x64", True)


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name, so that tests do not share draws."""
    import zlib

    import numpy as np

    return np.random.default_rng(zlib.crc32(request.node.name.encode()))
