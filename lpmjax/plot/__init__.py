"""Figures of sweeps and diagnoses: every function takes and returns a matplotlib ``ax``, or two."""

from .collapse import diagnosis as diagnosis
from .cosines import cosine as cosine
from .phases import phase_diagram as phase_diagram
