"""Fused training: many small trainings that differ only in hyperparameters run as one batched program.

This package uses `trainables.training`. The fused runner of `hpo` uses it through `hpo.training`.
"""

from __future__ import annotations

from trainables.fused.group import CHUNK_LIMITS, MAX_PARAMETERS, Group, key

__all__ = ["CHUNK_LIMITS", "MAX_PARAMETERS", "Group", "key"]
