"""What is asked: each model with its parameters, as a frozen pytree."""

from .contrastive import SupervisedContrastive as SupervisedContrastive
from .deep_linear import DeepLinear as DeepLinear
from .grouped import GroupedProblem as GroupedProblem
from .layer_peeled import LayerPeeled as LayerPeeled
from .power_norm import PowerNormPeeled as PowerNormPeeled
from .problem import Problem as Problem
from .separation import Separation as Separation
from .unconstrained import UnconstrainedFeatures as UnconstrainedFeatures
