"""Classifiers that are computed from features, without gradient steps on batches: ridge, LDA, nearest mean and others.

This package uses `trainables.features`. The regime `closed_form` and `trainables.ranking` import it.
"""

from __future__ import annotations

from trainables.training.closed_form.inputs import Inputs, TrainingSet
from trainables.training.closed_form.lda import LDA
from trainables.training.closed_form.linear import LinearFit
from trainables.training.closed_form.logistic import Logistic
from trainables.training.closed_form.nearest_mean import NearestMean
from trainables.training.closed_form.neighbours import NearestNeighbours
from trainables.training.closed_form.ridge import Ridge

__all__ = ["LDA", "Inputs", "LinearFit", "Logistic", "NearestMean", "NearestNeighbours", "Ridge", "TrainingSet"]
