"""Packages that are not always installed."""

from typing import Any


def matplotlib_modules() -> tuple[Any, Any]:
    """(pyplot, colors), or an ImportError that says what to install."""
    try:
        from matplotlib import colors, pyplot
    except ImportError as error:
        raise ImportError("plotting needs matplotlib: pip install 'lpmjax[plot]'") from error
    return pyplot, colors


def diffrax_modules() -> tuple[Any, Any]:
    """(diffrax, optimistix), which it is installed with, or an ImportError that says what to install."""
    try:
        import diffrax
        import optimistix
    except ImportError as error:
        raise ImportError("gradient flow needs diffrax: pip install 'lpmjax[flow]'") from error
    return diffrax, optimistix
