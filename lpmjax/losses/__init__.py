"""Losses of the logits."""

from .focal import Focal as Focal
from .loss import ConvexLoss as ConvexLoss
from .loss import Loss as Loss
from .power_softmax import PowerSoftmax as PowerSoftmax
from .softmax import CrossEntropy as CrossEntropy
from .softmax import LabelSmoothing as LabelSmoothing
from .softmax import LogitAdjusted as LogitAdjusted
from .squared_error import SquaredError as SquaredError
from .vector_scaling import VectorScaling as VectorScaling
