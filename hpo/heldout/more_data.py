"""Training a model on more than the training part: on the validation part too, and on the held-out part if asked for.

Such a model has no validation result, and if it trained on the held-out part no test result. `test.json` notes each
trial that was trained on the held-out part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import StudyError
from hpo.heldout.record import TestRecord
from hpo.heldout.retraining import refitted_config, stopping_epoch
from hpo.record import Trial
from hpo.training import Builder, Job

if TYPE_CHECKING:
    from trainables.trainable import Trainable


@dataclass(frozen=True)
class LargerTraining:
    """A trainable that was trained on more data."""

    trainable: Trainable
    n_images: int
    """The number of images that it was trained on."""
    n_training: int
    """The number of images in the training part alone."""


def train_on_more(
    job: Job,
    device: str,
    trial: Trial,
    seed: int,
    *,
    record: TestRecord | None = None,
    watch: Callable[[int], None] | None = None,
) -> LargerTraining:
    """Train a trial up to its stopping epoch, on the training and the validation part together.

    With `record`, it also trains on the held-out part; `job` must then hold that part, and `test.json` notes the trial
    before the training begins. `seed` is the seed that the trainable is built with. `watch` is called with each epoch.

    Raises StudyError if the training diverges.
    """
    from trainables.data import heldout

    builder = Builder(job, device)
    config = refitted_config(job.space, trial)
    trainable, data = builder.build_on_more(config, seed, None if record is None else heldout.held_out)
    if record is not None:
        record.note_training(trial.number)
    for epoch in range(1, stopping_epoch(trial) + 1):
        loss = trainable.step().get("train_loss", 0.0)
        if not math.isfinite(loss):
            raise StudyError(f"trial {trial.number} diverged in epoch {epoch} when it was trained on more images")
        if watch is not None:
            watch(epoch)
    (before, *_) = builder.search_data(config)
    assert before is not None, "the data set of the training has parts"
    return LargerTraining(trainable, len(data.train), len(before.train))
