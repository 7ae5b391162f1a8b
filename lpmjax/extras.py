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


def zarr_modules() -> tuple[Any, Any]:
    """(zarr, xarray), or an ImportError that says what to install."""
    try:
        import dask.array  # noqa: F401  xarray needs it for arrays that are larger than memory
        import xarray
        import zarr
    except ImportError as error:
        raise ImportError("a sweep in a store needs zarr and dask: pip install 'lpmjax[cluster]'") from error
    return zarr, xarray


def distributed_module() -> Any:
    """dask.distributed, or an ImportError that says what to install."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError("workers need dask.distributed: pip install 'lpmjax[cluster]'") from error
    return distributed


def bundled_digits() -> tuple[Any, Any]:
    """scikit-learn's digits, images (1797, 8, 8) and labels, or an ImportError that says what to install."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("digits need scikit-learn: pip install 'lpmjax[examples]'") from error
    bunch: Any = load_digits()
    return bunch.images, bunch.target
