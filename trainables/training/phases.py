"""Training in phases: one Trainable after another on the same model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainables.data.dataset import Part
from trainables.seeding import seed_everything
from trainables.trainable import HEAD, TransferModel
from trainables.training.gradient_descent import Training


@dataclass(frozen=True)
class Phase:
    """A part of a training: what it trains, and when it is over."""

    build: Callable[[], Training]
    """Freezes what this phase does not train, and builds its training."""
    n_epochs: int = 0
    """After so many epochs it is over; the last phase has no end of its own."""
    patience: int | None = None
    """After so many epochs without a lower validation loss it is over, too."""


class Phases:
    """Phases one after another; each epoch of each is a step.

    The metrics of a step hold `phases_left` beside those of the phase: while phases are left, the
    validation loss tells little of what will come.
    """

    def __init__(self, model: TransferModel, phases: Sequence[Phase]) -> None:
        """Draws a seed for each phase from torch's global generator, so that each begins alike whenever it does."""
        self.model = model
        self._phases = phases
        self._seeds = [int(torch.randint(2**62, ())) for _ in phases]
        self._index, self._epochs, self._stale, self._best = 0, 0, 0, math.inf
        self._trained: set[str] = set()
        self._current = self._begin()

    def step(self) -> Mapping[str, float]:
        if self._is_over():
            self._trained |= {*self.model.stages, HEAD} - self.model.frozen
            self._index += 1
            self._epochs, self._stale, self._best = 0, 0, math.inf
            self._current = self._begin()
        metrics = self._current.step()
        self._epochs += 1
        self._stale = 0 if metrics["val_loss"] < self._best else self._stale + 1
        self._best = min(self._best, metrics["val_loss"])
        return {**metrics, "phases_left": float(self._n_left)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "phase": self._index,
            "epochs": self._epochs,
            "stale": self._stale,
            "best": self._best,
            "seeds": self._seeds,
            "trained": self.model.state_of(sorted(self._trained)),
            "names": sorted(self._trained),
            "current": self._current.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._index, self._epochs = state["phase"], state["epochs"]
        self._stale, self._best, self._seeds = state["stale"], state["best"], list(state["seeds"])
        self._trained = set(state["names"])
        self.model.load_state_dict(state["trained"], strict=False)
        self._current = self._begin()
        self._current.load_state_dict(state["current"])

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return self._current.evaluate(part)

    def predict(self, part: Part) -> torch.Tensor:
        return self._current.predict(part)

    @property
    def _n_left(self) -> int:
        return len(self._phases) - 1 - self._index

    def _is_over(self) -> bool:
        phase = self._phases[self._index]
        if self._n_left == 0:
            return False
        return self._epochs >= phase.n_epochs or (phase.patience is not None and self._stale >= phase.patience)

    def _begin(self) -> Training:
        seed_everything(self._seeds[self._index])
        return self._phases[self._index].build()
