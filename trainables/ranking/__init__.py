"""How well the features of pretrained models tell the classes of a data set apart, without a training.

This package uses `trainables.training.closed_form` and `trainables.features`. Only `hpo.training` imports it.
"""

from __future__ import annotations

from trainables.ranking.logme import logme
from trainables.ranking.measurement import Measurement, measure
from trainables.ranking.probe import is_correct
from trainables.ranking.timing import faster_precision, seconds_of_last_stages, seconds_per_image

__all__ = [
    "Measurement",
    "faster_precision",
    "is_correct",
    "logme",
    "measure",
    "seconds_of_last_stages",
    "seconds_per_image",
]
