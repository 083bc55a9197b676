"""The regime `from_scratch`, each epoch of which is noted in the file $HPO_TRAINED before it is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from trainables.data.dataset import SearchData
from trainables.regimes import from_scratch
from trainables.trainable import Trainable, TransferModel

HYPERPARAMETERS: dict[str, str] = {}
READS_ALSO = ("trainables.regimes.from_scratch",)


class Counted:
    """Passes everything on to a real training."""

    def __init__(self, config: Mapping[str, Any], training: Trainable) -> None:
        self._key = json.dumps(dict(config), sort_keys=True)
        self._training = training
        self._epoch = 0

    def step(self) -> Mapping[str, float]:
        self._epoch += 1
        with open(os.environ["HPO_TRAINED"], "a") as log:
            log.write(f"{self._key}\t{self._epoch}\n")
        return self._training.step()

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "training": self._training.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]
        self._training.load_state_dict(state["training"])

    def evaluate(self, part: Any) -> Mapping[str, float]:
        return self._training.evaluate(part)


def build(config: Mapping[str, Any], model: TransferModel, data: SearchData, device: str) -> Counted:
    """The training of `from_scratch`, counted."""
    return Counted(config, from_scratch.build(config, model, data, device))
