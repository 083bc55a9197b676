"""Training in phases: several trainings of the same model, one after another, as one Trainable."""

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
from trainables.training.metrics import SampleResults


@dataclass(frozen=True)
class Phase:
    """One phase: how its training is built, and when it ends."""

    build: Callable[[], Training]
    """Freezes the parts of the model that do not train in this phase, and returns the training.

    It is called once before the first epoch too, so that a wrong value for this phase is an error then.
    """
    n_epochs: int = 0
    """The number of epochs after which the phase and its schedule end. The last phase never ends, so it needs none."""
    patience: int | None = None
    """The phase also ends after this many epochs in a row without a lower validation loss. None: no early stopping."""
    stop_epoch: int | None = None
    """The phase also ends after this epoch, counted from its beginning, wherever its schedule is. None: it does not."""

    @property
    def least_epochs(self) -> int:
        """The number of epochs that the phase has at least."""
        return min(each for each in (self.n_epochs, self.patience, self.stop_epoch) if each is not None)


class Phases:
    """A Trainable that trains a model in phases. Each epoch of each phase is one step.

    The metrics of a step include `phases_left`, the number of phases after the current one. While it is above 0, the
    validation loss says little about the final result.
    """

    def __init__(self, model: TransferModel, phases: Sequence[Phase]) -> None:
        """Draw a seed for each phase from torch's global generator, and build the training of each phase once.

        The seeds make a phase start with the same random numbers whenever it starts. Building all trainings, the first
        phase last, raises the errors of later phases before the first epoch.
        """
        self._model = model
        self._phases = phases
        self._seeds = [int(torch.randint(2**62, ())) for _ in phases]
        self._index, self._n_epochs, self._n_stale_epochs, self._best_loss = 0, 0, 0, math.inf
        self._trained_names: set[str] = set()
        for self._index in reversed(range(len(phases))):
            self._n_earlier_epochs = sum(phase.least_epochs for phase in phases[: self._index])
            self._training = self._build_training(checks_warmup=True)

    @property
    def model(self) -> TransferModel:
        """The model of the current phase that is validated and predicts."""
        return self._training.model

    def step(self) -> Mapping[str, float]:
        if self._is_over():
            self._begin_next()
        metrics = self._training.step()
        self._n_epochs += 1
        loss = metrics["val_loss"] if math.isfinite(metrics["val_loss"]) else math.inf
        self._n_stale_epochs = 0 if loss < self._best_loss else self._n_stale_epochs + 1
        self._best_loss = min(self._best_loss, loss)
        return {**metrics, "phases_left": float(self._n_left)}

    def begin_next_phase(self) -> bool:
        """Begin the next phase now, whatever the epochs of the current one. Returns False if there is none.

        If stages unfreeze later in the current phase, they do so now, and the phase stays the same.
        """
        return self._training.begin_next_phase() or self._begin_next()

    def _begin_next(self) -> bool:
        """Begin the next phase, with the average of the weights if there is one. Returns False if it was the last."""
        if self._n_left == 0:
            return False
        self._training.adopt_average()
        self._trained_names |= {*self._model.stages, HEAD} - self._model.frozen
        self._index += 1
        self._n_earlier_epochs += self._n_epochs
        self._n_epochs, self._n_stale_epochs, self._best_loss = 0, 0, math.inf
        self._training = self._build_training()
        return True

    def state_dict(self) -> dict[str, Any]:
        return {
            "phase": self._index,
            "epochs": self._n_epochs,
            "earlier_epochs": self._n_earlier_epochs,
            "stale": self._n_stale_epochs,
            "best": self._best_loss,
            "seeds": self._seeds,
            # The weights of earlier phases, which the state of the current training leaves out if they are frozen now.
            "trained": self._model.state_of(sorted(self._trained_names)),
            "names": sorted(self._trained_names),
            "current": self._training.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._index, self._n_epochs = state["phase"], state["epochs"]
        # A state of an earlier version lacks it. Its schedule does not depend on it.
        self._n_earlier_epochs = state.get("earlier_epochs", 0)
        self._n_stale_epochs, self._best_loss = state["stale"], state["best"]
        self._seeds = list(state["seeds"])
        self._trained_names = set(state["names"])
        self._model.load_state_dict(state["trained"], strict=False)
        self._training = self._build_training()
        self._training.load_state_dict(state["current"])

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return self._training.evaluate(part)

    def predict(self, part: Part) -> torch.Tensor:
        return self._training.predict(part)

    def evaluate_and_predict(self, part: Part) -> tuple[Mapping[str, float], torch.Tensor]:
        """Return what `evaluate` and `predict` return for `part`, from the same logits."""
        return self._training.evaluate_and_predict(part)

    @property
    def validation_logits(self) -> torch.Tensor | None:
        """The logits of the last validation; see `Trainable`. None at the beginning of a phase."""
        return self._training.validation_logits

    @property
    def validation_results(self) -> SampleResults | None:
        """The loss and the predicted class of each image, while the logits are offered."""
        return self._training.validation_results

    def release_logits(self) -> None:
        """Free the memory of `validation_logits` and `validation_results`."""
        self._training.release_logits()

    @property
    def _n_left(self) -> int:
        """The number of phases after the current one."""
        return len(self._phases) - 1 - self._index

    def _is_over(self) -> bool:
        phase = self._phases[self._index]
        if self._n_left == 0:
            return False
        last = phase.n_epochs if phase.stop_epoch is None else min(phase.n_epochs, phase.stop_epoch)
        return self._n_epochs >= last or (phase.patience is not None and self._n_stale_epochs >= phase.patience)

    def _build_training(self, *, checks_warmup: bool = False) -> Training:
        """Seed all random generators and build the training of the current phase.

        Its schedule ends with the phase: after the epochs that the phase has at most, or in the last phase with the
        whole training. `checks_warmup` raises a WrongValue if the warm-up is as long as that.
        """
        seed_everything(self._seeds[self._index])
        phase = self._phases[self._index]
        training = phase.build()
        schedule = training.optimization.schedule
        n_epochs = schedule.n_epochs
        if self._n_left > 0:
            n_epochs = phase.n_epochs
        elif n_epochs is not None:
            n_epochs -= self._n_earlier_epochs
        if n_epochs is not None:
            schedule.n_epochs = max(1, n_epochs)
            if checks_warmup and n_epochs > 0:  # otherwise the training ends before the last phase begins
                training.check_warmup()
        return training
