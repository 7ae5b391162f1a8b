"""reproduce: a figure or table of a founding paper, with the numbers that it is checked against."""

import pkgutil
import time
from importlib import import_module

import jax

from . import reproductions
from .arguments import require_type
from .reproduction import Reproduced, Reproduction
from .settings import nan_is_a_value


def names() -> list[str]:
    """What can be reproduced, in alphabetical order: the modules of :mod:`lpmjax.reproductions`."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(reproductions.__path__))


def described(name: str) -> Reproduction:
    """The reproduction of this name, not yet computed. Raises ValueError for an unknown one, naming the known."""
    require_type("name", name, str, f"one of {', '.join(names())}")
    if name not in names():
        raise ValueError(f"name = {name!r} is unknown: choose from {', '.join(names())}.")
    return import_module(f"{reproductions.__name__}.{name.replace('-', '_')}").REPRODUCTION


@nan_is_a_value
def reproduce(name: str) -> Reproduced:
    """Compute a figure or table of a founding paper, from seconds to a minute, and check its numbers.

    Everything is solved in float64 (whatever jax's own setting) on the CPU. Where the paper trains networks, the
    optimum or gradient flow of their model stands for them, and ``result.of.differs`` says so.

    Parameters
    ----------
    name : of a module of :mod:`lpmjax.reproductions`, with dashes: ``lpmjax reproduce --list``.

    Returns
    -------
    Reproduced: ``data`` (xarray.Dataset), ``checks``, ``ok``, ``figure()`` (extra ``plot``), ``write(folder)``.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    of = described(name)
    begin = time.perf_counter()
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        data = of.compute()
        checks = tuple(of.checks(data))
    return Reproduced(name, of, data.assign_attrs(of.words("reproduction_")), checks, time.perf_counter() - begin)
