"""Which hyperparameters mattered in a search, and how: importance and partial dependence, with their uncertainty.

This package reads `hpo.record` and `hpo.space`. Only `forest.py` imports scikit-learn, when it is needed.
"""

from __future__ import annotations

from hpo.importance.analysis import Curve, Effect, Importance, analyse
from hpo.importance.words import frame, lines

__all__ = ["Curve", "Effect", "Importance", "analyse", "frame", "lines"]
