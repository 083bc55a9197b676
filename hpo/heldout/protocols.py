"""The protocols of a test: how the tested weights are made. `hpo.heldout.evaluation` describes them."""

from __future__ import annotations

RETRAIN, REFIT, CHECKPOINT = "retrain", "refit", "checkpoint"
PROTOCOLS = (RETRAIN, REFIT, CHECKPOINT)
