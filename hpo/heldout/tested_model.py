"""The weights of the best tested trial, which a test keeps so that `hpo model` can write them as a model folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import MachineError, StudyError
from hpo.heldout.record import Look
from hpo.heldout.retraining import ModelToTest
from hpo.heldout.trial_result import TrialResult
from hpo.record import TESTED_MODEL, StudyFolder, keep_out_of_git
from hpo.space.values import with_lists


@dataclass(frozen=True)
class KeptModel:
    """The kept model: the first seed of the best trial of the latest test."""

    trial: int
    seed: int
    """The seed that `test.json` shows."""
    protocol: str
    """`retrain`, `refit` or `checkpoint`."""
    build_seed: int
    """The seed that its trainable was built with."""
    config: Mapping[str, Any]
    """The hyperparameters of the trial, with lists as JSON has them."""
    stopping_epoch: int
    versions: Mapping[str, str]
    """The versions of the packages that trained and tested it."""
    data: str
    """The SHA-256 of the parts of the data set that it was trained and tested on."""
    checkpoint: str | None
    """The SHA-256 of the checkpoint that was tested."""
    validation: Mapping[str, float]
    """The validation metrics of the epoch that it was tested at."""
    metrics: Mapping[str, float]
    """The metrics on held-out data."""
    state: Mapping[str, Any]
    """The state of its trainable."""
    held_out: Mapping[str, Any]
    """`probabilities` (n, n_classes) and `labels` (n,) of the held-out images, as tensors. Empty if it has none."""

    def belongs_to(self, tested: TrialResult) -> bool:
        """Whether this model is one of those that a test result is about: it has the metrics that stand there.

        A test that was interrupted may have kept a model whose result is not written.
        """
        if self.seed not in tested.seeds:
            return False
        recorded = next(each.held_out for each in tested.models() if each.seed == self.seed)
        config = {name: with_lists(value) for name, value in tested.config.items()}
        mine = (self.trial, self.protocol, dict(self.config), self.stopping_epoch)
        of_test = (tested.trial, tested.protocol, config, tested.stopping_epoch)
        # A package that was installed later may be recorded with a result that was kept.
        same_versions = all(tested.versions.get(name) == version for name, version in self.versions.items())
        return (
            mine == of_test
            and same_versions
            and all(_equal(self.metrics.get(key), value) for key, value in recorded.items())
        )


def _equal(mine: float | None, recorded: float) -> bool:
    """Whether a metric is the recorded one. `test.json` holds no number for a metric that is not finite."""
    return mine is not None and (mine == recorded or not (math.isfinite(mine) or math.isfinite(recorded)))


def write(
    study: StudyFolder,
    model: ModelToTest,
    look: Look,
    metrics: Mapping[str, float],
    state: Mapping[str, Any],
    held_out: Mapping[str, Any],
) -> None:
    """Keep a tested model, and replace the one that was kept before. Raises MachineError if that fails.

    `look` and `metrics` are the look at held-out data and what it gave. The others are as in `KeptModel`.
    """
    from trainables.training import checkpoints

    content = {
        **look,
        "build_seed": model.build_seed,
        "validation": dict(model.validation),
        "metrics": dict(metrics),
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
