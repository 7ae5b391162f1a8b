"""What is asked: each model with its parameters, as a frozen pytree."""

from .deep_linear import DeepLinear as DeepLinear
from .grouped import GroupedProblem as GroupedProblem
from .layer_peeled import LayerPeeled as LayerPeeled
from .problem import Problem as Problem
from .unconstrained import UnconstrainedFeatures as UnconstrainedFeatures
