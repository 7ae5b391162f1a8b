import os
from pathlib import Path

# What one worker, an earlier run or a command has compiled is not compiled again. Before jax is imported.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "compilations"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import gc

import jax
import matplotlib as mpl
import pytest

mpl.use("Agg")
jax.config.update("jax_enable_x64", True)
# Tracing makes many objects and few cycles: by default a tenth of the time goes into looking for those.
gc.set_threshold(50_000, 20, 100)

#: executables hold memory maps, of which a process may have 65530, and memory: the whole suite needs more than there is
_MANY_MAPS = 15_000


@pytest.fixture(scope="module", autouse=True)
def _forget_compilations():
    """Only when there are many: what one file has traced serves the next."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name, so that tests do not share draws."""
    import zlib

    import numpy as np

    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def kept_by_nobody(monkeypatch):
    """Commands called in this process must not leave a cache behind in its jax, nor in the home of whoever tests."""
    from lpmjax import cli

    monkeypatch.setattr(cli, "_keep_compilations", lambda: None)
