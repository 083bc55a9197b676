"""The worker: trains the trials of one slot, epoch by epoch. With the builder, the door between the houses.

It lives as long as its slot, and what its trials share stays warm between them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import Checkpoints
from hpo.training.trial_run import TrialRun
from hpo.trial import Report, Suggestion

if TYPE_CHECKING:
    from trainables.fused import Group

READS_ALSO = ("hpo.training.trial_run", "trainables.data.preprocessing")
"""Where the hyperparameters are declared that a trial of any regime has."""


class Worker:
    """Trains the trials of one slot, one after another."""

    def __init__(self, job: Job, checkpoints: Path, device: str) -> None:
        self._job = job
        self._checkpoints = Checkpoints(checkpoints)
        self._builder = Builder(job, device)
        # A slot sees its own GPU alone, and calls it cuda; on record it goes by the machine's number.
        self._place = f"cuda:{os.environ['CUDA_VISIBLE_DEVICES']}" if device == "cuda" else device

    def train(self, suggestion: Suggestion, *, after: int) -> Iterator[Report]:
        """Train a trial up to `until`; yield the report of each epoch after `after`, its checkpoint written.

        The generator may be closed after any report: the trial goes on from there another time.
        """
        course = self.begin(suggestion)
        yield from course.reports(after)
        while course.goes_on:
            started = time.perf_counter()
            report = course.take(course.trainable.step(), time.perf_counter() - started)
            if report.fidelity > after:
                yield report
        course.check(after)

    def begin(self, suggestion: Suggestion) -> TrialRun:
        """A trial, built and set to where its checkpoint is; errors as of `Builder.build`."""
        settings = {**self._job.space.fixed, **suggestion.config}
        trainable = self._builder.build(settings, trial_seed(self._job.seed, suggestion.trial))
        return TrialRun(self._job.space, suggestion, trainable, self._checkpoints, self._place)

    def key(self, course: TrialRun) -> Hashable | None:
        """Equal for trials that one group can step; None for one that must be stepped alone."""
        from trainables import fused

        return fused.key(course.trainable)

    def group(self) -> Group:
        """For trials of one key: it steps them as one program."""
        from trainables import fused

        return fused.Group()
