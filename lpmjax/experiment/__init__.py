"""Trained networks beside peeled models: do a few numbers say what a network's last layer looks like?

::

    images = lpm.experiment.load("digits")
    study = lpm.experiment.Experiment(images, lpm.experiment.Settings(depths=(2,))).complete()
    ds = study.dataset()
    lpm.plot.trained_networks(ds)
"""

from .comparison import compared as compared
from .comparison import errors as errors
from .control import Control as Control
from .control import control as control
from .control import controls as controls
from .decoupling import decoupled as decoupled
from .grid import Experiment as Experiment
from .images import Images as Images
from .images import load as load
from .reweighting import reweighted as reweighted
from .sampling import Profile as Profile
from .settings import Architecture as Architecture
from .settings import Settings as Settings
