"""Critical points of unconstrained and deep linear models: global minima, strict saddles, and what shows it."""

from .hessian import Extremes as Extremes
from .hessian import extreme_eigenvalues as extreme_eigenvalues
from .partitions import set_partitions as set_partitions
from .point import CriticalPoint as CriticalPoint
from .point import Verdict as Verdict
from .point import classify as classify
from .point import measured_rate as measured_rate
from .search import critical_points as critical_points
from .search import descents as descents
from .search import tied_minimum as tied_minimum
