"""Trained models to use: writing a model folder, loading one, classifying image files, calibration.

This package uses `trainables.models`, `trainables.data` and the packages below them. No other package imports it.
"""

from __future__ import annotations

from trainables.inference.calibration import Calibration
from trainables.inference.model_folder import FinalModel
from trainables.inference.predictor import Prediction, Predictor

__all__ = ["Calibration", "FinalModel", "Prediction", "Predictor"]
