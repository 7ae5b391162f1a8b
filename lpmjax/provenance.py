"""What a data set was made by: an answer that is kept for years has to say it."""

from importlib.metadata import version

import jax
import numpy as np


def made_by() -> dict[str, str]:
    """Attributes of every Dataset: device, and versions of what computed it."""
    return {
        "device": str(jax.devices()[0]),
        "lpmjax_version": version("lpmjax"),
        "jax_version": jax.__version__,
        "numpy_version": np.__version__,
    }
