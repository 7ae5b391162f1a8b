"""What ``jax.export`` needs to write functions of problems and solutions to bytes: names and static fields of classes.

``jax.export.export(jax.jit(lpmjax.solve))(problem).serialize()`` works by this; jax asks for the package flatbuffers. A
Problem or Loss of your own needs :func:`serializable`, in the program that writes and in the one that reads.
"""

import dataclasses
import json
from typing import Any, TypeVar

import jax
import jax.export
from jax.tree_util import PyTreeDef, default_registry

from .groups import ClassGroups
from .losses.focal import Focal
from .losses.power_softmax import PowerSoftmax
from .losses.softmax import CrossEntropy, LabelSmoothing, LogitAdjusted
from .losses.squared_error import SquaredError
from .losses.vector_scaling import VectorScaling
from .orders import ClassOrder, order_of
from .problems.contrastive import SupervisedContrastive
from .problems.deep_linear import DeepLinear
from .problems.layer_peeled import LayerPeeled
from .problems.power_norm import PowerNormPeeled
from .problems.separation import Separation
from .problems.unconstrained import UnconstrainedFeatures
from .results.features import FeatureSolution
from .results.kept import KeptSolution, NetworkSolution
from .results.pair import PairSolution
from .results.separation import SeparationSolution
from .results.solution import Solution

T = TypeVar("T", bound=type)


def serializable(kind: T) -> T:
    """Class decorator for equinox modules whose static fields are numbers, strings, None or a ``ClassOrder``.

    Raises ValueError where the name of the class, with that of its module, has been registered before.
    """
    fields: Any = dataclasses.fields(kind)
    static = [field.name for field in fields if field.metadata.get("static", False)]
    dynamic = [field.name for field in fields if field.name not in static]
    leaf = jax.tree.structure(0)

    def write(auxiliary: Any) -> bytes:
        node: Any = (kind, auxiliary)
        tree = PyTreeDef.from_node_data_and_children(default_registry, node, [leaf] * len(dynamic))
        module = tree.unflatten([0] * len(dynamic))
        return json.dumps({name: _plain(getattr(module, name)) for name in static}).encode()

    def read(written: Any) -> dict[str, Any]:
        found = json.loads(bytes(written))
        return found | ({"order": order_of(found["order"])} if found.get("order") is not None else {})

    def build(static_fields: Any, children: Any) -> Any:
        module = object.__new__(kind)
        for name, value in (*zip(dynamic, children, strict=True), *static_fields.items()):
            object.__setattr__(module, name, value)
        return module

    jax.export.register_pytree_node_serialization(
        kind,
        serialized_name=f"{kind.__module__}.{kind.__qualname__}",
        serialize_auxdata=write,
        deserialize_auxdata=read,
        from_children=build,  # pyright: ignore[reportArgumentType] (the protocol wants jax's names of arguments)
    )
    return kind


def _plain(value: Any) -> Any:
    if not isinstance(value, ClassOrder):
        return value
    return {name: part.tolist() for name, part in value.parts().items()}


for _kind in (
    ClassGroups,
    LayerPeeled,
    UnconstrainedFeatures,
    DeepLinear,
    CrossEntropy,
    LogitAdjusted,
    LabelSmoothing,
    SquaredError,
    Focal,
    PowerSoftmax,
    VectorScaling,
    SupervisedContrastive,
    FeatureSolution,
    PowerNormPeeled,
    PairSolution,
    Solution,
    KeptSolution,
    NetworkSolution,
    Separation,
    SeparationSolution,
):
    serializable(_kind)
