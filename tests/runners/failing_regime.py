"""A regime that trains on several devices, and fails in the second epoch of one rank alone, once or always."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.regimes import from_scratch
from trainables.trainable import Trainable, TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
DATA_PARALLEL = True
MARKER = "HPO_TEST_FAILED_ONCE"
"""The environment variable with the path of the file that the failing rank writes. If it cannot, it fails always."""


class FailsOnce:
    def __init__(self, trainable: Trainable) -> None:
        self._trainable = trainable
        self._n_epochs = 0

    def step(self) -> Mapping[str, float]:
        marker = Path(os.environ[MARKER])  # which cannot be written for one that fails always
        self._n_epochs += 1
        if self._n_epochs == 2 and torch.distributed.get_rank() == 1 and not marker.exists():
            if marker.parent.is_dir():
                marker.touch()
            raise MemoryError("of rank 1 alone")
        return self._trainable.step()

    def state_dict(self) -> dict[str, Any]:
        return self._trainable.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._trainable.load_state_dict(state)


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> FailsOnce:
    return FailsOnce(from_scratch.build(config, model, data, device))
