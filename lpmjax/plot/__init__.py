"""Figures of sweeps and diagnoses: every function takes and returns a matplotlib ``ax``, or two."""

from .collapse import diagnosis as diagnosis
from .cosines import cosine as cosine
from .deep_phases import deep_phases as deep_phases
from .phases import phase_diagram as phase_diagram
