"""The test: re-train the best trials of a study, or take their checkpoints, and evaluate them on held-out data.

Two protocols. `retrain`: each of the best configurations is trained again to its stopping epoch, once for each seed,
and tested; the spread over seeds shows how much of the result is luck. `checkpoint`: the weights of the best epoch of
the search are tested as they are.

Each look at held-out data is counted in `test.json` before it is taken. Whoever chooses by test results has no test
set any more. A test that is cut short goes on from its checkpoints.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import cache
from hpo.devices import main_device
from hpo.errors import Mistake, StudyError, nearest
from hpo.heldout import misclassified
from hpo.heldout.evaluations import Evaluation, Evaluations, evaluated
from hpo.heldout.retraining import MAX_SEEDS, RetrainedModel, from_search, retrain, stopping_epoch
from hpo.record import RETRAINED, StudyFolder, Trial, command, lock
from hpo.training import Build, Builder, Job
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.data.dataset import Part
    from trainables.trainable import Trainable

PROTOCOLS = ("retrain", "checkpoint")


def evaluate(
    folder: Path,
    *,
    top: int = 1,
    seeds: int = 1,
    protocol: str = "retrain",
    trainable: Build | None = None,
    watch: Callable[[Evaluation], None] | None = None,
) -> Evaluations:
    """Test the `top` best trials over `seeds` seeds each; write and return the record of tests.

    The result of a trial replaces its earlier one. `watch` is called after each trained model. Raises StudyError for a
    study that is still searched, or was left before its budget was spent, and a Mistake where a test of fewer seeds
    would replace one of more.
    """
    if protocol not in PROTOCOLS:
        raise Mistake(f"unknown protocol {protocol!r}{nearest(protocol, PROTOCOLS)}")
    if top < 1 or not 1 <= seeds <= MAX_SEEDS:
        raise Mistake(f"--top {top} --seeds {seeds}: each must be at least 1, the seeds at most {MAX_SEEDS}")
    if protocol == "checkpoint" and seeds > 1:
        raise Mistake("--protocol checkpoint tests the weights of the search as they are: it has no seeds")
    StudyFolder.reopen(folder)
    cache.check()
    with lock(folder):
        study = StudyFolder.reopen(folder)
        trials = _best(study, top)
        record = Evaluations.read(study)
        _check_seeds(record, trials, seeds, protocol)
        job = Job(study.space, study.settings.seed, study.data, trainable)
        evaluator = _Evaluator(study, job, record, trials[0])
        models = from_search(study, trials) if protocol == "checkpoint" else retrain(study, job, trials, seeds)
        found: dict[int, list[Evaluation]] = {trial.number: [] for trial in trials}
        for model in models:
            evaluation = evaluator.evaluate(model)
            found[evaluation.trial].append(evaluation)
            if watch is not None:
                watch(evaluation)
        for trial in trials:
            record.replace(evaluated(trial, protocol, stopping_epoch(trial), found[trial.number]))
        record.write()
        shutil.rmtree(study.folder / RETRAINED, ignore_errors=True)
    return record


def _check_seeds(record: Evaluations, trials: Sequence[Trial], seeds: int, protocol: str) -> None:
    numbers = {trial.number for trial in trials}
    for tested in record.trials:
        n = len(tested.seeds)
        if tested.trial in numbers and tested.protocol == protocol and n > seeds:
            raise Mistake(
                f"trial {tested.trial} is tested with {n} seeds already, which a test with {seeds} would replace: "
                f"`hpo best` shows its result, --seeds {n} or more tests again"
            )


class _Evaluator:
    """Evaluates trained models on the held-out part, and counts each look before it is taken."""

    def __init__(self, study: StudyFolder, job: Job, record: Evaluations, trial: Trial) -> None:
        """A Mistake where there is no held-out part, or where the trainable of `trial` has no method `evaluate`."""
        self._study = study
        self._record = record
        self._fixed = job.space.fixed
        self._builder = Builder(job, main_device(study.settings.devices))
        if job.space.task.dataset is None:
            raise Mistake(f"study {study.name!r} has no `task.dataset`, so hpo knows of no held-out data to test on")
        self._held_out: Part | None = None
        self._read_for: Config = {}
        if not hasattr(self._build(trial, 0), "evaluate"):
            raise Mistake(
                f"the trainable of study {study.name!r} has no method `evaluate(part)` that returns its "
                "loss and accuracy, so it cannot be tested"
            )

    def evaluate(self, model: RetrainedModel) -> Evaluation:
        """Load a trained model, and evaluate it on the held-out part."""
        from trainables.training import checkpoints

        saved = checkpoints.read(model.checkpoint) if model.checkpoint else None
        held_out: Mapping[str, float] = {"loss": math.nan, "accuracy": math.nan}
        if saved is not None:
            trainable = self._build(model.trial, model.build_seed)
            trainable.load_state_dict(saved["state"])
            self._record.count_look()
            held_out = trainable.evaluate(self._part(model.trial))
            if model.is_first:
                self._keep_mistakes(model, trainable)
        return Evaluation(model.trial.number, model.seed, model.validation, held_out)

    def _keep_mistakes(self, model: RetrainedModel, trainable: Trainable) -> None:
        """Write the misclassified images, so that their figure needs no look; nothing without `predict(part)`."""
        from trainables import inspection

        data = self._builder.search_data({**self._fixed, **model.trial.config})[0]
        assert data is not None, "a task with held-out data has a data set"
        found = inspection.mistakes(trainable, self._part(model.trial), data.classes)
        if found is not None:
            misclassified.write(self._study, found, trial=model.trial.number, seed=model.seed)

    def _part(self, trial: Trial) -> Part:
        """The held-out part as the model of a trial expects it; read again only for another configuration."""
        from trainables.data import heldout

        if self._held_out is None or trial.config != self._read_for:
            self._held_out = self._builder.held_out(heldout.held_out, {**self._fixed, **trial.config})
            self._read_for = trial.config
        return self._held_out

    def _build(self, trial: Trial, seed: int) -> Trainable:
        return self._builder.build({**self._fixed, **trial.config}, seed)


def _best(study: StudyFolder, top: int) -> list[Trial]:
    history, finished = study.history()
    if finished is None:
        raise StudyError(
            f"study {study.name!r} is not searched to its end, and a look at held-out data would be too early: "
            f"`{command('resume', study.folder)}` goes on, `{command('resume', study.folder, '--time 0')}` ends it here"
        )
    ranked = history.ranked()
    if not ranked:
        raise StudyError(f"study {study.name!r} has no trial with a finite loss: there is nothing to test")
    return ranked[:top]
