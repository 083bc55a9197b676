"""One command from a folder of images to a model: rank models, search, test the winner once, write what was found.

The command line imports this package. It calls the packages that each step needs, and holds no search of its own.
"""

from __future__ import annotations

from hpo.fit.display import Display
from hpo.fit.fitting import fit
from hpo.fit.folder import FitFolder
from hpo.fit.request import METRICS, FitRequest
from hpo.fit.result import FitResult

__all__ = ["METRICS", "Display", "FitFolder", "FitRequest", "FitResult", "fit"]
