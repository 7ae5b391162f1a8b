"""Symmetric arrangements of classes that can be optima of deep models, each with a few free numbers."""

from .known import catalogue as catalogue
from .structure import Structure as Structure
