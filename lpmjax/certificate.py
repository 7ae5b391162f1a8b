"""Certificates of a solution: duality gaps in floating point, and intervals proved in ball arithmetic."""

from .duality import Certificate as Certificate
from .duality import Evaluation as Evaluation
from .duality import Program as Program
from .duality import duality_gap as duality_gap
from .duality import evaluate as evaluate
from .duality import gradient as gradient
from .duality import shrinkage as shrinkage
from .duality import slacks as slacks
from .rigorous import RigorousBound as RigorousBound
from .rigorous import rigorous as rigorous
from .unbanded import Unbanded as Unbanded
from .unbanded import unbanded as unbanded
