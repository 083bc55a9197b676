"""How well the features of pretrained models tell the classes of a data set apart, without a training.

This package uses `trainables.training.closed_form` and `trainables.features`. Only `hpo.training` imports it.
"""

from __future__ import annotations

from trainables.ranking.logme import logme
from trainables.ranking.measurement import Measurement, measure
from trainables.ranking.probe import is_correct

__all__ = ["Measurement", "is_correct", "logme", "measure"]
