"""Figures of results, sweeps, diagnoses and paths: every function takes and returns a matplotlib ``ax``, or several."""

from .collapse import diagnosis as diagnosis
from .cosines import cosine as cosine
from .critical_points import critical_points as critical_points
from .deep_phases import deep_phases as deep_phases
from .deep_values import deep_values as deep_values
from .flow import flow as flow
from .geometry import geometry as geometry
from .gram import gram as gram
from .phases import phase_diagram as phase_diagram
from .regularisation import regularisation_paths as regularisation_paths
from .spectrum import spectrum as spectrum
from .trained_networks import trained_networks as trained_networks
