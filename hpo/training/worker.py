"""The Worker, which trains the trials of one slot, epoch by epoch.

It lives as long as its slot, so torch is imported and the data set is read only once for all its trials.
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.training import notices
from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import AnyCheckpoints, Checkpoints
from hpo.training.out_of_memory import accumulates
from hpo.training.prediction_files import AnyPredictionFiles, PredictionFiles
from hpo.training.predictions import KeptPredictions
from hpo.training.ranks import Ranks, TrainableOnRanks
from hpo.training.trial_run import Surroundings, TrialRun, recorded_micro_batches
from hpo.trial import PEAKS, Report, Suggestion

if TYPE_CHECKING:
    from trainables.fused import Group

READS_ALSO = ("hpo.training.early_stopping", "hpo.training.out_of_memory", "trainables.data.preprocessing")
"""The modules that declare the hyperparameters of every trial, whatever its regime is."""


class Worker:
    """Trains the trials of one slot.

    `train` trains one trial after another. `begin`, `key` and `group` serve the fused runner, which trains many trials
    together.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        device: str,
        n_devices: int = 1,
        *,
        checkpoints: AnyCheckpoints | None = None,
        predictions: AnyPredictionFiles | None = None,
    ) -> None:
        """With several devices, `device` is the first: cpu or cuda. Each of the others gets a process of its own.

        `folder` holds the notices of the training code, and the checkpoints, unless `checkpoints` keeps them. If the
        job keeps predictions, they are written to its folder, or handed to `predictions`.
        """
        self._job = job
        self._checkpoints = Checkpoints(folder) if checkpoints is None else checkpoints
        self._folder = folder
        self._predictions: KeptPredictions | None = None
        if job.predictions is not None:
            files = PredictionFiles(job.predictions) if predictions is None else predictions
            self._predictions = KeptPredictions(files, lambda line: notices.add(folder, [line]))
        self._device = device
        self._n_devices = n_devices
        self._ranks: Ranks | None = None
        self._builder = Builder(job, device)
        # The process of a slot sees only one GPU and calls it cuda. Reports give the number of this GPU on the machine.
        self._device_name = f"cuda:{os.environ['CUDA_VISIBLE_DEVICES']}" if device == "cuda" else device

    def train(self, suggestion: Suggestion, *, after: int, micro_batches: int | None = None) -> Iterator[Report]:
        """Train a trial up to `suggestion.until`, and yield the report of each epoch after epoch `after`.

        `micro_batches` is that of `begin`.

        The checkpoint of an epoch is written before its report is yielded. So the generator may be closed after any
        report, and a later call continues the trial there. Raises the errors of `begin` and of the training, and an
        HpoError if the trial cannot report an epoch after `after`.
        """
        self.reset_peaks()
        trial_run = self.begin(suggestion, after=after, micro_batches=micro_batches)
        yield from trial_run.reports(after)
        while trial_run.goes_on:
            started = time.perf_counter()
            metrics = trial_run.trainable.step()
            report = trial_run.add_epoch(metrics, time.perf_counter() - started, self.peaks())
            self.reset_peaks()
            if report.fidelity > after:
                yield report
        trial_run.check(after)

    def begin(self, suggestion: Suggestion, *, after: int, micro_batches: int | None = None) -> TrialRun:
        """Build a trial, whose last epoch on record is `after`, and load its checkpoint.

        `micro_batches` is the number of parts of each batch, if its batches do not fit into memory. None: as its
        checkpoint says, or else its hyperparameter. Raises the errors of `Builder.build` and of `TrialRun`.
        """
        settings = {**self._job.space.fixed, **suggestion.config}
        if micro_batches is None and accumulates(settings):
            micro_batches = recorded_micro_batches(self._checkpoints, suggestion.trial)
        if micro_batches is not None:
            settings["micro_batches"] = micro_batches
        seed = trial_seed(self._job.seed, suggestion.trial)
        with notices.recorded(self._folder):
            trainable = self._builder.build(settings, seed)
        if self._n_devices > 1:
            if self._ranks is None or self._ranks.is_closed:
                self._ranks = Ranks(self._job, self._folder, self._device, self._n_devices)
            trainable = TrainableOnRanks(trainable, self._ranks, settings, seed, suggestion.trial)
        keep = None
        if self._predictions is not None:
            data = self._builder.search_data(settings)
            keep = self._predictions.of_trial(suggestion.trial, trainable, data, after=after)
        surroundings = Surroundings(self._checkpoints, self._device_name, micro_batches, keep)
        return TrialRun(self._job.space, suggestion, trainable, surroundings, after)

    def forget(self) -> None:
        """Free the memory of the data, and all else that is kept for later trials. It is loaded again when needed."""
        from trainables import memory
        from trainables.features import feature_cache

        self._builder = Builder(self._job, self._device)
        feature_cache.SHARED.clear()  # it keeps features as long as anything refers to their images
        memory.release(self._device)

    def reset_peaks(self) -> None:
        """Start to measure `peaks` anew."""
        from trainables import memory

        memory.reset_peak(self._device)
        if self._ranks is not None:
            self._ranks.reset_host_peaks()

    def peaks(self) -> dict[str, float | None]:
        """Return the most memory since `reset_peaks`, as the fields `hpo.trial.PEAKS` of a report.

        The main memory of several ranks is the sum of theirs. That of GPUs is that of the first one.
        """
        from trainables import memory

        peak = memory.peak(self._device)
        hosts = [peak.host, *(() if self._ranks is None else self._ranks.host_peaks())]
        known = [host for host in hosts if host is not None]
        total = round(sum(known), 4) if len(known) == len(hosts) else None
        return dict(zip(PEAKS, (total, peak.gpu), strict=True))

    def key(self, trial_run: TrialRun) -> Hashable | None:
        """Return a key that is equal for trials that one group can train. Returns None if a trial must train alone."""
        from trainables import fused

        return fused.key(trial_run.trainable)

    def group(self) -> Group:
        """Return a new group, which trains trials with equal keys as one batched program."""
        from trainables import fused

        return fused.Group(offers_logits=self._predictions is not None)
