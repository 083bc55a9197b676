"""A regime whose training costs nothing, so that what a trial of it takes is overhead.

The loss goes up and down as it falls, so that a best checkpoint must be kept more than once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hpo.space import Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical, Domain, Float

EPOCHS = 9
HYPERPARAMETERS = {
    "kind": "a choice",
    "x": "decides the loss",
    "y": "a number, read where kind is a",
    "pause": "seconds that an epoch waits; default 0",
}


class Free:
    """A learning curve: four metrics an epoch, and a state of one number."""

    def __init__(self, x: float, pause: float = 0.0) -> None:
        self._x = x
        self._pause = pause
        self._epoch = 0

    def step(self) -> Mapping[str, float]:
        if self._pause:
            time.sleep(self._pause)
        self._epoch += 1
        loss = loss_at(self._x, self._epoch)
        return {"val_loss": loss, "val_accuracy": 1 / (1 + loss), "train_loss": loss, "train_accuracy": 1 / (1 + loss)}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]


def loss_at(x: float, epoch: int) -> float:
    """The validation loss of a configuration after an epoch."""
    return (x - 0.3) ** 2 + 1 / (epoch + 2 * (epoch % 2))


def build(config: Mapping[str, Any], model: object, data: object, device: str) -> Free:
    """The free training of a configuration."""
    return Free(config["x"], config.get("pause", 0.0))


def space(fidelity: Fidelity | None = None, *, pause: float = 0.0) -> SearchSpace:
    """A small space with a condition; its one rung is the top one, so no backend stops or pauses a trial.

    Unless there is another `fidelity`. With `pause`, an epoch takes so many seconds, and no work.
    """
    domains: dict[str, Domain] = {
        "kind": Categorical(("a", "b")),
        "x": Float(0.0, 1.0, points=101),
        "y": Float(1e-3, 1.0, log=True, points=101, when={"kind": ("a",)}),
    }
    task = Task(regime="benchmarks.free")
    fixed = {"pause": pause} if pause else {}
    return SearchSpace("free", domains, fidelity or Fidelity(EPOCHS, low=EPOCHS), task, fixed)
