"""A regime whose data source may be down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HYPERPARAMETERS = {"x": "what the loss is, from 0 to 1", "k": "nothing"}


class Source:
    """The data source. Tests change its state."""

    limit = 0.5
    """Trials with a higher x fail."""


class Flaky:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self.x, self.epoch = float(config["x"]), 0

    def step(self) -> Mapping[str, float]:
        if self.x > Source.limit:
            raise ConnectionError("the source is down")
        self.epoch += 1
        return {"val_loss": self.x + 1 / self.epoch}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]


def build(config: Mapping[str, Any], model: object, data: object, device: str) -> Flaky:
    return Flaky(config)
