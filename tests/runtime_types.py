"""The type checker for ``pytest --jaxtyping-packages=lpmjax,runtime_types.checked``: beartype, where it can.

Annotations say ``jax.Array``, which is what is traced and returned. On the host, ``certify`` and ``factors`` evaluate
the same formulas in NumPy: tests of that are not for this option.
"""

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPepUnsupportedException

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float


def checked(function):
    """The function with its annotations checked; as it is if it returns a generic NamedTuple, of which beartype knows
    nothing."""
    try:
        return _beartype(function)
    except BeartypeDecorHintPepUnsupportedException:
        return function
