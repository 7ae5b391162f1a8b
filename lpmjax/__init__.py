"""Differentiable solvers, with certificates, for layer-peeled models of neural collapse.

>>> import jax
>>> jax.config.update("jax_enable_x64", True)  # certificates are of float64
>>> import lpmjax as lpm
>>> problem = lpm.LayerPeeled.two_group(K_A=5, K_B=5, R=10.0, E_W=1.0, E_H=5.0)
>>> print(lpm.solve(problem))  # doctest: +ELLIPSIS
LayerPeeled, K = 10: separated, rank 9, certified by two_group in 3 steps
value 0.2616770386, relative gap ... (tol 1e-10), multiplier 0.0176905
group  classes   samples     slack   cosine     |w|^2     |h|^2   margin
    A        5        10    2.3300 -0.16749     1.806     9.236   4.3902
    B        5         1    0.0274  0.51750    0.1941    0.7638   0.2095
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import boundary as boundary
from . import certificate as certificate
from . import counts as counts
from . import exporting as exporting
from . import frames as frames
from . import metrics as metrics
from .certify import certify as certify
from .codes import Phase as Phase
from .codes import Status as Status
from .diagnose import diagnose as diagnose
from .diagnosis import Diagnosis as Diagnosis
from .factored import factored as factored
from .flow import flow as flow
from .groups import ClassGroups as ClassGroups
from .losses import ConvexLoss as ConvexLoss
from .losses import CrossEntropy as CrossEntropy
from .losses import Focal as Focal
from .losses import LabelSmoothing as LabelSmoothing
from .losses import LogitAdjusted as LogitAdjusted
from .losses import Loss as Loss
from .losses import PowerSoftmax as PowerSoftmax
from .losses import SquaredError as SquaredError
from .losses import VectorScaling as VectorScaling
from .phases import phases as phases
from .problems import DeepLinear as DeepLinear
from .problems import GroupedProblem as GroupedProblem
from .problems import LayerPeeled as LayerPeeled
from .problems import PowerNormPeeled as PowerNormPeeled
from .problems import Problem as Problem
from .problems import Separation as Separation
from .problems import SupervisedContrastive as SupervisedContrastive
from .problems import UnconstrainedFeatures as UnconstrainedFeatures
from .referee import referee as referee
from .regularisation import regularisation_path as regularisation_path
from .reproduce import reproduce as reproduce
from .results.deep import DeepSolution as DeepSolution
from .results.features import FeatureSolution as FeatureSolution
from .results.pair import PairSolution as PairSolution
from .results.result import Result as Result
from .results.separation import SeparationSolution as SeparationSolution
from .results.solution import Solution as Solution
from .solve import solve as solve
from .solvers.branch_and_bound import BranchAndBound as BranchAndBound
from .solvers.closed_form import ClosedForm as ClosedForm
from .solvers.factored import Factored as Factored
from .solvers.grouped import Grouped as Grouped
from .solvers.multi_start import MultiStart as MultiStart
from .solvers.named import Named as Named
from .solvers.two_group import TwoGroup as TwoGroup
from .store import load as load
from .sweeps.audit import Audit as Audit
from .sweeps.audit import audit as audit
from .sweeps.opened import StoredSweep as StoredSweep
from .sweeps.opened import open_sweep as open_sweep
from .sweeps.sweep import sweep as sweep
from .tries import best as best
from .verify import Verification as Verification
from .verify import verify as verify

if TYPE_CHECKING:
    from . import experiment as experiment
    from . import landscape as landscape
    from . import plot as plot

__version__: str

#: packages that solving does not need, imported when they are asked for
_LATER = ("experiment", "landscape", "plot")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return import_module(f".{name}", __name__)
    if name != "__version__":
        raise AttributeError(f"module 'lpmjax' has no attribute {name!r}")
    from importlib.metadata import version  # when it is asked for: it reads a file

    return version("lpmjax")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
