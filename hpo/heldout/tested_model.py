"""The weights of the best tested trial, which a test keeps so that `hpo model` can write them as a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import MachineError, StudyError
from hpo.heldout.retraining import ModelToTest, stopping_epoch
from hpo.heldout.trial_result import TrialResult
from hpo.record import TESTED_MODEL, StudyFolder, keep_out_of_git, versions
from hpo.space.values import with_lists


@dataclass(frozen=True)
class KeptModel:
    """The kept model: the first seed of the best trial of the latest test."""

    trial: int
    seed: int
    """The seed that `test.json` shows."""
    protocol: str
    """`retrain` or `checkpoint`."""
    build_seed: int
    """The seed that its trainable was built with."""
    config: Mapping[str, Any]
    """The hyperparameters of the trial, with lists as JSON has them."""
    stopping_epoch: int
    versions: Mapping[str, str]
    """The versions of the packages that trained and tested it."""
    validation: Mapping[str, float]
    """The validation metrics of the epoch that it was tested at."""
    state: Mapping[str, Any]
    """The state of its trainable."""
    held_out: Mapping[str, Any]
    """`probabilities` (n, n_classes) and `labels` (n,) of the held-out images, as tensors. Empty if it has none."""

    def belongs_to(self, tested: TrialResult) -> bool:
        """Whether this model is one of those that a test result is about."""
        config = {name: with_lists(value) for name, value in tested.config.items()}
        mine = (self.trial, self.protocol, dict(self.config), self.stopping_epoch, dict(self.versions))
        of_test = (tested.trial, tested.protocol, config, tested.stopping_epoch, dict(tested.versions))
        return mine == of_test and self.seed in tested.seeds


def write(study: StudyFolder, model: ModelToTest, state: Mapping[str, Any], held_out: Mapping[str, Any]) -> None:
    """Keep a tested model, and replace the one that was kept before. Raises MachineError if that fails."""
    from trainables.training import checkpoints

    content = {
        "trial": model.trial.number,
        "seed": model.seed,
        "protocol": model.protocol,
        "build_seed": model.build_seed,
        "config": {name: with_lists(value) for name, value in model.trial.config.items()},
        "stopping_epoch": stopping_epoch(model.trial),
        "versions": versions(),
        "validation": dict(model.validation),
        "state": dict(state),
        "held_out": dict(held_out),
    }
    path = study.folder / TESTED_MODEL
    try:
        checkpoints.write(path, content)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written: {error}") from None
    keep_out_of_git(study.folder)


def read(study: StudyFolder) -> KeptModel | None:
    """Read the kept model of a study. Returns None if there is none. Raises StudyError if the file is damaged."""
    from trainables.training import checkpoints

    path = study.folder / TESTED_MODEL
    try:
        content = checkpoints.read(path)
        return None if content is None else KeptModel(**content)
    except (checkpoints.DamagedCheckpoint, TypeError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version; delete it: {error}") from None
