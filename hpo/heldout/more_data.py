"""Training a model on all images: the training, the validation and the held-out part.

Such a model has neither a validation nor a test result. `test.json` notes each trial that was trained so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import StudyError
from hpo.heldout.record import TestRecord
from hpo.heldout.retrained_config import retrained_config
from hpo.heldout.retraining import stopping_epoch
from hpo.record import Trial
from hpo.training import Builder, Job

if TYPE_CHECKING:
    from trainables.trainable import Trainable


@dataclass(frozen=True)
class LargerTraining:
    """A trainable that was trained on all images."""

    trainable: Trainable
    n_images: int
    """The number of images that it was trained on."""
    n_training: int
    """The number of images in the training part alone."""


def train_on_all(
    job: Job,
    device: str,
    trial: Trial,
    seed: int,
    record: TestRecord,
    *,
    watch: Callable[[int], None] | None = None,
) -> LargerTraining:
    """Train a trial up to its stopping epoch, on all parts together. `job` must hold the held-out part.

    `record`, which is `test.json`, notes the trial before the training begins. `seed` is the seed that the trainable is
    built with. `watch` is called with each epoch.

    Raises StudyError if the training diverges.
    """
    from trainables.data import heldout

    builder = Builder(job, device)
    config = retrained_config(job.space, trial, refits=True)
    trainable, data = builder.build_on_all(config, seed, heldout.held_out)
    record.note_training(trial.number)
    for epoch in range(1, stopping_epoch(trial) + 1):
        loss = trainable.step().get("train_loss", 0.0)
        if not math.isfinite(loss):
            raise StudyError(f"trial {trial.number} diverged in epoch {epoch} when it was trained on all images")
        if watch is not None:
            watch(epoch)
    (before, *_) = builder.search_data(config)
    assert before is not None, "the data set of the training has parts"
    return LargerTraining(trainable, len(data.train), len(before.train))
